"""What is made: all of a selection, what is missing, what is stale, and of which partitions."""

import pytest

from ml_platform.kernel.names import TableKey

MONTHS = {"every": "month", "start": "2026-01-01", "end": "2026-04-01"}


@pytest.fixture
def chain(stage):
    """features/one -> two -> three, all made; months/sold, divided by month, beside them."""
    stage.workshop.table("two", "SELECT n + 1 AS n FROM features.one")
    stage.workshop.table("three", "SELECT n + 1 AS n FROM features.two")
    stage.workshop.table("sold", "SELECT $partition AS month", partitions=MONTHS)
    stage.workshop.table("counted", "SELECT count(*) AS n FROM features.sold")
    stage.workshop.run("features/one", "features/two", "features/three")
    return stage


def built(stage, selection, **words):
    stage.declare({"name": "build", "build": {"selection": selection, **words}})
    result = stage.run()
    assert result.success
    return [
        key.removeprefix("features/") for key in stage.metadata(result, "build")["output"]["made"]
    ]


def test_what_is_made_of_something_newer_is_stale_and_so_is_all_after_it(chain):
    assert built(chain, 'key:"features/three"', upstream=True, only="stale") == []
    chain.workshop.run("features/one")
    assert built(chain, 'key:"features/three"', only="stale") == []  # two is as old as it was
    assert built(chain, 'key:"features/three"', only="stale", upstream=True) == ["three", "two"]
    chain.workshop.table("two", "SELECT n + 10 AS n FROM features.one")
    assert built(chain, 'key:"features/three"', only="stale", upstream=True) == ["three", "two"]
    assert chain.workshop.rows("features/three") == [{"n": 12}]


def test_tables_of_other_partitions_are_made_in_runs_of_their_own_and_in_order(chain):
    both = 'key:"features/sold" or key:"features/counted"'
    sold = TableKey("features", "sold")
    assert built(chain, 'key:"features/sold"', partitions=["2026-01-01", "2026-03-01"]) == ["sold"]
    assert chain.workshop.store.partitions("shop", sold) == ["2026-01-01", "2026-03-01"]
    assert built(chain, both, only="missing") == ["counted", "sold"]
    assert chain.workshop.rows("features/counted") == [{"n": 3}]
    assert built(chain, both, only="stale") == []
    assert built(chain, both, only="stale", partitions="..2026-02-01") == []
    chain.workshop.run("features/sold", partitions=["2026-02-01"])
    assert built(chain, both, only="stale") == ["counted"]
