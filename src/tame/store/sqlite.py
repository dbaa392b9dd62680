"""A store in one SQLite file: made, checked and opened so that no crash and no stranger's file does harm.

Sources: sqlite.org (lockingv3, wal, pragma, howtocorrupt); measurements in the project's notes on robustness.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO
from urllib.parse import quote

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.dialects.sqlite import dialect
from sqlalchemy.schema import CreateTable

from tame.core.errors import RefusedError, StorageError, require
from tame.core.files import new_file, replacing, require_own
from tame.store.backend import WRITES, Backend, one_line, plain_errors
from tame.store.disk import SAFE, sync_folder, why
from tame.store.schema import APPLICATION_ID, SCHEMA_VERSION, TABLES

MOST_BYTES = 2**28  # of one event
BUSY_S = 30  # how long a locked database is waited for
WAL_FROM = (3, 51, 3)  # older versions can lose a commit when two connections reset the log at once

COPIES = 5  # times that a database which changes meanwhile is copied

_JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")  # ends a journal that names another one
_DAMAGED = "the file is damaged; TAME has left it as it is, so restore a copy or move it away"
_REASONS = {
    "SQLITE_FULL": f"the disk is full; {SAFE}",
    "SQLITE_BUSY": f"another process has kept it locked for {BUSY_S} s; {SAFE}",
    "SQLITE_LOCKED": f"another process has kept it locked for {BUSY_S} s; {SAFE}",
    "SQLITE_READONLY": f"it cannot be written; {SAFE}",
    "SQLITE_PERM": f"it may not be used; {SAFE}",
    "SQLITE_IOERR": f"the disk failed to read or write; {SAFE}",
    "SQLITE_CANTOPEN": f"it cannot be opened; {SAFE}",
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_NOTADB": "the file is not a database of TAME, or its start is damaged; it was left as it is",
}


def open_sqlite(path: Path, *, create: bool, read_only: bool) -> Backend:
    """The checked database in the file `path`; opened read-only, nothing in its folder is changed.

    Raises StorageError, RefusedError.
    """
    path = Path(os.path.realpath(path))  # the journal lies beside the file itself, not beside a link to it
    if not _exists(path):
        require(create, f"there is no database {path}", error=StorageError)
        require(path.parent.is_dir(), f"there is no folder {path.parent} for the database", error=StorageError)
        _create(path)
    look_at(path)
    if read_only:
        return _reader(path)
    require_own(path.parent, path.name)
    require(os.access(path, os.W_OK), f"{path}: it cannot be written; {SAFE}", error=StorageError)
    connect = partial(_connect, path)
    with plain_errors(str(path), explain), closing(connect()) as connection:
        _check(connection, path)
        _set_journal(connection, path)
    return Backend(_engine(connect), str(path), partial(_explain_at, path), lambda connection, study: None)


def _explain_at(path: Path, error: BaseException) -> str:
    """What went wrong with a database that was opened, in one line; nothing is promised of one that is gone."""
    if not path.exists():
        return f"the file was deleted or moved away while it was in use ({error})"
    return explain(error)


def look_beside(path: Path) -> None:
    """Raises RefusedError where opening a database of any program would touch another file.

    SQLite writes to and deletes what lies beside a database: links are followed, and a journal may name one more
    journal, anywhere, which is deleted when the first is rolled back. TAME writes neither.
    Source: sqlite.org/atomiccommit.html, section 5; sqlite.org/fileformat2.html, sections 1.3 and 3.
    """
    require_own(path.parent, *(f"{path.name}{end}" for end in ("-journal", "-wal", "-shm")))
    with plain_os_errors(path):
        journal = _ends(path.parent, f"{path.name}-journal", 16)
    if journal.endswith(_JOURNAL_MAGIC):
        raise RefusedError(f"{path}-journal names another journal, which SQLite would delete; it was left as it is")


def look_at(path: Path) -> None:
    """As `look_beside`; raises StorageError too, for a database of another program."""
    look_beside(path)
    with plain_os_errors(path):
        header = _starts(path.parent, path.name, 100)
    marked = header[:16] == b"SQLite format 3\0" and int.from_bytes(header[68:72], "big") != APPLICATION_ID
    require(not marked, f"{path} is a database of another program; it was left as it is", error=StorageError)


def _reader(path: Path) -> Backend:
    """The database opened so that nothing beside it is changed, or a private copy where that cannot be.

    What a killed writer left must be rolled back before anything can be read, and a write-ahead log needs a file to
    share; both are done in the copy.
    """
    for _ in range(COPIES):
        if not _needs_copy(path):
            connect = partial(_connect, path, mode="ro", query_only=True)
            try:
                with plain_errors(str(path), explain), closing(connect()) as connection:
                    _check(connection, path)
            except StorageError as problem:
                if not _left_by_a_killed_writer(problem):
                    raise
            else:
                return Backend(_engine(connect), str(path), partial(_explain_at, path), lambda connection, study: None)
        folder = TemporaryDirectory(prefix="tame-")
        try:
            copy = copied(path, Path(folder.name))
            if copy is not None:
                look_at(copy)
                connect = partial(_connect, copy, query_only=True)
                with plain_errors(str(path), explain), closing(_connect(copy)) as connection:
                    _check(connection, path)
                return Backend(
                    _engine(connect), str(path), explain, lambda connection, study: None, forget=folder.cleanup
                )
        except BaseException:
            folder.cleanup()
            raise
        folder.cleanup()
    raise StorageError(f"{path}: another process is changing it; look again in a moment")


def _needs_copy(path: Path) -> bool:
    """Whether the file is in the mode of a write-ahead log that no process shares at the moment."""
    return _starts(path.parent, path.name, 20)[18:20] == b"\2\2" and not Path(f"{path}-shm").exists()


def _left_by_a_killed_writer(problem: StorageError) -> bool:
    cause = problem.__cause__
    name = getattr(getattr(cause, "orig", cause), "sqlite_errorname", "")
    return name in ("SQLITE_READONLY_ROLLBACK", "SQLITE_READONLY_RECOVERY", "SQLITE_READONLY_CANTINIT")


def copied(path: Path, folder: Path) -> Path | None:
    """A copy of the database and its journals in another folder; None where they changed meanwhile."""
    names = [f"{path.name}{end}" for end in ("", "-journal", "-wal")]
    with plain_os_errors(path):
        before = [_stamp(path.with_name(name)) for name in names]
        for name, found in zip(names, before, strict=True):
            if found is not None:
                with _read(path.parent, name) as file, replacing(folder, name) as own:
                    shutil.copyfileobj(file, own)
        after = [_stamp(path.with_name(name)) for name in names]
    return folder / path.name if before == after else None


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _starts(folder: Path, name: str, count: int) -> bytes:
    with _read(folder, name) as file:
        return file.read(count)


def _ends(folder: Path, name: str, count: int) -> bytes:
    """The last bytes of a file; none where it is missing."""
    try:
        with _read(folder, name) as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - count))
            return file.read()
    except FileNotFoundError:
        return b""


def _read(folder: Path, name: str) -> IO[bytes]:
    # Not `reading`: a database that is only read may have a second name, as a backup by hard links gives it.
    return open(os.open(folder / name, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)), "rb")


@contextmanager
def plain_os_errors(path: Path) -> Iterator[None]:
    """What the system refuses within is raised as StorageError."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {why(error)}") from error


