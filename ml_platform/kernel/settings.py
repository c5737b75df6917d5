"""Where this installation keeps things and whom it talks to: environment variables, read once.

Everything has a default that needs no server. Secrets are never kept here: a declaration names the
environment variable that holds one and the step that needs it reads it.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class Settings:
    """The settings of one installation.

    Attributes:
        home: the folder for everything that the platform writes by itself (`ML_PLATFORM_HOME`).
        storage_root: the folder or URL under which tables lie (`ML_PLATFORM_STORAGE_ROOT`).
        tracking_uri: MLflow's store (`MLFLOW_TRACKING_URI`).
        memory_limit: what one query may take before it spills to disk (`ML_PLATFORM_MEMORY_LIMIT`),
            in DuckDB's words such as `4GiB`; empty for DuckDB's own default, 80 % of the machine.
        variables_file: YAML with the variables of all projects' scenarios
            (`ML_PLATFORM_VARIABLES`), by default variables.yaml beside workspace.yaml; it need not
            be there.
    """

    home: Path
    storage_root: str
    tracking_uri: str
    memory_limit: str
    variables_file: Path

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read the settings from the environment; nothing is created or contacted."""
        home = Path(environ.get("ML_PLATFORM_HOME") or default_home()).absolute()
        return cls(
            home=home,
            storage_root=environ.get("ML_PLATFORM_STORAGE_ROOT") or str(home / "tables"),
            tracking_uri=environ.get("MLFLOW_TRACKING_URI")
            or f"sqlite:///{home / 'mlflow' / 'mlflow.db'}",
            memory_limit=environ.get("ML_PLATFORM_MEMORY_LIMIT", ""),
            variables_file=Path(
                environ.get("ML_PLATFORM_VARIABLES") or default_home().parent / "variables.yaml"
            ),
        )


def default_home() -> Path:
    """`var/` beside the workspace.yaml of this folder or one above it, else in this folder."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "workspace.yaml").exists():
            return folder / "var"
    return here / "var"
