"""How a declared asset runs: what all of them have in common, and what a step costs."""
