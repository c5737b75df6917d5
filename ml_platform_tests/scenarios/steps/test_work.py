"""The kinds of steps, run as a scenario's steps on real tables, databases and an outbox."""

import json

import dagster as dg
import pytest
import sqlalchemy as sa

from ml_platform.kernel.names import TableKey

ONE = TableKey("features", "one")


def logged(stage, run_id):
    """All that a run has left to be read: events, tags, configuration."""
    run = stage.instance.get_run_by_id(run_id)
    events = [entry.to_json() for entry in stage.instance.all_logs(run_id)]
    return json.dumps([run.tags, run.run_config, events])


def outputs(stage, result, *steps):
    return [stage.metadata(result, step)["output"] for step in steps]


def reason(result):
    return result.get_step_failure_events()[0].step_failure_data.user_failure_data.description


@pytest.fixture
def database(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE stores (name TEXT, region TEXT)"))
        connection.execute(
            sa.text("INSERT INTO stores VALUES ('a', 'north'), ('b', 'south'), ('c', 'north')")
        )
    monkeypatch.setenv("SHOP_URL", url)
    return engine


def sql(name, statements, url="${SHOP_URL}", **words):
    return {"name": name, "run_sql": {"statements": statements, "url": url, **words}}


def test_sql_gets_its_variables_bound_and_later_steps_its_rows(stage, database):
    nasty = "north'; DROP TABLE stores; --"
    stage.declare(
        sql("add", ["INSERT INTO stores VALUES (:store, :region)", "SELECT 1 AS n"]),
        sql("ask", "SELECT name FROM stores WHERE region = :region ORDER BY name", limit=1),
        {
            "name": "keep",
            "if": "steps.ask.output.rows[0].name == 'd' and not steps.ask.output.is_cut",
            "set_variables": {"region": "north"},
        },
        sql("again", "SELECT name FROM stores WHERE region = :region ORDER BY name", limit=1),
        sql("remove", "DELETE FROM stores WHERE region = :region"),
        variables={"store": "d", "region": nasty},
    )
    result = stage.run()
    assert result.success
    asked, again, removed = outputs(stage, result, "ask", "again", "remove")
    assert asked == {"rows": [{"name": "d"}], "is_cut": False, "changed": 0}
    assert again == {"rows": [{"name": "a"}], "is_cut": True, "changed": 0}
    assert removed == {"rows": [], "is_cut": False, "changed": 2}


@pytest.mark.postgres
def test_sql_on_postgresql_is_one_transaction_with_its_variables_bound(
    stage, postgres_url, monkeypatch
):
    monkeypatch.setenv("SHOP_URL", postgres_url)
    make = [
        "CREATE TABLE stores (name TEXT, opened DATE, sales NUMERIC(8, 2))",
        "INSERT INTO stores VALUES (:name, '2026-01-31', 12.25), ('other', NULL, NULL)",
    ]
    ask = "SELECT name, opened, sales FROM stores WHERE name = :name AND sales::int = 12"
    stage.declare(
        sql("make", make),
        {**sql("broken", ["DELETE FROM stores", "SELECT 1 / 0"]), "continue_on_failure": True},
        sql("ask", ask.replace("::", "\\:\\:")),
        sql("change", "UPDATE stores SET sales = 1"),
        variables={"name": "it's; DROP TABLE stores; --"},
    )
    result = stage.run()
    asked, changed = outputs(stage, result, "ask", "change")
    assert asked["rows"] == [
        {"name": "it's; DROP TABLE stores; --", "opened": "2026-01-31", "sales": "12.25"}
    ]
    assert changed["changed"] == 2
    assert stage.outcomes(result)["broken"] == "FAILED"


def test_sql_over_the_platforms_own_tables(stage):
    stage.workshop.run("features/one")
    stage.declare(
        sql("ask", "SELECT n, $factor * n AS m FROM features.one", None), variables={"factor": 3}
    )
    assert outputs(stage, stage.run(), "ask") == [
        {"rows": [{"n": 1, "m": 3}], "is_cut": False, "changed": 0}
    ]


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (sql("x", "SELECT :regoin"), "region (did you mean this?)"),
        (sql("x", "SELECT * FROM store"), "no such table: store"),
        (sql("x", "SELECT :regions"), "no single value"),
        (sql("x", ["DELETE FROM stores", "SELECT * FROM nowhere"]), "no such table: nowhere"),
        (sql("x", "SELECT printf('%.*c', 300000, 'x') AS t"), "characters"),
        (sql("x", ["SELECT 1", "SELECT 2"], None), "one SELECT"),
    ],
)
def test_sql_that_fails_is_told_and_leaves_the_database_as_it_was(stage, database, step, told):
    stage.declare(step, variables={"region": "north", "regions": ["north"]})
    assert told in reason(stage.run())
    with database.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM stores")).scalar() == 3


