"""The room of scenarios: what starts them, what they do, and why they did or did not run."""
