"""A study as one file, without its data, and back again. The format is in docs/archive.md.

An archive may come from a stranger. Nothing of it is believed: what may be in it is a short list, all sizes are limited
before anything is read, it is written beside its place under another name, and takes that only if it passes the checks
of `tame verify`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from tame import __version__
from tame.app.verify import verify
from tame.core.edits import EDITS
from tame.core.errors import RefusedError, StorageError, TameError, UsageError, require
from tame.core.exported import EXPORTS
from tame.core.files import TEXT_BYTES, own_folder, reading, replacing, require_new, require_size
from tame.core.plain import from_plain, to_plain
from tame.store.lease import hold
from tame.study.delivered import MODEL
from tame.study.record import DATABASE, SERVER, require_study

MANIFEST = "tame-archive.json"
SCHEMA = "tame-archive/1"
CHECKPOINTS = "checkpoints"
# What may be in an archive: the record and its journals, what people and programs read, the model, and the states of
# trials that may go on. Data, pictures of examples, logs, caches and what other programs keep stay out.
TOP = (
    DATABASE, f"{DATABASE}-wal", f"{DATABASE}-journal", "config.json", "report.json", "split.csv", "skipped.csv",
    "engines.json", EXPORTS, EDITS,
)  # fmt: skip
BELOW = (MODEL, CHECKPOINTS)
MOST_FILES = 50_000
MOST_BYTES = 2**32 - 1  # of the archive, and of all its files together
MOST_RATIO = 200  # of a file's size to that in the archive; text of TAME stays below 30
PIECE = 2**20
SMALL = 2**16  # bytes whose ratio says nothing
# What reading a damaged archive may raise.
BROKEN = (OSError, EOFError, ValueError, NotImplementedError, struct.error, zlib.error, zipfile.BadZipFile)
_LEAF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,150}")
_END = struct.Struct("<4s4H2IH")  # of a zip file: mark, disks, entries twice, size and place of their list, comment
_ENTRY_BYTES = 46 + 256 + 64  # of a file in that list, at most
_WHEN = (1980, 1, 1, 0, 0, 0)  # the same study gives the same archive


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What an archive says of itself. name: of the study's folder; files: their SHA-256, by name."""

    schema: str
    name: str
    tame: str
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Moved:
    """A study that was put into a file, or taken out of one."""

    study: str
    file: str
    files: int
    size_bytes: int

    def to_json(self) -> dict[str, object]:
        return {"schema": "tame/1", **to_plain(self)}


def archive(study: Path, file: Path) -> Moved:
    """Writes a study as one new file. Raises UsageError for a file that exists, StorageError where a process works on
    the study or the disk fails, RefusedError for links in its folder and for more than an archive may hold."""
    require_study(study)
    require_new(file)
    where = f"the events of {study} are on a server, and an archive holds only what is in its folder"
    require(not os.path.lexists(study / SERVER), where)
    try:
        with hold(study), replacing(file.parent, file.name) as opened:
            names = list(_names(study))
            require(len(names) <= MOST_FILES, _too_many(file, len(names)), error=RefusedError)
            sizes = {name: (study / name).lstat().st_size for name in names}
            require_size(file, sum(sizes.values()), MOST_BYTES)
            with zipfile.ZipFile(opened, "w", allowZip64=False) as box:
                sums = {name: _put(box, study, name) for name in names}
                about = Manifest(schema=SCHEMA, name=study.resolve().name, tame=__version__, files=sums)
                text = json.dumps(to_plain(about), indent=1, sort_keys=True)
                box.writestr(_info(MANIFEST), text.encode("utf-8", "backslashreplace"))
    except OSError as problem:
        raise StorageError(f"{file} cannot be written: {problem.strerror or problem}") from None
    return Moved(str(study), str(file), len(names), file.stat().st_size)


