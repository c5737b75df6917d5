"""The two source systems, read as the platform reads them."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from datetime import date
from http import HTTPStatus

import httpx
import pandas as pd
import pytest
from sqlalchemy.exc import IntegrityError

from ml_platform.demo.sample import DATE_FORMAT, make_sample
from ml_platform.demo.systems import ConditionsHandler, serving, write_sales_database
from ml_platform.kernel.errors import NotFoundError, UnavailableError
from ml_platform.sources.http import HttpSource, read_api
from ml_platform.sources.sql import SqlSource, read_query
from ml_platform.sources.window import Window

PROGRAM = "ml_platform.demo.systems"
FEBRUARY = Window(date(2010, 2, 1), date(2010, 3, 1))
QUERY = """
    SELECT store, week_date, weekly_sales, holiday_flag FROM weekly_sales
    WHERE week_start >= :start AND week_start < :end ORDER BY store, week_start
"""


@pytest.fixture(scope="module")
def frame():
    return make_sample(stores=7, weeks=30)


@pytest.fixture(scope="module")
def service(frame):
    with serving(frame, page_rows=5) as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path):
    return f"sqlite:///{tmp_path / 'sales.db'}"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request):
    return request.getfixturevalue(
        {"sqlite": "sqlite_url", "postgres": "postgres_url"}[request.param]
    )


def february_of(frame):
    days = pd.to_datetime(frame["Date"], format=DATE_FORMAT)
    return frame[days < "2010-03-01"].reset_index(drop=True)


def sales_in(url, window=FEBRUARY):
    return read_query(SqlSource(url, QUERY), window, {}).read_all().to_pandas()


def conditions(url, **options):
    return HttpSource(
        url,
        "/v1/conditions",
        {"start": "{start}", "end": "{end}"},
        records="items",
        pagination="cursor",
        cursor_field="next_page",
        cursor_param="page",
        **options,
    )


def test_a_month_of_sales_is_read_from_the_database(database, frame):
    assert write_sales_database(frame, database) == 210
    found, expected = sales_in(database), february_of(frame)
    assert found["store"].tolist() == expected["Store"].tolist()
    assert found["week_date"].tolist() == expected["Date"].tolist()
    assert found["weekly_sales"].astype(float).tolist() == expected["Weekly_Sales"].tolist()
    assert found["holiday_flag"].tolist() == expected["Holiday_Flag"].tolist()


def test_writing_twice_leaves_the_same_and_other_rows_take_the_old_ones_place(database, frame):
    write_sales_database(frame, database)
    write_sales_database(frame, database)
    assert len(sales_in(database, Window(date(2010, 1, 1), date(2011, 1, 1)))) == 210
    write_sales_database(frame[frame["Store"] == 3], database)
    assert set(sales_in(database)["store"]) == {3}


def test_a_write_that_fails_leaves_what_was_there(database, frame):
    broken = pd.concat([frame.head(3), frame.head(1)])
    with pytest.raises(IntegrityError, match=r"(?i)unique"):
        write_sales_database(broken, database)
    with pytest.raises(NotFoundError, match="weekly_sales"):
        sales_in(database)
    write_sales_database(frame, database)
    with pytest.raises(IntegrityError, match=r"(?i)unique"):
        write_sales_database(broken, database)
    assert len(sales_in(database)) == len(february_of(frame))


def test_a_database_that_is_held_is_told(sqlite_url, frame):
    write_sales_database(frame, sqlite_url)
    holder = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(UnavailableError, match="locked"):
            write_sales_database(frame, f"{sqlite_url}?timeout=0.1")
    finally:
        holder.close()


def test_a_month_of_conditions_is_read_over_its_pages(service, frame):
    seen = []
    found = read_api(conditions(service), FEBRUARY, {}, progress=seen.append).to_pandas()
    expected = february_of(frame).sort_values(["Date", "Store"]).reset_index(drop=True)
    assert seen == [5, 10, 15, 20, 25, 28]
    names = ["store", "date", "temperature_f", "fuel_price", "cpi", "unemployment"]
    assert list(found) == names
    theirs = ["Store", "Date", "Temperature", "Fuel_Price", "CPI", "Unemployment"]
    pd.testing.assert_frame_equal(found, expected[theirs].set_axis(names, axis=1))


@pytest.mark.parametrize(
    ("start", "end", "count"),
    [
        ("2010-02-05", "2010-02-06", 7),
        ("2010-02-06", "2010-02-12", 0),
        ("2010-02-05", "2010-02-12", 7),
        ("2010-02-05", "2010-02-05", 0),
        ("2010-03-01", "2010-02-01", 0),
        ("1999-01-01", "2030-01-01", 210),
    ],
)
def test_the_end_of_a_window_is_left_out(frame, start, end, count):
    with serving(frame, page_rows=1000) as url:
        answer = httpx.get(f"{url}/v1/conditions", params={"start": start, "end": end}).json()
    assert (len(answer["items"]), answer["next_page"]) == (count, None)


def test_the_last_full_page_is_the_last(frame):
    with serving(frame, page_rows=105) as url:
        bounds = {"start": "2010-01-01", "end": "2011-01-01"}
        pages = [
            httpx.get(f"{url}/v1/conditions", params={**bounds, "page": page}).json()
            for page in (1, 2, 3)
        ]
    assert [page["next_page"] for page in pages] == [2, None, None]
    assert [len(page["items"]) for page in pages] == [105, 105, 0]


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/health", 200, "ok"),
        ("/v1/conditions?start=2010-02-05", 400, "end is ''"),
        ("/v1/conditions?start=05-02-2010&end=2010-02-05", 400, "start is '05-02-2010'"),
        ("/v1/conditions?start=2010-02-05&end=2010-02-05&page=0", 400, "page is '0'"),
        ("/v1/conditions?start=2010-02-05&end=2010-02-05&page=x", 400, "page is 'x'"),
        ("/v2/conditions", 404, "there is no /v2/conditions"),
    ],
)
def test_the_service_says_what_it_does_not_understand(service, path, status, words):
    answer = httpx.get(service + path)
    assert (answer.status_code, words in str(answer.json())) == (status, True)


def test_many_clients_are_answered_at_once(service):
    answers = []

    def ask():
        answers.append(read_api(conditions(service), FEBRUARY, {}).num_rows)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [28] * 8


def test_a_service_that_fails_now_and_then_loses_no_row(frame):
    class Moody(ConditionsHandler):
        asked = 0

        def do_GET(self):  # noqa: N802 - the base class's name
            Moody.asked += 1
            if Moody.asked % 3:
                self.answer(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": "a bad moment"})
            else:
                super().do_GET()

    waits = []
    with serving(frame, page_rows=5, handler=Moody) as url:
        table = read_api(conditions(url), FEBRUARY, {}, sleep=waits.append)
    assert table.num_rows == 28
    assert len(waits) == 12


def test_a_port_that_is_taken_is_told(frame):
    with (
        serving(frame) as url,
        pytest.raises(UnavailableError, match="cannot be listened on"),
        serving(frame, port=int(url.rpartition(":")[2])),
    ):
        pytest.fail("two services listen on one port")


def test_the_service_is_gone_after_its_block(frame):
    with serving(frame) as url:
        pass
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def start(*arguments):
    """The service as a process of its own, as a shell starts it in the background.

    Such a shell has the program ignore SIGINT.
    """
    return subprocess.Popen(
        ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-m", PROGRAM, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.fault
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_the_process_tells_its_address_and_ends_when_it_is_asked_to(ending, tmp_path, frame):
    frame.to_csv(tmp_path / "sales.csv", index=False)
    service = start("--data", str(tmp_path / "sales.csv"))
    try:
        url = service.stdout.readline().strip()
        assert read_api(conditions(url), FEBRUARY, {}).num_rows == 28
        service.send_signal(ending)
        out, err = service.communicate(timeout=60)
    finally:
        service.kill()
        service.wait()
    assert (service.returncode, out, err) == (0, "", "")


def test_the_process_says_what_is_wrong_with_its_data(tmp_path):
    service = start("--data", os.fspath(tmp_path / "none.csv"))
    out, err = service.communicate(timeout=60)
    assert (service.returncode, out) == (1, "")
    assert "none.csv" in err
    assert "Traceback" not in err
