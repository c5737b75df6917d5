"""What a tick of the alerts' sensor costs, on a short history and on one of a million events.

The event log of an instance in files is filled by SQL with rows of the kinds that are listened to,
and the outbox with as many hundredths of sent messages. A tick with nothing new and one with ten
failed checks are measured, each from reading to the file in the inbox.
"""

import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

import bench

SIZES = (1_000, 1_000_000)
FAILURES = 10

FILL_LOG = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :size)
INSERT INTO event_logs (run_id, event, dagster_event_type, timestamp, asset_key)
SELECT 'run' || (i / 10), :text,
  CASE i % 4 WHEN 0 THEN 'ASSET_CHECK_EVALUATION' WHEN 1 THEN 'PIPELINE_SUCCESS'
    ELSE 'ASSET_MATERIALIZATION' END,
  '2026-01-01 00:00:00', '["raw", "table_' || (i % 500) || '"]'
FROM n
"""

FILL_OUTBOX = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :size)
INSERT INTO alert_deliveries
  (rule, event_id, channel, dedup_key, key, status, created_at, due_at, message)
SELECT 'shop/all', 'old' || i, 'inbox', 'k' || (i % 1000), 'msg' || i, 'sent', :now, :now, :text
FROM n
"""


def measure(size: int, folder: Path, ticks: int) -> dict[str, float]:
    """Milliseconds of CPU for a tick with nothing new, and for one with ten failures."""
    import dagster as dg

    from ml_platform.alerts.outbox import Outbox
    from ml_platform.alerts.rules import Rule
    from ml_platform.alerts.sensor import Reader
    from ml_platform.alerts.settings import AlertSettings

    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    settings = AlertSettings.from_environment()
    rule = Rule(name="all", channels=["inbox"], flood_over=1_000_000)
    reader = Reader("", [rule], settings, Outbox(settings.url))
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        fill(instance, reader.outbox, size)
        reader.tick(instance)  # sets the history apart, and imports everything
        reader.tick(instance)
        idle, busy = [], []
        for number in range(ticks):
            with bench.spent() as found:
                reader.tick(instance)
            idle.append(found.cpu_s * 1000)
            for failure in range(FAILURES):
                instance.report_runless_asset_event(
                    dg.AssetCheckEvaluation(
                        asset_key=dg.AssetKey("table"),
                        check_name=f"check_{number}_{failure}",
                        passed=False,
                        metadata={},
                    )
                )
            with bench.spent() as found:
                done = reader.tick(instance)
            assert done.sent.sent == FAILURES, done
            busy.append(found.cpu_s * 1000)
    return {"idle_ms": statistics.median(idle), "busy_ms": statistics.median(busy)}


def fill(instance, outbox, size: int) -> None:
    """The history: rows that are behind the cursor, and messages that were sent."""
    import sqlalchemy as sa

    from ml_platform.alerts.tables import opened

    with instance.event_log_storage.index_connection() as connection:
        connection.execute(sa.text(FILL_LOG), {"size": size, "text": "x" * 400})
    with outbox.book() as book:
        now = book.now.timestamp()
    with opened(outbox.url).begin() as connection:
        values = {"size": size // 100, "now": now - 3600, "text": "x" * 400}
        connection.execute(sa.text(FILL_OUTBOX), values)


def main() -> int:
    options = bench.arguments(__doc__, ticks=15, processes=3)

    def variant(size: int):
        def run() -> dict[str, float]:
            with tempfile.TemporaryDirectory(prefix="ml-platform-bench-") as folder:
                return bench.in_fresh_process(
                    __file__, size, folder, options.ticks, ML_PLATFORM_HOME=f"{folder}/var",
                    ML_PLATFORM_CHANNELS=f"{folder}/none.yaml",
                )  # fmt: skip

        return run

    found = bench.medians({str(size): variant(size) for size in SIZES}, options.processes)
    short, long = (found[str(size)] for size in SIZES)
    header = ["events before", "a tick with nothing new, CPU ms", "with ten failures, CPU ms"]
    rows = [(f"{size:,}", found[str(size)]["idle_ms"], found[str(size)]["busy_ms"])
            for size in SIZES]  # fmt: skip
    promises = [
        bench.Promise(f"a million against a thousand, {words}", long[name] / short[name], 1.3)
        for name, words in (("idle_ms", "nothing new"), ("busy_ms", "ten failures"))
    ]
    stack = bench.versions("dagster", "sqlalchemy")
    return bench.finish("alerts", header, rows, promises, stack)


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1].isdecimal():
        os.environ.pop("ML_PLATFORM_ALERTS_URL", None)
        print(json.dumps(measure(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))))
    else:
        sys.exit(main())