def test_a_secret_reaches_function_and_database_and_stands_in_no_record(
    stage, database, monkeypatch
):
    secret = "hunter2-and-more"
    monkeypatch.setenv("SHOP_TOKEN", secret)
    (stage.workshop.root / "ml_platform_leaky.py").write_text(
        "def length(token):\n    return [len(token), 'it is ' + token]\n\n\n"
        "def fail(token):\n    raise ValueError('wrong token ' + token)\n"
    )
    leaky = {"arguments": {"token": "= variables.copy"}}
    stage.declare(
        {"name": "copy", "set_variables": {"copy": "= variables.token"}},
        {"name": "call", "run_python": {"function": "ml_platform_leaky:length", **leaky}},
        sql("ask", "SELECT :token AS t, length(:token) AS n"),
        {"name": "tell", "send_message": {"title": "with {{ variables.token }}"}},
        {
            "name": "fail",
            "continue_on_failure": True,
            "run_python": {"function": "ml_platform_leaky:fail", **leaky},
        },
        variables={"token": {"secret": "SHOP_TOKEN"}},
    )
    result = stage.run()
    assert stage.outcome_tag(result) == "warning"
    called, asked = outputs(stage, result, "call", "ask")
    assert called == [len(secret), "it is ***"]
    assert asked["rows"] == [{"t": "***", "n": len(secret)}]
    assert stage.metadata(result, "start")["variables"] == {"token": "*** (of SHOP_TOKEN)"}
    assert stage.metadata(result, "tell")["output"]["title"] == "with ***"
    assert "wrong token ***" in stage.metadata(result, "fail")["reason"]
    assert secret not in logged(stage, result.run_id)


def test_a_parameter_can_name_no_secret(stage, database, monkeypatch):
    monkeypatch.setenv("OTHERS_PASSWORD", "hunter2")
    stage.declare(sql("ask", "SELECT :region AS r"), variables={"region": "north"})
    config = {"ops": {"start": {"config": {"params": {"region": {"secret": "OTHERS_PASSWORD"}}}}}}
    assert "no single value" in reason(stage.run(config))


def test_people_are_told_once_however_often_the_run_is_repeated(stage):
    stage.declare(
        {
            "name": "tell",
            "send_message": {
                "title": "{{ params.store }} is late: {{ outcome }}",
                "text": "By {{ params.hours + 1 }} hours.",
                "severity": "warning",
            },
        }
    )
    config = {"ops": {"start": {"config": {"params": {"store": "Basel", "hours": 2}}}}}
    first = stage.run(config)
    again = stage.run(config, **{"dagster/root_run_id": first.run_id})
    assert [one["is_new"] for run in (first, again) for one in outputs(stage, run, "tell")] == [
        True, True,
    ]  # fmt: skip
    [told, _] = stage.told()
    assert (told.what, told.summary) == ("Basel is late: SUCCESS", "By 3 hours.")
    assert (told.severity, told.scenario, told.run_id) == ("warning", "refresh", first.run_id)


def test_a_cleared_table_is_missing_then_and_can_be_brought_back(stage):
    stage.workshop.run()
    stage.declare(
        {"name": "clear", "clear": {"tables": ["features/one"]}},
        {"name": "again", "clear": {"tables": ["features/one"]}},
        {"name": "ask", "if": "params.build", "build": {"selection": "*", "only": "missing"}},
    )
    config = {"ops": {"start": {"config": {"params": {"build": False}}}}}
    result = stage.run(config)
    assert outputs(stage, result, "clear", "again") == [
        {"removed": {"features/one": ["all"]}}, {"removed": {"features/one": []}},
    ]  # fmt: skip
    store = stage.workshop.store
    assert not store.exists("shop", ONE)
    [version] = store.versions("shop", ONE)
    store.restore("shop", ONE, version)
    assert store.read("shop", ONE).to_pylist() == [{"n": 1}]
    config["ops"]["start"]["config"]["params"]["build"] = True
    assert outputs(stage, stage.run(config), "ask")[0]["made"] == ["features/one"]


def test_a_step_that_is_not_enabled_is_left_out_and_one_may_forgive(stage):
    stage.declare(
        {"name": "off", "enabled": False, "run_python": {"function": "operator:nothing"}},
        {"name": "bad", "run_python": {"function": "operator:add"}},
        {"name": "mend", "if": "on_failure", "reset_outcome": True, "set_variables": {"a": 1}},
        {"name": "then", "set_variables": {"b": 2}},
    )
    result = stage.run()
    assert stage.outcomes(result) == {
        "off": "SKIPPED", "bad": "FAILED", "mend": "SUCCESS", "then": "SUCCESS",
    }  # fmt: skip
    assert stage.outcome_tag(result) == "success"


def test_a_variable_may_outlive_its_run(stage):
    stage.workshop.declare("Variables", "variables", variables={"count": 0, "site": "x"})
    stage.declare(
        {"name": "up", "set_variables": {"count": "= variables.count + 1"}, "scope": "project"}
    )
    stage.run()
    result = stage.run()
    frozen = stage.metadata(result, "start")
    assert frozen["variables"] == {"count": 1, "site": "x"}
    assert frozen["variables_from"]["count"] == "project shop, set by a step"
    assert frozen["variables_from"]["site"] == "project shop"
    assert outputs(stage, result, "up") == [{"count": 2}]


def test_a_run_that_cannot_be_reached_is_told_when_it_shall_be_ended(stage):
    stage.workshop.declare(
        "Scenario", "slow", name="slow", steps=[{"name": "x", "set_variables": {}}]
    )
    stage.declare({"name": "kill", "kill_scenario": "slow"})
    assert outputs(stage, stage.run(), "kill") == [{"ended": []}]
    job = stage.repository.get_job("slow")
    run = stage.instance.create_run_for_job(
        job, tags=job.run_tags, status=dg.DagsterRunStatus.STARTED
    )
    assert f"run {run.run_id[:8]} could not be ended" in reason(stage.run())