def explain(error: BaseException) -> str:
    """What went wrong in SQLite, in one line."""
    name = getattr(error, "sqlite_errorname", "")
    for start, words in _REASONS.items():
        if name.startswith(start):
            return f"{words} ({name.lower()}: {error})"
    return f"{_DAMAGED} ({error})" if "Could not decode" in str(error) else str(error)


def _exists(path: Path) -> bool:
    try:
        status = path.stat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {why(error)}") from error
    require(not stat.S_ISDIR(status.st_mode), f"{path} is a folder, not a database", error=StorageError)
    require(stat.S_ISREG(status.st_mode), f"{path} is not a regular file", error=StorageError)
    # SQLite would take a file that is shorter than its smallest page for a new database.
    short = f"{path} has only {status.st_size} bytes, so it is not a database of TAME; it was left as it is"
    require(status.st_size >= 512, short, error=StorageError)
    return True


def _create(path: Path) -> None:
    """Makes the database under another name and moves it into place: it is never seen half made."""
    fresh = path.with_name(f".{path.name}.new")
    try:
        with FileLock(path.with_name(f".{path.name}.lock"), timeout=BUSY_S, mode=0o600, thread_local=False):
            if _exists(path):
                return
            for end in ("-journal", "-wal"):
                missing = f"{path} is missing but its {path.name}{end} is there; restore the one or move the other away"
                require(not Path(f"{path}{end}").exists(), missing, error=StorageError)
            for left in (fresh, Path(f"{fresh}-journal")):
                left.unlink(missing_ok=True)
            new_file(fresh)
            with plain_errors(str(path), explain), closing(_connect(fresh)) as connection:
                _make_tables(connection)
            fresh.replace(path)
            sync_folder(path.parent)
    except Timeout:
        raise StorageError(f"{path}: another process has been making it for {BUSY_S} s") from None
    except OSError as error:
        raise StorageError(f"{path} cannot be made: {why(error)}") from error


