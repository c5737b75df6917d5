"""The automatic cleaning engine: learnt on training rows, applied anywhere; it knows no Dagster."""
