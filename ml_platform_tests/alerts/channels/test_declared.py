"""The channels of an installation, as a person writes them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ml_platform.alerts.channels.base import is_secret
from ml_platform.alerts.channels.declared import KINDS, channel_of, channels_file, channels_of
from ml_platform.kernel.errors import DeclarationError, NotFoundError

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def declared(tmp_path):
    def write(text):
        file = tmp_path / "channels.yaml"
        file.write_text(text)
        return file

    return write


GOOD = """
inbox:
  type: folder

team:
  type: slack
  webhook_url: ${SLACK}
  time_zone: Asia/Seoul
"""


def test_each_name_is_a_channel_of_its_type(declared):
    channels = channels_of(declared(GOOD))
    assert {name: type(one).__name__ for name, one in channels.items()} == {
        "inbox": "FolderChannel",
        "team": "SlackChannel",
    }
    assert channels["team"].name == "team"
    assert channels["team"].zone.key == "Asia/Seoul"


WRONG = [
    ("team:\n  type: slack\n  webhok_url: ${A}\n", 3, "webhook_url (did you mean this?)"),
    ("team:\n\n  type: slak\n", 3, "slack (did you mean this?)"),
    ("team:\n  webhook_url: ${A}\n", 1, "its type is missing"),
    ("team:\n  type: [slack]\n", 2, "is no type of channel"),
    ("a:\n  type: folder\nteam: slack\n", 3, "type: folder"),
    ("- type: slack\n", 1, "type: folder"),
    ("just text\n", 1, "type: folder"),
    ("a:\n  type: folder\na:\n  type: folder\n", 3, "declared twice, first in line 1"),
    ("a:\n  type: folder\n  keep: 1\n  keep: 2\n", 4, "declared twice, first in line 3"),
    ("a:\n  type: folder\n  keep: none\n", 3, "keep: Input should be a valid integer"),
    ("a:\n  type: folder\n  keep: 0\n", 3, "greater than or equal to 1, given 0"),
    ("a:\n  type: folder\n  time_zone: Seoul\n", 3, "no such time zone"),
    ("a:\n  type: teams\n", 1, "url: it is missing"),
    ("a:\n  type: webhook\n  secrets: []\n", 1, "url: it is missing"),
    ("a:\n  type: folder\n   keep: 1\n", 3, "the YAML cannot be read"),
    ("a: &x\n  type: folder\nb: *y\n", 3, "the YAML cannot be read"),
    ("a: !!python/object:os.system {}\n", 1, "the YAML cannot be read"),
    ("a:\n  type: folder\n  name: {}\n", 3, "name: Input should be a valid string"),
]


@pytest.mark.parametrize(("text", "line", "words"), WRONG)
def test_what_is_wrong_is_told_with_its_line_and_what_is_allowed(declared, text, line, words):
    file = declared(text)
    with pytest.raises(DeclarationError) as caught:
        channels_of(file)
    assert str(caught.value).startswith(f"{file}:{line}")
    assert words in str(caught.value)


def test_every_mistake_of_a_channel_is_told_at_once(declared):
    file = declared("a:\n  type: folder\n  keep: 0\n  kep: 1\n")
    with pytest.raises(DeclarationError, match=r"keep: .*; line 4: kep: no such word"):
        channels_of(file)


def test_a_file_that_is_not_there_or_not_text_is_told(declared, tmp_path):
    with pytest.raises(NotFoundError, match="ML_PLATFORM_CHANNELS"):
        channels_of(tmp_path / "nothing.yaml")
    file = declared("")
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DeclarationError):
        channels_of(file)


def test_an_empty_file_declares_no_channel(declared):
    assert channels_of(declared("# nothing yet\n")) == {}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_field_is_described_with_a_sentence(kind):
    for name, info in KINDS[kind].model_fields.items():
        assert info.description, name
        assert info.description.endswith("."), name
        assert info.description[0].isupper() or info.description[0] == "[", name


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_looks_like_a_secret_is_hidden_in_every_representation(kind):
    for name, info in KINDS[kind].model_fields.items():
        if re.search(r"token|password|secret|dsn|^url$|webhook_url|headers", name):
            assert is_secret(info), name
            assert not info.repr, name


def test_a_rule_may_declare_a_channel_within_itself():
    assert channel_of({"type": "folder"}).name == "folder"
    with pytest.raises(DeclarationError, match="channel folder: kep: no such word"):
        channel_of({"type": "folder", "kep": 1})


def test_the_file_is_named_by_the_environment_or_lies_beside_the_workspace(monkeypatch, tmp_path):
    assert channels_file({"ML_PLATFORM_CHANNELS": "/etc/x.yaml"}) == Path("/etc/x.yaml")
    (tmp_path / "workspace.yaml").touch()
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    assert channels_file({}) == tmp_path / "channels.yaml"


def test_the_channels_of_this_installation_need_no_server():
    channels = channels_of(REPOSITORY / "channels.yaml")
    assert list(channels) == ["inbox"]


def test_each_example_in_the_installations_file_can_be_declared():
    text = (REPOSITORY / "channels.yaml").read_text()
    blocks = re.findall(r"(?m)^# [a-z-]+:\n(?:^#   .*\n)+", text)
    examples = {}
    for block in blocks:
        examples |= yaml.safe_load(re.sub(r"(?m)^# ", "", block))
    kinds = {channel_of({"name": name, **one}).type for name, one in examples.items()}
    assert kinds == set(KINDS) - {"folder"}


def test_declaring_loads_no_library_that_sends():
    program = (
        "import sys\n"
        "from ml_platform.alerts.channels.declared import channels_of\n"
        "from pathlib import Path\n"
        f"channels_of(Path({str(REPOSITORY / 'channels.yaml')!r}))\n"
        "heavy = ['httpx', 'apprise', 'sentry_sdk', 'slack_sdk', 'standardwebhooks', 'jinja2']\n"
        "print([one for one in heavy if one in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=REPOSITORY, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr
