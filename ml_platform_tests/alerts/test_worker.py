"""Whose lease it is, and whether that process is still there."""

import os
import subprocess
import sys

import pytest

from ml_platform.alerts.worker import is_gone, own_name

NAME = "from ml_platform.alerts.worker import own_name; print(own_name(), flush=True); input()"


def test_this_process_is_there():
    assert str(os.getpid()) in own_name().split("|")
    assert not is_gone(own_name())


@pytest.mark.fault
def test_another_process_is_there_until_it_is_killed():
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    other = subprocess.Popen([sys.executable, "-c", NAME], **pipes, text=True)
    name = other.stdout.readline().strip()
    assert not is_gone(name)
    other.kill()
    other.communicate()
    assert is_gone(name)


def test_a_process_id_that_went_to_another_process_is_not_mistaken_for_it():
    host, pid, started = own_name().split("|")
    assert is_gone(f"{host}|{pid}|{float(started) - 5:.2f}")


@pytest.mark.parametrize("name", ["", "elsewhere|1|1.00", "nonsense", "a|b|c"])
def test_of_what_cannot_be_seen_from_here_nothing_is_said(name):
    assert not is_gone(name)
