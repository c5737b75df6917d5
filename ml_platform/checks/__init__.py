"""Rules about tables: schemas, suites, and the one result that both give."""
