"""Who does the work of a step: this process, a pool of local processes, Ray. One interface."""
