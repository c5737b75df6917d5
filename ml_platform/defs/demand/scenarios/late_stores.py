"""A scenario's step in Python: which months to load again is known only from the data."""  # noqa: INP001 - as all of defs/

from ml_platform.scenarios.steps.python import ScenarioRun

LATE = """
    SELECT store_id, max(week) AS newest
    FROM features.sales_clean
    GROUP BY store_id
    HAVING max(week) < (SELECT max(week) FROM features.sales_clean) - $most_weeks * INTERVAL 7 DAY
    ORDER BY store_id
"""


def load_again(scenario: ScenarioRun, most_weeks: int) -> list[int]:
    """Load the months since a store's last week once more; the stores that are late.

    Args:
        scenario: the run.
        most_weeks: how many weeks a store may lack.
    """
    scenario.set_variables(most_weeks=most_weeks)
    late = scenario.sql(LATE)
    for store in late:
        scenario.warn(f"store {store['store_id']} has sent nothing since {store['newest']}")
    if late:
        first = min(store["newest"] for store in late)
        scenario.build('key:"raw/sales"', partitions=f"{first[:7]}-01..")
        scenario.tell(f"{len(late)} stores are late", "Their last months were loaded again.")
    return [store["store_id"] for store in late]
