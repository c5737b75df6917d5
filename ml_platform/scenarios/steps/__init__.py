"""What each kind of step does, and with which result.

What belongs here: a module a kind of work, told apart by `work`. What a step's end means for the
run is `course`'s, and how Dagster runs it is `job`'s.
"""
