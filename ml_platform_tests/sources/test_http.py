"""APIs: records found, pages followed to their end, and every wrong answer told."""

from datetime import date

import pyarrow as pa
import pytest

from ml_platform.kernel.errors import DataError, DeclarationError, SettingsError, UnavailableError
from ml_platform.sources.http import HttpSource, read_api
from ml_platform.sources.http_client import Patience
from ml_platform.sources.shape import Shape
from ml_platform.sources.window import Window
from ml_platform_tests.sources.conftest import Reply

WEEK = Window(date(2010, 2, 5), date(2010, 2, 12))


def read(url, window=None, environ=None, progress=None, **options):
    waits = []
    table = read_api(
        HttpSource(url, **options),
        window,
        environ or {},
        sleep=waits.append,
        **({"progress": progress} if progress else {}),
    )
    return table.to_pylist()


@pytest.mark.parametrize(
    ("body", "records"),
    [
        ([{"a": 1}], ""),
        ({"items": [{"a": 1}]}, "items"),
        ({"data": {"items": [{"a": 1}]}, "n": 1}, "data.items"),
    ],
)
def test_the_records_are_where_they_are_said_to_be(server, body, records):
    assert read(server.answers(body), records=records) == [{"a": 1}]


def test_the_window_and_the_environment_fill_path_parameters_and_headers(server):
    read(
        server.answers([{"a": 1}]) + "/",
        WEEK,
        {"TOKEN": "abc", "REGION": "eu west"},
        path="/v1/{start}/x",
        params={"to": "{end}", "last": "{last_day}", "region": "${REGION}"},
        headers={"Authorization": "Bearer ${TOKEN}"},
    )
    (request,) = server.requests
    assert request["path"] == "/v1/2010-02-05/x"
    assert request["params"] == {"to": "2010-02-12", "last": "2010-02-11", "region": "eu west"}
    assert request["headers"]["Authorization"] == "Bearer abc"


def test_numbered_pages_are_read_until_one_is_empty(server):
    seen = []
    url = server.answers([{"n": 1}, {"n": 2}], [{"n": 3}], [])
    rows = read(url, pagination="page", page_param="p", first_page=0, progress=seen.append)
    assert rows == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert [one["p"] for one in server.params] == ["0", "1", "2"]
    assert seen == [2, 3, 3]


def test_a_cursor_is_followed_until_it_is_null_or_missing(server):
    options = {"records": "items", "pagination": "cursor", "cursor_field": "meta.next"}
    bodies = [
        {"items": [{"n": 1}], "meta": {"next": "b/="}},
        {"items": [{"n": 2}], "meta": {"next": 7}},
        {"items": [{"n": 3}], "meta": {"next": None}},
    ]
    url = server.answers(*bodies)
    assert read(url, params={"q": "x"}, **options) == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert server.params == [{"q": "x"}, {"q": "x", "cursor": "b/="}, {"q": "x", "cursor": "7"}]
    server.requests.clear()
    assert read(server.answers(bodies[0], {"items": []}), **options) == [{"n": 1}]


def test_a_cursor_of_zero_is_one(server):
    url = server.answers({"items": [], "next": 0}, {"items": [{"n": 1}], "next": None})
    rows = read(url, records="items", pagination="cursor", cursor_field="next")
    assert rows == [{"n": 1}]
    assert server.params[1] == {"cursor": "0"}


def test_links_are_followed_and_keep_their_own_parameters(server):
    def first(_request):
        return Reply(
            [{"n": 1}], headers={"Link": '</v1?after=1&q=x>; rel="next", </>; rel="first"'}
        )

    url = server.answers(first, [{"n": 2}])
    assert read(url, path="/v1", params={"q": "x"}, pagination="link") == [{"n": 1}, {"n": 2}]
    assert server.params == [{"q": "x"}, {"after": "1", "q": "x"}]


def test_a_link_to_another_server_gets_no_request(server, other_server):
    url = server.answers(Reply([{"n": 1}], headers={"Link": f'<{other_server.url}/>; rel="next"'}))
    other_server.answers([{"n": 2}])
    with pytest.raises(DataError, match="the next page is said to be on"):
        read(url, pagination="link", headers={"Authorization": "Bearer x"})
    assert other_server.requests == []


@pytest.mark.parametrize(
    ("replies", "options", "message"),
    [
        (
            [{"items": [{"n": 1}], "next": "a"}, {"items": [], "next": "a"}],
            {"pagination": "cursor", "cursor_field": "next", "records": "items"},
            "by cursor has no end: after 2 pages it leads to one that was read already",
        ),
        ([[{"n": 1}]], {"pagination": "page"}, "page 2 is the same as the one before"),
        (
            [lambda request: Reply([{"n": request["params"]["page"]}])],
            {"pagination": "page", "most_pages": 5},
            "there are more than 5 pages",
        ),
        (
            [Reply([{"n": 1}], headers={"Link": '</>; rel="next"'})],
            {"pagination": "link", "path": "/"},
            "by link has no end",
        ),
    ],
)
def test_pages_without_end_are_told(server, replies, options, message):
    with pytest.raises(DataError) as caught:
        read(server.answers(*replies), **options)
    assert message in str(caught.value)
    assert len(server.requests) <= 5


