"""Tables as folders of Parquet files, DuckDB as the engine over them, and Dagster's way to both."""
