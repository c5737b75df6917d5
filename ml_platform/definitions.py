"""The front door: one `Definitions` a project, and nothing else.

workspace.yaml names a project as an attribute of this module: `demand` is the folder defs/demand.
A new folder needs no new line here.
"""

import dagster as dg

from ml_platform.common import common_definitions
from ml_platform.loading.project import load_project, project_names
from ml_platform.loading.report import report_broken


def __getattr__(name: str) -> dg.Definitions:
    """The definitions of the project `name`; a broken declaration shows as a broken asset."""
    if name not in project_names():
        raise AttributeError(f"no project '{name}': defs/ has {', '.join(project_names())}")
    project = load_project(name, common_definitions())
    report_broken(project)
    return project.definitions


@dg.definitions
def everything() -> dg.Definitions:
    """All projects as one, for the `dg` command, which looks at one location at a time."""
    return dg.Definitions.merge(
        common_definitions(), *(load_project(name).definitions for name in project_names())
    )
