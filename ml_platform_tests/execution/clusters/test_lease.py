"""The file of a cluster: what its holders and its keeper may do to it, at once or in turn."""

import os
import stat
import threading
import time

import pytest

from ml_platform.execution.clusters.lease import Lease, Place, place_of, places
from ml_platform.kernel.errors import DeclarationError


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path / "clusters" / "nightly")
    made.folder.parent.mkdir()
    made.made()
    made.write(Lease(nodes=2, cpus=1, expires_at=time.time() + 60, owner="me"))
    return made


def test_what_is_written_is_read(place):
    assert place.change(state="ready", address="127.0.0.1:6379") == place.lease()
    assert place.lease().address == "127.0.0.1:6379"
    assert place.lease().nodes == 2


def test_a_holder_makes_a_lease_longer_and_never_shorter(place):
    before = place.lease().expires_at
    assert place.renew(1, "hasty").expires_at == before
    later = place.renew(600, "patient")
    assert later.expires_at > before
    assert later.owner == "patient"
    assert later.is_over(later.expires_at)
    assert not later.is_over(later.expires_at - 1)


def test_a_lease_that_was_given_up_is_not_brought_back_by_a_late_holder(place):
    place.give_up()
    assert place.renew(600, "late") is None
    assert place.change(nodes=3) is None
    assert place.lease() is None


def test_its_token_is_for_its_owner_alone(place):
    assert stat.S_IMODE(place.token.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.folder.stat().st_mode) & 0o077 == 0
    assert len(place.token.read_text()) == 64


def test_a_keeper_is_known_by_its_lock_and_there_is_one(place):
    assert not place.is_kept()
    with place.keeper_lock():
        assert place.is_kept()
        assert place.keeper_lock() is None
    assert not place.is_kept()


def test_the_lock_of_a_keeper_that_died_is_free(place):
    child = os.fork()
    if child == 0:
        place.keeper_lock()
        os._exit(0)
    os.waitpid(child, 0)
    assert not place.is_kept()


def test_a_holder_renews_for_as_long_as_it_holds_what_a_keeper_keeps(place):
    with place.keeper_lock(), place.heartbeat(0.4, "me"):
        for _ in range(2):
            place.change(expires_at=0.0)
            while place.lease().expires_at <= time.time():
                time.sleep(0.01)
    place.change(expires_at=0.0)
    time.sleep(0.5)
    assert place.lease().expires_at == 0.0  # nobody renews after the block


def test_what_nobody_keeps_is_not_held_by_a_heartbeat(place):
    with place.heartbeat(0.1, "me"):
        place.change(expires_at=0.0)
        time.sleep(0.5)
        assert place.lease().expires_at == 0.0


def test_many_that_change_a_lease_at_once_lose_nothing(place):
    def one(number):
        place.renew(1000 + number, f"holder {number}")

    threads = [threading.Thread(target=one, args=[number]) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert place.lease().expires_at > time.time() + 1018


@pytest.mark.parametrize("name", ["", "Nightly", "../up", "a" * 41, "9to5", "a b"])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(DeclarationError, match="it is no name"):
        place_of(name)


def test_the_clusters_of_an_installation_are_the_folders_in_its_home(monkeypatch, tmp_path):
    monkeypatch.setenv("ML_PLATFORM_HOME", str(tmp_path))
    assert places() == []
    place_of("b").folder.mkdir(parents=True)
    place_of("a").made()
    (tmp_path / "clusters" / ".lock").touch()
    assert [one.name for one in places()] == ["a", "b"]
