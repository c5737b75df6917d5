"""`ml-platform alerts ...`, as a person runs it."""

import json
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import warnings
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from ml_platform.alerts.event import Event
from ml_platform.alerts.installed import ack_url, known_channels, outbox_here, place_of
from ml_platform.alerts.routing import Desk, ingest
from ml_platform.alerts.rules import Rule
from ml_platform.alerts.settings import AlertSettings
from ml_platform.kernel.errors import DeclarationError, NotFoundError
from ml_platform_tests.ports import free_port

with warnings.catch_warnings():
    # Click's own, about a name that Typer still asks for.
    warnings.simplefilter("ignore", DeprecationWarning)
    from ml_platform.alerts.commands import app

NOW = datetime.now(tz=UTC)


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in ("ML_PLATFORM_ALERTS_URL", "ML_PLATFORM_SECRET", "ML_PLATFORM_ACK_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ML_PLATFORM_HOME", str(tmp_path))
    monkeypatch.setenv("ML_PLATFORM_CHANNELS", str(tmp_path / "channels.yaml"))
    monkeypatch.setattr("ml_platform.alerts.commands.console", Console(width=250))
    (tmp_path / "channels.yaml").write_text("inbox: {type: folder}\nchat: {type: folder}\n")
    return tmp_path


@pytest.fixture
def run(home, capsys):
    """What a command prints; what it raises is raised, for `ml-platform` tells it in words."""

    def typed(*words):
        capsys.readouterr()
        app(list(words), standalone_mode=False)
        return capsys.readouterr().out

    return typed


def happen(*kinds, project="shop", **words):
    """Let a project's rule `trouble` tell such events; nothing is sent yet."""
    settings = AlertSettings.from_environment()
    rule = Rule(name="trouble", channels=["inbox"], **words)
    desk = Desk(project, [rule], place_of(settings), lambda key: ack_url(settings, key))
    events = [
        Event(
            id=f"{project}-e{number}", type=kind, at=NOW, project=project,
            subject=f"s{number}", what=f"thing {number}",
        )
        for number, kind in enumerate(kinds)
    ]  # fmt: skip
    with outbox_here().book() as book:
        ingest(book, desk, events)
        book.keep_rules(project, [rule])


def test_a_new_installation_has_nothing_to_list(home, run):
    assert "nothing yet" in run("list")


def test_what_waits_and_what_is_dead_is_listed_and_sent_again(home, run):
    happen("check.failed", "run.failed")
    with outbox_here().book() as book:
        book.given_up(book.claim("inbox"), "the receiver is gone\nwith details")
        book.may_send("chat", 1, 1)
        book.close("chat", "archived")
    listed = run("list")
    assert "1 dead, 1 pending" in listed
    assert "channel chat is closed: archived" in listed
    assert "the receiver is gone" in listed
    number = re.search(r"^\s*(\d+)\s+dead", listed, re.MULTILINE)[1]
    assert "due now" in run("resend", number)
    assert "2 pending" in run("list", "--status", "dead")
    with pytest.raises(NotFoundError, match="999"):
        run("resend", "999")


def test_a_closed_channel_is_opened(home, run):
    with outbox_here().book() as book:
        book.may_send("chat", 1, 1)
        book.close("chat", "archived")
    assert "chat is open" in run("open", "chat")
    assert "as it was" in run("open", "chat")
    with pytest.raises(NotFoundError, match=r"chat \(did you mean this\?\)"):
        run("open", "chatt")


def test_a_rule_is_shown_on_the_newest_event_that_fits_or_on_the_one_that_is_named(home, run):
    happen("check.failed", "run.failed", events=["check.failed", "run.failed"])
    assert "thing" in run("preview", "trouble")
    shown = run("preview", "shop/trouble", "--event", "shop-e1")
    assert "thing 1" in shown
    assert '"is_sample": false' in shown
    assert "/ack/" in shown
    with pytest.raises(NotFoundError, match="e9"):
        run("preview", "trouble", "--event", "e9")


def test_without_an_event_a_rule_is_shown_on_a_sample(home, run):
    happen("run.failed", events=["check.failed"])
    shown = run("preview", "trouble")
    assert "raw/sales" in shown
    assert '"is_sample": true' in shown


def test_a_rule_is_read_from_its_file_before_any_sensor_has_it(home, run):
    file = home / "defs" / "shop" / "alerts" / "defs.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(
        "type: ml_platform.components.Reporter\n"
        "attributes: {name: mine, channels: [inbox, chat], title: 'Look: {{ asset_key }}'}\n"
    )
    shown = run("preview", "mine", "--file", str(file))
    assert "rule shop/mine" in shown
    assert shown.count("Look: raw/sales") == 2
    with pytest.raises(NotFoundError, match=r"mine \(did you mean this\?\)"):
        run("preview", "mien", "--file", str(file))
    file.write_text(file.read_text().replace("[inbox, chat]", "[]"))
    with pytest.raises(DeclarationError, match="channels"):
        run("preview", "mine", "--file", str(file))
    with pytest.raises(DeclarationError, match="No such file"):
        run("preview", "mine", "--file", str(home / "none.yaml"))


def test_a_rule_that_two_projects_have_is_named_with_its_project(home, run):
    happen("check.failed")
    happen("check.failed", project="other")
    with pytest.raises(NotFoundError, match="several projects"):
        run("preview", "trouble")
    assert "rule other/trouble" in run("preview", "other/trouble")


def test_a_channel_is_tried_out_with_a_sample(home, run):
    assert "chat took it" in run("test", "chat")
    [file] = (home / "alerts" / "inbox").glob("*.json")
    assert json.loads(file.read_text())["is_sample"] is True
    with outbox_here().book() as book:
        assert book.counted() == {}


def test_acknowledging_at_the_terminal_is_acknowledging(home, run):
    happen("check.failed")
    assert "acknowledged by Ada" in run("ack", "1", "--by", "Ada")
    assert "acknowledged already, by Ada" in run("ack", "1", "--by", "Bob")
    with pytest.raises(NotFoundError):
        run("ack", "77", "--by", "Ada")


def test_the_report_names_what_is_noisy_and_where_nobody_answers(home, run):
    happen(*["check.failed"] * 6, flood_over=100)
    shown = run("report", "--days", "0.01")
    assert "shop/trouble" in shown
    assert "Nobody answers on channel inbox." in shown
    run("ack", "1", "--by", "Ada")
    assert "Nobody answers" not in run("report")


def test_the_channels_are_one_folder_where_none_are_declared(home, run):
    (home / "channels.yaml").unlink()
    assert list(known_channels()) == ["inbox"]
    (home / "channels.yaml").write_text("chat: {type: nonsense}")
    with pytest.raises(DeclarationError):
        known_channels()


def test_the_page_is_served_and_its_button_works(home, run):
    happen("check.failed")
    with outbox_here().book() as book:
        path = book.with_status("pending")[0].message.ack_url.split("3001")[1]
    port = free_port()
    program = Path(sys.executable).parent / "ml-platform"
    server = subprocess.Popen([program, "alerts", "serve", "--port", str(port)])
    try:
        url = f"http://127.0.0.1:{port}{path}"
        assert "Acknowledge" in answer(url, server)
        assert "Ada acknowledged this" in answer(url, server, b"by=Ada")
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)


def answer(url, server, form=None):
    while True:
        try:
            with urllib.request.urlopen(url, form, timeout=60) as found:
                return found.read().decode()
        except urllib.error.URLError:
            assert server.poll() is None
            time.sleep(0.2)
