"""Where a process finds its modules, for processes that work for it and have to find them too."""

import os
import sys


def module_path() -> str:
    """What this process imports from, as PYTHONPATH wants it."""
    return os.pathsep.join(folder or os.getcwd() for folder in sys.path)  # noqa: PTH109 - as text
