"""A store in one SQLite file: made, checked and opened so that no crash and no stranger's file does harm.

Sources: sqlite.org (lockingv3, wal, pragma, howtocorrupt); measurements in the project's notes on robustness.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from urllib.parse import quote

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.dialects.sqlite import dialect
from sqlalchemy.schema import CreateTable

from tame.core.errors import RefusedError, StorageError, require
from tame.store.backend import WRITES, Backend, one_line, plain_errors
from tame.store.disk import SAFE, sync_folder, why
from tame.store.schema import APPLICATION_ID, SCHEMA_VERSION, TABLES

BUSY_S = 30  # how long a locked database is waited for
WAL_FROM = (3, 51, 3)  # older versions can lose a commit when two connections reset the log at once

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
    """The checked database in the file `path`. Raises StorageError, RefusedError."""
    path = Path(os.path.realpath(path))  # the journal lies beside the file itself, not beside a link to it
    if not _exists(path):
        require(create, f"there is no database {path}", error=StorageError)
        require(path.parent.is_dir(), f"there is no folder {path.parent} for the database", error=StorageError)
        _create(path)
    writable = os.access(path, os.W_OK)
    require(read_only or writable, f"{path}: it cannot be written; {SAFE}", error=StorageError)
    # A reader opens for writing too where it may, because it may have to roll a killed writer's journal back;
    # query_only keeps it from writing anything of its own.
    connect = partial(_connect, path, mode="rw" if writable else "ro", query_only=read_only)
    with plain_errors(str(path), explain), closing(connect()) as connection:
        _check(connection, path)
        if not read_only:
            _set_journal(connection, path)
    return Backend(_engine(connect), str(path), partial(_explain_at, path), lambda connection, study: None)


def _explain_at(path: Path, error: BaseException) -> str:
    """What went wrong with a database that was opened, in one line; nothing is promised of one that is gone."""
    if not path.exists():
        return f"the file was deleted or moved away while it was in use ({error})"
    return explain(error)


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
            os.close(os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
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
        expected = _objects(sound)
    got = _objects(connection)
    odd = sorted(name for name in expected.keys() | got.keys() if expected.get(name) != got.get(name))
    if odd:
        kind, name, table = odd[0]
        how = "lacks" if odd[0] not in got else "holds" if odd[0] not in expected else "has changed"
        raise RefusedError(f"{path} {how} the {kind} {name!r} on {table!r}, unlike a database of TAME; it is not used")


def _objects(connection: sqlite3.Connection) -> dict[tuple[str, str, str], list[object]]:
    """Columns by kind, name and table of every object. Not its SQL text, which another SQLAlchemy may write otherwise.

    The tables of ANALYZE are left out.
    """
    rows = connection.execute("SELECT type, name, tbl_name FROM sqlite_master").fetchall()
    columns = 'SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?)'
    return {
        row: connection.execute(columns, (row[1],)).fetchall() if row[0] == "table" else []
        for row in rows
        if not row[1].startswith("sqlite_stat")
    }


def _set_journal(connection: sqlite3.Connection, path: Path) -> None:
    wanted = "wal" if sqlite3.sqlite_version_info >= WAL_FROM else "delete"
    with suppress(sqlite3.OperationalError):  # refused while others use the file; then it stays as it is
        connection.execute(f"PRAGMA journal_mode = {wanted}")
    got = connection.execute("PRAGMA journal_mode").fetchone()[0]
    risky = f"{path} is in use with a write-ahead log, which SQLite {sqlite3.sqlite_version} cannot share safely"
    require(got in (wanted, "delete"), risky, error=StorageError)
