"""A machine-learning platform on Dagster; the README's map says which room holds what."""
