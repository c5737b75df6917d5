"""The sensor on a real instance: what each kind of trigger sees, and what its runs get."""

import json
import sqlite3
import time
from datetime import timedelta

import dagster as dg
import pytest

from ml_platform.kernel.clock import system_clock
from ml_platform.scenarios.calls import Calls, Hook
from ml_platform.scenarios.job import KEEPER, scenario_job
from ml_platform.scenarios.recorder import recorder_here
from ml_platform.scenarios.sensor import scenario_sensor
from ml_platform.scenarios.steps.place import within
from ml_platform.scenarios.words import ScenarioWords

STEPS = [{"name": "count", "set_variables": {"n": 1}}]


class Project:
    """Scenarios of the project `shop`, whose sensors tick at any hour and whose runs are run."""

    def __init__(self, instance):
        self.instance, self.cursors, self.ahead = instance, {}, timedelta()
        self.repository, self.names = None, []

    def declare(self, **scenarios):
        words = [
            ScenarioWords(name=name, triggers=triggers, steps=STEPS)
            for name, triggers in scenarios.items()
        ]
        clock = lambda: system_clock() + self.ahead  # noqa: E731
        self.repository = dg.Definitions(
            resources=KEEPER,
            jobs=[scenario_job("shop", one) for one in words],
            sensors=[scenario_sensor("shop", one, clock) for one in words if one.triggers],
        ).get_repository_def()

    def tick(self, name, minutes=0):
        """Tick once, and run what is asked for; the parameters of those runs."""
        self.ahead += timedelta(minutes=minutes)
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursors.get(name), repository_def=self.repository
        )
        found = self.repository.get_sensor_def(f"{name}_triggers").evaluate_tick(context)
        self.cursors[name] = found.cursor
        return [self.run(name, one.run_config, one.tags) for one in found.run_requests or []]

    def run(self, name, config=None, tags=None):
        job = self.repository.get_job(name)
        with within(self.repository):
            done = job.execute_in_process(instance=self.instance, run_config=config, tags=tags)
        assert done.success
        return (config or {}).get("ops", {}).get("start", {}).get("config", {}).get("params")

    def rows(self, name, trigger):
        rows = recorder_here().rows("shop", name)
        return [one for one in rows if one.trigger == trigger]


@pytest.fixture
def project(instances):
    with instances() as instance:
        yield Project(instance)


@pytest.fixture
def shop(tmp_path):
    file = tmp_path / "shop.db"

    def do(statement):
        with sqlite3.connect(file) as connection:
            connection.execute(statement)
        connection.close()

    do("CREATE TABLE sales (usd)")
    do.query = {
        "url": f"sqlite:///{file}",
        "query": "SELECT count(*) AS n FROM sales",
        "timeout": "40s",
    }
    return do


def after(name="other", **words):
    return {"name": "done", "after_scenario": {"scenario": name}, **words}


def test_each_end_of_another_scenario_starts_one_run(project):
    project.declare(load=[], train=[after("load")])
    project.tick("train")
    for _ in range(2):
        project.run("load", {"ops": {"start": {"config": {"params": {"region": "north"}}}}})
        [params] = project.tick("train", 1)
        assert (params["outcome"], params["params"]) == ("success", {"region": "north"})
        assert project.tick("train", 1) == project.tick("train", 1) == []
    runs = project.instance.get_runs(dg.RunsFilter(job_name="load"))
    assert params["run_id"] == runs[0].run_id


def test_scenarios_that_follow_each_other_come_to_an_end(project):
    project.declare(load=[after("train")], train=[after("load")])
    for name in ("load", "train"):
        project.tick(name)
    project.run("load")
    started = [len(project.tick(name, 1)) for _ in range(3) for name in ("train", "load")]
    assert started == [1, 0, 0, 0, 0, 0]
    assert "which came of this scenario itself" in project.rows("load", "done")[-1].account


def test_the_result_of_a_query_starts_a_run_once_it_has_been_quiet(project, shop):
    trigger = {"name": "sold", "sql": shop.query, "every": "1m", "grace": "2m"}
    project.declare(train=[trigger])
    project.tick("train")
    shop("INSERT INTO sales VALUES (1)")
    assert project.tick("train", 1) == []
    shop("INSERT INTO sales VALUES (2)")
    assert project.tick("train", 1) == []
    [params] = project.tick("train", 2)
    assert (params["n"], params["rows"]) == (2, [{"n": 2}])
    assert project.tick("train", 60) == []


