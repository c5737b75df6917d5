"""What a declared asset is to Dagster: the same as one that its decorator makes."""

import warnings
from datetime import timedelta

import dagster as dg
import pytest

from ml_platform.execution.component import Partitions
from ml_platform.storage.resource import Tables

SALES = dg.AssetKey(["features", "sales"])
DAYS = {"every": "day", "start": "2024-01-01", "end": "2024-01-08"}
WORDS = {
    "nothing but its key": ({}, {"retry_policy": (3, 2.0)}),
    "everything": (
        {
            "description": "Sales of a day.",
            "owners": ["team:shop"],
            "tags": {"domain": "retail"},
            "kinds": ["table"],
            "partitions": DAYS,
            "retry": {"attempts": 2, "delay_s": 1.5},
            "freshness": {"fail_after_hours": 30, "warn_after_hours": 26},
            "pool": "warehouse",
        },
        {
            "description": "Sales of a day.",
            "owners": ["team:shop"],
            "tags": {"domain": "retail"},
            "kinds": {"features", "table", "duckdb"},
            "partitions_def": Partitions(**DAYS).definition(),
            "backfill_policy": dg.BackfillPolicy.single_run(),
            "retry_policy": (2, 1.5),
            "freshness_policy": dg.FreshnessPolicy.time_window(
                fail_window=timedelta(hours=30), warn_window=timedelta(hours=26)
            ),
            "pool": "warehouse",
        },
    ),
}


def declared(workshop, **attributes):
    workshop.table("sales", "FROM raw.a JOIN raw.b USING (n)", **attributes)
    project = workshop.load()
    assert not project.broken, project.broken[0]
    return project.definitions.resolve_asset_graph().get(SALES).assets_def


def decorated(retry_policy, **attributes):
    """The same in Dagster's own words."""
    times, delay = retry_policy

    def step(context: dg.AssetExecutionContext, tables: Tables) -> dg.MaterializeResult: ...

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.asset(
            key=SALES,
            deps=[["raw", "a"], ["raw", "b"]],
            group_name="shop",
            retry_policy=dg.RetryPolicy(
                max_retries=times,
                delay=delay,
                backoff=dg.Backoff.EXPONENTIAL,
                jitter=dg.Jitter.FULL,
            ),
            **{"kinds": {"duckdb", "sql", "features"}, **attributes},
        )(step)


@pytest.mark.parametrize("words", WORDS)
def test_a_declared_asset_is_what_the_decorator_makes_of_the_same_words(workshop, words):
    yaml_words, python_words = WORDS[words]
    ours = declared(workshop, **yaml_words)
    version = ours.code_versions_by_key[SALES]
    theirs = decorated(code_version=version, **python_words)
    (spec,) = ours.specs
    assert "dagster/code_references" in spec.metadata
    assert [spec.replace_attributes(metadata={})] == list(theirs.specs)
    assert ours.op.description == theirs.op.description
    assert ours.op.pool == theirs.op.pool
    assert {name: put.dagster_type for name, put in ours.op.ins.items()} == {
        name: put.dagster_type for name, put in theirs.op.ins.items()
    }
    assert ours.op.retry_policy == theirs.op.retry_policy
    assert ours.backfill_policy == theirs.backfill_policy
    assert ours.keys_by_input_name == theirs.keys_by_input_name
    assert ours.keys_by_output_name == theirs.keys_by_output_name
    (output,), (their_output,) = ours.op.output_defs, theirs.op.output_defs
    assert (output.io_manager_key, output.code_version) == (
        their_output.io_manager_key,
        their_output.code_version,
    )


def test_an_asset_in_python_may_take_a_declared_one_as_its_argument(workshop):
    workshop.table("sales", "SELECT 2 AS n")
    workshop.write(
        "doubled.py",
        """
        import dagster as dg
        import pandas as pd

        @dg.asset(
            key=["features", "doubled"],
            group_name="shop",
            ins={"sales": dg.AssetIn(key=["features", "sales"])},
        )
        def doubled(sales: pd.DataFrame) -> pd.DataFrame:
            return sales * 2
        """,
    )
    outcome = workshop.run()
    assert outcome.success, outcome.failures
    assert workshop.rows("features/doubled") == [{"n": 4}]
