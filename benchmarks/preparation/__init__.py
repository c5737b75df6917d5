"""Automatic preparation beside its peers: on which tables, in whose environment, how measured."""
