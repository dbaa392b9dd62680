"""Teaching: pictures that are dropped into classes lie in an ordinary folder, which a study then trains on.

Nothing is kept in memory that is not on the disk: a reload, a closed tab or a crash loses nothing that had arrived.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tame.core.config import LEAST_GROUPS
from tame.core.errors import DataError, StorageError, UsageError, require
from tame.core.files import appending, own_folder, read_bytes, write_bytes, write_text
from tame.core.options import write_time
from tame.core.recipe import Recipe, Value
from tame.data.images import ENDINGS, entries, extension
from tame.pages.picture_files import CLASS, GROUP, PICTURE, Kept, ending_of, file_name, kept_as, list_of, thumbnail_of
from tame.report.formats import count, inert
from tame.store.lease import locked
from tame.study.record import is_study

PROJECT, PICTURES, LIST, LOG = "taught", "pictures", "pictures.csv", "taught.log"
BEGUN, LOCK = "begun", "training.lock"  # the study that was begun last; held by its process as long as it lives
SEEN = "seen"  # that study, once its folder has been seen: if it is missing later, the user has deleted it
_STUDY = re.compile(rf"{PROJECT}-[0-9]{{4}}")
MOST_CLASSES, MOST_NAME = 100, 60
LEAST = 5  # pictures of a class
TRAINS = "It is being trained already."
LEAST_S, MOST_S = 20.0, 3600.0
# Seconds that are proposed, by how many pictures there are at most.
PROPOSED = ((300, 20), (2_000, 60), (10_000, 180))
LONGEST_S = 600
PARTS = ("train", "val", "valid", "validation", "test")  # folders of these names would be read as parts of the data
_BAD = re.compile(r"[/\\\0]")


@dataclass(frozen=True, slots=True)
class ClassRow:
    """A class and how many pictures it has, of how many recordings. id: stays the same when others come and go."""

    id: str
    name: str
    count: int
    recordings: int = 0
    groups: int = 0  # recordings, and pictures that are from none


@dataclass(frozen=True, slots=True, kw_only=True)
class Knobs:
    """What the user fixes of every recipe; None for what the search chooses. Raises UsageError for what cannot be."""

    epochs: int | None = None
    batch_size: int | None = None
    rate: float | None = None

    def __post_init__(self) -> None:
        Recipe().but(self.fixed)

    @property
    def fixed(self) -> dict[str, Value]:
        """The fields of a recipe that are fixed."""
        own = {"epochs": self.epochs, "batch_size": self.batch_size, "optimizer.lr": self.rate}
        return {name: value for name, value in own.items() if value is not None}


def id_of(name: str) -> str:
    """The id of a class, by which requests name it."""
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:12]


class Workshop:
    """The classes of one project below a folder of studies. fit: the command that begins a study, without its data."""

    def __init__(self, runs: Path, *, fit: tuple[str, ...]) -> None:
        self._runs, self._fit = runs, fit
        self._lock = threading.RLock()
        self._trains: subprocess.Popen[bytes] | None = None
        self._where: dict[str, str] = {}  # the class of each picture that has arrived
        self._read = False

    @property
    def folder(self) -> Path:
        """Where the pictures lie, one folder for each class."""
        return self._project / PICTURES

    @property
    def _project(self) -> Path:
        return self._runs / PROJECT

    def classes(self) -> list[ClassRow]:
        """The classes by their names."""
        return [_row(name, self._kept(name)) for name in self._class_names()]

    def add(self, name: str) -> None:
        """Makes a class. Raises UsageError for a name that cannot be one."""
        own, have = name.strip(), self._class_names()
        require(0 < len(own) <= MOST_NAME, f"the name of a class has 1 to {MOST_NAME} characters")
        plain = own.isprintable() and not _BAD.search(own) and not own.startswith(".")
        require(plain, "the name of a class becomes that of a folder: leave out slashes, and a dot at its start")
        require(own.lower() not in PARTS, f"a folder named {own} would be read as a part of the data, not as a class")
        require(own not in have, f"there is a class {own} already")
        require(len(have) < MOST_CLASSES, f"{MOST_CLASSES} classes are the most that can be taught here")
        try:
            own_folder(own_folder(own_folder(self._made(), PROJECT), PICTURES), own)
        except OSError as problem:
            raise StorageError(f"the class cannot be made: {problem.strerror}") from None

    def remove(self, key: str) -> None:
        """Takes an empty class away. Raises UsageError for one with files: these are the user's, and stay."""
        name = self.name_of(key)
        try:
            (self.folder / name).rmdir()
        except OSError:
            raise UsageError(f"{name} has files; delete them yourself in {self.folder / name}") from None

    def put(self, key: str, digest: str, content: bytes, *, recording: str = "") -> str:
        """Keeps a picture. Returns "" or, where it is there already, where. recording: from which it is, "" for none.

        Raises UsageError for what is not a picture, or not the one that was announced.
        """
        name = self.name_of(key)
        require(hashlib.sha256(content).hexdigest() == digest, "the picture did not arrive as it was sent")
        own = file_name(digest, ending_of(content), recording)
        with self._lock:
            there = self._known().get(digest)
            if there is not None and not self._holds(there, digest):  # the user has deleted or moved it by hand
                self._read = False
                there = self._known().get(digest)
            if there is not None:
                return there
            try:
                write_bytes(self.folder / name, own, content)
            except OSError as problem:
                raise StorageError(f"the picture cannot be kept: {problem.strerror}") from None
            self._where[digest] = name
        return ""

    def name_of(self, key: str) -> str:
        """The name of a class. Raises UsageError where there is none."""
        found = next((name for name in self._class_names() if id_of(name) == key), None)
        if found is None:
            raise UsageError("there is no such class any more")
        return found

    def have(self, key: str) -> list[str]:
        """The digests of the pictures of a class."""
        return [each.digest for each in self._kept(self.name_of(key))]

    def thumbnail(self, key: str, digest: str) -> bytes:
        """A small JPEG of a picture. Raises UsageError."""
        name = self.name_of(key)
        found = next((each for each in self._kept(name) if each.digest == digest), None)
        if found is None:
            raise UsageError("there is no such picture")
        return thumbnail_of(read_bytes(self.folder / name, found.name))

    def refusal(self, rows: Sequence[ClassRow]) -> str:
        """Why nothing can be trained on these classes yet; "" if it can."""
        if len(rows) < 2:
            return "There must be two classes or more: what should it be told apart from?"
        few = next((row for row in rows if row.count < LEAST), None)
        if few is not None:
            return f"{few.name} has {count(few.count, 'picture')}, and needs {LEAST} at least."
        alike = next((row for row in rows if row.groups < LEAST_GROUPS), None)
        if alike is not None:
            return (
                f"{alike.name} comes from {count(alike.recordings, 'recording')}, and needs {LEAST_GROUPS} at least: "
                "the pictures of one are nearly the same, so they are never learned from and tested on at once."
            )
        return TRAINS if self.is_training else ""

    @property
    def is_training(self) -> bool:
        """Whether a study that was begun here goes on, also where a server began it that has ended since."""
        if self._trains is not None and self._trains.poll() is None:
            return True
        with self._lock:
            if not (self._project / LOCK).exists():
                return False
            handle = locked(self._project, LOCK)
            if handle is not None:
                os.close(handle)
            return handle is None

    @property
    def study(self) -> Path | None:
        """The last study that was begun on these pictures; None before the first, or until it has begun."""
        return self._look()

    def _look(self) -> Path | None:
        last = self._last()
        if last is None or not is_study(last):
            return None
        with suppress(OSError), self._lock:  # what only shows does so on a full disk too
            if not self._was_seen(last):
                write_text(self._project, SEEN, last.name)
        return last

    def _was_seen(self, study: Path) -> bool:
        try:
            return read_bytes(self._project, SEEN, most=64) == study.name.encode()
        except OSError:
            return False

    def _last(self) -> Path | None:
        """Where the last study lies, or would lie if it had come so far."""
        try:
            name = read_bytes(self._project, BEGUN, most=64).decode("ascii", "replace").strip()
        except OSError:  # an earlier version did not write it
            there = self._runs.glob(f"{PROJECT}-[0-9][0-9][0-9][0-9]")
            return max((path for path in there if is_study(path)), default=None)
        return self._runs / name if _STUDY.fullmatch(name) else None

    def data(self, rows: Sequence[ClassRow]) -> list[str]:
        """The data of a study, as `tame fit` is given it: the folder, or a list of it where some is recorded."""
        if not any(row.recordings for row in rows):
            return [str(self.folder)]
        # Told as classes, since a table might take their names for numbers, or "None" for a cell without a value.
        own = ["--image", PICTURE, "--target", CLASS, "--column", f"{CLASS}=category", "--groups", GROUP]
        return [str(self._project / LIST), *own]

    def train(self, seconds: float, knobs: Knobs | None = None) -> None:
        """Begins a study in a process of its own, which goes on without these pages. Raises UsageError."""
        require(LEAST_S <= seconds <= MOST_S, f"the time must be {LEAST_S:g} to {MOST_S:g} seconds")
        with self._lock:
            rows = self.classes()
            problem = self.refusal(rows)
            require(not problem, problem)
            taken = {path.name for path in self._runs.iterdir()}
            name = next(own for i in range(1, 10_000) if (own := f"{PROJECT}-{i:04d}") not in taken)
            told = ["--out", str(self._runs / name), "--time", write_time(float(round(seconds)))[0], "--quiet"]
            told += [word for each in (knobs or Knobs()).fixed.items() for word in ("--set", "{}={}".format(*each))]
            pictures = {own: self._kept(own) for own in self._class_names()}
            write_text(self._project, LIST, list_of(pictures, folder=PICTURES))
            handle = locked(self._project, LOCK)
            require(handle is not None, TRAINS)
            assert handle is not None
            (self._project / SEEN).unlink(missing_ok=True)  # may be of a study that had this name before
            write_text(self._project, BEGUN, name)
            try:
                with appending(self._project, LOG) as log:
                    log.write(f"{name}\n".encode())
                    log.flush()
                    self._trains = subprocess.Popen(
                        [*self._fit, *self.data(rows), *told], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                        stderr=log, start_new_session=True, pass_fds=() if sys.platform == "win32" else (handle,),
                    )  # fmt: skip
            finally:
                os.close(handle)  # from here on the study's own process holds it
            threading.Thread(target=self._outlast, args=(self._trains,), daemon=True).start()

    def problem(self) -> str:
        """What the last study said where it ended before it had begun."""
        last = self._last()
        if last is None or self._look() is not None or self.is_training or self._was_seen(last):
            return ""
        try:
            line = read_bytes(self._project, LOG).decode("utf-8", "replace").strip().rpartition("\n")[2]
        except FileNotFoundError:  # deleted by hand
            return ""
        return "it ended without a word" if line == last.name else inert(line)

    def _outlast(self, trains: subprocess.Popen[bytes]) -> None:
        trains.wait()  # else it would stay as a zombie
        self._look()

    def _made(self) -> Path:
        self._runs.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._runs

    def _class_names(self) -> list[str]:
        try:
            with os.scandir(self.folder) as entries:
                own = [each.name for each in entries if each.is_dir(follow_symlinks=False)]
        except OSError:
            return []
        return sorted(name for name in own if not name.startswith("."))

    def _kept(self, name: str) -> list[Kept]:
        try:
            files = entries(str(self.folder / name))[1]
        except DataError:
            return []
        return [kept_as(own) for own in files if extension(own) in ENDINGS]

    def _holds(self, name: str, digest: str) -> bool:
        return any(each.digest == digest for each in self._kept(name))

    def _known(self) -> dict[str, str]:
        if not self._read:
            self._where = {each.digest: name for name in self._class_names() for each in self._kept(name)}
            self._read = True
        return self._where


def proposed_s(rows: Sequence[ClassRow]) -> int:
    """Seconds of training that suit so many pictures."""
    total = sum(row.count for row in rows)
    return next((seconds for most, seconds in PROPOSED if total <= most), LONGEST_S)


def _row(name: str, kept: list[Kept]) -> ClassRow:
    recordings = {each.recording for each in kept if each.recording}
    return ClassRow(id_of(name), name, len(kept), len(recordings), len({each.group for each in kept}))
