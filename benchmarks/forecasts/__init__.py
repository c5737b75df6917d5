"""Many series at once beside Prophet: on which series, with which extras, how measured."""
