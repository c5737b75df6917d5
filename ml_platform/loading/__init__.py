"""From a folder of declarations to a code location, in which a broken file breaks itself only."""
