"""Files are written and read through one door, and no link leads out of a folder."""

from __future__ import annotations

import fcntl
import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tame.core import files
from tame.core.errors import RefusedError, UsageError
from tame.core.files import (
    appending,
    new_file,
    read_bytes,
    reading,
    remove_drafts,
    replacing,
    require_own,
    write_bytes,
    write_text,
)

CANARY = b"the user's own"


@pytest.fixture
def outside(tmp_path):
    path = tmp_path / "outside"
    path.write_bytes(CANARY)
    return path


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "study"
    (path / "model").mkdir(parents=True)
    return path


@pytest.mark.parametrize("name", ["a.txt", "model/a.txt"])
@pytest.mark.parametrize("make", ["link", "hard", "dangling", "pipe"])
def test_what_lies_in_the_way_of_a_file_is_replaced_and_never_followed(folder, outside, name, make):
    place = folder / name
    if make == "link":
        place.symlink_to(outside)
    elif make == "hard":
        os.link(outside, place)
    elif make == "dangling":
        place.symlink_to(outside.parent / "not-there")
    else:
        os.mkfifo(place)
    write_bytes(folder, name, b"ours")
    assert (place.read_bytes(), place.is_symlink()) == (b"ours", False)
    assert place.stat().st_mode & 0o777 == 0o600
    assert outside.read_bytes() == CANARY
    assert not (outside.parent / "not-there").exists()


@pytest.mark.parametrize("act", [lambda f: write_bytes(f, "model/a", b""), lambda f: read_bytes(f, "model/a")])
def test_a_folder_on_the_way_that_is_a_link_is_refused(folder, tmp_path, act):
    (folder / "model").rmdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "a").write_bytes(CANARY)
    (folder / "model").symlink_to(elsewhere)
    with pytest.raises(RefusedError, match="is a link to another folder"):
        act(folder)
    assert {path.name: path.read_bytes() for path in elsewhere.iterdir()} == {"a": CANARY}


def test_the_folder_that_the_user_named_may_be_a_link(folder, tmp_path):
    (tmp_path / "named").symlink_to(folder)
    write_text(tmp_path / "named", "model/a", "x")
    assert read_bytes(folder, "model/a") == b"x"


@pytest.mark.parametrize("name", ["", "/a", "../a", "model/../../a", "a/.."])
def test_a_name_that_leaves_the_folder_is_no_name(folder, name):
    with pytest.raises(UsageError, match="names no file"):
        write_bytes(folder, name, b"")


def test_a_block_that_fails_leaves_what_was_there(folder):
    write_bytes(folder, "a", b"old")

    def fail_halfway() -> None:
        with replacing(folder, "a") as file:
            file.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()
    assert [path.name for path in folder.iterdir() if path.is_file()] == ["a"]
    assert read_bytes(folder, "a") == b"old"


def test_what_utf8_cannot_hold_is_escaped(folder):
    write_text(folder, "a", "\udcff é")
    assert read_bytes(folder, "a") == b"\\udcff \xc3\xa9"


@pytest.mark.parametrize("open_", [lambda f, n: reading(f, n).close(), lambda f, n: appending(f, n).close(),
                                   lambda f, n: require_own(f, n)])  # fmt: skip
@pytest.mark.parametrize(("make", "what"), [("link", "is a link"), ("hard", "second name"), ("pipe", "is a pipe"),
                                            ("folder", "is a folder")])  # fmt: skip
def test_what_is_not_a_file_of_the_folder_alone_is_not_opened(folder, outside, open_, make, what):
    place = folder / "a"
    {"link": lambda: place.symlink_to(outside), "hard": lambda: os.link(outside, place),
     "pipe": lambda: os.mkfifo(place), "folder": place.mkdir}[make]()  # fmt: skip
    with pytest.raises(RefusedError, match=what):
        open_(folder, "a")
    assert outside.read_bytes() == CANARY