def _make_tables(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for table in TABLES.sorted_tables:
        connection.execute(str(CreateTable(table).compile(dialect=dialect())))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")


def _connect(path: Path, *, mode: str = "rw", query_only: bool = False) -> sqlite3.Connection:
    uri = f"file:{quote(os.fsencode(path))}?mode={mode}"
    pragmas = {
        "busy_timeout": BUSY_S * 1000, "trusted_schema": "OFF", "cell_size_check": "ON", "mmap_size": 0,
        "foreign_keys": "ON", "synchronous": "FULL", "query_only": "ON" if query_only else "OFF",
    }  # fmt: skip
    # isolation_level=None: the module begins no transactions of its own, so that each begins as _engine says.
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)  # no statement reaches another file
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_BYTES)
        for name, value in pragmas.items():
            connection.execute(f"PRAGMA {name} = {value}")
    except BaseException:
        connection.close()
        raise
    return connection


def _engine(connect: Callable[[], sqlite3.Connection]) -> Engine:
    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool, hide_parameters=True)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A plain BEGIN that writes later fails at once when another writer was faster; IMMEDIATE waits its turn.
        writes = connection.get_execution_options().get(WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Raises StorageError or RefusedError unless the file is a sound database of TAME in this version."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    foreign = f"{path} is a database of another program; it was left as it is"
    require(application == APPLICATION_ID, foreign, error=StorageError)
    newer = f"{path} was made by a newer TAME (schema {version}, this one knows {SCHEMA_VERSION}); update TAME"
    require(version <= SCHEMA_VERSION, newer, error=StorageError)
    require(version == SCHEMA_VERSION, f"{path} has the unknown schema {version}", error=StorageError)
    _check_objects(connection, path)
    # quick_check does not compare the tables with their indexes, through which an event could be missed. The whole
    # check takes a quarter of a second for 100 MB.
    found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    require(found == "ok", f"{path}: {_DAMAGED} ({one_line(found)})", error=StorageError)


def _check_objects(connection: sqlite3.Connection, path: Path) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as sound:
        _make_tables(sound)
        wanted = _names(sound)
        columns = _columns(sound, wanted)
    held = _names(connection)
    # The names first: asking a table of a foreign kind for its columns runs the code of that kind.
    odd = sorted(wanted ^ held) or sorted(k for k, own in _columns(connection, held).items() if own != columns[k])
    if odd:
        kind, name, table = odd[0]
        how = "lacks" if odd[0] not in held else "holds" if odd[0] not in wanted else "has changed"
        raise RefusedError(f"{path} {how} the {kind} {name!r} on {table!r}, unlike a database of TAME; it is not used")


def _names(connection: sqlite3.Connection) -> set[tuple[str, str, str]]:
    """Kind, name and table of every object. Not its SQL text, which another SQLAlchemy may write otherwise.

    The tables of ANALYZE are left out.
    """
    rows = connection.execute("SELECT type, name, tbl_name FROM sqlite_master").fetchall()
    return {row for row in rows if not row[1].startswith("sqlite_stat")}


def _columns(
    connection: sqlite3.Connection, objects: Iterable[tuple[str, str, str]]
) -> dict[tuple[str, str, str], list[object]]:
    """The columns of each table, by its entry."""
    columns = 'SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?)'
    return {row: connection.execute(columns, (row[1],)).fetchall() for row in objects if row[0] == "table"}


def _set_journal(connection: sqlite3.Connection, path: Path) -> None:
    wanted = "wal" if sqlite3.sqlite_version_info >= WAL_FROM else "delete"
    with suppress(sqlite3.OperationalError):  # refused while others use the file; then it stays as it is
        connection.execute(f"PRAGMA journal_mode = {wanted}")
    got = connection.execute("PRAGMA journal_mode").fetchone()[0]
    risky = f"{path} is in use with a write-ahead log, which SQLite {sqlite3.sqlite_version} cannot share safely"
    require(got in (wanted, "delete"), risky, error=StorageError)
