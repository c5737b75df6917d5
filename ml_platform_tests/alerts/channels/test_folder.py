"""The folder: the channel that needs no server."""

import json
import re
import threading
from dataclasses import replace

import pytest

from ml_platform.alerts.channels.channel import NotDeliveredError
from ml_platform.alerts.channels.declared import channel_of
from ml_platform.alerts.message import Status
from ml_platform.kernel.errors import StorageFullError
from ml_platform_tests.alerts.channels.conftest import EVENTS, FAILED


@pytest.fixture
def inbox(tmp_path):
    return channel_of({"type": "folder", "name": "inbox"})


def names(channel, ending):
    return sorted(one.name for one in channel.path.glob(f"*.{ending}"))


def test_a_message_is_a_page_and_a_file_named_by_time_and_key(inbox, tmp_path):
    receipt = inbox.send(FAILED, key="sales-checks:run/8f1c")
    assert inbox.path == tmp_path / "alerts" / "inbox"
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d{6}\.\d{6}Z_sales-checks-run-8f1c_[0-9a-f]{12}", receipt.id
    )
    assert names(inbox, "html") == [f"{receipt.id}.html"]
    assert names(inbox, "json") == [f"{receipt.id}.json"]


def test_the_file_holds_every_fact_and_the_key(inbox):
    inbox.send(EVENTS["with a file"], key="규칙:1")
    (file,) = inbox.path.glob("*.json")
    told = json.loads(file.read_text())
    assert told["key"] == "규칙:1"
    assert told["observed"] == "812"
    assert told["last_ok_at"] == "2026-08-19T02:14:00+00:00"
    assert told["attachments"] == [{"name": "보고서.csv", "media_type": "text/csv", "bytes": 18}]


def test_the_same_key_takes_the_place_of_its_message(inbox):
    first = inbox.send(FAILED, key="a")
    again = inbox.send(replace(FAILED, title="Said again"), key="a")
    other = inbox.send(FAILED, key="a ")
    assert first == again
    assert other.id != first.id
    assert len(names(inbox, "json")) == len(names(inbox, "html")) == 2
    assert "Said again" in (inbox.path / f"{first.id}.json").read_text()
    assert "Said again" in (inbox.path / f"{first.id}.html").read_text()


def test_later_messages_of_an_incident_know_its_first(inbox):
    first = inbox.send(FAILED, key="a")
    over = inbox.send(replace(FAILED, status=Status.resolved), key="b", thread=first.thread)
    assert over.thread == first.id


@pytest.mark.parametrize("key", ["../../escape", "/etc/passwd", "", "*", "[a-z]", "\0", "가" * 400])
def test_no_key_leads_out_of_the_folder_or_finds_anothers_file(inbox, tmp_path, key):
    inbox.send(FAILED, key="first")
    inbox.send(FAILED, key=key)
    assert len(names(inbox, "json")) == 2
    outside = [one for one in tmp_path.rglob("*") if one.is_file() and one.parent != inbox.path]
    assert outside == []


def test_the_oldest_go_when_there_are_more_than_are_kept(tmp_path):
    channel = channel_of({"type": "folder", "keep": 3})
    (tmp_path / "alerts" / "inbox").mkdir(parents=True)
    own = tmp_path / "alerts" / "inbox" / "notes.json"
    own.write_text("{}")
    sent = [channel.send(FAILED, key=f"k{n}").id for n in range(5)]
    assert names(channel, "html") == [f"{one}.html" for one in sent[-3:]]
    assert own.exists()


def test_a_reader_never_sees_half_a_file(inbox):
    stop, broken = threading.Event(), []

    def read():
        while not stop.is_set():
            for file in inbox.path.glob("*.json"):
                try:
                    json.loads(file.read_text())
                except ValueError:
                    broken.append(file)

    inbox.send(FAILED, key="k")
    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(30):
        inbox.send(EVENTS["digest"], key="k")
    stop.set()
    reader.join()
    assert broken == []
    assert [one for one in inbox.path.iterdir() if one.name.startswith(".")] == []


def test_a_folder_that_cannot_be_one_is_told_and_tried_again(tmp_path):
    (tmp_path / "file").write_text("")
    channel = channel_of({"type": "folder", "folder": "file/inbox"})
    with pytest.raises(NotDeliveredError, match="cannot be written"):
        channel.send(FAILED, key="k")


def test_a_full_disk_is_told_as_one():
    channel = channel_of({"type": "folder", "folder": "/dev/full/inbox"})
    error = OSError(28, "No space left on device")
    assert isinstance(channel._told(error, channel.path), StorageFullError)


def test_the_folder_may_be_named_by_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("TEST_FOLDER", str(tmp_path / "elsewhere"))
    channel = channel_of({"type": "folder", "folder": "${TEST_FOLDER}/alerts"})
    channel.send(FAILED, key="k")
    assert len(list((tmp_path / "elsewhere" / "alerts").glob("*.json"))) == 1
