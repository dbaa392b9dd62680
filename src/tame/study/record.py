"""The record of a study: its events, in a database of its folder or on a server that a file of the folder names.

A folder may come from a stranger, and so the name in it is not followed: whoever opens the record gives the address.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tame.core.address import require_address
from tame.core.errors import RefusedError, StorageError, UsageError, require
from tame.core.files import read_bytes
from tame.core.plain import from_plain, to_plain
from tame.core.records import Event
from tame.store.database import Database, open_store
from tame.store.disk import write_private
from tame.store.protocol import check_study

DATABASE = "study.db"
SERVER = "store.json"  # in place of the database: which server keeps the events, and under which name
STUDY = "study"  # the name of a study in the database of its folder
LONGEST = 100  # characters of the folder's name in that of the study on a server


@dataclass(frozen=True, slots=True, kw_only=True)
class OnServer:
    """Where the events of a study are that is not kept in its folder."""

    address: str
    study: str  # its name there; nobody can guess it


class Record:
    """The events of one study, for one writer or a reader."""

    def __init__(self, store: Database, study: str) -> None:
        self.study = study
        self._store = store
        self._last = 0  # the last event that was read or written here

    @property
    def is_begun(self) -> bool:
        """Whether the study has events."""
        return self.study in self._store.studies()

    @property
    def is_copy(self) -> bool:
        """Whether what is read is a private copy, which does not grow when the study does."""
        return self._store.is_copy

    @property
    def where(self) -> str:
        """The database, for messages."""
        return self._store.where

    def append(self, events: Sequence[Event]) -> list[Event]:
        """The events as they are now stored. Raises StorageError, also where another process has stored some since."""
        stored = self._store.append(self.study, events, after=self._last)
        self._last = stored[-1].id if stored else self._last
        return stored

    def each(self, kinds: Collection[str] | None = None) -> Iterator[Event]:
        """All events, or those of some kinds, as `Database.each` gives them."""
        for event in self._store.each(self.study, kinds=kinds):
            self._last = event.id
            yield event

    def since(self, after: int) -> Generator[Event]:
        """The events after that one, as `each` gives them; to be closed by a reader that stops before the last."""
        yield from self._store.each(self.study, after)

    def has(self, kinds: Collection[str], *, after: int) -> bool:
        """Whether there is an event of one of these kinds after that one."""
        return next(self._store.each(self.study, after, kinds=kinds), None) is not None

    def events(self) -> list[Event]:
        """All events, with their data."""
        return self._store.events(self.study)

    def last(self, kind: str) -> Event | None:
        """The last event of this kind."""
        return self._store.last(self.study, kind)

    def close(self) -> None:
        """Lets go of files and connections."""
        self._store.close()


def is_study(folder: Path) -> bool:
    """Whether the folder names a record."""
    return any(os.path.lexists(folder / name) for name in (DATABASE, SERVER))


def require_study(folder: Path) -> None:
    """Raises UsageError where no study is, RefusedError where its database is a link."""
    require(folder.is_dir(), f"the study folder {folder} does not exist")
    require(is_study(folder), f"{folder} is not a study: it contains no {DATABASE}")
    if (folder / DATABASE).is_symlink():
        raise RefusedError(f"{folder / DATABASE} is a link; a study's folder must hold the database itself")


def server_of(folder: Path) -> OnServer | None:
    """The server that a study's folder names; None where its events are in the folder, or no study is.

    Raises StorageError for a file that is damaged, RefusedError for a link, and where both are there.
    """
    path = folder / SERVER
    if not os.path.lexists(path):
        return None
    if os.path.lexists(folder / DATABASE):
        raise RefusedError(f"{folder} contains both {DATABASE} and {SERVER}, so nothing says where its events are")
    try:
        found = from_plain(OnServer, json.loads(read_bytes(folder, SERVER)), what=str(path))
        require_address(found.address)
        check_study(found.study)
    except (OSError, ValueError, RecursionError, UsageError) as problem:
        raise StorageError(f"{path} cannot be read: {problem}") from None
    return found


def write_server(folder: Path, address: str) -> None:
    """Writes that the events of a new study are kept at this address, under a name of their own."""
    name = "".join(char for char in folder.resolve().name if char.isprintable())[:LONGEST]
    kept = OnServer(address=address, study=f"{name} {secrets.token_hex(16)}".strip())
    write_private(folder / SERVER, json.dumps(to_plain(kept), indent=1) + "\n")


def open_record(folder: Path, *, read_only: bool, store: str | None = None, create: bool = False) -> Record:
    """The record of a study's folder. store: the address that this user gave for a study that is kept on a server.

    create: for a study that may not have begun. Raises as `require_study`, `server_of` and `open_store`, RefusedError
    where no address was given for a server, BusyError where another process writes to the study there.
    """
    if not create:
        require_study(folder)
    kept = server_of(folder)
    if kept is None:
        assert store is None, "an address is for a study that is kept on a server"
        return Record(open_store(folder / DATABASE, create=create, read_only=read_only), STUDY)
    if store is None:
        raise RefusedError(f"{folder} names a server ({kept.address}), and nothing connects to it on a folder's word")
    database = open_store(store, create=create, read_only=read_only, lease=None if read_only else kept.study)
    record = Record(database, kept.study)
    try:
        there = create or record.is_begun
        require(there, f"{record.where} does not contain the study {kept.study!r} of {folder}", error=StorageError)
    except BaseException:
        record.close()
        raise
    return record
