"""Keeping an installation going: runs that end, an instance that starts whole."""
