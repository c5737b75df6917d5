"""Nothing that changes is lost or built twice, whatever is killed and when."""

import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from ml_platform.kernel.marks import TRIGGER_TAG
from ml_platform.scenarios.recorder import Recorder
from ml_platform_tests.daemon import HASTY_DAEMON
from ml_platform_tests.ports import free_port

REPOSITORY = Path(__file__).parents[2]
CHANGES, GRACE_S = 200, 2
PATIENCE_S = 300

PROJECT = f"""
import os

import dagster as dg
from ml_platform.scenarios import sensor
from ml_platform.scenarios.job import KEEPER, scenario_job
from ml_platform.scenarios.sensor import scenario_sensor
from ml_platform.scenarios.words import ScenarioWords

sensor.SHORTEST_S = 1  # a tick each second, as the daemon of this test has it
NOBODY = dg.ResourceDefinition.hardcoded_resource(None)
SOON = {{"every": "1s", "grace": "{GRACE_S}s"}}
QUERY = {{"url": "sqlite:///" + os.environ["SHOP"], "query": "SELECT count(*) AS n FROM sales"}}
refresh = ScenarioWords(
    name="refresh",
    triggers=[
        {{"name": "arrived", "files": {{"paths": [os.environ["ARRIVALS"]]}}, **SOON}},
        {{"name": "sold", "sql": QUERY, "recheck": False, **SOON}},
    ],
    steps=[{{"name": "build", "run_python": {{
        "function": "builder:build", "arguments": {{"params": "= params", "trigger": "= trigger"}}
    }}}}],
)
defs = dg.Definitions(
    resources={{**KEEPER, "alerts": NOBODY, "tables": NOBODY}},
    jobs=[scenario_job("shop", refresh)], sensors=[scenario_sensor("shop", refresh)]
)
"""
BUILDER = """
import json, os

def build(params, trigger):
    line = json.dumps([trigger, params]) + "\\n"
    log = os.open(os.environ["BUILT"], os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    os.write(log, line.encode())
    os.close(log)
"""
WORKSPACE = """
load_from:
  - grpc_server: {{host: 127.0.0.1, port: {port}, location_name: shop}}
"""


