"""Tell of broken declarations in the log of whatever loads them."""

import logging

from ml_platform.loading.project import Project

_log = logging.getLogger("ml_platform")


def report_broken(project: Project) -> None:
    """One error in the log for each broken declaration; the rest of the project goes on."""
    for one in project.broken:
        _log.error("broken declaration in project %s:\n%s", project.name, one)
