"""From Dagster to events: its event log from a cursor on, its ticks, backfills and long runs."""