class Host:
    """A project's code server, the daemon and the webserver, each killed and started by itself."""

    def __init__(self, folder):
        self.folder, self.kills, self.processes = folder, {}, {}
        (folder / "in").mkdir()
        shutil.copy(REPOSITORY / "dagster.yaml", folder)
        code, web = free_port(), free_port()
        (folder / "defs.py").write_text(PROJECT)
        (folder / "builder.py").write_text(BUILDER)
        (folder / "workspace.yaml").write_text(WORKSPACE.format(port=code))
        with sqlite3.connect(folder / "shop.db") as made:
            made.execute("CREATE TABLE sales (id INTEGER)")
        made.close()
        self.env = {
            **os.environ,
            "DAGSTER_HOME": str(folder),
            "ML_PLATFORM_HOME": str(folder / "var"),
            "ARRIVALS": str(folder / "in"),
            "SHOP": str(folder / "shop.db"),
            "BUILT": str(folder / "built"),
        }
        here, module = ["-h", "127.0.0.1", "-p"], [sys.executable, "-m"]
        code_of = ["api", "grpc", "-f", "defs.py", "-d", "."]
        self.commands = {
            "code server": [*module, "dagster", *code_of, *here, str(code)],
            "daemon": [*HASTY_DAEMON, "run", "-w", "workspace.yaml"],
            "webserver": [*module, "dagster_webserver", "-w", "workspace.yaml", *here, str(web)],
        }
        self.record = Recorder(f"sqlite:///{folder / 'var' / 'dagster' / 'scenarios.db'}")

    def start(self, name):
        with (self.folder / "log").open("a") as log:
            self.processes[name] = subprocess.Popen(
                self.commands[name],
                cwd=self.folder, env=self.env, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def kill(self, name):
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait()

    def kill_and_start(self, name):
        self.kill(name)
        self.kills[name] = self.kills.get(name, 0) + 1
        self.start(name)

    def wait(self, condition, what):
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > deadline:
                log = (self.folder / "log").read_text()[-6000:]
                pytest.fail(f"{what}: not within {PATIENCE_S} s\n{log}")
            time.sleep(0.2)

    def change(self, kind, number):
        """The change of this number: a file that is there at once, or a row."""
        if kind == "arrived":
            hidden = self.folder / "in" / f".{number}"
            hidden.write_text(str(number))
            hidden.rename(self.folder / "in" / f"{number:04}.csv")
            return
        with sqlite3.connect(self.folder / "shop.db", timeout=60) as shop:
            shop.execute("INSERT INTO sales VALUES (?)", [number])
        shop.close()


@pytest.fixture
def host(tmp_path, monkeypatch):
    made = Host(tmp_path)
    for name in ("DAGSTER_HOME", "ML_PLATFORM_HOME"):
        monkeypatch.setenv(name, made.env[name])
    prepare = [sys.executable, "-m", "ml_platform.operations.instance"]
    subprocess.run(prepare, cwd=tmp_path, env=made.env, check=True, capture_output=True)
    for name in made.commands:
        made.start(name)
    yield made
    for name in made.processes:
        made.kill(name)


def versions(trigger, params):
    """Up to which change of each kind a run knows: how many files, how many rows."""
    names = trigger.split(", ")
    by_trigger = params["triggers"] if len(names) > 1 else {names[0]: params}
    found = {}
    for name, given in by_trigger.items():
        if name == "sold":
            found[name] = given["n"]
        else:
            found[name] = int(re.search(r": ([\d,]+) files?,", given["seen"])[1].replace(",", ""))
    return found


@pytest.mark.fault
@pytest.mark.timeout(900)
def test_each_change_is_built_once_while_everything_is_killed_at_random(host, capsys):
    """Changes are numbered; a run knows of those up to the number that its parameters hold.

    Each change is in exactly one run, if the numbers of the runs of a kind go up, none comes twice,
    and the last is that of the last change: then a run is there for each change that knows of it
    and whose predecessor did not. It is settled, if the run was asked for no sooner than the grace
    delay after that change. And it is built, if the run's step was done, with these numbers, once.
    """
    chance = random.Random(20261121)
    made_at = {"arrived": [], "sold": []}
    both = ("arrived", "sold")
    host.wait(lambda: len({r.trigger for r in host.record.rows("shop", "refresh")}) == 2, "looks")
    with dg.DagsterInstance.get() as instance:

        def over():
            runs = asked_for(instance)
            known = {kind: max([0, *(one.known.get(kind, 0) for one in runs)]) for kind in both}
            made = {kind: len(made_at[kind]) for kind in both}
            return known == made and all(one.is_over for one in runs)

        for number in range(1, CHANGES + 1):
            kind = chance.choice(both)
            host.change(kind, len(made_at[kind]) + 1)
            made_at[kind].append(time.time())
            # In bursts of ten; a kill comes at some moment of most pauses.
            if number % 10 == 0:
                time.sleep(chance.uniform(0, 2))
                if chance.random() < 0.75:
                    host.kill_and_start(chance.choice(tuple(host.commands)))
                time.sleep(chance.uniform(0, 2))
            # A slow host would otherwise make one run of all.
            if number % 50 == 0:
                host.wait(over, f"the first {number} changes")
        time.sleep(6)  # whoever would start something twice does it in these ticks
        host.wait(over, "what started meanwhile")
        found = asked_for(instance)
    last = {kind: len(made_at[kind]) for kind in both}
    built = [json.loads(one) for one in (host.folder / "built").read_text().splitlines()]
    with capsys.disabled():
        print(  # noqa: T201 - the figures are what one runs it for
            f"\n{CHANGES} changes ({last['arrived']} files, {last['sold']} rows), {len(found)} "
            f"runs ({sum(one.tries > 1 for one in found)} repeated by Dagster), kills: {host.kills}"
        )
    for kind in both:
        of_kind = [one for one in found if kind in one.known]
        numbers = [one.known[kind] for one in of_kind]
        assert numbers == sorted(set(numbers)), f"{kind}: {numbers}"
        assert numbers[-1] == last[kind]
        for before, one in zip([0, *numbers], of_kind, strict=False):
            settled_since = one.known[kind] - 1 if kind == "arrived" else before
            assert one.asked_at >= made_at[kind][settled_since] + GRACE_S
    assert [one.why for one in found if not one.is_success] == []
    told = [versions(trigger, params) for trigger, params in built]
    assert sorted(told, key=str) == sorted((one.known for one in found), key=str)
    assert len(found) >= 4
    assert sum(host.kills.values()) >= 10


@dataclass
class Asked:
    """A run that was asked for, with those by which Dagster repeated it where it was killed."""

    known: dict
    asked_at: float
    tries: int
    is_over: bool
    is_success: bool
    why: str


def asked_for(instance):
    """All runs that the scenario's triggers have asked for, the oldest first."""
    tries = {}
    for record in sorted(instance.get_run_records(), key=lambda one: one.storage_id):
        run = record.dagster_run
        tries.setdefault(run.root_run_id or run.run_id, []).append(record)
    return [_asked(instance, records) for records in tries.values()]


def _asked(instance, records):
    first, runs = records[0].dagster_run, [one.dagster_run for one in records]
    is_success = any(one.is_success for one in runs)
    will_go_on = runs[-1].tags.get("dagster/will_retry") == "true"
    failures = instance.all_logs(runs[-1].run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    return Asked(
        known=versions(
            first.tags[TRIGGER_TAG], first.run_config["ops"]["start"]["config"]["params"]
        ),
        asked_at=records[0].create_timestamp.timestamp(),
        tries=len(records),
        is_over=is_success or (all(one.is_finished for one in runs) and not will_go_on),
        is_success=is_success,
        why="; ".join(one.dagster_event.message or "" for one in failures),
    )
