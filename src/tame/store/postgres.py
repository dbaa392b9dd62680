"""A store in a schema of its own, `tame`, of a PostgreSQL database."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, select, text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from tame.core.address import FORM
from tame.core.errors import RefusedError, StorageError, UsageError, require
from tame.store.backend import Backend, plain_errors
from tame.store.lease import BusyError
from tame.store.schema import POSTGRES_SCHEMA, POSTGRES_TABLES, SCHEMA_VERSION, TABLES, VERSION

WAIT_S = 30  # how long a locked study is waited for
LEASE_WAIT_S = 3  # a server notices the end of a process a moment after it
_LOCKS = 0x54414D45  # the first half of our advisory locks' keys, so that other programs' locks are not ours
_TAKEN = "55P03"  # the code of a lock that did not become free in time
# A machine that vanishes, lets go of its studies after about two minutes, not after two hours.
_ALIVE = {"tcp_keepalives_idle": 60, "tcp_keepalives_interval": 15, "tcp_keepalives_count": 4}


def open_postgres(address: str, *, create: bool, read_only: bool, lease: str | None) -> Backend:
    """The checked store in the database at `address`. lease: as in `open_store`.

    Raises UsageError, StorageError, RefusedError, BusyError.
    """
    url = _parse(address)
    engine = _engine(url, read_only=read_only, alone=lease is not None)
    if lease is not None:
        _hold_on_connect(engine, _shown(url), lease)
    backend = Backend(engine, _shown(url), _explainer(url), _keep_others_out)
    try:
        with plain_errors(backend.where, backend.explain), engine.begin() as connection:
            _check(connection, backend.where, create=create)
    except BaseException:
        engine.dispose()
        raise
    return backend


def _parse(address: str) -> URL:
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):  # their messages may quote the password
        raise UsageError(f"cannot read the address of the database; {FORM}") from None
    require(url.drivername == "postgresql", f"cannot use a {url.drivername} database; {FORM}")
    return url.set(drivername="postgresql+psycopg")


def _shown(url: URL) -> str:
    """The address without what may be secret: the password, and all options."""
    return url.set(drivername="postgresql", query={}).render_as_string(hide_password=True)


def _engine(url: URL, *, read_only: bool, alone: bool) -> Engine:
    """alone: with one connection, which holds the lease."""
    options: dict[str, object] = {"schema_translate_map": {None: POSTGRES_SCHEMA}, "postgresql_readonly": read_only}
    waits = {} if "connect_timeout" in url.query else {"connect_timeout": WAIT_S}
    pool: dict[str, int] = {"pool_size": 1, "max_overflow": 0} if alone else {}
    try:
        return create_engine(
            url, pool_pre_ping=True, hide_parameters=True, execution_options=options, connect_args=waits, **pool
        )
    except (ImportError, NoSuchModuleError):  # no driver, or one without its library
        raise UsageError("PostgreSQL needs one more package: pip install 'tame-ml[postgres]'") from None


def _hold_on_connect(engine: Engine, where: str, study: str) -> None:
    """Lets each new connection take the study's lease, also the one that replaces a lost one. Raises BusyError then."""
    digest = hashlib.sha256(f"tame lease {study}".encode()).digest()
    key = int.from_bytes(digest[:8], "big", signed=True)

    @event.listens_for(engine, "connect")
    def take(connection: Any, _: object) -> None:
        try:
            with connection.cursor() as cursor:
                for name, seconds in _ALIVE.items():
                    cursor.execute(f"SET {name} = {seconds}")
                cursor.execute(f"SET LOCAL lock_timeout = '{LEASE_WAIT_S}s'")
                cursor.execute("SELECT pg_advisory_lock(%s)", (key,))
            connection.commit()  # the lock stays until the connection ends
        except BaseException as problem:
            connection.close()
            if getattr(problem, "sqlstate", None) == _TAKEN:
                raise BusyError(f"{where}: {study!r} is being worked on by another tame process") from None
            raise


def _explainer(url: URL) -> Callable[[BaseException], str]:
    def explain(error: BaseException) -> str:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        words = lines[0]
        if "no password supplied" in words:
            words = f"{words}; set PGPASSWORD, or write it into ~/.pgpass"
        return words.replace(str(url.password), "***") if url.password else words

    return explain


def _keep_others_out(connection: Connection, study: str) -> None:
    key = int.from_bytes(zlib.crc32(study.encode()).to_bytes(4, "big"), "big", signed=True)
    _lock(connection, key)


def _lock(connection: Connection, key: int) -> None:
    connection.execute(text(f"SET LOCAL lock_timeout = '{WAIT_S}s'"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:ours, :key)"), {"ours": _LOCKS, "key": key})


def _check(connection: Connection, where: str, *, create: bool) -> None:
    """Raises StorageError or RefusedError unless the schema is one of TAME in this version; makes a missing one."""
    if create and not _is_made(connection):
        _lock(connection, 0)
        if not _is_made(connection):
            _create(connection, where)
    require(_is_made(connection), f"{where} holds no store of TAME", error=StorageError)
    version = connection.scalar(select(VERSION.c.version)) or 0
    newer = f"{where} was made by a newer TAME (schema {version}, this one knows {SCHEMA_VERSION}); update TAME"
    require(version <= SCHEMA_VERSION, newer, error=StorageError)
    require(version == SCHEMA_VERSION, f"{where} has the unknown schema {version}", error=StorageError)
    _check_objects(connection, where)


def _is_made(connection: Connection) -> bool:
    return inspect(connection).has_table(VERSION.name, schema=POSTGRES_SCHEMA)


def _create(connection: Connection, where: str) -> None:
    looking = inspect(connection)
    if looking.has_schema(POSTGRES_SCHEMA):  # a role that may make no schemas can be given an empty one
        taken = looking.get_table_names(POSTGRES_SCHEMA) + looking.get_view_names(POSTGRES_SCHEMA)
        foreign = f"{where} has a schema {POSTGRES_SCHEMA!r} of another program; it was left as it is"
        require(not taken, foreign, error=StorageError)
    else:
        connection.execute(text(f"CREATE SCHEMA {POSTGRES_SCHEMA}"))
    TABLES.create_all(connection)
    POSTGRES_TABLES.create_all(connection)
    connection.execute(VERSION.insert().values(version=SCHEMA_VERSION))


def _check_objects(connection: Connection, where: str) -> None:
    """Raises RefusedError for tables that are not as we make them, and for anything that acts on its own."""
    looking = inspect(connection)
    tables = {**TABLES.tables, **POSTGRES_TABLES.tables}
    for name, table in tables.items():
        if looking.has_table(name, schema=POSTGRES_SCHEMA):
            got = [column["name"] for column in looking.get_columns(name, schema=POSTGRES_SCHEMA)]
            if got == list(table.columns.keys()):
                continue
        raise RefusedError(f"{where}: the table {name!r} is not as TAME makes it; it is not used")
    odd = connection.execute(text(_ACTING), {"schema": POSTGRES_SCHEMA, "tables": list(tables)}).first()
    if odd is not None:
        raise RefusedError(f"{where} holds the {odd[0]} {odd[1]!r}, unlike a store of TAME; it is not used")


# Triggers that are not those of foreign keys, rules, and tables or views that are not ours.
_ACTING = """
SELECT 'trigger', t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = :schema AND NOT t.tgisinternal
UNION ALL
SELECT 'rule', r.rulename FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = :schema
UNION ALL
SELECT 'table', c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = :schema AND c.relkind NOT IN ('i', 'S', 't') AND c.relname <> ALL(:tables)
"""
