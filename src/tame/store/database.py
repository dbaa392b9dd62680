"""A store in a database: SQLite in a file, or PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path

from sqlalchemy import Connection, func, insert, select

from tame.core.errors import StorageError, UsageError, require
from tame.core.plain import JsonText
from tame.core.records import Event
from tame.store.backend import WRITES, Backend, plain_errors
from tame.store.postgres import open_postgres
from tame.store.protocol import check_after, check_study, from_text, now, to_text
from tame.store.schema import EVENT, EVENT_FORMAT, STUDY, checksum, event_checksum
from tame.store.sqlite import open_sqlite

AT_ONCE = 2_000  # rows that are fetched together


def open_store(url_or_path: str | Path, *, create: bool, read_only: bool = False, lease: str | None = None) -> Database:
    """The store in the SQLite file of that path, or at that PostgreSQL address (postgresql://...).

    A missing one is made with `create`, else refused; one that cannot be used is refused and left as it is. A file is
    checked from end to end. lease: a study on a server that no other store may be opened with until this one is closed
    (a file lies in a folder that has a lease of its own).
    Raises StorageError, UsageError for an address that cannot be read, RefusedError for a planted trigger or view,
    BusyError where another holds the lease.
    """
    require(not (create and read_only), "a store cannot be made and opened read-only at once")
    text = str(url_or_path)
    require("\0" not in text, "the path of a store must not hold a NUL character")
    scheme = re.match(r"([a-zA-Z][a-zA-Z0-9+.-]*):/", text) if isinstance(url_or_path, str) else None
    if scheme is None:
        require(lease is None, "the lease of a study in a file is that of its folder")
        backend = open_sqlite(Path(url_or_path), create=create, read_only=read_only)
    elif scheme[1].startswith("postgres"):
        backend = open_postgres(text, create=create, read_only=read_only, lease=lease)
    else:
        raise UsageError(f"cannot use a {scheme[1]} database: give the path of a file, or postgresql://...")
    return Database(backend, read_only=read_only)


class Database:
    """An open store; made by `open_store`. May be used by several threads."""

    def __init__(self, backend: Backend, *, read_only: bool) -> None:
        self._backend = backend
        self._read_only = read_only

    @property
    def where(self) -> str:
        """The file, or the address without its password, for messages."""
        return self._backend.where

    @property
    def is_copy(self) -> bool:
        """Whether a private copy of the file is read."""
        return self._backend.forget is not None

    def append(self, study: str, events: Sequence[Event], *, after: int | None = None) -> list[Event]:
        """See Store. Waits up to 30 s for other writers.

        after: the last event that the writer knows. Raises StorageError where another one has written since.
        """
        require(not self._read_only, f"{self._backend.where} was opened read-only", error=StorageError)
        check_study(study)
        at = now()
        texts = [to_text(event) for event in events]
        if not texts:
            return []
        with self._transaction(writes=True) as connection:
            self._backend.keep_others_out(connection, study)
            study_id = self._study_ids(connection).get(study) or _begin_study(connection, study, at)
            last = connection.scalar(select(func.max(EVENT.c.seq)).where(EVENT.c.study_id == study_id)) or 0
            others = f"{self._backend.where}: another process has written to study {study!r}"
            require(after is None or last == after, others, error=StorageError)
            stored = [
                Event(event.kind, from_text(text), number, at)
                for number, (event, text) in enumerate(zip(events, texts, strict=True), last + 1)
            ]
            rows = [
                {
                    "study_id": study_id, "seq": event.id, "kind": event.kind, "data": text, "at": at,
                    "crc": event_checksum(study, event.id, event.kind, text, at),
                }
                for event, text in zip(stored, texts, strict=True)
            ]  # fmt: skip
            connection.execute(insert(EVENT), rows)
        return stored

    def events(self, study: str, after: int = 0) -> list[Event]:
        """See Store. Raises StorageError if an event is damaged or missing, and says which."""
        found = self.each(study, after)
        return [replace(event, data=self._data(study, event.id, event.data)) for event in found]

    def each(self, study: str, after: int = 0, *, kinds: Collection[str] | None = None) -> Iterator[Event]:
        """The events of `events`, one by one as they are read: their data is parsed where somebody looks inside.

        kinds: only these, of which none can be missed.
        """
        check_study(study)
        check_after(after)
        with self._transaction(writes=False) as connection:
            study_id = self._study_ids(connection).get(study)
            if study_id is None:
                return
            wanted = (EVENT.c.study_id == study_id) & (EVENT.c.seq > after)
            columns = (EVENT.c.seq, EVENT.c.kind, EVENT.c.data, EVENT.c.at, EVENT.c.crc)
            wanted = wanted if kinds is None else wanted & EVENT.c.kind.in_(list(kinds))
            query = select(*columns).where(wanted).order_by(EVENT.c.seq).execution_options(yield_per=AT_ONCE)
            rows = chain.from_iterable(connection.execute(query).partitions())
            for number, (seq, kind, text, at, crc) in enumerate(rows, after + 1):
                if kinds is None and seq != number:
                    raise self._unsound(f"event {number} of study {study!r} is missing")
                if event_checksum(study, seq, kind, text, at) != crc:
                    raise self._unsound(f"event {number} of study {study!r} is damaged")
                yield Event(kind, JsonText(text), seq, at)

    def last(self, study: str, kind: str) -> Event | None:
        """The last event of this kind; None where there is none. Raises StorageError if it is damaged."""
        check_study(study)
        with self._transaction(writes=False) as connection:
            study_id = self._study_ids(connection).get(study)
            wanted = (EVENT.c.study_id == study_id) & (EVENT.c.kind == kind)
            columns = (EVENT.c.seq, EVENT.c.data, EVENT.c.at, EVENT.c.crc)
            row = connection.execute(select(*columns).where(wanted).order_by(EVENT.c.seq.desc()).limit(1)).first()
        if row is None:
            return None
        if event_checksum(study, row.seq, kind, row.data, row.at) != row.crc:
            raise self._unsound(f"event {row.seq} of study {study!r} is damaged")
        return Event(kind, self._data(study, row.seq, JsonText(row.data)), row.seq, row.at)

    def studies(self) -> list[str]:
        """See Store."""
        with self._transaction(writes=False) as connection:
            return list(self._study_ids(connection))

    def close(self) -> None:
        """See Store."""
        self._backend.engine.dispose()
        if self._backend.forget is not None:
            self._backend.forget()

    @contextmanager
    def _transaction(self, *, writes: bool) -> Iterator[Connection]:
        backend = self._backend
        with plain_errors(backend.where, backend.explain), backend.engine.connect() as connection:
            connection.execution_options(**{WRITES: writes})
            with connection.begin():
                yield connection

    def _data(self, study: str, seq: int, text: Mapping[str, object]) -> dict[str, object]:
        """The data of an event, parsed."""
        try:
            return dict(text)
        except (ValueError, RecursionError) as problem:
            raise self._unsound(f"event {seq} of study {study!r} is damaged: {problem}") from problem

    def _study_ids(self, connection: Connection) -> dict[str, int]:
        """Row numbers by name, in the order of beginning. Reads whole rows: an index may be damaged unseen."""
        columns = (STUDY.c.id, STUDY.c.name, STUDY.c.created_at, STUDY.c.format, STUDY.c.crc)
        rows = connection.execute(select(*columns).order_by(STUDY.c.id)).all()
        for _, name, created_at, event_format, crc in rows:
            if checksum(name, created_at, event_format) != crc:
                raise self._unsound(f"the entry of study {name!r} is damaged")
            newer = f"{self._backend.where}: study {name!r} was made by a newer TAME; update TAME"
            require(event_format <= EVENT_FORMAT, newer, error=StorageError)
        return {name: study_id for study_id, name, *_ in rows}

    def _unsound(self, what: str) -> StorageError:
        left = "the database was left as it is, so restore a copy or move it away"
        return StorageError(f"{self._backend.where}: {what}; {left}")


def _begin_study(connection: Connection, name: str, at: str) -> int:
    crc = checksum(name, at, EVENT_FORMAT)
    row = insert(STUDY).values(name=name, created_at=at, format=EVENT_FORMAT, crc=crc)
    key = connection.execute(row).inserted_primary_key
    assert key is not None
    return int(key[0])
