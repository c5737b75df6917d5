"""Stores to test on: a folder, and a real S3 API."""

import pytest

from ml_platform.kernel.names import TableKey
from ml_platform.storage.tables import TableStore

SALES = TableKey("raw", "sales")


@pytest.fixture
def s3_root(s3, request):
    bucket = f"tables-{abs(hash(request.node.nodeid))}"
    s3.create_bucket(Bucket=bucket)
    return f"s3://{bucket}/root"


@pytest.fixture
def folder_store(tmp_path):
    return TableStore(str(tmp_path / "tables"))


@pytest.fixture(params=["folder", "s3"])
def store(request, tmp_path):
    root = str(tmp_path) if request.param == "folder" else request.getfixturevalue("s3_root")
    return TableStore(root)
