"""What runs: one folder a project, of YAML, SQL and a little Python."""
