"""Where alerts keep things, and the one secret that they make themselves."""

import stat
import subprocess
import sys

from ml_platform.alerts.settings import AlertSettings


def read(tmp_path, **more):
    return AlertSettings.from_environment({"ML_PLATFORM_HOME": str(tmp_path), **more})


def test_everything_has_a_default_that_needs_no_server(tmp_path):
    found = read(tmp_path)
    assert found.url == f"sqlite:///{tmp_path}/dagster/alerts.db"
    assert (found.ui_url, found.ack_url) == ("http://127.0.0.1:3000", "http://127.0.0.1:3001")
    assert found.environment == "local"
    assert list(tmp_path.iterdir()) == []


def test_the_end_of_an_address_has_no_slash(tmp_path):
    found = read(tmp_path, ML_PLATFORM_UI_URL="https://ui/", ML_PLATFORM_ACK_URL="https://ack//")
    assert (found.ui_url, found.ack_url) == ("https://ui", "https://ack")


def test_the_secret_is_the_variables_and_is_shown_nowhere(tmp_path):
    found = read(tmp_path, ML_PLATFORM_SECRET="hidden")
    assert found.secret() == b"hidden"
    assert "hidden" not in repr(found)
    assert list(tmp_path.iterdir()) == []


def test_a_secret_is_made_once_and_for_its_owner_alone(tmp_path):
    first = read(tmp_path).secret()
    assert len(first) >= 32
    assert read(tmp_path).secret() == first
    [file] = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_processes_that_start_at_once_have_the_same_secret(tmp_path):
    program = (
        "import sys; from ml_platform.alerts.settings import AlertSettings as S;"
        "print(S.from_environment({'ML_PLATFORM_HOME': sys.argv[1]}).secret().decode())"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(6)]
    assert len({one.communicate()[0] for one in started}) == 1
    assert [one.name for one in tmp_path.iterdir()] == ["secret"]
