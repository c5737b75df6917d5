"""The conventions of the house, held by the tests: its page, its catalogue, its words."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "ml_platform"
MODULES = sorted(PACKAGE.rglob("*.py"))
HEAVY = ["ray", "mlflow", "sklearn", "great_expectations", "dlt", "pandas", "matplotlib", "pandera"]


def rooms():
    return {p.name for p in PACKAGE.iterdir() if p.is_dir() and not p.name.startswith("_")}


def test_the_page_of_the_house_names_every_room_and_no_other():
    page = (ROOT / "docs" / "house.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == rooms()


def test_every_room_has_a_make_target_for_its_tests():
    makefile = (ROOT / "Makefile").read_text()
    named = re.search(r"^ROOMS := (.*)$", makefile, re.MULTILINE)[1].split()
    assert set(named) == rooms() - {"defs"}
    for room in named:
        assert list((ROOT / "ml_platform_tests" / room).glob("test_*.py")), room


def test_loading_the_front_door_imports_no_heavy_library():
    program = (
        "import sys, ml_platform.definitions, ml_platform.definitions as d; d.demand;"
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_opens_with_its_charter(module):
    assert ast.get_docstring(ast.parse(module.read_text()))


def test_every_word_of_the_catalogue_describes_all_its_fields():
    from ml_platform import components

    for name in components.__all__:
        component = getattr(components, name)
        assert component.__doc__, name
        for field, info in component.model_fields.items():
            assert info.description, f"{name}.{field}"


def test_every_word_of_the_catalogue_is_used_by_a_project():
    from ml_platform import components

    used = set()
    for file in (PACKAGE / "defs").rglob("defs.yaml"):
        used |= {one["type"].rpartition(".")[2] for one in yaml.safe_load_all(file.read_text())}
    assert set(components.__all__) <= used


def test_every_project_is_a_code_location():
    workspace = yaml.safe_load((ROOT / "workspace.yaml").read_text())
    named = {one["python_module"]["attribute"] for one in workspace["load_from"]}
    projects = {p.name for p in (PACKAGE / "defs").iterdir() if p.is_dir() and p.name[0] != "_"}
    assert named == projects


def test_the_lock_pins_with_hashes_and_names_no_address():
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    assert lock.count("==") <= lock.count("--hash=sha256:")


def test_links_between_the_documents_lead_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_what_the_documents_tell_to_make_can_be_made():
    makefile = (ROOT / "Makefile").read_text()
    benches = re.search(r"^BENCHES := (.*)$", makefile, re.MULTILINE)[1].split()
    targets = {f"test-{room}" for room in rooms()} | {f"bench-{name}" for name in benches}
    for line in re.findall(r"^([a-z -]+):", makefile, re.MULTILINE):
        targets |= set(line.split())
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    told = set()
    for page in pages:
        told |= set(re.findall(r"(?:^    |`)make ([a-z-]+)", page.read_text(), re.MULTILINE))
    assert told <= targets
    assert {"demo", "test", "dev", "check"} <= told
