"""The studies of a folder, each under an id that tells nothing of its path: a request names ids only."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from tame.core.errors import TameError
from tame.study.following import Followed, Follower
from tame.study.live import Heard, Moment, hear
from tame.study.record import is_study

MOST_STUDIES = 2_000  # of a folder
LOOK_S = 1.0  # between two looks at the folder
RECENT = 64  # moments that are kept
ALIVE_S = 10.0  # without a sign of life, after which a process is taken for dead

T = TypeVar("T")


@dataclass(slots=True)
class Shelf:
    """A study that is read here. problem: why it cannot be; moment: what its process does now, None where none is
    known; recent: what it has said at last, each with its number, so that everybody who looks finds what is new to him.
    """

    id: str
    folder: Path
    follower: Follower[Followed]
    lock: threading.Lock = field(default_factory=threading.Lock)
    problem: str = ""
    heard: Heard | None = None
    moment: Moment | None = None
    recent: deque[tuple[int, Moment]] = field(default_factory=lambda: deque(maxlen=RECENT))
    told: int = 0  # the last of these numbers
    version: int = 0  # grows whenever anything has changed

    @property
    def followed(self) -> Followed:
        return self.follower.followed

    @property
    def is_alive(self) -> bool:
        """Whether its process has given a sign of life just now, or has just begun and will give one soon."""
        if self.moment is not None:
            return abs(time.time() - self.moment.at) < ALIVE_S
        with suppress(ValueError, TypeError, OverflowError):  # the time is a text of a folder that may be a stranger's
            begun = datetime.fromisoformat(self.followed.begun_at).timestamp()
            is_new = not self.followed.columns.rows and self.followed.last_kind not in ("stopped", "ended")
            return is_new and 0 <= time.time() - begun < ALIVE_S
        return False

    def look(self) -> None:
        """Takes in what is new. Nothing is raised: what cannot be read is shown as such."""
        with self.lock:
            changed, was = False, (self.problem, self.is_alive)
            try:
                changed = self.follower.catch_up()
                self.problem = ""
            except TameError as problem:
                self.problem = str(problem)
            with suppress(TameError, OSError):  # what goes on is told as far as it can be read
                changed |= self._hear()
            if not self.problem and not self.is_alive:  # of a thousand studies nearly all are over
                self.follower.rest()
            if changed or was != (self.problem, self.is_alive):
                self.version += 1

    def read(self, build: Callable[[Shelf], T]) -> T:
        """What is made of the study, which nobody takes anything into meanwhile."""
        with self.lock:
            return build(self)

    def _hear(self) -> bool:
        found = hear(self.folder, self.heard)
        if found is None:
            gone = self.moment is not None
            self.heard = self.moment = None
            return gone
        self.heard = found
        for moment in found.moments:
            self.told += 1
            self.recent.append((self.told, moment))
            self.moment = moment
        return bool(found.moments)


class Library:
    """The studies in these folders, found again and again. store_of: the address of a study's server, if it has one."""

    def __init__(self, folders: tuple[Path, ...], *, store_of: Callable[[Path], str | None]) -> None:
        self._folders, self._store_of = tuple(folder.resolve() for folder in folders), store_of
        self._shelves: dict[str, Shelf] = {}
        self._lock = threading.Lock()
        self._looked = 0.0

    def shelves(self) -> list[Shelf]:
        """All studies, the newest first."""
        with self._lock:
            if time.monotonic() - self._looked > LOOK_S:
                self._looked = time.monotonic()
                self._find()
            return list(self._shelves.values())

    def shelf(self, key: str) -> Shelf | None:
        """The study with this id."""
        self.shelves()
        return self._shelves.get(key)

    def close(self) -> None:
        """Lets go of all records."""
        for shelf in self._shelves.values():
            shelf.follower.close()

    def _find(self) -> None:
        there = sorted(self._places(), key=_changed, reverse=True)[:MOST_STUDIES]
        found = {id_of(folder): folder for folder in there}
        for key in self._shelves.keys() - found.keys():
            gone = self._shelves[key]
            gone.problem = f"{gone.folder} is gone: it was deleted or moved away"
            gone.follower.close()
            if gone.followed.seq == 0:
                del self._shelves[key]
        known = self._shelves
        fresh = {key: known[key] if key in known else self._shelf(key, folder) for key, folder in found.items()}
        self._shelves = {**fresh, **{key: shelf for key, shelf in known.items() if key not in fresh}}

    def _shelf(self, key: str, folder: Path) -> Shelf:
        problem, store = "", None
        try:
            store = self._store_of(folder)
        except TameError as refused:
            problem = str(refused)
        return Shelf(key, folder, Follower(folder, Followed(), store=store), problem=problem)

    def _places(self) -> list[Path]:
        found: list[Path] = []
        for folder in self._folders:
            with suppress(OSError):
                found += [folder] if is_study(folder) else [each for each in folder.iterdir() if _holds(each)]
        return found


def id_of(folder: Path) -> str:
    """The id of a study: the same each time, so that an address can be kept."""
    return hashlib.sha256(str(folder).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _holds(folder: Path) -> bool:
    """Whether a study lies there. A link to one elsewhere is not followed."""
    return folder.is_dir() and not folder.is_symlink() and is_study(folder)


def _changed(folder: Path) -> float:
    try:
        return max(entry.stat(follow_symlinks=False).st_mtime for entry in (folder, folder / "study.db"))
    except OSError:
        return 0.0
