"""Variables that outlive the run that has set them."""

from datetime import UTC, datetime

import pytest

from ml_platform.kernel.errors import UnavailableError
from ml_platform.scenarios.recorder import recorder_here
from ml_platform.scenarios.remembered import PLATFORM, forget, remember, remembered
from ml_platform.scenarios.tables import opened
from ml_platform.scenarios.variables import Secret

NOW = datetime(2026, 1, 31, 9, 10, tzinfo=UTC)


def test_the_last_value_is_kept_for_its_project_alone_until_it_is_forgotten():
    remember("shop", {"region": "north", "token": Secret("SHOP_TOKEN")}, "run-1", NOW)
    remember("shop", {"region": ["south", 2]}, "run-2", NOW)
    remember(PLATFORM, {"region": "all"}, "run-3", NOW)
    assert remembered("shop") == {"region": ["south", 2], "token": Secret("SHOP_TOKEN")}
    assert remembered(PLATFORM) == {"region": "all"}
    assert remembered("works") == {}
    assert forget("shop", "region")
    assert not forget("shop", "region")
    assert remembered("shop") == {"token": Secret("SHOP_TOKEN")}


def test_a_database_that_has_lost_its_table_is_told_as_what_it_holds():
    remember("shop", {"region": "north"}, "run-1", NOW)
    with opened(recorder_here().url).begin() as connection:
        connection.exec_driver_sql("DROP TABLE scenario_variables")
    with pytest.raises(UnavailableError, match="variables that were set: no such table"):
        remembered("shop")
