"""Teaching: pictures that are dropped into classes lie in an ordinary folder, which a study then trains on.

Nothing is kept in memory that is not on the disk: a reload, a closed tab or a crash loses nothing that had arrived.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from tame.core.errors import StorageError, UsageError, require
from tame.core.files import appending, own_folder, read_bytes, write_bytes
from tame.core.options import write_time
from tame.report.formats import count as counted
from tame.report.formats import inert
from tame.study.record import is_study

PROJECT, PICTURES, LOG = "taught", "pictures", "taught.log"
KINDS = (  # what a file of pictures begins with, and its ending
    (b"\xff\xd8\xff", ".jpg"), (b"\x89PNG\r\n\x1a\n", ".png"), (b"GIF8", ".gif"), (b"BM", ".bmp"), (b"RIFF", ".webp"),
)  # fmt: skip
MOST_CLASSES, MOST_NAME = 100, 60
LEAST = 5  # pictures of a class
LEAST_S, MOST_S = 20.0, 3600.0
THUMBNAIL, MOST_PIXELS = 160, 100_000_000
PARTS = ("train", "val", "valid", "validation", "test")  # folders of these names would be read as parts of the data
DIGEST = re.compile(r"[0-9a-f]{64}")
_BAD = re.compile(r"[/\\\0]")


@dataclass(frozen=True, slots=True)
class ClassRow:
    """A class and how many pictures it has. id: stays the same when others come and go."""

    id: str
    name: str
    count: int


def ending_of(content: bytes) -> str:
    """The ending of a picture's name, by how its file begins. Raises UsageError for what is not a picture."""
    found = next((end for start, end in KINDS if content.startswith(start)), None)
    if found is None:
        raise UsageError("this is not a picture that can be read: JPEG, PNG, WebP, GIF or BMP")
    return found


def id_of(name: str) -> str:
    """The id of a class, by which requests name it."""
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:12]


class Workshop:
    """The classes of one project below a folder of studies. fit: the command that begins a study, without its data."""

    def __init__(self, runs: Path, *, fit: tuple[str, ...]) -> None:
        self._runs, self._fit = runs, fit
        self._lock = threading.Lock()
        self._trains: subprocess.Popen[bytes] | None = None
        self._study: Path | None = None
        self._where: dict[str, str] = {}  # the class of each picture that has arrived
        self._read = False

    @property
    def folder(self) -> Path:
        """Where the pictures lie, one folder for each class."""
        return self._runs / PROJECT / PICTURES

    def classes(self) -> list[ClassRow]:
        """The classes by their names."""
        return [ClassRow(id_of(name), name, len(self._names(name))) for name in self._class_names()]

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
        """Takes an empty class away. Raises UsageError for one with pictures: these are the user's, and stay."""
        name = self._named(key)
        try:
            (self.folder / name).rmdir()
        except OSError:
            raise UsageError(f"{name} has pictures; delete them yourself in {self.folder / name}") from None

    def put(self, key: str, digest: str, content: bytes) -> str:
        """Keeps a picture. Returns "" or, where it is there already, where.

        Raises UsageError for what is not a picture, or not the one that was announced.
        """
        name = self._named(key)
        require(hashlib.sha256(content).hexdigest() == digest, "the picture did not arrive as it was sent")
        ending = ending_of(content)
        with self._lock:
            there = self._known().get(digest)
            if there is not None:
                return there
            try:
                write_bytes(self.folder / name, f"{digest}{ending}", content)
            except OSError as problem:
                raise StorageError(f"the picture cannot be kept: {problem.strerror}") from None
            self._where[digest] = name
        return ""

    def have(self, key: str) -> list[str]:
        """The digests of the pictures of a class."""
        return [Path(each).stem for each in self._names(self._named(key))]

    def thumbnail(self, key: str, digest: str) -> bytes:
        """A small JPEG of a picture: what is shown is drawn again, never the file itself. Raises UsageError."""
        name = self._named(key)
        found = next((each for each in self._names(name) if Path(each).stem == digest), None)
        require(found is not None, "there is no such picture")
        content = read_bytes(self.folder / name, str(found))
        try:
            with Image.open(io.BytesIO(content)) as picture:
                require(picture.width * picture.height <= MOST_PIXELS, "this picture is too large to be shown")
                picture.draft("RGB", (THUMBNAIL, THUMBNAIL))
                small = picture.convert("RGB")
        except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError):
            raise UsageError("this picture cannot be read; the study will leave it out and say so") from None
        small.thumbnail((THUMBNAIL, THUMBNAIL))
        drawn = io.BytesIO()
        small.save(drawn, "JPEG", quality=80)
        return drawn.getvalue()

    def refusal(self) -> str:
        """Why nothing can be trained yet; "" if it can."""
        rows = self.classes()
        if len(rows) < 2:
            return "There must be two classes or more: what should it be told apart from?"
        few = next((row for row in rows if row.count < LEAST), None)
        if few is not None:
            return f"{few.name} has {counted(few.count, 'picture')}, and needs {LEAST} at least."
        return "It is being trained already." if self.is_training else ""

    @property
    def is_training(self) -> bool:
        """Whether a study that was begun here goes on."""
        return self._trains is not None and self._trains.poll() is None

    @property
    def study(self) -> Path | None:
        """The last study that was begun on these pictures; None before the first, or until it has begun."""
        if self._study is None:
            mine = sorted(self._runs.glob(f"{PROJECT}-[0-9][0-9][0-9][0-9]"))
            self._study = next((path for path in reversed(mine) if is_study(path)), None)
        return self._study if self._study is not None and is_study(self._study) else None

    def train(self, seconds: float) -> None:
        """Begins a study in a process of its own, which goes on without these pages. Raises UsageError."""
        require(LEAST_S <= seconds <= MOST_S, f"the time must be {LEAST_S:g} to {MOST_S:g} seconds")
        with self._lock:
            problem = self.refusal()
            require(not problem, problem)
            taken = {path.name for path in self._runs.iterdir()}
            name = next(own for i in range(1, 10_000) if (own := f"{PROJECT}-{i:04d}") not in taken)
            self._study = self._runs / name
            told = ["--out", str(self._study), "--time", write_time(float(round(seconds)))[0], "--quiet"]
            with appending(self._runs / PROJECT, LOG) as log:
                self._trains = subprocess.Popen(
                    [*self._fit, str(self.folder), *told], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                    stderr=log, start_new_session=True,
                )  # fmt: skip
            threading.Thread(target=self._trains.wait, daemon=True).start()  # else it would stay as a zombie

    def problem(self) -> str:
        """What the last study said where it ended before it had begun."""
        if self._trains is None or self._trains.poll() in (None, 0) or self.study is not None:
            return ""
        lines = read_bytes(self._runs / PROJECT, LOG).decode("utf-8", "replace").strip().splitlines()
        return inert(lines[-1]) if lines else "it ended without a word"

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

    def _named(self, key: str) -> str:
        found = next((name for name in self._class_names() if id_of(name) == key), None)
        if found is None:
            raise UsageError("there is no such class any more")
        return found

    def _names(self, name: str) -> list[str]:
        try:
            with os.scandir(self.folder / name) as entries:
                return sorted(each.name for each in entries if not each.name.startswith("."))
        except OSError:
            return []

    def _known(self) -> dict[str, str]:
        if not self._read:
            self._where = {Path(each).stem: name for name in self._class_names() for each in self._names(name)}
            self._read = True
        return self._where
