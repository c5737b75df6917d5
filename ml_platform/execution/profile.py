"""Where and with how much a table is made: its `execution:`, and the profiles of an installation.

    execution: heavy                                # a profile's name
    execution: {profile: heavy, max_parallel: 4}    # the same, but for one word
    execution: {engine: local, max_parallel: 2, memory: 1GiB, timeout_s: 600}

Profiles stand in one file of the installation, `profiles.yaml` beside dagster.yaml, or where
`ML_PLATFORM_PROFILES` says; each has the words of `execution:`.
"""

import functools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from ml_platform.execution.words import Declared
from ml_platform.kernel.errors import DeclarationError, Where, closest
from ml_platform.kernel.settings import default_home

PROFILES_VARIABLE = "ML_PLATFORM_PROFILES"
"""The file with the profiles, where it is not beside dagster.yaml."""

RAY_ADDRESS_VARIABLE = "ML_PLATFORM_RAY_ADDRESS"
"""A running Ray, like 10.0.0.5:6379; without it Ray is started for the step."""

MOST_HURRIED_S = 30
"""A lease that runs out sooner could do so while its holder is only slow."""

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]i?)?B", re.IGNORECASE)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


class Cluster(Declared):
    """A Ray cluster that the first step that asks for it starts, and that ends by itself."""

    name: str = Field(description="Steps that give the same name share the cluster.")
    kind: Literal["local", "kuberay", "kuberay_job"] = Field(
        default="local",
        description="Nodes on this machine; or on Kubernetes, as a RayCluster that steps share or "
        "as a RayJob of each step's own.",
    )
    nodes: int = Field(default=2, ge=1, description="How many nodes that work, of a local one.")
    cpus: float = Field(default=1, gt=0, description="Cores of each node, of a local one.")
    idle_s: float = Field(
        default=600,
        ge=MOST_HURRIED_S,
        description="Seconds after the last step has left, or was killed, until it ends.",
    )
    manifest: str | None = Field(
        default=None, description="On Kubernetes: the file of the RayCluster, beside the profiles."
    )
    reached_at: str | None = Field(
        default=None,
        description="On Kubernetes: host and port of Ray's client server, from outside of it.",
    )

    @model_validator(mode="after")
    def _has_a_manifest(self) -> "Cluster":
        if (self.kind == "local") == bool(self.manifest):
            raise ValueError("`manifest` and a `kind` on Kubernetes go together")
        if self.reached_at and self.kind == "local":
            raise ValueError("`reached_at` is for a `kind` on Kubernetes")
        return self


class Execution(Declared):
    """Where a table's partitions are made, how many at a time, and what each may take."""

    profile: str | None = Field(
        default=None, description="A profile of this installation; other words here win over it."
    )
    engine: Literal["local", "ray"] = Field(
        default="local", description="Processes of this machine, or tasks on Ray."
    )
    cpus: float = Field(default=1, gt=0, description="Cores that one partition uses.")
    memory: str | None = Field(
        default=None,
        description="What one partition may take, like 4GiB; one that takes more is ended, tried "
        "once more with twice as much, and then fails alone.",
    )
    gpus: float = Field(default=0, ge=0, description="GPUs that one partition needs, on Ray.")
    max_parallel: int = Field(
        default=1, ge=1, description="How many partitions at a time; 1: in the step's process."
    )
    timeout_s: float | None = Field(
        default=None, gt=0, description="Seconds after which a partition is ended, and failed."
    )
    runtime: dict[str, str] = Field(default={}, description="Environment variables of the workers.")
    address: str | None = Field(
        default=None, description="A running Ray; without it the installation's, or one's own."
    )

    cluster: Cluster | str | None = Field(
        default=None,
        description="On Ray: a cluster that steps start and share, or the name of a running one.",
    )

    @field_validator("memory")
    @classmethod
    def _is_a_size(cls, value: str | None) -> str | None:
        if value is not None:
            bytes_of(value)
        return value

    @model_validator(mode="after")
    def _local_has_no_gpus(self) -> "Execution":
        of_ray = self.gpus or self.address or self.cluster
        if self.engine == "local" and self.profile is None and of_ray:
            raise ValueError("`gpus`, `address` and `cluster` are for `engine: ray`")
        if self.address and self.cluster:
            raise ValueError("give `address` or `cluster`")
        return self


@dataclass(frozen=True)
class Plan:
    """What is left of a declaration and its profile: how to make the partitions of a step."""

    engine: Literal["local", "ray"] = "local"
    cpus: float = 1
    memory_bytes: int | None = None
    gpus: float = 0
    max_parallel: int = 1
    timeout_s: float | None = None
    runtime: Mapping[str, str] = field(default_factory=dict)
    address: str | None = None
    cluster: Cluster | str | None = None

    @property
    def is_in_process(self) -> bool:
        """Whether nothing is asked for that the step's own process does not give."""
        own = (self.max_parallel == 1, not self.memory_bytes, not self.timeout_s, not self.runtime)
        return self.engine == "local" and all(own)


