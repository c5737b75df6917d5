"""Small projects written to a temporary folder and loaded as the server loads them."""

import importlib
import sys
import textwrap
import uuid

import dagster as dg
import pytest

from ml_platform.loading.project import load_tree
from ml_platform.storage.resource import Tables

GOOD = """
    type: ml_platform.components.FeatureTable
    attributes:
      key: features/{name}
      sql: {name}.sql
"""


class Workshop:
    """A `defs` package in which a test writes the project `shop`."""

    def __init__(self, root):
        self.package = f"defs_{uuid.uuid4().hex}"
        self.root = root
        self.shop = root / self.package / "shop"
        self.shop.mkdir(parents=True)
        (root / self.package / "__init__.py").touch()

    def write(self, path, text):
        file = self.shop / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text).lstrip("\n"))
        return file

    def table(self, name, sql="SELECT 1 AS n", folder=None):
        folder = folder or name
        self.write(f"{folder}/{name}.sql", sql)
        self.write(f"{folder}/defs.yaml", textwrap.dedent(GOOD).format(name=name))

    def load(self):
        tree = dg.ComponentTree.from_module(
            importlib.import_module(self.package), project_root=self.root
        )
        common = dg.Definitions(resources={"tables": Tables(root=str(self.root / "tables"))})
        return load_tree(tree, "shop", common)


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    made = Workshop(tmp_path)
    yield made
    for name in [name for name in sys.modules if name.startswith(made.package)]:
        del sys.modules[name]