def test_looks_that_fail_or_hang_are_recorded_and_the_others_go_on(project, shop, tmp_path):
    slow = {"function": "time:sleep", "arguments": {}, "timeout": "0.1s"}
    (tmp_path / "in").mkdir()
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
    endless = endless.replace("SELECT i FROM n", "SELECT max(i) FROM n")
    soon = {"every": "1m", "grace": "0s"}
    project.declare(
        train=[
            {"name": "hangs", "sql": {**shop.query, "query": endless, "timeout": "0.1s"}, **soon},
            {"name": "fails", "python": slow, **soon},
            {"name": "gone", "files": {"paths": [str(tmp_path / "no" / "folder")]}, **soon},
            {"name": "arrived", "files": {"paths": [str(tmp_path / "in")]}, **soon},
        ]
    )
    project.tick("train")
    (tmp_path / "in" / "a.csv").write_text("1")
    assert len(project.tick("train", 1)) == 1
    told = {name: project.rows("train", name)[-1] for name in ("hangs", "fails", "gone")}
    assert {row.decision for row in told.values()} == {"failed"}
    assert "interrupted" in told["hangs"].account or "not ended" in told["hangs"].account
    assert "TypeError" in told["fails"].account
    assert "neither it nor the folder" in told["gone"].account


def test_a_call_starts_a_run_with_its_parameters(project, monkeypatch):
    project.declare(train=[{"name": "order", "webhook": {"secret": "${HOOK_KEY}"}}])
    project.tick("train")
    calls, hook = Calls(recorder_here().url), Hook("shop", "train", "order")
    assert calls.secret_of(hook, time.time()) == "${HOOK_KEY}"
    calls.add(hook, "msg_1", {"store": 7}, time.time())
    [params] = project.tick("train", 1)
    assert params["store"] == 7
    assert project.tick("train", 1) == []


def test_another_key_for_calls_forgets_none_that_came_before(project):
    hook = Hook("shop", "train", "order")
    project.declare(train=[{"name": "order", "webhook": {"secret": "${OLD_KEY}"}}])
    project.tick("train")
    Calls(recorder_here().url).add(hook, "msg_1", {}, time.time())
    project.declare(train=[{"name": "order", "webhook": {"secret": "${NEW_KEY}"}}])
    assert len(project.tick("train", 1)) == 1


def test_a_new_champion_starts_a_run_and_a_version_that_did_not_become_it_none(project):
    project.declare(score=[{"name": "new", "models": {"keys": ["models/demand"]}, "grace": "0s"}])
    project.tick("score")
    started = []
    for version, is_champion in (("1", True), ("2", False), ("3", True)):
        project.instance.report_runless_asset_event(
            dg.AssetMaterialization(
                ["models", "demand"],
                metadata={"is_champion": is_champion, "model_version": version},
            )
        )
        started += project.tick("score", 20)
    assert [one["champions"] for one in started] == [{"models/demand": "1"}, {"models/demand": "3"}]


def test_triggers_that_fire_together_start_one_run_that_has_the_parameters_of_each(project, shop):
    soon = {"every": "1m", "grace": "0s"}
    project.declare(
        train=[
            {"name": "sold", "sql": shop.query, **soon},
            {
                "name": "asked",
                "python": {"function": "builtins:dict", "arguments": {"n": 5}},
                **soon,
            },
        ]
    )
    project.tick("train")
    shop("INSERT INTO sales VALUES (1)")
    [params] = project.tick("train", 1)
    assert params["n"] == 5
    assert {name: one["n"] for name, one in params["triggers"].items()} == {"sold": 1, "asked": 5}


def test_the_cursor_holds_no_result_and_stays_small(project, shop):
    shop.query["query"] = "SELECT * FROM sales"
    shop(f"INSERT INTO sales VALUES ('{'secret' * 500}')")
    project.declare(train=[{"name": "sold", "sql": shop.query}, after("load")], load=[])
    project.tick("train")
    assert "secret" not in project.cursors["train"]
    assert len(json.dumps(project.cursors["train"])) < 1000
