"""What every room stands on: names, errors, settings, the clock. Imports nothing of the house."""