def _names(study: Path) -> Iterator[str]:
    """The files of a study that belong into an archive."""
    yield from (name for name in TOP if os.path.lexists(study / name))
    for room in BELOW:
        place = study / room
        if place.is_dir() and not place.is_symlink():
            yield from (f"{room}/{name}" for name in sorted(os.listdir(place)) if _LEAF.fullmatch(name))


def _put(archive: zipfile.ZipFile, study: Path, name: str) -> str:
    """Puts a file of a study into an archive; its SHA-256."""
    digest = hashlib.sha256()
    with reading(study, name) as source, archive.open(_info(name), "w") as target:
        while piece := source.read(PIECE):
            digest.update(piece)
            target.write(piece)
    return digest.hexdigest()


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _WHEN)
    info.external_attr = (stat.S_IFREG | 0o600) << 16
    weights = name.endswith(".safetensors")  # they hardly shrink
    info.compress_type = zipfile.ZIP_STORED if weights else zipfile.ZIP_DEFLATED
    return info


def import_archive(file: Path, out: Path | None = None) -> Moved:
    """Takes a study out of an archive, into a new folder: out, or runs/NAME, where the archive says the name.

    Raises UsageError for what is no archive and a folder that exists; RefusedError for what an archive may not hold;
    StorageError where it is damaged, or the study in it would not pass `tame verify`.
    """
    require(file.is_file(), f"there is no file {file}")
    with _opened(file) as box:
        infos = _looked_at(file, box)
        about = _manifest(file, box, infos)
        folder = Path("runs") / _folder_name(about.name) if out is None else out
        require(not os.path.lexists(folder), f"{folder} exists; give another --out")
        try:
            folder.parent.mkdir(parents=out is None, exist_ok=True)
            free = shutil.disk_usage(folder.parent).free
            total = sum(info.file_size for info in infos.values())
            require(total < free, f"{file} needs {total:,} bytes, and {free:,} are free", error=StorageError)
            draft = folder.parent / f".tame-{secrets.token_hex(8)}.import"
            draft.mkdir(mode=0o700)
        except OSError as problem:
            raise StorageError(f"{folder} cannot be made: {problem.strerror}") from None
        try:
            for name, digest in about.files.items():
                _take(file, box, infos[name], draft, digest)
            _verified(file, draft)
            require(not os.path.lexists(folder), f"{folder} exists; give another --out")
            draft.rename(folder)
        except BROKEN as problem:
            raise StorageError(f"{file} is damaged or cannot be unpacked: {problem}") from None
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return Moved(str(folder), str(file), len(about.files), total)


@contextmanager
def _opened(file: Path) -> Iterator[zipfile.ZipFile]:
    """An archive whose list of files is small enough to be read. Raises as `import_archive`."""
    with file.open("rb") as source:
        require_size(file, os.fstat(source.fileno()).st_size, MOST_BYTES)
        _require_short_list(file, source)
        try:
            box = zipfile.ZipFile(source)
        except BROKEN as problem:
            raise StorageError(f"{file} is damaged: {problem}") from None
        with box:
            yield box


def _require_short_list(file: Path, source: BinaryIO) -> None:
    """Raises for a file that does not end as an archive does, before the list of its files is read into memory."""
    size = source.seek(0, os.SEEK_END)
    source.seek(max(0, size - _END.size - 20))
    tail = source.read()
    what = f"{file} is not an archive that tame studies archive has written"
    require(len(tail) >= _END.size, what)
    mark, _, _, _, entries, list_bytes, _, comment = _END.unpack(tail[-_END.size :])
    require(mark == b"PK\5\6" and comment == 0, what)
    require(not tail[: -_END.size].startswith(b"PK\6\7"), what, error=RefusedError)  # a second list, of any size
    require(entries <= MOST_FILES + 1, _too_many(file, entries), error=RefusedError)
    most = _ENTRY_BYTES * (entries + 1)
    require(list_bytes <= most, f"{file}: its list of files is larger than its files need", error=RefusedError)


