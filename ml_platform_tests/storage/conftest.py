"""Stores to test on: a folder, and a real S3 API."""

import boto3
import pytest
from moto.server import ThreadedMotoServer

from ml_platform.kernel.names import TableKey
from ml_platform.storage.tables import TableStore

SALES = TableKey("raw", "sales")


@pytest.fixture(scope="session")
def s3_endpoint():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_root(s3_endpoint, monkeypatch, request):
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": s3_endpoint,
    }.items():
        monkeypatch.setenv(name, value)
    bucket = f"tables-{abs(hash(request.node.nodeid))}"
    boto3.client("s3", endpoint_url=s3_endpoint).create_bucket(Bucket=bucket)
    return f"s3://{bucket}/root"


@pytest.fixture
def folder_store(tmp_path):
    return TableStore(str(tmp_path / "tables"))


@pytest.fixture(params=["folder", "s3"])
def store(request, tmp_path):
    root = str(tmp_path) if request.param == "folder" else request.getfixturevalue("s3_root")
    return TableStore(root)
