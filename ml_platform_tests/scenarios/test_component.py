"""A scenario as people write it: loaded as the server does, looked at, and run on an instance."""

import json

import dagster as dg
import pytest

from ml_platform.scenarios.recorder import recorder_here


def build(name="build", selection="*", **words):
    return {"name": name, "build": {"selection": selection}, **words}


def watching(folder, **words):
    return {"name": "arrival", "files": {"paths": [str(folder)]}, **words}


def test_files_arrive_settle_and_are_built_once(stage):
    stage.declare(build(), triggers=[watching(stage.folder, every="5m", grace="10m")])
    assert "first" in stage.tick().skip_message
    (stage.folder / "a.csv").write_text("1")
    assert "of the grace delay left" in stage.tick(5).skip_message
    (stage.folder / "b.csv").write_text("2")
    stage.tick(5)
    assert stage.tick(9).run_requests == []
    [request] = stage.tick(1).run_requests
    result = stage.run(request.run_config, **request.tags)
    assert result.success
    assert stage.workshop.rows("features/two") == [{"n": 2}]
    assert stage.tick(60).run_requests == []
    [parent] = stage.instance.get_runs(dg.RunsFilter(job_name="refresh"))
    assert parent.tags["ml_platform/trigger"] == "arrival"
    assert parent.run_config["ops"]["start"]["config"]["params"]["seen"].endswith("UTC")


def test_a_change_during_a_run_waits_for_its_end(stage):
    stage.declare(build(), triggers=[watching(stage.folder, every="5m", grace="0s")])
    stage.tick()
    job = stage.repository.get_job("refresh")
    run = stage.instance.create_run_for_job(
        job, tags=job.run_tags, status=dg.DagsterRunStatus.STARTED
    )
    (stage.folder / "a.csv").write_text("1")
    assert stage.tick(5).run_requests == []
    stage.instance.report_run_failed(run)
    assert len(stage.tick(1).run_requests) == 1


def test_a_child_run_and_its_parent_know_each_other(stage):
    stage.declare(build())
    result = stage.run()
    [child] = stage.child_runs(result.run_id)
    assert child.status == dg.DagsterRunStatus.SUCCESS
    found = stage.metadata(result, "build")
    assert found["child_run"] == child.run_id
    assert json.loads(json.dumps(found["output"]))["made"] == ["features/one", "features/two"]


def test_only_what_is_missing_is_built(stage):
    step = build()
    step["build"]["only"] = "missing"
    stage.workshop.run("features/one")
    stage.declare(step)
    assert stage.metadata(stage.run(), "build")["output"]["made"] == ["features/two"]
    assert stage.metadata(stage.run(), "build")["output"]["made"] == []


def test_a_failed_step_fails_the_run_and_the_later_ones_do_not_run(stage):
    stage.declare(build(selection='key:"features/nothing"'), build("later"))
    result = stage.run()
    assert not result.success
    [failure] = result.get_step_failure_events()
    assert (
        "no asset of the project is in it"
        in failure.step_failure_data.user_failure_data.description
    )
    assert stage.child_runs(result.run_id) == []
    assert stage.outcome_tag(result) == "failed"


def test_a_step_may_follow_a_failure_and_the_run_fails_all_the_same(stage):
    stage.workshop.table("bad", "SELECT error('no such store') AS n")
    both = "outcome == 'FAILED' and steps.bad.outcome == 'FAILED'"
    stage.declare(
        build("bad", 'key:"features/bad"'),
        build("later"),
        build("rescue", 'key:"features/one"', **{"if": "on_failure"}),
        build("tidy", 'key:"features/one"', **{"if": both}),
    )
    result = stage.run()
    assert not result.success
    [failure] = result.get_step_failure_events()
    assert failure.step_key == "outcome"
    made = {name: stage.metadata(result, name).get("outcome") for name in ("bad", "rescue", "tidy")}
    assert made == {"bad": "FAILED", "rescue": "SUCCESS", "tidy": "SUCCESS"}
    assert stage.metadata(result, "later") == {}
    assert len(stage.child_runs(result.run_id)) == 3
    assert stage.outcome_tag(result) == "failed"


def test_a_failure_that_may_be_is_a_warning(stage):
    stage.declare(
        build("bad", 'key:"features/nothing"', continue_on_failure=True),
        build("warned", **{"if": "on_warning"}),
    )
    result = stage.run()
    assert result.success
    assert stage.outcomes(result) == {"bad": "FAILED", "warned": "SUCCESS"}
    assert stage.outcome_tag(result) == "warning"


