"""The demonstration: made-up data, two source systems that hold it, and the run that shows all."""
