"""The demand project's two source systems: a sales database and an HTTP service of conditions.

Both are made of one frame in the layout of `sample.COLUMNS`, and stand in for the systems that a
company has. `python -m ml_platform.demo.systems --port 8123` serves the second until it is ended.
"""

import argparse
import bisect
import json
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from ml_platform.demo.sample import DATE_FORMAT, make_sample, read_sales
from ml_platform.kernel.errors import PlatformError, UnavailableError

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import Connection, Table

PAGE_ROWS = 200

_ENDING = (signal.SIGTERM, signal.SIGINT)
_CONDITIONS = {
    "temperature_f": "Temperature",
    "fuel_price": "Fuel_Price",
    "cpi": "CPI",
    "unemployment": "Unemployment",
}


def write_sales_database(frame: "pd.DataFrame", url: str) -> int:
    """Put the sales of the frame into the table `weekly_sales`; returns the number of rows.

    The table's rows are replaced in one transaction: a reader sees the old ones or the new ones,
    and doing it twice leaves the same. Its columns are `store`, `week_date` (DD-MM-YYYY),
    `week_start` (a date, the same day), `weekly_sales` (USD) and `holiday_flag`.

    Args:
        frame: sales in the layout of `sample.COLUMNS`.
        url: SQLAlchemy's URL of the database, such as `sqlite:////folder/sales.db`.

    Raises:
        UnavailableError: the database cannot be written now.
    """
    from sqlalchemy import NullPool, create_engine
    from sqlalchemy.exc import OperationalError

    from ml_platform.kernel.environment import hide
    from ml_platform.storage.connection import database_url, shown_url

    target = database_url(url)
    engine = create_engine(target, poolclass=NullPool)
    try:
        with engine.begin() as connection:
            _replace_rows(connection, _sales_table(), _sales_rows(frame))
    except OperationalError as error:
        raise UnavailableError(
            f"database {shown_url(target)}",
            hide(str(error.orig), [str(target.password or "")]),
            fix="look whether it runs and may be written; then try again",
        ) from None
    finally:
        engine.dispose()
    return len(frame)


def _sales_table() -> "Table":
    from sqlalchemy import Column, Date, Integer, MetaData, Numeric, String, Table

    return Table(
        "weekly_sales",
        MetaData(),
        Column("store", Integer, primary_key=True, autoincrement=False),
        Column("week_start", Date, primary_key=True),
        Column("week_date", String(10), nullable=False),
        Column("weekly_sales", Numeric(14, 2, asdecimal=False), nullable=False),
        Column("holiday_flag", Integer, nullable=False),
    )


