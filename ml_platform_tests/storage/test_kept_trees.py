"""Kept trees come back as they were, or not at all."""

import json

import pytest

from ml_platform.storage import kept_trees

TREES = {"FROM raw.a": ('{"statements": [1]}', False, 1), "FROM": ("{}", True, 0)}


@pytest.fixture
def file(tmp_path):
    kept_trees.write(tmp_path / "deep" / "shop.json", TREES)
    return tmp_path / "deep" / "shop.json"


def test_they_come_back_and_nothing_else_lies_beside_them(file):
    assert kept_trees.read(file) == TREES
    assert list(file.parent.iterdir()) == [file]


def test_those_of_another_version_of_duckdb_are_not_used(file):
    file.write_text(json.dumps({**json.loads(file.read_text()), "duckdb": "0.1"}))
    assert kept_trees.read(file) == {}


@pytest.mark.parametrize("part", ["trees", "duckdb"])
@pytest.mark.parametrize("value", [None, 7, [], {"FROM raw.a": 7}, {"FROM raw.a": ["{}"]}])
def test_a_file_of_another_shape_is_as_none(file, part, value):
    file.write_text(json.dumps({**json.loads(file.read_text()), part: value}))
    assert kept_trees.read(file) == {}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"null"])
def test_a_file_that_cannot_be_read_is_as_none_and_is_replaced(file, content):
    file.write_bytes(content)
    assert kept_trees.read(file) == {}
    kept_trees.write(file, TREES)
    assert kept_trees.read(file) == TREES


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path):
    (tmp_path / "file").touch()
    kept_trees.write(tmp_path / "file" / "shop.json", TREES)
    assert kept_trees.read(tmp_path / "file" / "shop.json") == {}