@pytest.mark.parametrize(
    ("reply", "options", "words"),
    [
        (
            Reply(b"<html>Log in</html>", headers={"Content-Type": "text/html"}),
            {},
            ["no JSON (text/html): <html>Log in</html>", "Accept: application/json"],
        ),
        (Reply(b'[{"a": 1}, {"a'), {}, ["no JSON (application/json)"]),
        (Reply(b"\xff\xfe\xff"), {}, ["no JSON"]),
        ({"items": []}, {"records": "itmes"}, ["no field 'itmes'", "items (did you mean this?)"]),
        ([1], {"records": "items"}, ["no field 'items'", "it is [1]"]),
        ({"items": {"a": 1}}, {"records": "items"}, ["leads to {", "a list of objects"]),
        ({"n": 1, "items": []}, {}, ["leads to {", "such as items"]),
        ([{"a": 1}, 5], {}, ["record 2: 5 is not an object"]),
        ([{"a": 1}, {"a": "x"}], {}, ["record 2, column 'a'"]),
        (
            {"items": [], "next": {"page": 2}},
            {"records": "items", "pagination": "cursor", "cursor_field": "next"},
            ["the cursor at 'next' is {"],
        ),
    ],
)
def test_an_answer_that_is_not_as_declared_is_told(server, reply, options, words):
    with pytest.raises(DataError) as caught:
        read(server.answers(reply), **options)
    assert [word for word in words if word not in str(caught.value)] == []
    assert str(caught.value).startswith(f"API {server.url}")


@pytest.mark.parametrize("reply", [[], Reply(status=204)])
def test_no_record_is_an_empty_table_of_the_declared_columns(server, reply):
    source = HttpSource(server.answers(reply), shape=Shape(("day",), {}, {"day": "date"}))
    table = read_api(source, environ={})
    assert (table.num_rows, table.schema) == (0, pa.schema([("day", pa.date32())]))


def test_columns_get_their_new_names_and_types(server):
    shape = Shape(("day", "t"), {"t": "temperature_f"}, {"day": "date", "t": "float"})
    rows = read(server.answers([{"t": 42, "day": "2010-02-05", "more": 1}]), shape=shape)
    assert rows == [{"day": date(2010, 2, 5), "temperature_f": 42.0}]


def test_a_page_that_fails_for_a_while_is_not_lost_nor_doubled(server):
    url = server.answers([{"n": 1}], Reply(status=500), Reply(status=503), [{"n": 2}], [])
    assert read(url, pagination="page") == [{"n": 1}, {"n": 2}]
    assert [one["page"] for one in server.params] == ["1", "2", "2", "2", "3"]


def test_a_page_that_never_comes_ends_the_load(server):
    url = server.answers([{"n": 1}], Reply(status=500))
    with pytest.raises(UnavailableError, match="3 attempts"):
        read(url, pagination="page", patience=Patience(attempts=3))


def test_a_secret_that_the_api_repeats_stays_hidden(server):
    url = server.answers(lambda request: Reply(request["headers"]["X-Key"].encode()))
    with pytest.raises(DataError, match=r"no JSON .*: \*\*\*") as caught:
        read(url, headers={"X-Key": "key ${KEY}"}, environ={"KEY": "s3cret"})
    assert "s3cret" not in str(caught.value)


def test_a_missing_variable_is_named_before_anything_is_asked(server):
    with pytest.raises(SettingsError, match="TOKEN is not set"):
        read(server.answers([]), headers={"Authorization": "Bearer ${TOKEN}"})
    assert server.requests == []


@pytest.mark.parametrize(
    ("window", "params", "message"),
    [(WEEK, {}, "nothing in the source uses it"), (None, {"from": "{start}"}, "no window")],
)
def test_a_window_and_its_placeholders_come_together(server, window, params, message):
    with pytest.raises(DeclarationError, match=message):
        read(server.answers([]), window, params=params)
    assert server.requests == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base_url": "api.example.org"}, "not one of HTTP"),
        ({"base_url": "http://x", "pagination": "pages"}, "pagination 'pages' is unknown"),
        ({"base_url": "http://x", "pagination": "cursor"}, "declare cursor_field"),
    ],
)
def test_an_impossible_option_is_refused_when_it_is_declared(options, message):
    with pytest.raises(DeclarationError, match=message):
        HttpSource(**options)
