"""Watched folders, local and in a real S3 server of this machine."""

import os
import shutil

import pytest
import s3fs

from ml_platform.kernel.errors import NotFoundError, SettingsError, UnavailableError
from ml_platform.scenarios.trigger_words import Trigger
from ml_platform.scenarios.triggers import Cursor, go_round
from ml_platform.scenarios.watch.files import look_at_files


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "in"
    (made / "deep").mkdir(parents=True)
    for name in ("a.csv", "deep/b.csv", "notes.txt"):
        write(made / name, name, 1000)
    return made


def write(file, text, at):
    file.write_text(text)
    os.utime(file, (at, at))


def seen(folder, **words):
    return look_at_files([str(folder)], **words).parts


CHANGES = [
    ("a new file", lambda f: write(f / "c.csv", "c", 5), True),
    ("a new file in a folder", lambda f: write(f / "deep" / "c.csv", "c", 5), True),
    ("a file has gone", lambda f: (f / "a.csv").unlink(), True),
    ("another name", lambda f: (f / "a.csv").rename(f / "z.csv"), True),
    ("another size", lambda f: write(f / "a.csv", "longer than before", 1000), True),
    ("another time", lambda f: os.utime(f / "a.csv", (7, 7)), True),
    ("a name that is not finished", lambda f: write(f / ".part", "x", 5), False),
    ("an empty folder", lambda f: (f / "empty").mkdir(), False),
    ("the same again", lambda f: write(f / "a.csv", "a.csv", 1000), False),
]


@pytest.mark.parametrize(("what", "change", "counts"), CHANGES, ids=[one[0] for one in CHANGES])
def test_what_counts_as_a_change(folder, what, change, counts):
    before = seen(folder)
    change(folder)
    assert (seen(folder) != before) is counts


@pytest.mark.parametrize(
    ("what", "words", "change", "counts"),
    [
        ("contents: only the time", {"by": "contents"}, lambda f: os.utime(f / "a.csv", (7, 7)),
         False),
        ("contents: same size and time", {"by": "contents"},
         lambda f: write(f / "a.csv", "A.CSV", 1000), True),
        ("a pattern: another kind of file", {"pattern": "*.csv"},
         lambda f: write(f / "notes.txt", "more", 5), False),
        ("a pattern: one of them", {"pattern": "*.csv"},
         lambda f: write(f / "deep" / "b.csv", "more", 5), True),
        ("a marker: data without it", {"marker": "_DONE"},
         lambda f: write(f / "a.csv", "more", 5), False),
        ("a marker: it comes", {"marker": "_DONE"}, lambda f: write(f / "_DONE", "", 5), True),
    ],
)  # fmt: skip
def test_other_ways_of_looking(folder, what, words, change, counts):
    before = seen(folder, **words)
    change(folder)
    assert (seen(folder, **words) != before) is counts


def test_a_file_may_come_and_go_but_its_folder_has_to_be_there(folder):
    file = folder / "c.csv"
    assert "nothing there" in look_at_files([str(file)]).account
    write(file, "c", 1000)
    assert "1 file, 1 bytes, newest c.csv" in look_at_files([str(file)]).account
    shutil.rmtree(folder)
    with pytest.raises(NotFoundError) as error:
        look_at_files([str(file)])
    assert str(file) in str(error.value)


def test_a_folder_that_may_not_be_read_is_told(folder, monkeypatch):
    def refuse(_path):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(os, "scandir", refuse)  # root, as whom tests may run, may read all
    with pytest.raises(UnavailableError, match=r".") as error:
        look_at_files([str(folder)])
    assert "Permission denied" in str(error.value)


def test_names_may_hold_any_bytes(folder):
    before = seen(folder)
    with open(os.fsencode(folder) + b"/\xff\xfe.csv", "wb"):  # noqa: PTH123 - a name of bytes
        pass
    assert seen(folder) != before
    assert "4 files" in look_at_files([str(folder)]).account


@pytest.mark.fault
def test_among_a_hundred_thousand_files_one_that_changes_is_seen_and_the_cursor_stays_small(
    tmp_path,
):
    many = tmp_path / "many"
    for number in range(100):
        (many / str(number)).mkdir(parents=True)
        for file in range(1000):
            os.mknod(many / str(number) / f"{file}.csv")
    trigger = Trigger(name="t", files={"paths": [str(many)]}, every=0, grace=0)
    cursor, decisions = Cursor(0), []

    def look(_trigger, _state):
        return look_at_files([str(many)])

    for now in (1.0, 2.0, 3.0):
        if now == 3.0:
            (many / "57" / "123.csv").write_text("1")
        done = go_round([trigger], cursor, now, look, is_running=lambda: False)
        cursor = Cursor.read(done.cursor.text(), now)
        decisions += [str(one.decision) for one in done.evaluations]
    assert decisions == ["first", "quiet", "fired"]
    assert "100,000 files" in done.evaluations[0].account
    assert "newest 57/123.csv" in done.evaluations[0].account
    assert len(done.cursor.text()) < 400


def test_a_path_takes_variables_and_says_which_is_missing(folder, monkeypatch):
    monkeypatch.setenv("ARRIVALS", str(folder))
    assert look_at_files(["${ARRIVALS}"]).parts == seen(folder)
    with pytest.raises(SettingsError, match=r".") as error:
        look_at_files(["${ARRIVALS_OF_NOBODY}"])
    assert "ARRIVALS_OF_NOBODY is not set" in str(error.value)


def test_each_path_has_a_fingerprint_of_its_own(folder):
    two = look_at_files([str(folder), str(folder / "deep")])
    write(folder / "a.csv", "more", 5)
    after = look_at_files([str(folder), str(folder / "deep")])
    assert two.parts[0] != after.parts[0]
    assert two.parts[1] == after.parts[1]


def test_no_such_kind_of_store_is_told():
    with pytest.raises(SettingsError, match=r".") as error:
        look_at_files(["nothing://bucket"])
    assert "Protocol not known" in str(error.value)


@pytest.fixture
def bucket(s3):
    s3.create_bucket(Bucket="arrivals")
    files = s3fs.S3FileSystem(skip_instance_cache=True)
    yield files
    files.rm("arrivals", recursive=True)


def test_a_bucket_is_watched_like_a_folder(bucket):
    def look():
        return look_at_files(["s3://arrivals/in"], pattern="*.csv")

    assert "nothing there" in look().account
    bucket.pipe_file("arrivals/in/a.csv", b"1")
    first = look()
    assert "1 file, 1 bytes, newest a.csv" in first.account
    bucket.pipe_file("arrivals/in/other.txt", b"1")
    bucket.pipe_file("arrivals/in/.part.csv", b"1")
    assert look().parts == first.parts
    bucket.pipe_file("arrivals/in/a.csv", b"2")
    assert look().parts != first.parts


def test_a_bucket_that_is_not_there_is_told(bucket):
    with pytest.raises(NotFoundError) as error:
        look_at_files(["s3://nobody/in"])
    assert "s3://nobody/in" in str(error.value)