def _sales_rows(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    names = ["Store", "Date", "Weekly_Sales", "Holiday_Flag"]
    return [
        {
            "store": int(store),
            "week_start": _day(label),
            "week_date": label,
            "weekly_sales": round(float(sales), 2),
            "holiday_flag": int(flag),
        }
        for store, label, sales, flag in frame[names].itertuples(index=False)
    ]


def _replace_rows(connection: "Connection", table: "Table", rows: list[dict[str, Any]]) -> None:
    if connection.dialect.name == "sqlite":
        # Python's driver would begin the transaction only after CREATE TABLE has been committed.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    table.create(connection, checkfirst=True)
    connection.execute(table.delete())
    connection.execute(table.insert(), rows)


class Conditions:
    """Weather and economy of each store and week, in the order of weeks.

    Args:
        frame: conditions in the layout of `sample.COLUMNS`.
        page_rows: how many items a page has at most.
    """

    def __init__(self, frame: "pd.DataFrame", page_rows: int = PAGE_ROWS) -> None:
        names = ["Store", "Date", *_CONDITIONS.values()]
        dated = [
            (_day(label), int(store), label, values)
            for store, label, *values in frame[names].itertuples(index=False)
        ]
        dated.sort(key=lambda row: row[:2])
        self._days = [day for day, *_ in dated]
        self._items = [
            {"store": store, "date": label}
            | dict(zip(_CONDITIONS, map(float, values), strict=True))
            for _, store, label, values in dated
        ]
        self._page_rows = page_rows

    def page(self, start: date, end: date, number: int) -> dict[str, Any]:
        """The items of `[start, end)` on a page, from 1, and the number of the next one or None."""
        first, last = (bisect.bisect_left(self._days, day) for day in (start, end))
        begin = min(first + (number - 1) * self._page_rows, last)
        stop = min(begin + self._page_rows, last)
        return {"items": self._items[begin:stop], "next_page": number + 1 if stop < last else None}


class BadRequestError(Exception):
    """A request that the service does not understand; its text is the answer."""


class ConditionsHandler(BaseHTTPRequestHandler):
    """Answers `GET /v1/conditions?start=YYYY-MM-DD&end=YYYY-MM-DD&page=N` and `GET /health`."""

    conditions: ClassVar[Conditions]
    protocol_version = "HTTP/1.1"
    # An answer goes out in two writes; without this the second one waits 40 ms for the first's ACK.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer one request."""
        address = urlsplit(self.path)
        if address.path == "/health":
            self.answer(HTTPStatus.OK, {"status": "ok"})
        elif address.path == "/v1/conditions":
            self._conditions(parse_qs(address.query, keep_blank_values=True))
        else:
            self.answer(HTTPStatus.NOT_FOUND, {"error": f"there is no {address.path}"})

    def _conditions(self, query: dict[str, list[str]]) -> None:
        try:
            start, end = (_date_of(query, name) for name in ("start", "end"))
            number = _page_of(query)
        except BadRequestError as error:
            self.answer(HTTPStatus.BAD_REQUEST, {"error": str(error)})
        else:
            self.answer(HTTPStatus.OK, self.conditions.page(start, end, number))

    def answer(self, status: HTTPStatus, body: dict[str, Any]) -> None:
        """Send a body as JSON."""
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing: the service runs beside a progress display."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True


@contextmanager
def serving(
    frame: "pd.DataFrame",
    port: int = 0,
    *,
    page_rows: int = PAGE_ROWS,
    handler: type[ConditionsHandler] = ConditionsHandler,
) -> Iterator[str]:
    """The service of conditions on 127.0.0.1, in a thread of its own, while the block runs.

    Args:
        frame: conditions in the layout of `sample.COLUMNS`.
        port: where to listen; 0 takes a free one.
        page_rows: how many items a page has at most.
        handler: answers requests; a test may give its own, which fails now and then.

    Yields:
        The base URL.

    Raises:
        UnavailableError: the port is taken.
    """
    bound = type("Bound", (handler,), {"conditions": Conditions(frame, page_rows)})
    try:
        server = _Server(("127.0.0.1", port), bound)
    except OSError as error:
        raise UnavailableError(
            f"port {port} on 127.0.0.1",
            f"it cannot be listened on: {error.strerror}",
            fix="end what listens there, or take another port",
        ) from error
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
    )
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _day(label: str) -> date:
    return datetime.strptime(label, DATE_FORMAT).date()  # noqa: DTZ007 - a day has no time zone


def _date_of(query: dict[str, list[str]], name: str) -> date:
    given = query.get(name, [""])[-1]
    try:
        return date.fromisoformat(given)
    except ValueError as error:
        raise BadRequestError(f"{name} is '{given}', and must be like 2010-02-05") from error


def _page_of(query: dict[str, list[str]]) -> int:
    given = query.get("page", ["1"])[-1]
    if not (given.isascii() and given.isdigit() and int(given) > 0):
        raise BadRequestError(f"page is '{given}', and must be a number from 1 on")
    return int(given)


@contextmanager
def _ending_held_back() -> Iterator[None]:
    """Keep the signals that end this process for `sigwait`, in this thread and those to come."""
    # A shell that starts this in the background has SIGINT ignored, which is inherited, and POSIX
    # leaves open whether an ignored signal is kept for sigwait.
    before = {number: signal.signal(number, signal.SIG_DFL) for number in _ENDING}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield
    finally:
        # What the caller starts afterwards would inherit the mask, and could not be ended.
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in before.items():
            signal.signal(number, handler)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; the address is printed first."""
    parser = argparse.ArgumentParser(prog="python -m ml_platform.demo.systems", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="where to listen; 0 takes a free one")
    parser.add_argument("--data", help="a CSV of sales and conditions; without it, made-up ones")
    options = parser.parse_args(arguments)
    try:
        frame = read_sales(options.data) if options.data else make_sample()
        with _ending_held_back(), serving(frame, options.port) as url:
            print(url, flush=True)  # noqa: T201 - what starts this reads the address here
            signal.sigwait(_ENDING)
    except PlatformError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a person reads it
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
