"""What tests of several rooms stand on: small projects to run, real PostgreSQL and S3 servers."""

import importlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import boto3
import dagster as dg
import pytest
import s3fs
import sqlalchemy as sa
from hypothesis import settings
from moto.server import ThreadedMotoServer

from ml_platform.alerts.resource import Alerts
from ml_platform.execution.launch import keys_of, materialise
from ml_platform.kernel.names import TableKey
from ml_platform.loading.project import load_tree
from ml_platform.operations.history import LocalStorage
from ml_platform.storage.io_manager import TableIOManager
from ml_platform.storage.resource import Tables
from ml_platform.storage.tables import TableStore
from ml_platform_tests.ports import free_port

PASSWORD = "p@ss:w/rd %41"
"""The server's password, with everything in it that a URL has to encode."""

_START_WAIT_S = 60
_MEMORY, _ROOM = Path("/dev/shm"), 4 * 2**30


def _has_room(folder):
    """Whether tests may write there, also programs and as much as they like."""
    if not os.access(folder, os.W_OK) or shutil.disk_usage(folder).free < _ROOM:
        return False
    return not os.statvfs(folder).f_flag & os.ST_NOEXEC


# Each of several workers has about a core: with a thread for each core their libraries wait for
# each other, and a fit of half a second took thirty. Workers and other children find it here.
os.environ.setdefault("OMP_NUM_THREADS", "1")

if "TMPDIR" not in os.environ and _has_room(_MEMORY):
    # A run of Dagster writes to its history some hundred times and waits for the disk each time;
    # that no power failure loses it is no matter of tests. Children are to write there as well.
    os.environ["TMPDIR"] = str(_MEMORY)
    tempfile.tempdir = None

if "CI" not in os.environ:
    # No test is a matter of time; in CI hypothesis loads a profile of its own that says so too.
    settings.register_profile("without deadlines", deadline=None)
    settings.load_profile("without deadlines")


def pytest_collection_modifyitems(items):
    """Long files go first, so that the workers end together: the others fill what time is left.

    They are those with long time limits, then those that start and kill processes.
    """
    longest, slow = {}, set()
    for item in items:
        for mark in item.iter_markers():
            if mark.name == "timeout":
                longest[item.path] = max(mark.args[0], longest.get(item.path, 0))
            elif mark.name in {"fault", "browser"}:
                slow.add(item.path)
    items.sort(key=lambda item: (-longest.get(item.path, 0), item.path not in slow))


class Workshop:
    """A `defs` package in which a test writes the project `shop`.

    It is loaded as the server does, and runs on an instance and tables of its own.
    """

    def __init__(self, root, instance, package=None):
        self.package = package or f"defs_{uuid.uuid4().hex}"
        self.root, self.instance = root, instance
        self.shop = root / self.package / "shop"
        self.shop.mkdir(parents=True, exist_ok=True)
        (root / self.package / "__init__.py").touch()
        self.store = TableStore(str(root / "tables"))

    def write(self, path, text):
        file = self.shop / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text).lstrip("\n"))
        return file

    def declare(self, component, folder, **attributes):
        """Write the defs.yaml of one component; its key is `attributes["key"]`."""
        import yaml

        declared = {"type": f"ml_platform.components.{component}", "attributes": attributes}
        return self.write(f"{folder}/defs.yaml", yaml.safe_dump(declared, sort_keys=False))

    def table(self, name, sql="SELECT 1 AS n", folder=None, **attributes):
        """A feature table of a query."""
        folder = folder or name
        self.write(f"{folder}/{name}.sql", sql)
        self.declare(
            "FeatureTable", folder, key=f"features/{name}", sql=f"{name}.sql", **attributes
        )

    def load(self):
        tree = dg.ComponentTree.from_module(
            importlib.import_module(self.package), project_root=self.root
        )
        tables = Tables(root=self.store.root)
        resources = {
            "tables": tables,
            "io_manager": TableIOManager(tables=tables),
            "alerts": Alerts(url=f"sqlite:///{self.root / 'alerts.db'}"),
        }
        return load_tree(tree, "shop", dg.Definitions(resources=resources))

    def run(self, *keys, partitions=()):
        """Load, insist that nothing is broken, and make these assets, or all, in one run."""
        project = self.load()
        assert not project.broken, project.broken[0]
        chosen = [dg.AssetKey.from_user_string(key) for key in keys]
        chosen = chosen or keys_of(project.definitions)
        return materialise(project.definitions, self.instance, chosen, partitions)

    def rows(self, key):
        return self.store.read("shop", TableKey.parse(key)).to_pylist()

    def metadata(self, key, partition=None):
        """What the last materialisation said of itself, as plain values."""
        records = self.instance.fetch_materializations(
            dg.AssetRecordsFilter(
                asset_key=dg.AssetKey.from_user_string(key),
                asset_partitions=[partition] if partition else None,
            ),
            limit=1,
        ).records
        found = records[0].asset_materialization.metadata
        return {name: value.value for name, value in found.items()}


