"""What it costs to load a code location of many YAML-declared tables, against Dagster's own loader.

A project of FeatureTable documents, fifty to a file, each with its SQL file, is loaded up to the
repository that a code server serves: the first time, and once the trees of its queries are kept, as
it is for every run and code server after that. The peers load the same files by Dagster's own
loader, and as many assets written in Python with the bare decorator.
"""

import importlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import bench

PACKAGE = "generated_defs"
PROJECT = "shop"
TO_A_FILE = 50
SIZES = (10, 100, 1000, 3000)

DOCUMENT = """\
type: ml_platform.components.FeatureTable
attributes:
  key: features/t{number}
  description: Totals of table {number}, for stores that are open.
  owners: [team:shop]
  tags: {{domain: retail}}
  sql: t{number}.sql
"""

JOINED = """\
WITH recent AS (
    SELECT store_id, week, sales FROM raw.t{source} WHERE sales > {number}
)
SELECT recent.store_id, sum(recent.sales) AS sales, max(other.sales) AS before
FROM recent JOIN features.t{before} AS other ON recent.store_id = other.store_id
GROUP BY recent.store_id
"""

FIRST = "SELECT store_id, week, sales FROM raw.t{source}\n"


def write_project(root: Path, count: int) -> None:
    """A package of declarations below `root`; every table but the first of a file reads two."""
    project = root / PACKAGE / PROJECT
    project.mkdir(parents=True)
    (root / PACKAGE / "__init__.py").touch()
    for start in range(0, count, TO_A_FILE):
        folder = project / f"list_{start:05d}"
        folder.mkdir()
        numbers = range(start, min(start + TO_A_FILE, count))
        documents = [DOCUMENT.format(number=number) for number in numbers]
        (folder / "defs.yaml").write_text("---\n".join(documents))
        for number in numbers:
            sql = JOINED if number % TO_A_FILE else FIRST
            text = sql.format(number=number, before=number - 1, source=number % 7)
            (folder / f"t{number}.sql").write_text(text)


def load_ours(root: Path):
    """The whole project as the front door loads it."""
    import dagster as dg

    from ml_platform.common import common_definitions
    from ml_platform.loading.project import load_tree

    tree = dg.ComponentTree.from_module(importlib.import_module(PACKAGE), project_root=root)
    project = load_tree(tree, PROJECT, common_definitions())
    if project.broken:
        raise SystemExit(str(project.broken[0]))
    return project.definitions


def load_by_dagster(root: Path):
    """The same files by Dagster's own component tree."""
    import dagster as dg

    from ml_platform.common import common_definitions

    tree = dg.ComponentTree.from_module(importlib.import_module(PACKAGE), project_root=root)
    return dg.Definitions.merge(tree.build_defs_at_path(Path(PROJECT)), common_definitions())


def load_python(count: int):
    """As many assets by the bare decorator, with the same names, owners and upstream tables."""
    import dagster as dg

    from ml_platform.common import common_definitions

    def asset(number: int):
        @dg.asset(
            key=["features", f"t{number}"],
            deps=[
                ["raw", f"t{number % 7}"],
                *([["features", f"t{number - 1}"]] if number % TO_A_FILE else []),
            ],
            owners=["team:shop"],
            group_name=PROJECT,
            required_resource_keys={"tables"},
        )
        def step(): ...

        return step

    made = dg.Definitions(assets=[asset(number) for number in range(count)])
    return dg.Definitions.merge(made, common_definitions())


def load_first(root: Path):
    """As if it had never been loaded."""
    os.environ["ML_PLATFORM_HOME"] = str(root / "new_home")
    shutil.rmtree(root / "new_home", ignore_errors=True)
    return load_ours(root)


def measure(kind: str, root: Path, count: int) -> dict[str, float]:
    """Load in this process; imports are not counted, the repository and its job are."""
    import dagster as dg

    import ml_platform.components
    import ml_platform.loading.project  # noqa: F401 - imported before the clock starts

    sys.path.insert(0, str(root))
    load = {"first": load_first, "ours": load_ours, "dagster": load_by_dagster}.get(kind)
    with bench.spent() as load_cost:
        definitions = load(root) if load else load_python(count)
        dg.Definitions.validate_loadable(definitions)
        definitions.get_repository_def()
    found = len(definitions.resolve_asset_graph().executable_asset_keys)
    if found != count:
        raise SystemExit(f"{kind}: {found} assets of {count}")
    return {"cpu_s": load_cost.cpu_s}


def measure_import() -> dict[str, float]:
    """What `import ml_platform.definitions` costs a fresh interpreter."""
    with bench.spent() as cost:
        importlib.import_module("ml_platform.definitions")
    return {"cpu_s": cost.cpu_s}


def main() -> int:
    options = bench.arguments(__doc__, runs=3)
    with tempfile.TemporaryDirectory(prefix="ml-platform-bench-") as folder:
        for count in SIZES:
            write_project(Path(folder) / str(count), count)

        def run(kind: str, count: int):
            root = Path(folder) / str(count)
            return lambda: bench.in_fresh_process(__file__, kind, root, count)

        os.environ["ML_PLATFORM_HOME"] = str(Path(folder) / "home")
        variants = {f"first {count}": run("first", count) for count in SIZES[::2]}
        variants |= {f"ours {count}": run("ours", count) for count in SIZES}
        variants |= {f"dagster {count}": run("dagster", count) for count in SIZES[:3]}
        variants |= {f"python {count}": run("python", count) for count in (10, 1000)}
        variants["import"] = lambda: bench.in_fresh_process(__file__, "import")
        for count in SIZES:
            run("ours", count)()  # from now on its trees are kept
        cost = {name: one["cpu_s"] for name, one in bench.medians(variants, options.runs).items()}
    return report(cost)


def report(cost: dict[str, float]) -> int:
    """The table, and the two promises: the cost of a thousand, and that it stays proportional."""
    names = {
        "first": "ml_platform.loading, the first time",
        "ours": "ml_platform.loading",
        "dagster": "dagster ComponentTree",
        "python": "dagster @dg.asset in Python",
    }
    rows = [
        (label, count, cost[f"{kind} {count}"], 1000 * cost[f"{kind} {count}"] / count)
        for kind, label in names.items()
        for count in SIZES
        if f"{kind} {count}" in cost
    ]
    rows.append(("import ml_platform.definitions", "", cost["import"], ""))
    extra = cost["ours 1000"] - cost["ours 10"]
    first = (cost["ours 1000"] - cost["ours 100"]) / 900
    later = (cost["ours 3000"] - cost["ours 1000"]) / 2000
    promises = [
        bench.Promise("CPU s more for 1,000 assets than for 10", extra, 3.0),
        bench.Promise("cost of an asset from 1,000 to 3,000 / from 100", later / first, 1.15),
    ]
    header = ["loader", "assets", "CPU s", "CPU ms an asset"]
    stack = bench.versions("dagster", "pydantic", "duckdb")
    return bench.finish("loading", header, rows, promises, stack)


if __name__ == "__main__":
    if sys.argv[1:2] == ["import"]:
        print(json.dumps(measure_import()))
    elif len(sys.argv) == 4 and not sys.argv[1].startswith("-"):
        print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))))
    else:
        sys.exit(main())
