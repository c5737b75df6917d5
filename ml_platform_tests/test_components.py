"""The catalogue as people meet it: through the `dg` command, on this very project."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ml_platform import components

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


@pytest.fixture
def clone(tmp_path):
    """The project's own files, to scaffold in; the package is found here before the installed."""
    for name in ("pyproject.toml", "workspace.yaml", "dagster.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "ml_platform", tmp_path / "ml_platform", ignore=ignored)
    return tmp_path


def run(folder, program, *words):
    return subprocess.run(
        [BIN / program, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={
            "PATH": f"{BIN}:/usr/bin:/bin",
            "PYTHONPATH": str(folder),
            "VIRTUAL_ENV": str(BIN.parent),
            "HOME": str(folder),
            "COLUMNS": "200",
        },
    )


def dg(folder, *words):
    return run(folder, "dg", *words)


def ml_platform(folder, *words):
    return run(folder, "ml-platform", *words)


def test_every_word_is_listed_with_its_sentence(clone):
    listed = dg(clone, "list", "components").stdout
    for name in components.__all__:
        assert f"ml_platform.components.{name}" in listed


@pytest.mark.parametrize("what", ["yaml", "defs"])
def test_the_projects_pass_the_check_of(clone, what):
    done = dg(clone, "check", what)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_scaffolded_loads_as_it_is(clone):
    for name in components.__all__:
        path = f"quickstart2/{name.lower()}"
        done = dg(clone, "scaffold", "defs", f"ml_platform.components.{name}", path)
        assert done.returncode == 0, done.stdout + done.stderr
    made = (clone / "ml_platform" / "defs" / "quickstart2").rglob("defs.yaml")
    assert len(list(made)) == len(components.__all__)
    checked = ml_platform(clone, "check", "--project", "quickstart2")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "0 broken" in checked.stdout


def misspelt(clone):
    """The clone with one wrong word in the quickstart, and no other project.

    `dg check yaml` looks at one document of each type, the last; `ml-platform check` at all.
    """
    for other in ("demand", "delivery"):
        shutil.rmtree(clone / "ml_platform" / "defs" / other)
    file = clone / "ml_platform" / "defs" / "quickstart" / "defs.yaml"
    file.write_text(file.read_text().replace("  sql:", "  sqll:"))
    return clone


def test_a_misspelt_word_fails_the_check_of_yaml(clone):
    done = dg(misspelt(clone), "check", "yaml")
    assert done.returncode == 1
    assert "sqll" in done.stdout + done.stderr


def test_a_misspelt_word_fails_our_own_check_with_what_is_allowed(clone):
    file = misspelt(clone) / "ml_platform" / "defs" / "quickstart" / "defs.yaml"
    line = next(n for n, text in enumerate(file.read_text().splitlines(), 1) if "sqll:" in text)
    done = ml_platform(clone, "check")
    assert done.returncode == 1
    assert f"quickstart/defs.yaml:{line}: sqll: no such word" in done.stderr
    assert "sql (did you mean this?)" in done.stderr