def test_a_log_is_written_on_at_its_end(folder):
    for word in (b"one ", b"two"):
        with appending(folder, "log") as file:
            file.write(word)
    assert read_bytes(folder, "log") == b"one two"


def test_a_missing_file_is_missing(folder):
    with pytest.raises(FileNotFoundError):
        reading(folder, "a")
    require_own(folder, "a", "model/b")


def test_a_new_file_takes_no_name_that_anything_has(folder, outside):
    (folder / "a").symlink_to(outside.parent / "not-there")
    with pytest.raises(FileExistsError):
        new_file(folder / "a")
    assert not (outside.parent / "not-there").exists()


@settings(max_examples=20)
@given(texts=st.lists(st.binary(max_size=200), min_size=2, max_size=5))
def test_a_reader_sees_one_whole_content_or_another(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("read")
    write_bytes(folder, "a", texts[0])
    seen: set[bytes] = set()
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            seen.add(read_bytes(folder, "a"))

    reader = threading.Thread(target=look)
    reader.start()
    for text in texts[1:]:
        write_bytes(folder, "a", text)
    ended.set()
    reader.join()
    assert seen <= set(texts)
    assert [path.name for path in Path(folder).iterdir()] == ["a"]


def test_drafts_of_killed_writers_go_and_nothing_else_does(folder, outside):
    """A folder below that is a link is refused: what lies where it leads is not the study's."""
    (folder / "model").mkdir(exist_ok=True)
    draft = ".tame-00ff.tmp"
    for path in (folder / draft, folder / "model" / draft, folder / ".other.tmp", folder / "a"):
        path.write_text("x")
    remove_drafts(folder, "model", "sketch")
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) == [".other.tmp", "a", "model"]
    away = outside.parent / "away"
    away.mkdir()
    (away / draft).write_text("x")
    (folder / "sketch").symlink_to(away)
    with pytest.raises(RefusedError):
        remove_drafts(folder, "sketch")
    assert (away / draft).exists()


def refuse_to_sync_what_is_read_only(monkeypatch):
    """As on Windows, where a file that is open only to be read cannot be synced. Returns what was synced."""
    real, synced = os.fsync, []

    def fsync(handle):
        if not stat.S_ISDIR(os.fstat(handle).st_mode):  # which only POSIX systems can open
            if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
                raise OSError(9, "Bad file descriptor")
            synced.append(handle)
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    return synced


@pytest.mark.parametrize("handles", [True, False], ids=["folders held open", "folders by their paths"])
def test_no_file_is_synced_by_a_handle_that_only_reads(folder, monkeypatch, handles):
    monkeypatch.setattr(files, "_HANDLES", handles and files._HANDLES)
    synced = refuse_to_sync_what_is_read_only(monkeypatch)
    write_bytes(folder, "model/a", b"old")
    write_bytes(folder, "model/a", b"new")
    assert read_bytes(folder, "model/a") == b"new"
    assert len(synced) == 2
    assert [path.name for path in (folder / "model").iterdir()] == ["a"]


def test_a_handle_that_only_reads_is_refused_as_on_windows(folder, monkeypatch):
    write_bytes(folder, "a", b"")
    refuse_to_sync_what_is_read_only(monkeypatch)
    with reading(folder, "a") as file, pytest.raises(OSError, match="Bad file descriptor"):
        os.fsync(file.fileno())


@pytest.mark.parametrize("name", ["", "/a", "../a"])
def test_folders_by_their_paths_refuse_the_same_names(folder, monkeypatch, name):
    monkeypatch.setattr(files, "_HANDLES", False)
    with pytest.raises(UsageError, match="names no file"):
        write_bytes(folder, name, b"")


def test_folders_by_their_paths_may_not_be_links(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_HANDLES", False)
    (folder / "model").rmdir()
    (folder / "model").symlink_to(tmp_path)
    with pytest.raises(RefusedError, match="is a link to another folder"):
        write_bytes(folder, "model/a", b"")
