"""Published pages: what people read who never open the Dagster UI."""
