"""Other systems -> raw/<table>: files, databases and HTTP APIs, read as Arrow data."""
