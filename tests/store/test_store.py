"""The store under load, under attack and under the knife."""

from __future__ import annotations

import contextlib
import os
import random
import re
import resource
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
import traceback
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
import sqlalchemy
from sqlalchemy.exc import OperationalError

from postgres_server import SECRET
from tame.core.errors import RefusedError, StorageError, TameError, UsageError
from tame.core.records import Event
from tame.store import checkpoints as checkpoints_module
from tame.store.checkpoints import Checkpoints
from tame.store.database import Database, open_store
from tame.store.lease import hold
from tame.store.memory import MemoryStore
from tame.testing.store_laws import LAWS


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "study.db"


def some_events(count: int, start: int = 0) -> list[Event]:
    return [Event("curve", {"trial": i, "points": [[1, 0.5, None, 0.25]]}) for i in range(start, start + count)]


def fill(file: Path, count: int = 40) -> list[Event]:
    store = open_store(file, create=True)
    stored = store.append("study", some_events(count))
    store.close()
    return stored


def start_python(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


# The laws


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law_in_memory(law):
    store = MemoryStore()
    law(lambda: store)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law_on_sqlite(law, file):
    law(lambda: open_store(file, create=True))


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law_on_postgres(law, postgres):
    address = postgres.address()
    law(lambda: open_store(address, create=True))


# SQLite: opening


def test_a_new_database_is_private_and_leaves_nothing_half_made(file):
    umask = os.umask(0)
    try:
        fill(file)
    finally:
        os.umask(umask)
    assert file.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in file.parent.iterdir() if "lock" not in path.name) == ["study.db"]


def test_the_settings_that_keep_a_file_safe_are_in_force(file):
    store = open_store(file, create=True)
    with store._backend.engine.connect() as connection:
        got = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "trusted_schema", "mmap_size", "busy_timeout")
        }
    store.close()
    journal = "wal" if sqlite3.sqlite_version_info >= (3, 51, 3) else "delete"
    assert got == {
        "journal_mode": journal, "synchronous": 2, "foreign_keys": 1, "trusted_schema": 0, "mmap_size": 0,
        "busy_timeout": 30000,
    }  # fmt: skip


def test_a_write_ahead_log_is_used_only_by_versions_of_sqlite_that_keep_it_safe(file, monkeypatch):
    monkeypatch.setattr("tame.store.sqlite.WAL_FROM", (3, 0, 0))
    stored = fill(file)
    store = open_store(file, create=False)
    stored += store.append("study", some_events(5))
    assert Path(f"{file}-wal").stat().st_mode & 0o777 == 0o600
    assert open_and_read(file, read_only=True) == stored
    monkeypatch.setattr("tame.store.sqlite.BUSY_S", 0)
    monkeypatch.setattr("tame.store.sqlite.WAL_FROM", (99, 0, 0))
    with pytest.raises(StorageError, match="in use with a write-ahead log"):
        open_store(file, create=False)
    store.close()
    assert open_and_read(file) == stored
    assert not Path(f"{file}-wal").exists()


def not_a_database(file: Path) -> None:
    file.write_text("my notes, " * 1000)


def nothing(file: Path) -> None:
    file.touch()


def one_byte(file: Path) -> None:
    file.write_bytes(b"S")


def folder(file: Path) -> None:
    file.mkdir()


def fifo(file: Path) -> None:
    os.mkfifo(file)


