"""The least that Dagster can run, for tests to which it is no matter what a run does."""

import dagster as dg


@dg.op
def nothing() -> None:
    """Succeed."""


@dg.job
def job() -> None:
    """A run of it has one step."""
    nothing()