def _looked_at(file: Path, box: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The files of an archive by name. Raises RefusedError for what may not be in one."""
    found: dict[str, zipfile.ZipInfo] = {}
    total = 0
    for info in box.infolist():
        name, kind = info.orig_filename, stat.S_IFMT(info.external_attr >> 16)
        refused = f"{file} holds {name[:100]!r}, "
        require(name == MANIFEST or _may_be(name), refused + "which no archive of a study holds", error=RefusedError)
        require(name not in found, refused + "twice", error=RefusedError)
        require(kind in (0, stat.S_IFREG), refused + "which is a link or no file", error=RefusedError)
        require(not info.flag_bits & 1, refused + "which is encrypted", error=RefusedError)
        plain = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        require(plain, refused + "compressed in a way that is not used", error=RefusedError)
        ratio = info.file_size / max(info.compress_size, 1)
        require(
            info.file_size < SMALL or ratio <= MOST_RATIO, refused + "which unpacks to far more", error=RefusedError
        )
        found[name], total = info, total + info.file_size
        require_size(file, total, MOST_BYTES)
    return found


def _too_many(file: Path, count: int) -> str:
    return f"{file}: {count:,} files, and an archive holds at most {MOST_FILES:,}"


def _may_be(name: str) -> bool:
    """Whether a file of that name may be in an archive. There is no other name, so none that leads elsewhere."""
    room, slash, leaf = name.partition("/")
    return name in TOP if not slash else room in BELOW and _LEAF.fullmatch(leaf) is not None


def _manifest(file: Path, box: zipfile.ZipFile, infos: Mapping[str, zipfile.ZipInfo]) -> Manifest:
    """What an archive says of itself. Raises as `import_archive`."""
    if MANIFEST not in infos:
        raise UsageError(f"{file} is not an archive that tame studies archive has written: it holds no {MANIFEST}")
    require_size(file / MANIFEST, infos[MANIFEST].file_size, TEXT_BYTES)
    try:
        plain = json.loads(box.read(MANIFEST))
    except (*BROKEN, RecursionError) as problem:
        raise StorageError(f"{file}: its {MANIFEST} is damaged: {problem}") from None
    schema = plain.get("schema") if isinstance(plain, dict) else None
    require(schema == SCHEMA, f"{file} has the form {schema!r}, and this TAME reads {SCHEMA!r}")
    about = from_plain(Manifest, plain, what=f"{MANIFEST} of {file}")
    same = about.files.keys() == infos.keys() - {MANIFEST}
    require(same, f"{file} does not hold the files that its {MANIFEST} names", error=StorageError)
    require(DATABASE in about.files, f"{file} holds no {DATABASE}", error=StorageError)
    return about


def _folder_name(name: str) -> str:
    """The name of a folder from what an archive says."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[:100] or "study"


def _take(file: Path, box: zipfile.ZipFile, info: zipfile.ZipInfo, folder: Path, digest: str) -> None:
    """Writes one file of an archive, of no more bytes than it says. Raises StorageError for another than it says."""
    room, slash, _ = info.filename.rpartition("/")
    if slash:
        own_folder(folder, room)
    own, size = hashlib.sha256(), 0
    with box.open(info) as source, replacing(folder, info.filename) as target:
        while piece := source.read(PIECE):
            size += len(piece)
            require(size <= info.file_size, f"{file}: {info.filename} is larger than it says", error=RefusedError)
            own.update(piece)
            target.write(piece)
    require(own.hexdigest() == digest, f"{file}: {info.filename} is damaged: its hash differs", error=StorageError)


def _verified(file: Path, folder: Path) -> None:
    """Raises StorageError for a study that would not pass `tame verify`."""
    try:
        found = verify(folder)
    except TameError as problem:
        raise type(problem)(f"{file}: {str(problem).replace(str(folder), 'its study')}") from None
    for each in found.problems:
        raise StorageError(f"{file}: {each.what}: {each.problem.replace(str(folder), 'its study')}")