def test_parameters_win_over_variables_and_steps_set_more(stage):
    dumped = {"function": "json:dumps", "arguments": {"obj": "= params.n + 1"}}
    stage.declare(
        {"name": "count", "run_python": dumped},
        {"name": "keep", "set_variables": {"n": "= steps.count.output | int * 10", "said": "so"}},
        build(**{"if": "variables.n == 430 and params.n == 42 and trigger == 'manual'"}),
        variables={"n": 1},
    )
    result = stage.run({"ops": {"start": {"config": {"params": {"n": 42}}}}})
    assert stage.outcomes(result)["build"] == "SUCCESS"
    assert result.output_for_node("outcome", "course")["variables"] == {"n": 430, "said": "so"}


@pytest.mark.parametrize(
    ("python", "told"),
    [
        ({"function": "operator:add", "arguments": {"a": 1}}, "TypeError"),
        ({"function": "operator:ad"}, "abs"),
        ({"function": "no_such_module_here:f"}, "No module named"),
        ({"function": "datetime:date.today"}, None),
        ({"function": "threading:Lock"}, "cannot be kept"),
        ({"function": "json:dumps", "arguments": {"obj": "= params.n"}}, "condition 'params.n'"),
    ],
)
def test_a_function_that_fails_is_told(stage, python, told):
    step = {"name": "call", "run_python": python}
    if told is None:
        stage.workshop.declare("Scenario", "scenarios", name="refresh", steps=[step])
        assert "names no function" in str(stage.workshop.load().broken[0])
        return
    stage.declare(step)
    [failure] = stage.run().get_step_failure_events()
    assert told in failure.step_failure_data.user_failure_data.description


def test_a_step_that_takes_too_long_is_broken_off(stage):
    stage.declare(
        {"name": "sleep", "run_python": {"function": "ml_platform_slow:wait"}, "timeout": "0.2s"}
    )
    (stage.workshop.root / "ml_platform_slow.py").write_text(
        "import time\n\n\ndef wait():\n    time.sleep(30)\n"
    )
    [failure] = stage.run().get_step_failure_events()
    assert "broken off" in failure.step_failure_data.user_failure_data.description


def test_a_step_is_tried_again(stage):
    counter = stage.folder / "count"
    (stage.workshop.root / "ml_platform_flaky.py").write_text(
        "from pathlib import Path\n\n\ndef third(path):\n    counter = Path(path)\n"
        "    counter.write_text((counter.read_text() if counter.exists() else '') + 'x')\n"
        "    if len(counter.read_text()) < 3:\n        raise OSError('not yet')\n"
    )
    step = {"function": "ml_platform_flaky:third", "arguments": {"path": str(counter)}}
    stage.declare({"name": "flaky", "run_python": step, "retries": 1, "retry_delay": 0})
    assert not stage.run().success
    assert counter.read_text() == "xx"
    assert stage.run().success


def test_another_scenario_is_run_and_its_outcome_taken(stage):
    stage.workshop.declare("Scenario", "inner", name="inner", steps=[build()])
    stage.declare({"name": "call", "run_scenario": "inner"})
    result = stage.run()
    assert result.success
    [child] = stage.child_runs(result.run_id)
    assert child.job_name == "inner"
    assert len(stage.child_runs(child.run_id)) == 1


def test_scenarios_that_wait_for_each_other_are_broken_and_the_rest_is_there(stage):
    for name, called in (("one", "two"), ("two", "one")):
        steps = [{"name": "call", "run_scenario": called}]
        stage.workshop.declare("Scenario", name, name=name, steps=steps)
    stage.workshop.declare("Scenario", "scenarios", name="refresh", steps=[build()])
    project = stage.workshop.load()
    assert sorted(one.name[-1] for one in project.broken) == ["scenario_one", "scenario_two"]
    assert "one -> two -> one" in str(project.broken[0])
    assert "defs.yaml:1" in str(project.broken[0])
    assert [job.name for job in project.definitions.jobs] == ["refresh"]


def test_a_variable_that_nobody_declares_is_told_when_the_project_is_loaded(stage):
    asking = build(selection="tag:region={{ variables.regoin }}")
    stage.workshop.declare("Variables", "variables", variables={"region": "north"})
    stage.workshop.declare("Scenario", "scenarios", name="refresh", steps=[asking])
    [broken] = stage.workshop.load().broken
    assert "region (did you mean this?)" in str(broken)


