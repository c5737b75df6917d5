"""From raw tables to feature tables: SQL that runs in the engine, or a function in Python."""
