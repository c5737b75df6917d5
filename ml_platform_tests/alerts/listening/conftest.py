"""A small project whose assets and checks fail as they are told to, and what is heard of it."""

from datetime import UTC, datetime

import dagster as dg
import pytest

from ml_platform.alerts.listening import log
from ml_platform.alerts.listening.known import known_of
from ml_platform.alerts.listening.log import rows_after
from ml_platform.alerts.listening.reading import events_of


class Shop:
    """Assets, checks and a job that fail as they are told to, on an instance of their own."""

    def __init__(self, instance):
        self.instance = instance
        self.fails, self.columns, self.verdict = set(), {"a": "int"}, None
        self.defs = self._definitions()

    def _definitions(self):
        def schema():
            columns = [dg.TableColumn(name, kind) for name, kind in self.columns.items()]
            return dg.TableSchema(columns=columns)

        @dg.asset(key=["raw", "sales"], owners=["team:shop"], tags={"domain": "retail"})
        def sales():
            if "sales" in self.fails:
                raise ValueError("no such table")
            metadata = {"dagster/column_schema": schema()}
            if self.verdict is not None:
                metadata |= {"is_champion": self.verdict, "verdict": "better than the last"}
            return dg.MaterializeResult(metadata=metadata)

        @dg.asset(key=["features", "sales"], deps=[sales])
        def features():
            return dg.MaterializeResult()

        @dg.asset_check(asset=sales)
        def rows():
            if "crash" in self.fails:
                raise ValueError("the check's own fault")
            return dg.AssetCheckResult(
                passed="rows" not in self.fails,
                severity=dg.AssetCheckSeverity.WARN
                if "warn" in self.fails
                else dg.AssetCheckSeverity.ERROR,
                description="812 rows",
                metadata={"observed": {"rows": 812}, "expected": "at least 10,000", "n": 812},
            )

        return dg.Definitions(assets=[sales, features], asset_checks=[rows])

    @property
    def repository(self):
        return self.defs.get_repository_def()

    def run(self, *fails, retry=False):
        """Make everything; raises nothing."""
        self.fails = set(fails)
        cursor = log.newest_id(self.instance)
        job = self.defs.resolve_implicit_global_asset_job_def()
        tags = {"team": "shop"}
        done = job.execute_in_process(instance=self.instance, raise_on_error=False, tags=tags)
        if retry:
            self.instance.add_run_tags(done.run_id, {"dagster/will_retry": "true"})
        return cursor

    def known(self, now=None):
        return known_of(self.instance, "shop", self.repository, now or datetime.now(tz=UTC))

    def events(self, cursor=0, known=None):
        known = known or self.known()
        return [e for row in rows_after(self.instance, cursor) for e in events_of(row, known)]

    def kinds(self, cursor=0):
        return [e.type for e in self.events(cursor)]


@pytest.fixture
def shop(instances):
    with instances() as instance:
        yield Shop(instance)


def only(events, kind):
    [found] = [one for one in events if one.type == kind]
    return found