@pytest.mark.parametrize(("severity", "outcome"), [("warn", "WARNING"), ("error", None)])
def test_checks_are_run_alone(stage, severity, outcome):
    rules = {"severity": severity, "columns": {"n": {"type": "integer", "min": 5}}}
    stage.workshop.run("features/one")
    stage.workshop.declare("Checks", "checks", table="features/one", pandera=rules)
    stage.declare({"name": "check", "run_checks": 'key:"features/one"'})
    result = stage.run()
    assert result.success is (outcome is not None)
    if outcome:
        assert stage.outcomes(result) == {"check": outcome}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"steps": [{"name": "x", "bild": {"selection": "*"}}]}, "bild"),
        ({"steps": [{"name": "x"}]}, "one of build, clear, run_checks"),
        ({"steps": [build(**{"if": "outcom == 'FAILED'"})]}, "outcome (did you mean this?)"),
        ({"steps": [build(**{"if": "__import__('os')"})]}, "is not allowed here"),
        ({"steps": [build(timeout="soon")]}, "write it like 30s"),
        ({"steps": [build(), build()]}, "two steps are called build"),
        ({"steps": [build("start")]}, "each scenario has"),
        ({"steps": [build("Build")]}, "in lower case"),
        ({"steps": []}, "at least 1 item"),
        ({"steps": [{"name": "x", "run_scenario": "refresh"}]}, "runs this scenario itself"),
        ({"steps": [{"name": "x", "run_python": {"function": "no_colon"}}]}, "names no function"),
        ({"triggers": [{"name": "t"}]}, "one of time, files, tables, models"),
        (
            {"triggers": [{"name": "t", "time": {"cron": "@daily"}, "grace": "1m"}]},
            "`grace` is for",
        ),
        ({"triggers": [{"name": "t", "tables": {"keys": ["rav/sales"]}}]}, "raw (did you mean"),
        ({"triggers": [{"name": "t", "time": {"cron": "61 * * * *"}}]}, "minute '61'"),
    ],
)
def test_a_wrong_word_is_told_with_file_and_line(stage, words, told):
    given = {"name": "refresh", "steps": [build()], **words}
    stage.workshop.declare("Scenario", "scenarios", **given)
    [broken] = stage.workshop.load().broken
    assert told in str(broken)
    assert "defs.yaml:" in str(broken)


@pytest.mark.parametrize(("active", "status"), [(True, "RUNNING"), (False, "STOPPED")])
def test_a_scenario_that_is_off_looks_at_nothing_by_itself(stage, active, status):
    stage.declare(build(), active=active, triggers=[watching(stage.folder)])
    found = stage.repository.get_sensor_def("refresh_triggers")
    assert found.default_status.value == status


@pytest.mark.parametrize(
    ("words", "expected"),
    [({}, 60), ({"every": "10s"}, 10), ({"grace": "7s"}, 7), ({"grace": "0s"}, 60),
     ({"every": "1s"}, 5)],
)  # fmt: skip
def test_it_ticks_as_often_as_the_most_impatient_trigger_asks(stage, words, expected):
    stage.declare(build(), triggers=[watching(stage.folder, **words)])
    found = stage.repository.get_sensor_def("refresh_triggers")
    assert found.minimum_interval_seconds == expected


def test_a_folder_that_has_gone_is_told_and_looked_at_again(stage):
    gone = stage.folder / "deep" / "in"
    stage.declare(build(), triggers=[watching(gone, every="5m", grace="0s")])
    assert "failed" in stage.tick().skip_message
    gone.mkdir(parents=True)
    assert "first" in stage.tick(5).skip_message
    rows = recorder_here().rows("shop", "refresh")
    assert [row.decision for row in rows] == ["failed", "first"]
    assert str(gone) in rows[0].account


def test_a_record_that_cannot_be_written_holds_no_scenario_up(stage, home):
    stage.declare(build(), triggers=[watching(stage.folder, every="5m", grace="0s")])
    home.mkdir(exist_ok=True)
    (home / "dagster").write_text("a file where the folder should be")
    stage.tick()
    (stage.folder / "a.csv").write_text("1")
    assert len(stage.tick(5).run_requests) == 1
