"""What nothing may break: each failed check is told once, and none is missed.

Processes that read, write and send are killed at any moment, and so is the receiver; the receiver
counts as receivers do, by the key that comes with a message. Only the waits between attempts are
shorter here than they are at work.
"""

import collections
import json
import os
import random
import select
import signal
import subprocess
import sys
import time

import dagster as dg
import pytest

from ml_platform_tests.ports import free_port

CHECKS, FAILURES = 1000, 300
PATIENCE_S = 240

TICKER = """
import sys, time
import dagster as dg
from ml_platform.alerts import delivery, timing
from ml_platform.alerts.channels.declared import channels_of
from ml_platform.alerts.outbox import Outbox
from ml_platform.alerts.rules import Rule
from ml_platform.alerts.sensor import Reader
from ml_platform.alerts.settings import AlertSettings

timing.ATTEMPTS_AFTER_S = (0,) + (0.5,) * 1000
delivery.PAUSE_S = 0.2
home = sys.argv[1]
settings = AlertSettings.from_environment()
rule = Rule(name="all", channels=["hook"], events=["check.failed"], flood_over=1_000_000)
reader = Reader("", [rule], settings, Outbox(settings.url))
with dg.DagsterInstance.from_config(home) as instance:
    print("up", flush=True)
    while True:
        reader.tick(instance)
        time.sleep(0.05)
"""

RECEIVER = """
import os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        line = self.headers["webhook-id"].encode() + b" " + body.replace(b"\\n", b"") + b"\\n"
        # Written before it answers, so a kill between the two makes the sender repeat it.
        os.write(log, line)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass

class Server(ThreadingHTTPServer):
    allow_reuse_address = True
    daemon_threads = True

log = os.open(sys.argv[2], os.O_APPEND | os.O_CREAT | os.O_WRONLY)
server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
print("up", flush=True)
server.serve_forever()
"""


class Killable:
    """A process that is started again after each kill."""

    def __init__(self, program, *arguments, env):
        self.command = [sys.executable, "-c", program, *map(str, arguments)]
        self.env, self.kills, self.process = env, 0, None

    def start(self):
        self.process = subprocess.Popen(
            self.command, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def is_up(self):
        """Whether it has said so."""
        assert self.process.poll() is None, self.process.communicate()[1].decode()
        return bool(select.select([self.process.stdout], [], [], 0)[0])

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()
        self.kills += 1

    def kill_and_start(self):
        self.kill()
        self.start()


def kill_one(processes, chance):
    """Kill one of those that are up and start it again; of the others each is still starting."""
    while not (up := [one for one in processes if one.is_up()]):
        time.sleep(0.02)
    chance.choice(up).kill_and_start()


@pytest.fixture
def home(tmp_path):
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    port = free_port()
    (tmp_path / "channels.yaml").write_text(
        "hook:\n  type: webhook\n"
        f"  url: http://127.0.0.1:{port}/\n"
        "  secrets: ['${HOOK_SECRET}']\n  allow_private: true\n  timeout_s: 5\n"
    )
    return tmp_path, port


def environment(home):
    return {
        **os.environ,
        "ML_PLATFORM_HOME": str(home),
        "ML_PLATFORM_CHANNELS": str(home / "channels.yaml"),
        "HOOK_SECRET": "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo=",
    }


def evaluation(number, failed):
    """A result of one of fifty checks; the same check fails many times."""
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(["raw", f"table_{number % 50}"]),
        check_name="rows",
        passed=number not in failed,
        metadata={"number": number},
        description=f"number {number}",
    )


def received(log):
    """How often each key came, and which results it told of."""
    counts, told = collections.Counter(), collections.defaultdict(set)
    for line in log.read_bytes().splitlines() if log.exists() else []:
        key, _, body = line.partition(b" ")
        counts[key] += 1
        told[json.loads(body)["data"]["summary"]].add(key)
    return counts, told


@pytest.mark.fault
@pytest.mark.timeout(1800)
def test_each_failed_check_is_told_once_while_everything_is_killed_at_random(home, capsys):
    folder, port = home
    chance = random.Random(20261121)
    failed = set(chance.sample(range(CHECKS), FAILURES))
    log = folder / "received"
    env = environment(folder)
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        instance.get_runs_count()
        receiver = Killable(RECEIVER, port, log, env=env)
        tickers = [Killable(TICKER, folder, env=env) for _ in range(2)]
        processes = [receiver, *tickers]
        for one in processes:
            one.start()
        try:
            wait_for_the_first_tick(folder)
            for number in range(CHECKS):
                instance.report_runless_asset_event(evaluation(number, failed))
                if chance.random() < 0.02:
                    kill_one(processes, chance)
            deadline = time.monotonic() + PATIENCE_S
            while len(received(log)[0]) < FAILURES and time.monotonic() < deadline:
                time.sleep(0.5)
                if chance.random() < 0.1:
                    kill_one(processes, chance)
            time.sleep(3)  # whoever would tell something twice does it now
        finally:
            for one in processes:
                one.kill()
    counts, told = received(log)
    kills = sum(one.kills - 1 for one in processes)
    with capsys.disabled():
        print(  # noqa: T201 - the figures are what one runs it for
            f"\n{CHECKS} results, {FAILURES} failures, {kills} kills: {len(counts)} keys, "
            f"{FAILURES - len(told)} missed, {sum(len(keys) > 1 for keys in told.values())} told "
            f"twice, {sum(counts.values()) - len(counts)} deliveries repeated with the same key"
        )
    assert set(told) == {f"number {number}" for number in failed}
    assert {len(keys) for keys in told.values()} == {1}
    assert len(counts) == FAILURES
    assert kills > 10


def wait_for_the_first_tick(folder):
    """Until the history before it is set apart; what comes from then on is told."""
    import sqlite3

    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        file = folder / "dagster" / "alerts.db"
        if file.exists():
            with sqlite3.connect(file, timeout=30) as found:
                try:
                    rows = found.execute("SELECT 1 FROM alert_cursors WHERE name = 'events'")
                    if rows.fetchone():
                        return
                except sqlite3.OperationalError:
                    pass
        time.sleep(0.1)
    pytest.fail("no tick within a minute")