def another_programs(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()


def half_of_one(file: Path) -> None:
    fill(file)
    os.truncate(file, file.stat().st_size // 2)


def newer(file: Path) -> None:
    fill(file)
    tamper(file, "PRAGMA user_version = 2")


def tamper(file: Path, *statements: str) -> None:
    connection = sqlite3.connect(file)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


UNUSABLE = {
    not_a_database: "not a database",
    nothing: "not a database",
    one_byte: "not a database",
    folder: "is a folder",
    fifo: "not a regular file",
    another_programs: "another program",
    half_of_one: "damaged",
    newer: "newer TAME",
}


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("make", UNUSABLE, ids=lambda make: make.__name__)
def test_what_is_no_sound_database_is_refused_in_one_line_and_left_as_it_is(make, read_only, file):
    make(file)
    before = file.read_bytes() if file.is_file() else None
    with pytest.raises(StorageError, match=UNUSABLE[make]) as caught:
        open_store(file, create=not read_only, read_only=read_only)
    assert "\n" not in str(caught.value)
    assert file.exists()
    assert before is None or file.read_bytes() == before


@pytest.mark.parametrize(
    "plant",
    [
        "CREATE TRIGGER evil AFTER INSERT ON event BEGIN DELETE FROM event; END",
        "CREATE VIEW evil AS SELECT * FROM event",
        "CREATE TABLE evil (x)",
        "CREATE INDEX evil ON event (kind)",
        "ALTER TABLE event ADD COLUMN evil TEXT",
        "DROP TABLE event",
    ],
)
def test_a_planted_object_is_refused(plant, file):
    fill(file)
    tamper(file, plant)
    before = file.read_bytes()
    for read_only in (False, True):
        with pytest.raises(RefusedError, match="unlike a database of TAME"):
            open_store(file, create=False, read_only=read_only)
    assert file.read_bytes() == before


def test_statistics_are_no_planted_object(file):
    stored = fill(file)
    tamper(file, "ANALYZE")
    store = open_store(file, create=False)
    assert store.events("study") == stored
    store.close()


def test_a_missing_database_is_made_only_when_asked(file):
    with pytest.raises(StorageError, match="there is no database"):
        open_store(file, create=False)
    with pytest.raises(StorageError, match="there is no folder"):
        open_store(file.parent / "missing" / "study.db", create=True)
    with pytest.raises(UsageError, match="at once"):
        open_store(file, create=True, read_only=True)
    assert not file.exists()


def test_a_lone_journal_is_not_played_into_a_new_database(file):
    Path(f"{file}-journal").write_bytes(b"x" * 100)
    with pytest.raises(StorageError, match=r"is missing but its study\.db-journal is there"):
        open_store(file, create=True)
    assert not file.exists()


def test_odd_paths_are_only_paths(tmp_path):
    for name in ("a?mode=memory", "a%20b", "a#b", "é 漢", ":memory:", "file:x", "'"):
        store = open_store(tmp_path / name, create=True)
        store.append("study", some_events(1))
        store.close()
        assert (tmp_path / name).is_file()


def test_a_link_leads_to_the_one_database(file):
    stored = fill(file)
    link = file.with_name("link.db")
    link.symlink_to(file)
    store = open_store(link, create=False)
    store.append("study", some_events(1))
    store.close()
    store = open_store(file, create=False, read_only=True)
    assert len(store.events("study")) == len(stored) + 1
    store.close()
    assert not list(file.parent.glob("link.db-*"))


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("mysql://u:s3cr3t@h/d", "cannot use a mysql database"),
        ("sqlite:///x.db", "cannot use a sqlite database"),
        ("postgres://u:s3cr3t@h/d", "cannot use a postgres database; write postgresql"),
        ("postgresql://u:s3cr3t@h:port/d", "cannot read the address"),
        ("postgresql:/u:s3cr3t", "cannot read the address"),
        ("a\0b", "NUL"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_its_password(address, words):
    with pytest.raises(UsageError, match=re.escape(words)) as caught:
        open_store(address, create=True)
    assert "s3cr3t" not in "".join(traceback.format_exception(caught.value))


# SQLite: several at once


def test_a_reader_sees_what_the_writer_stored_and_can_write_nothing(file):
    writer = open_store(file, create=True)
    reader = open_store(file, create=False, read_only=True)
    for count in range(1, 4):
        writer.append("study", some_events(1))
        assert len(reader.events("study")) == count
    with pytest.raises(StorageError, match="read-only"):
        reader.append("study", some_events(1))
    with reader._backend.engine.connect() as connection, pytest.raises(sqlalchemy.exc.OperationalError):
        connection.exec_driver_sql("DELETE FROM event")
    reader.close()
    writer.close()


def test_four_processes_that_open_a_new_store_at_once_all_write(file):
    code = """
        import sys
        from tame.core.records import Event
        from tame.store.database import open_store
        store = open_store(sys.argv[1], create=True)
        for i in range(10):
            store.append("study", [Event("from", {"who": sys.argv[2], "i": i})] * 2)
    """
    processes = [start_python(code, file, who) for who in range(4)]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    store = open_store(file, create=False)
    events = store.events("study")
    assert [event.id for event in events] == list(range(1, 81))
    for who in "0123":
        assert [event.data["i"] for event in events if event.data["who"] == who] == [i // 2 for i in range(20)]
    store.close()


def test_a_database_that_stays_locked_is_named_so(file, monkeypatch):
    fill(file)
    monkeypatch.setattr("tame.store.sqlite.BUSY_S", 0)
    store = open_store(file, create=False)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StorageError, match=r"another process has kept it locked.*what was stored before is safe"):
        store.append("study", some_events(1))
    other.execute("ROLLBACK")
    other.close()
    assert store.append("study", some_events(1))[0].id == 41
    store.close()


# SQLite: crashes and broken disks


def test_a_killed_writer_loses_at_most_what_was_not_acknowledged(file):
    code = """
        import sys
        from tame.core.records import Event
        from tame.store.database import open_store
        store = open_store(sys.argv[1], create=True)
        while True:
            stored = store.append("study", [Event("kind", {"text": "x" * 3000})] * 3)
            print(stored[-1].id, flush=True)
    """
    chance = random.Random(0)
    acknowledged = 0
    for _ in range(8):
        process = start_python(code, file)
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(chance.uniform(0, 0.1))
        process.kill()
        rest, _ = process.communicate()
        lines = (first + rest).splitlines()
        acknowledged = int(lines[-1])
        # A reader first: it must be able to roll back what the killed writer left.
        reader = open_store(file, create=False, read_only=True)
        seen = reader.events("study")
        reader.close()
        store = open_store(file, create=False)
        events = store.events("study")
        store.close()
        assert events == seen
        assert acknowledged <= len(events) <= acknowledged + 3
        assert len(events) % 3 == 0
        assert [event.id for event in events] == list(range(1, len(events) + 1))
    assert acknowledged > 20


def test_a_full_disk_is_named_and_nothing_stored_is_lost(file):
    code = """
        import resource, sys
        from tame.core.errors import StorageError
        from tame.core.records import Event
        from tame.store.database import open_store
        store = open_store(sys.argv[1], create=True)
        stored = store.append("study", [Event("kind", {"text": "x" * 1000})] * 20)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        try:
            for _ in range(100):
                stored += store.append("study", [Event("kind", {"text": "x" * 1000})] * 20)
        except StorageError as error:
            print(error)
        assert store.events("study") == stored
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        stored += store.append("study", [Event("kind", {"text": "x" * 1000})] * 200)
        assert store.events("study") == stored
        print(len(stored))
    """
    process = start_python(code, file)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    message, count = output.splitlines()
    assert re.search(r"(the disk is full|the disk failed to).*what was stored before is safe", message)
    store = open_store(file, create=False)
    assert len(store.events("study")) == int(count)
    store.close()


def open_and_read(file: Path, *, read_only: bool = False) -> list[Event]:
    store: Database | None = None
    try:
        store = open_store(file, create=False, read_only=read_only)
        assert store.studies() == ["study"]
        return store.events("study")
    finally:
        if store is not None:
            store.close()


def test_a_torn_file_is_never_read_as_something_else(file):
    stored = fill(file, 60)
    whole = file.read_bytes()
    chance = random.Random(1)
    for _ in range(40):
        torn = whole[: chance.randrange(len(whole))]
        file.write_bytes(torn)
        with pytest.raises(StorageError):
            open_and_read(file)
        assert file.read_bytes() == torn
    file.write_bytes(whole)
    assert open_and_read(file) == stored


def test_a_flipped_byte_is_harmless_or_named(file):
    stored = fill(file, 60)
    whole = file.read_bytes()
    chance = random.Random(2)
    named: list[str] = []
    for turn in range(200):
        # Often within the header and the schema, where most can go wrong.
        place = chance.randrange(4096 if turn % 4 == 0 else len(whole))
        bad = bytearray(whole)
        bad[place] ^= 1 << chance.randrange(8)
        file.write_bytes(bad)
        try:
            assert open_and_read(file, read_only=turn % 2 == 0) == stored, place
        except (StorageError, RefusedError) as error:
            named.append(str(error))
        assert file.stat().st_size == len(whole)
    assert len(named) > 20
    assert all(message.isprintable() for message in named)


def test_an_event_changed_or_taken_behind_our_back_is_named(file):
    fill(file)
    whole = file.read_bytes()
    for statement, words in {
        "UPDATE event SET data = '{}' WHERE seq = 7": "event 7 of study 'study' is damaged",
        "DELETE FROM event WHERE seq = 7": "event 7 of study 'study' is missing",
        "UPDATE event SET seq = 99 WHERE seq = 7": "event 7 of study 'study' is missing",
        "UPDATE study SET name = 'other'": "the entry of study 'other' is damaged",
        "UPDATE study SET format = 2": "is damaged",
    }.items():
        file.write_bytes(whole)
        tamper(file, statement)
        for read_only in (True, False):
            with pytest.raises(StorageError, match=words):
                open_and_read(file, read_only=read_only)


def test_a_file_that_cannot_be_written_can_be_read(file, monkeypatch):
    stored = fill(file)
    file.chmod(0o400)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everything
    with pytest.raises(StorageError, match="cannot be written"):
        open_store(file, create=False)
    assert open_and_read(file, read_only=True) == stored


# PostgreSQL


def test_the_password_is_in_no_message(postgres):
    for url in (
        postgres.url("postgres", password="wr0ng-pass"),
        postgres.url("nowhere"),
        postgres.url("postgres").replace(f":{postgres.port}", ":1"),
    ):
        with pytest.raises(StorageError) as caught:
            open_store(url, create=True)
        told = "".join(traceback.format_exception(caught.value))
        assert "wr0ng-pass" not in told
        assert SECRET not in told
        assert quote(SECRET, safe="") not in told
        assert str(caught.value).startswith("postgresql://tame:***@127.0.0.1")
        assert "\n" not in str(caught.value)


def test_a_foreign_newer_or_planted_postgres_store_is_refused(postgres):
    address = postgres.address()
    name = address.rpartition("/")[2]
    with pytest.raises(StorageError, match="holds no store of TAME"):
        open_store(address, create=False)
    postgres.sql(name, "CREATE SCHEMA tame", "CREATE TABLE tame.bookmarks (url text)")
    with pytest.raises(StorageError, match="another program"):
        open_store(address, create=True)
    postgres.sql(name, "DROP TABLE tame.bookmarks")  # an empty schema may be given to us
    store = open_store(address, create=True)
    stored = store.append("study", some_events(3))
    store.close()
    for plant, undo in {
        "CREATE VIEW tame.evil AS SELECT 1": "DROP VIEW tame.evil",
        "CREATE RULE evil AS ON INSERT TO tame.event DO INSTEAD NOTHING": "DROP RULE evil ON tame.event",
        "CREATE FUNCTION evil() RETURNS trigger LANGUAGE plpgsql AS 'begin return null; end';"
        "CREATE TRIGGER evil BEFORE INSERT ON tame.event FOR EACH ROW EXECUTE FUNCTION evil()": (
            "DROP TRIGGER evil ON tame.event"
        ),
        "ALTER TABLE tame.event ADD COLUMN evil text": "ALTER TABLE tame.event DROP COLUMN evil",
        "CREATE TABLE tame.evil (x int)": "DROP TABLE tame.evil",
    }.items():
        postgres.sql(name, plant)
        with pytest.raises(RefusedError, match="not used"):
            open_store(address, create=False)
        postgres.sql(name, undo)
    store = open_store(address, create=False, read_only=True)
    assert store.events("study") == stored
    with pytest.raises(StorageError, match="read-only"):
        store.append("study", some_events(1))
    store.close()
    postgres.sql(name, "UPDATE tame.version SET version = 2")
    with pytest.raises(StorageError, match="newer TAME"):
        open_store(address, create=False)


def test_processes_that_open_a_new_postgres_store_at_once_all_write(postgres):
    address = postgres.address()
    code = """
        import sys
        from tame.core.records import Event
        from tame.store.database import open_store
        store = open_store(sys.argv[1], create=True)
        for i in range(20):
            store.append("study", [Event("kind", {})] * 2)
    """
    processes = [start_python(code, address) for _ in range(2)]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    store = open_store(address, create=False)
    assert [event.id for event in store.events("study")] == list(range(1, 81))
    store.close()


def test_an_open_store_outlives_a_crash_of_the_server(postgres):
    store = open_store(postgres.address(), create=True)
    stored = store.append("study", some_events(3))
    postgres.stop()
    with pytest.raises(StorageError) as caught:
        store.append("study", some_events(1))
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    postgres.start()
    assert store.events("study") == stored
    assert store.append("study", some_events(1))[0].id == 4
    store.close()


# The lease


def test_only_one_process_holds_the_lease_and_a_killed_one_lets_go(tmp_path):
    code = """
        import sys, time
        from pathlib import Path
        from tame.store.lease import hold
        lease = hold(Path(sys.argv[1]))
        print("held", flush=True)
        time.sleep(60)
    """
    command = start_python(code, tmp_path)
    assert command.stdout is not None
    assert command.stdout.readline() == "held\n"
    started = time.monotonic()
    with pytest.raises(StorageError, match=rf"being worked on by another tame process \(pid {command.pid}\)"):
        hold(tmp_path)
    assert time.monotonic() - started < 20  # it does not wait for the other, which sleeps for a minute
    command.send_signal(signal.SIGKILL)
    command.communicate()
    with hold(tmp_path), pytest.raises(StorageError, match=rf"pid {os.getpid()}"):
        hold(tmp_path)
    lease = hold(tmp_path)
    lease.release()
    lease.release()
    with pytest.raises(StorageError, match=r"the study folder .* does not exist"):
        hold(tmp_path / "missing")


# Checkpoints


def test_a_checkpoint_comes_back_bit_for_bit(tmp_path):
    kept = Checkpoints(tmp_path / "checkpoints")
    tensors = {
        "float32": np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32),
        "float16": np.array([1.5, np.nan, np.inf, -0.0], dtype=np.float16),
        "int64": np.array([-(2**63), 2**63 - 1]),
        "bool": np.array([True, False]),
        "scalar": np.array(2.5),
        "empty": np.zeros((0, 3)),
        "transposed": np.arange(12).reshape(3, 4).T,
        "every other": np.arange(10)[::2],
        "big endian": np.arange(3, dtype=">i4"),
        "": np.zeros(1),
        "漢": np.zeros(1, dtype=np.uint8),
    }
    meta = {"epoch": "3", "note": "é \udc80 \0", "": ""}
    digest = kept.save("trial-7_a.b", tensors, meta)
    got, got_meta, note = kept.load("trial-7_a.b")
    assert (got_meta, note) == (meta, None)
    assert got.keys() == tensors.keys()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(got[name], tensor)
        assert got[name].shape == tensor.shape
        assert got[name].dtype == tensor.dtype.newbyteorder("=")
        assert got[name].flags.writeable
    assert kept.save("again", dict(tensors), dict(meta)) == digest
    assert kept.names() == ["again", "trial-7_a.b"]


def test_the_last_two_checkpoints_of_a_name_are_kept(tmp_path):
    kept = Checkpoints(tmp_path)
    for epoch in range(5):
        kept.save("a", {"w": np.full(3, epoch)}, {"epoch": str(epoch)})
    kept.save("a.00000001", {}, {})
    assert kept.load("a")[1] == {"epoch": "4"}
    assert len(list(tmp_path.glob("a.*"))) == 3
    kept.drop("a")
    kept.drop("a")
    assert not kept.has("a")
    assert kept.names() == ["a.00000001"]
    with pytest.raises(StorageError, match=r"no checkpoint 'a' can be read .* there is none"):
        kept.load("a")


def damage(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    if chance.random() < 0.3:
        content = content[: chance.randrange(len(content))]
    else:
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def newest(folder: Path, name: str) -> Path:
    return max(folder.glob(f"{name}.*.safetensors"))


def test_a_damaged_checkpoint_gives_way_to_the_one_before_it_with_a_note(tmp_path):
    chance = random.Random(3)
    for turn in range(20):
        name = f"t{turn}"
        kept = Checkpoints(tmp_path)
        for epoch in "12":
            kept.save(name, {"w": np.full(50, float(epoch))}, {"epoch": epoch})
        broken = newest(tmp_path, name)
        damage(broken, chance)
        for opened in (Checkpoints(tmp_path, read_only=True), kept):
            tensors, meta, note = opened.load(name)
            assert (meta, tensors["w"][0]) == ({"epoch": "1"}, 1.0)
            assert note is not None
            assert re.search(f"{re.escape(broken.name)} is damaged: .*went back to the checkpoint before it", note)
        assert Path(f"{broken}.damaged").exists()
        # The next save must not push the only sound one out.
        kept.save(name, {"w": np.full(50, 3.0)}, {"epoch": "3"})
        damage(newest(tmp_path, name), chance)
        assert kept.load(name)[1] == {"epoch": "1"}
        damage(newest(tmp_path, name), chance)
        with pytest.raises(StorageError, match=f"no checkpoint '{name}' can be read"):
            kept.load(name)


def test_a_writer_killed_while_saving_leaves_a_whole_checkpoint(tmp_path):
    code = """
        import sys
        from pathlib import Path
        import numpy as np
        from tame.store.checkpoints import Checkpoints
        kept = Checkpoints(Path(sys.argv[1]))
        epoch = int(kept.load("a")[1]["epoch"]) if kept.has("a") else 0
        while True:
            epoch += 1
            kept.save("a", {"w": np.full(500_000, epoch)}, {"epoch": str(epoch)})
            print(epoch, flush=True)
    """
    chance = random.Random(4)
    for _ in range(6):
        process = start_python(code, tmp_path)
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(chance.uniform(0, 0.1))
        process.kill()
        rest, _ = process.communicate()
        acknowledged = int((first + rest).splitlines()[-1])
        kept = Checkpoints(tmp_path)
        assert not list(tmp_path.glob(".tame-*"))
        tensors, meta, note = kept.load("a")
        assert note is None
        assert acknowledged <= int(meta["epoch"]) <= acknowledged + 1
        assert (tensors["w"] == int(meta["epoch"])).all()


def test_leftovers_of_a_torn_save_are_cleaned_by_the_writer_alone(tmp_path):
    Checkpoints(tmp_path).save("a", {"w": np.zeros(3)}, {})
    torn, own = tmp_path / ".tame-123.tmp", tmp_path / "notes.tmp"
    torn.write_bytes(b"half")
    own.write_bytes(b"the user's")
    reader = Checkpoints(tmp_path, read_only=True)
    assert reader.names() == ["a"]
    assert torn.exists()
    with pytest.raises(StorageError, match="read-only"):
        reader.save("a", {}, {})
    with pytest.raises(StorageError, match="read-only"):
        reader.drop("a")
    assert Checkpoints(tmp_path).names() == ["a"]
    assert not torn.exists()
    assert own.exists()
    assert Checkpoints(tmp_path / "missing", read_only=True).names() == []
    assert not (tmp_path / "missing").exists()


def test_a_checkpoint_that_does_not_fit_is_refused_and_the_earlier_one_stays(tmp_path, monkeypatch):
    kept = Checkpoints(tmp_path)
    kept.save("a", {"w": np.zeros(3)}, {"epoch": "1"})
    with monkeypatch.context() as changed:
        changed.setattr(checkpoints_module, "RESERVE_BYTES", 2**62)
        with pytest.raises(StorageError, match=r"has \d+ MB left, a checkpoint needs"):
            kept.save("a", {"w": np.zeros(3)}, {"epoch": "2"})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(StorageError, match=r"cannot be stored .* file too large; what was stored before is safe"):
            kept.save("a", {"w": np.zeros(10_000)}, {"epoch": "2"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == [newest(tmp_path, "a").name]
    assert kept.load("a")[1:] == ({"epoch": "1"}, None)


@pytest.mark.parametrize("name", ["", "..", ".a", "a/b", "A", "a b", "a\n", "é", "x" * 129])
def test_a_name_that_could_leave_the_folder_is_refused(name, tmp_path):
    with pytest.raises(UsageError, match="name of a checkpoint"):
        Checkpoints(tmp_path).save(name, {}, {})


@pytest.mark.parametrize("value", [[1.0], np.array([object()]), np.array(["text"]), np.zeros(1, dtype="c16")])
def test_what_is_no_array_of_numbers_is_refused(value, tmp_path):
    with pytest.raises(TypeError, match="tensor 'x' must be a numpy array of plain numbers"):
        Checkpoints(tmp_path).save("a", {"x": value}, {})


def test_a_link_is_no_checkpoint(tmp_path):
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    Checkpoints(outside).save("a", {}, {})
    kept = Checkpoints(inside)
    (inside / newest(outside, "a").name).symlink_to(newest(outside, "a"))
    assert not kept.has("a")


def test_every_error_of_the_store_has_an_exit_code(file):
    fifo(file)
    with pytest.raises(TameError) as caught:
        open_store(file, create=True)
    assert caught.value.exit_code == 6


# What lies beside a database: SQLite writes to it and deletes it.


JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")


def naming(target: Path) -> bytes:
    """A journal that a killed writer of several databases leaves: it is played back, and what it names is deleted."""
    name = os.fsencode(target)
    head = JOURNAL_MAGIC + (1).to_bytes(4, "big") + b"\0" * 4 + (2).to_bytes(4, "big") + (512).to_bytes(4, "big")
    head += (4096).to_bytes(4, "big")
    record = (2).to_bytes(4, "big") + b"\0" * 4096 + b"\0" * 4
    tail = (1).to_bytes(4, "big") + name + len(name).to_bytes(4, "big")
    return head.ljust(512, b"\0") + record + tail + (sum(name) & 0xFFFFFFFF).to_bytes(4, "big") + JOURNAL_MAGIC


def folder_as_it_is(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_sqlite_itself_deletes_what_a_crafted_journal_names(file, tmp_path):
    fill(file)
    canary = tmp_path / "canary"
    canary.write_bytes(b"the user's own")
    Path(f"{file}-journal").write_bytes(naming(canary))
    with contextlib.closing(sqlite3.connect(file)) as connection, contextlib.suppress(sqlite3.Error):
        connection.execute("select * from event").fetchall()
    assert not canary.exists(), "else the next test proves nothing"


@pytest.mark.parametrize("read_only", [True, False])
def test_a_journal_that_names_another_one_is_refused(file, tmp_path, read_only):
    fill(file)
    canary = tmp_path / "canary"
    canary.write_bytes(b"the user's own")
    Path(f"{file}-journal").write_bytes(naming(canary))
    before = folder_as_it_is(file.parent)
    with pytest.raises(RefusedError, match="names another journal"):
        open_store(file, create=False, read_only=read_only)
    assert folder_as_it_is(file.parent) == before
    assert canary.read_bytes() == b"the user's own"


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize("end", ["-journal", "-wal", "-shm"])
@pytest.mark.parametrize("make", ["link", "hard", "pipe", "folder", "dangling"])
def test_what_lies_beside_a_database_must_be_files_of_its_own(file, tmp_path, end, make, read_only):
    fill(file)
    canary, beside = tmp_path / "canary", Path(f"{file}{end}")
    canary.write_bytes(b"the user's own" * 1000)
    {"link": lambda: beside.symlink_to(canary), "hard": lambda: os.link(canary, beside),
     "pipe": lambda: os.mkfifo(beside), "folder": beside.mkdir,
     "dangling": lambda: beside.symlink_to(tmp_path / "not-there")}[make]()  # fmt: skip
    with pytest.raises(RefusedError):
        open_store(file, create=False, read_only=read_only)
    assert canary.read_bytes() == b"the user's own" * 1000
    assert not (tmp_path / "not-there").exists()


def test_a_database_with_a_second_name_is_read_but_not_written(file, tmp_path):
    stored = fill(file)
    os.link(file, tmp_path / "backup.db")
    store = open_store(file, create=False, read_only=True)
    assert store.events("study") == stored
    store.close()
    with pytest.raises(RefusedError, match="second name"):
        open_store(file, create=False)


def test_a_reader_changes_nothing_even_where_a_killed_writer_must_be_rolled_back(file):
    stored = fill(file)
    content = file.read_bytes()
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("PRAGMA cache_size = 1")  # pages reach the file before the commit
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("update event set data = '\"torn\"'")
        writer.executemany("insert into event (study_id, seq, kind, data, at, crc) values (1, ?, 'x', ?, '', 0)",
                           [(1000 + i, "y" * 3000) for i in range(50)])  # fmt: skip
        torn = folder_as_it_is(file.parent)
        writer.execute("ROLLBACK")
    assert torn[file.name] != content
    assert f"{file.name}-journal" in torn
    for name, own in torn.items():
        (file.parent / name).write_bytes(own)
    store = open_store(file, create=False, read_only=True)
    assert store.events("study") == stored
    assert store.studies() == ["study"]
    store.close()
    assert {name: folder_as_it_is(file.parent)[name] for name in torn} == torn
    assert set(folder_as_it_is(file.parent)) == set(torn)
    store = open_store(file, create=False)  # who may write rolls it back for good
    assert store.events("study") == stored
    store.close()


def test_a_reader_leaves_no_log_beside_a_database_in_wal_mode(file):
    stored = fill(file)
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
    before = folder_as_it_is(file.parent)
    store = open_store(file, create=False, read_only=True)
    assert store.events("study") == stored
    store.close()
    assert folder_as_it_is(file.parent) == before


def test_no_statement_reaches_another_file(file, tmp_path):
    fill(file)
    store = open_store(file, create=False, read_only=True)
    with store._transaction(writes=False) as connection, pytest.raises(OperationalError, match="too many attached"):
        connection.exec_driver_sql(f"ATTACH '{tmp_path / 'other.db'}' AS other")
    store.close()
    assert not (tmp_path / "other.db").exists()