def planned(declared: Execution | str | None, environ: Mapping[str, str] = os.environ) -> Plan:
    """The plan of a declaration, its profile read.

    Raises:
        DeclarationError: there is no such profile, or their file says nothing possible.
    """
    if declared is None:
        return Plan()
    if isinstance(declared, str):
        declared = Execution(profile=declared)
    if declared.profile is not None:
        base = profile(declared.profile, environ)
        own = declared.model_dump(exclude_unset=True, exclude={"profile"})
        declared = Execution.model_validate({**base.model_dump(exclude_unset=True), **own})
    address = declared.address
    if not address and not declared.cluster:
        address = environ.get(RAY_ADDRESS_VARIABLE) or None
    return Plan(
        engine=declared.engine,
        cpus=declared.cpus,
        memory_bytes=bytes_of(declared.memory) if declared.memory else None,
        gpus=declared.gpus,
        max_parallel=declared.max_parallel,
        timeout_s=declared.timeout_s,
        runtime=declared.runtime,
        address=address if declared.engine == "ray" else None,
        cluster=declared.cluster if declared.engine == "ray" else None,
    )


def profile(name: str, environ: Mapping[str, str] = os.environ) -> Execution:
    """A profile of this installation.

    Raises:
        DeclarationError: there is none, or the file says nothing possible.
    """
    file, known = profiles_file(environ), profiles(environ)
    if name not in known:
        raise DeclarationError(
            f"profile '{name}'",
            f"{file} has no such profile" if file.is_file() else f"there is no file {file}",
            allowed=closest(name, sorted(known)),
            fix=f"add `{name}: {{max_parallel: 2}}` to it, or name one that is there",
        )
    return known[name]


def profiles(environ: Mapping[str, str] = os.environ) -> dict[str, Execution]:
    """All profiles of this installation by name; none where there is no file.

    Raises:
        DeclarationError: the file says nothing possible.
    """
    file = profiles_file(environ)
    return _profiles(file, file.stat().st_mtime_ns) if file.is_file() else {}


def profiles_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the profiles stand."""
    if named := environ.get(PROFILES_VARIABLE):
        return Path(named)
    home = environ.get("DAGSTER_HOME")
    return (Path(home) if home else default_home().parent) / "profiles.yaml"


@functools.lru_cache(maxsize=4)
def _profiles(file: Path, _changed: int) -> dict[str, Execution]:
    """All profiles of a file; read again when the file has changed."""
    import yaml

    try:
        root = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = Where(file, mark.line + 1, mark.column + 1) if mark else Where(file)
        said = getattr(error, "problem", None) or str(error)
        raise DeclarationError("profiles", said, fix="write it as YAML", where=where) from error
    if root is None:
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise _wrong(file, root, "profiles", "not a mapping of names to profiles")
    return {name.value: _profile(file, name.value, node) for name, node in root.value}


def _profile(file: Path, name: str, node: Any) -> Execution:
    import yaml

    subject = f"profile '{name}'"
    if not isinstance(node, yaml.MappingNode):
        raise _wrong(file, node, subject, "not a mapping of words to values")
    values = yaml.safe_load(yaml.serialize(node))
    if "profile" in values:
        raise _wrong(file, node, subject, "a profile names no other profile")
    try:
        return Execution.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        word = str(first["loc"][0]) if first["loc"] else ""
        at = next((key for key, _ in node.value if key.value == word), node)
        said = f"{word}: {first['msg']}" if word else str(first["msg"])
        raise _wrong(file, at, subject, said, word) from error


def _wrong(file: Path, node: Any, subject: str, said: str, word: str = "") -> DeclarationError:
    known = sorted(set(Execution.model_fields) - {"profile"})
    allowed = closest(word, known) if word not in known else ""
    where = Where(file, node.start_mark.line + 1, node.start_mark.column + 1)
    return DeclarationError(subject, said, allowed=allowed, where=where)


def bytes_of(text: str) -> int:
    """A size in bytes.

    >>> bytes_of("4GiB"), bytes_of("1.5 MB")
    (4294967296, 1500000)

    Raises:
        DeclarationError: it is no size.
    """
    match = _SIZE.fullmatch(text.strip())
    count = float(match[1]) if match else 0
    if not match or not count:
        raise DeclarationError(f"size '{text}'", "it is none", allowed="like 512MiB, 4GiB or 2GB")
    letters = match[2] or ""
    base = 1024 if letters.lower().endswith("i") else 1000
    return int(count * base ** _POWERS[letters[:1].upper()])


def size_of(count: float) -> str:
    """Bytes as people say them.

    >>> size_of(4294967296), size_of(700)
    ('4 GiB', '700 B')
    """
    power = min(max(int(count).bit_length() - 1, 0) // 10, 4)
    return f"{count / 1024**power:.4g} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"