@pytest.fixture(scope="session")
def empty_history(tmp_path_factory):
    """A history that is whole and empty: to copy it takes a moment, to make it a second."""
    folder = tmp_path_factory.mktemp("history")
    LocalStorage(str(folder)).dispose()
    return folder


@pytest.fixture
def instances(tmp_path_factory, empty_history):
    """What makes instances with a history of their own, each with what it is to have besides."""

    @contextmanager
    def made(overrides=None):
        history = shutil.copytree(empty_history, tmp_path_factory.mktemp("instance") / "dagster")
        storage = {"module": LocalStorage.__module__, "class": "LocalStorage",
                   "config": {"base_dir": str(history)}}  # fmt: skip
        with dg.instance_for_test({"storage": {"custom": storage}, **(overrides or {})}) as one:
            yield one

    return made


@pytest.fixture
def workshop(tmp_path, instances, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    with instances() as instance:
        made = Workshop(tmp_path, instance)
        yield made
    for name in [name for name in sys.modules if name.startswith(made.package)]:
        del sys.modules[name]


@pytest.fixture(scope="session")
def postgres_server():
    """The URL of a server's own database; it is made for this session and gone afterwards."""
    programs = _server_programs()
    if programs is None:
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL's server programs are not installed, and in CI they must be")
        pytest.skip("PostgreSQL's server programs are not installed")
    with tempfile.TemporaryDirectory(prefix="ml-platform-postgres-") as folder:
        owner = _unprivileged()
        if owner:
            os.chown(folder, owner["user"], owner["group"])
        _initialise(programs, Path(folder), owner)
        with _running(programs, Path(folder), owner) as port:
            yield f"postgresql://platform:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/postgres"


@pytest.fixture
def postgres_url(postgres_server, request):
    """The URL of an empty database of the test's own, as a person writes it: `postgresql://`."""
    name = f"test_{abs(hash(request.node.nodeid)):x}"
    server = sa.create_engine(postgres_server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with server.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    yield postgres_server.removesuffix("postgres") + name
    with server.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))


def _server_programs():
    """The folder of the newest programs: Debian keeps them off the path, others do not."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if on_path := shutil.which("postgres"):
        folders.append(Path(on_path).resolve().parent)
    needed = ("postgres", "initdb", "pg_isready")
    return next((one for one in folders if all((one / name).exists() for name in needed)), None)


def _unprivileged():
    """Whom to run the server as: it refuses to be run by the superuser."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    return {"user": user.pw_uid, "group": user.pw_gid}


def _initialise(programs, folder, owner):
    secret = folder / "password"
    secret.write_text(PASSWORD)
    if owner:
        os.chown(secret, owner["user"], owner["group"])
    command = [programs / "initdb", "--pgdata", folder / "data", "--username", "platform"]
    options = ["--pwfile", secret, "--auth", "scram-sha-256", "--encoding", "UTF8", "--no-sync"]
    subprocess.run(
        [*command, *options, "--locale", "C"],
        check=True,
        capture_output=True,
        cwd=folder,
        extra_groups=[] if owner else None,
        **owner,
    )


@contextmanager
def _running(programs, folder, owner):
    port = free_port()
    settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [programs / "postgres", "-D", folder / "data", "-p", str(port), *options],
            stdout=log,
            stderr=log,
            cwd=folder,
            extra_groups=[] if owner else None,
            **owner,
        )
    try:
        _wait_until_ready(programs, port, server, folder / "log")
        yield port
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=60)


def _wait_until_ready(programs, port, server, log):
    deadline = time.monotonic() + _START_WAIT_S
    ready = [programs / "pg_isready", "-h", "127.0.0.1", "-p", str(port), "-q"]
    while subprocess.run(ready, check=False).returncode != 0:
        if server.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"PostgreSQL did not start:\n{log.read_text()}")
        time.sleep(0.1)


@pytest.fixture(scope="session")
def s3_address():
    """A real S3 API; buckets are shared by all tests of the process."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_address, monkeypatch):
    """A client of that S3, which `s3://` addresses of the platform mean too."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": s3_address,
    }.items():
        monkeypatch.setenv(name, value)
    # fsspec keeps file systems by their arguments, and the endpoint is none of them.
    s3fs.S3FileSystem.clear_instance_cache()
    yield boto3.client("s3")
    s3fs.S3FileSystem.clear_instance_cache()
