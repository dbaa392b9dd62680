"""Pictures in folders: which there are, their pixels, and which of them look alike.

Nothing here trusts a file. A picture is opened only if it is a regular file inside the folder, known by its first
bytes, and small enough by its header; whatever cannot be read is skipped with its reason and never stops a study.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import itertools
import os
import stat
import unicodedata
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import PIL
from PIL import (
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from tame.core.errors import DataError, require, unknown
from tame.data.cache import ArrayCache

MAX_FILE_BYTES = 100_000_000
MAX_PIXELS = 50_000_000
MAX_ASPECT = 50  # longer side over shorter side

Part = Literal["", "train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")
_ALIASES: Mapping[Part, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
_PICTURES = frozenset({".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
_UNSUPPORTED = frozenset({".heic", ".heif", ".avif", ".jxl", ".jp2"})
_IGNORED = frozenset({"thumbs.db", "desktop.ini", "__macosx"})
_FORM = "lay the pictures out as ants/1.jpg, bees/2.jpg: one folder for each class"
_CONVERT = "convert it to JPEG or PNG"
_SHARD_BYTES = 64 * 2**20  # of decoded pixels; a mapped shard keeps a file open, so shards are not small
_DECODER = f"2-pillow{PIL.__version__}"  # in the cache key: another decoder gives slightly other pixels


class UnreadablePicture(DataError):
    """One file that cannot be used as a picture. The message is the reason, one line without the path."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A file that looks like a picture from outside; it was hashed, not decoded."""

    id: str  # its path below the root, printable and unique
    path: str  # absolute; undecodable bytes as surrogates
    label: int
    part: Part  # "" where the layout has no parts
    digest: str  # BLAKE2 of the content, 16 bytes as hexadecimal digits
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """What was left out, and why."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Listing:
    """What a folder holds. `parts` names those that have pictures; it is empty where the layout has no parts."""

    root: str
    classes: tuple[str, ...]
    pictures: tuple[Picture, ...]
    skipped: tuple[Skipped, ...]
    parts: tuple[Part, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Loaded:
    """Pictures that could be decoded with their pixels, each (H, W, 3) uint8, and those that could not."""

    pictures: tuple[Picture, ...]
    arrays: tuple[np.ndarray, ...]
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True, slots=True)
class _File:
    id: str
    path: str
    class_name: str
    part: Part


@dataclass(slots=True)
class _Found:
    """What the walk through the folders gathers."""

    files: list[_File] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)  # files that are no pictures, by extension
    nested: Counter[str] = field(default_factory=Counter)  # pictures in folders inside a class, by class
    notes: list[str] = field(default_factory=list)


def scan(root: Path, *, val: str | None = None, test: str | None = None) -> Listing:
    """The pictures below a folder, with class, part and digest; nothing is decoded.

    root: `class/x.jpg`, or `train/`, `val/`, `test/` of such. val, test: folders right below root that play these
    parts; a folder that was given a part plays no other. Links to folders are not followed, links to files only
    inside root.
    Raises DataError if there is nothing to learn from: no folder, no pictures, one class, unclear class names or parts.
    """
    top = _real_folder(root)
    found = _Found()
    folders, files = _entries(top)
    for name in files:
        _note_file(found, top, os.path.join(top, name), class_name=None, part="")
    stray = f"{printable(top)} holds pictures but no class folders; {_FORM}"
    require(bool(folders) or not found.skipped, stray, error=DataError)
    layout = _layout(top, folders, found, val=val, test=test)
    candidates: set[str] = set()
    for part, class_folders in layout.items():
        empty: list[str] = []
        for folder in class_folders:
            if _walk_class(found, top, folder, part):
                candidates.add(printable(os.path.basename(folder)))
            else:
                empty.append(_identify(top, folder))
        if empty:
            found.notes.append(f"{len(empty)} folders hold no pictures and are no classes: {_some(empty)}")
    pictures, skipped, classes = _hash_all(found)
    if lost := sorted(candidates - set(classes)):
        found.notes.append(f"classes of which nothing can be read: {_some(lost)}")
    if found.others:
        kinds = ", ".join(f"{count} {kind or 'without one'}" for kind, count in found.others.most_common(8))
        found.notes.append(f"{found.others.total()} files are no pictures by their extension: {kinds}")
    for name, count in sorted(found.nested.items()):
        found.notes.append(f"{count} pictures of class {name!r} lie in folders inside it and count as {name!r}")
    present = {picture.part for picture in pictures}
    parts = tuple(part for part in PARTS if part in present)
    listing = Listing(printable(top), classes, pictures, skipped, parts, tuple(found.notes))
    notes = _check(top, listing, layout, named=_given(top, folders, val=val, test=test))
    return replace(listing, notes=(*listing.notes, *notes))


def printable(text: str) -> str:
    """The text with backslashes, control characters and undecodable bytes escaped; no two texts become equal."""
    return "".join(char if char.isprintable() and char != "\\" else _escape(char) for char in text)


def _escape(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # os.fsdecode keeps an undecodable byte like this
        return f"\\x{code - 0xDC00:02x}"
    short = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(char)
    return short or (f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}")


def _real_folder(root: Path) -> str:
    try:
        top = os.path.realpath(root, strict=True)
    except (OSError, ValueError):
        raise DataError(f"there is no folder {printable(str(root))}") from None
    what = "is a file; give the folder that holds the class folders"
    require(os.path.isdir(top), f"{printable(str(root))} {what}", error=DataError)
    return top


def _entries(folder: str) -> tuple[list[str], list[str]]:
    """Names of the folders and of everything else in a folder, sorted. Raises DataError if it cannot be listed."""
    folders: list[str] = []
    others: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and entry.name.casefold() not in _IGNORED:
                    (folders if entry.is_dir(follow_symlinks=False) else others).append(entry.name)
    except OSError as problem:
        raise DataError(f"the folder {printable(folder)} cannot be listed: {problem.strerror}") from None
    return sorted(folders), sorted(others)


def _holds_classes(folder: str) -> bool:
    folders, files = _entries(folder)
    return bool(folders) and not any(_extension(name) in _PICTURES for name in files)


def _layout(top: str, folders: list[str], found: _Found, *, val: str | None, test: str | None) -> dict[Part, list[str]]:
    """The class folders of each part, absolute; the part is "" where there is only one."""
    roles, rest = _roles(top, folders, found, _given(top, folders, val=val, test=test))
    layout: dict[Part, list[str]] = {}
    if "train" not in roles:
        if roles and not rest:
            raise DataError(
                f"{printable(top)} holds {_some(sorted(roles.values()))} but nothing to train on: no train/"
            )
        layout["train" if roles else ""] = [os.path.join(top, name) for name in rest]
        used = {*roles.values(), *rest}
    else:
        used = set(roles.values())
    for part in PARTS:
        if part in roles:
            layout[part] = _classes_of(top, roles[part], found)
    if unused := [printable(name) for name in folders if name not in used]:
        found.notes.append(f"not used, since they play no part: {_some(unused)}")
    return layout


def _given(top: str, folders: list[str], *, val: str | None, test: str | None) -> dict[Part, str]:
    """The folders that were named for a part. Raises DataError for one that is not there."""
    asked: dict[Part, str | None] = {"val": val, "test": test}
    given = {part: name for part, name in asked.items() if name is not None}
    for name in given.values():
        if name not in folders:
            known = [printable(folder) for folder in folders]
            raise DataError(f"{unknown('folder', name, known)} in {printable(top)}")
    require(len(set(given.values())) == len(given), f"the folder {val!r} cannot be val and test", error=DataError)
    return given


def _roles(top: str, folders: list[str], found: _Found, given: Mapping[Part, str]) -> tuple[dict[Part, str], list[str]]:
    """The folder of each part, and the folders that are classes if none of them is train.

    A folder named like a part can also be a class ("train", beside "car"). train is a part if it holds folders and no
    pictures, or if nothing but parts lies beside it; val and test are parts beside such a train, and else only if they
    hold classes that lie beside them too.
    """
    free = [name for name in folders if name not in given.values()]
    like_parts = {name for name in free if any(name.casefold() in names for names in _ALIASES.values())}
    rest = [name for name in free if name not in like_parts]
    roles: dict[Part, str] = dict(given)
    train = _alias("train", free)
    others = {part: name for part in PARTS[1:] if part not in given and (name := _alias(part, free))}
    if train is not None:
        if _holds_classes(os.path.join(top, train)) or (not rest and (others or given)):
            roles["train"] = train
        else:
            rest.append(train)
    for part, name in others.items():
        is_part = _holds_classes(os.path.join(top, name))
        inside, _ = _entries(os.path.join(top, name))
        if "train" not in roles and not (is_part and (not rest or set(inside) & set(rest))):
            rest.append(name)
        elif is_part:
            roles[part] = name
        else:
            found.notes.append(f"{printable(name)}/ holds no class folders and so no answers; it is not read")
    return roles, sorted(rest)


def _alias(part: Part, folders: list[str]) -> str | None:
    names = [name for name in folders if name.casefold() in _ALIASES[part]]
    require(len(names) < 2, f"{_some(names)} could each be the part {part}; keep one of them", error=DataError)
    return names[0] if names else None


def _classes_of(top: str, part_folder: str, found: _Found) -> list[str]:
    folder = os.path.join(top, part_folder)
    folders, files = _entries(folder)
    for name in files:
        _note_file(found, top, os.path.join(folder, name), class_name=None, part="")
    what = f"{printable(part_folder)}/ holds no class folders; put each picture into the folder of its class"
    require(bool(folders), f"{what}, such as {printable(part_folder)}/ants/1.jpg", error=DataError)
    return [os.path.join(folder, name) for name in folders]


def _walk_class(found: _Found, top: str, class_folder: str, part: Part) -> bool:
    """Notes everything in a class folder and the folders inside it; whether there was anything like a picture."""
    name = printable(os.path.basename(class_folder))
    before = len(found.files) + len(found.skipped)
    waiting = [class_folder]
    while waiting:
        folder = waiting.pop()
        try:
            folders, files = _entries(folder)
        except DataError as problem:
            found.skipped.append(Skipped(_identify(top, folder), str(problem)))
            continue
        waiting += [os.path.join(folder, inner) for inner in reversed(folders)]
        for file in files:
            is_picture = _note_file(found, top, os.path.join(folder, file), class_name=name, part=part)
            if is_picture and folder != class_folder:
                found.nested[name] += 1
    return len(found.files) + len(found.skipped) > before


def _note_file(found: _Found, top: str, path: str, *, class_name: str | None, part: Part) -> bool:
    """Notes one entry that is no folder; whether it goes on as a picture."""
    own_id, kind = _identify(top, path), _extension(path)
    try:
        if os.path.islink(path):
            path = _target(top, path)
        elif kind in _UNSUPPORTED:
            raise UnreadablePicture(f"{kind} files cannot be read; {_CONVERT}")
        if kind not in _PICTURES:
            found.others[kind] += 1
            return False
        if class_name is None:
            raise UnreadablePicture("lies in no class folder")
    except UnreadablePicture as problem:
        found.skipped.append(Skipped(own_id, str(problem)))
        return False
    found.files.append(_File(own_id, path, class_name, part))
    return True


def _target(top: str, path: str) -> str:
    try:
        target = os.path.realpath(path, strict=True)
    except OSError:
        raise UnreadablePicture("a link that leads nowhere") from None
    if os.path.isdir(target):
        raise UnreadablePicture("a link to a folder; such links are not followed")
    if os.path.commonpath([top, target]) != top:
        raise UnreadablePicture("a link that leaves the data folder; such links are not followed")
    return target


def _hash_all(found: _Found) -> tuple[tuple[Picture, ...], tuple[Skipped, ...], tuple[str, ...]]:
    with ThreadPoolExecutor(4) as pool:
        hashed = list(pool.map(_digest_or_reason, [file.path for file in found.files]))
    skipped, good = list(found.skipped), []
    for file, result in zip(found.files, hashed, strict=True):
        if isinstance(result, str):
            skipped.append(Skipped(file.id, result))
        else:
            good.append((file, *result))
    classes = tuple(sorted({file.class_name for file, _, _ in good}))
    labels = {name: label for label, name in enumerate(classes)}
    pictures = tuple(
        Picture(file.id, file.path, labels[file.class_name], file.part, digest, size) for file, digest, size in good
    )
    return pictures, tuple(sorted(skipped, key=lambda item: item.id)), classes


def _digest_or_reason(path: str) -> tuple[str, int] | str:
    try:
        with _open_regular(path) as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
            return digest, file.tell()
    except UnreadablePicture as problem:
        return str(problem)
    except OSError as problem:
        return f"cannot be read: {problem.strerror}"


def _check(top: str, listing: Listing, layout: Mapping[Part, list[str]], *, named: Iterable[Part]) -> list[str]:
    """Notes on what is odd about the parts. Raises DataError if these pictures teach nothing."""
    notes: list[str] = []
    held: dict[Part, set[str]] = {part: set() for part in ("", *PARTS)}
    for picture in listing.pictures:
        held[picture.part].add(listing.classes[picture.label])
    train = held[""] | held["train"]
    if not train:
        raise DataError(f"no pictures {'to train on ' if listing.pictures else ''}in {printable(top)}{_why(listing)}")
    _refuse_twins(listing.classes)
    for part in layout.keys() - {"", "train"}:
        here = held[part]
        require(bool(here) or part not in named, f"the {part} folder holds no pictures{_why(listing)}", error=DataError)
        only, missing = sorted(here - train), sorted(train - here)
        require(not only, f"classes that lie in {part} but not in train: {_some(only)}", error=DataError)
        if not here:
            notes.append(f"the part {part} holds no pictures")
        elif missing:
            notes.append(f"the part {part} lacks the classes {_some(missing)}")
    if len(train) == 1:
        inner = [folder for folder in next(iter(layout.values())) if _holds_classes(folder)]
        hint = f"; did you mean {printable(inner[0])}?" if inner else ""
        [name] = train
        raise DataError(f"only one class, {name!r}, in {printable(top)}; two or more are needed{_why(listing)}{hint}")
    return notes


def _why(listing: Listing) -> str:
    """What was seen instead of pictures, and what would be right."""
    skipped = listing.skipped
    first = f"; {len(skipped)} skipped, the first {skipped[0].id}: {skipped[0].reason}" if skipped else ""
    return f"{first}{''.join(f'; {note}' for note in listing.notes)}; {_FORM}"


def _refuse_twins(classes: Iterable[str]) -> None:
    twins: dict[str, str] = {}
    for name in sorted(classes):
        plain = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name.strip()).casefold())
        if plain in twins:
            raise DataError(
                f"the classes {twins[plain]!a} and {name!a} differ only in case, spaces or Unicode form; "
                "rename or merge their folders"
            )
        twins[plain] = name


def _identify(top: str, path: str) -> str:
    return printable(os.path.relpath(path, top).replace(os.sep, "/"))


def _extension(path: str) -> str:
    return printable(os.path.splitext(path)[1].lower())


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def decode(path: str, *, shortest: int | None) -> np.ndarray:
    """The picture as (H, W, 3) uint8 RGB, upright, first frame only, transparency on white.

    shortest: pixels; a picture whose shorter side is longer is shrunk to it (antialiased), none is enlarged.
    Raises UnreadablePicture with the reason. Files up to 100 MB and 50 million pixels are read.
    """
    with _judged_warnings():
        return _decode_bytes(_read(path), shortest=shortest)


def load_pixels(
    pictures: Sequence[Picture],
    *,
    shortest: int,
    cache: ArrayCache,
    workers: int = 2,
    on_progress: Callable[[int, int], None] | None = None,
) -> Loaded:
    """The pixels of these pictures, from the cache where they are in it, else decoded and put there.

    Equal files are decoded once and share one array. on_progress gets the pictures done and all pictures, in this
    thread. Raises StorageError if the cache cannot be written.
    """
    groups: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        groups[f"{picture.digest}-{shortest}-{_DECODER}"].append(picture)
    arrays = cache.get(list(groups))
    todo = [key for key in groups if key not in arrays]
    done = sum(len(groups[key]) for key in arrays)
    if on_progress is not None:
        on_progress(done, len(pictures))
    reasons: dict[str, str] = {}
    pending: dict[str, np.ndarray] = {}
    with _judged_warnings(), ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(todo), 64):  # a bound on what waits in memory
            keys = todo[start : start + 64]
            results = pool.map(lambda key: _decode_first(groups[key], shortest=shortest), keys)
            for key, result in zip(keys, results, strict=True):
                if isinstance(result, str):
                    reasons[key] = result
                else:
                    pending[key] = result
                done += len(groups[key])
                if on_progress is not None:
                    on_progress(done, len(pictures))
            if sum(array.nbytes for array in pending.values()) >= _SHARD_BYTES:
                arrays, pending = arrays | _stored(cache, pending), {}
    arrays |= _stored(cache, pending)
    key_of = {picture.id: key for key, group in groups.items() for picture in group}
    kept = tuple(picture for picture in pictures if key_of[picture.id] in arrays)
    skipped = [Skipped(p.id, reasons[key_of[p.id]]) for p in pictures if key_of[p.id] in reasons]
    return Loaded(kept, tuple(arrays[key_of[picture.id]] for picture in kept), tuple(skipped))


@contextlib.contextmanager
def _judged_warnings() -> Iterator[None]:
    """While it lasts, Pillow's warnings about odd tags beside good pixels are not heard; one about a bomb is an error.

    Entered by the calling thread only: filters are the whole process's before Python 3.14.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _stored(cache: ArrayCache, pending: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays as views of the cache, so that memory is freed; those trimmed again meanwhile as they are."""
    cache.put(pending)
    return {**pending, **cache.get(list(pending))}


def _decode_first(group: Sequence[Picture], *, shortest: int) -> np.ndarray | str:
    """The pixels of the first of these equal files that can be read, else the reason of the last."""
    reason = ""
    for picture in group:
        try:
            data = _read(picture.path)
            if hashlib.blake2b(data, digest_size=16).hexdigest() != picture.digest:
                raise UnreadablePicture("the file has changed since it was listed")
            return _decode_bytes(data, shortest=shortest)
        except UnreadablePicture as problem:
            reason = str(problem)
    return reason


def _open_regular(path: str) -> io.BufferedReader:
    """A file opened without following a link, waiting for a pipe or touching a device. Raises UnreadablePicture."""
    try:
        _require_regular(os.lstat(path).st_mode)
        flags = ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY")
        file = os.fdopen(os.open(path, os.O_RDONLY | sum(getattr(os, flag, 0) for flag in flags)), "rb")
    except OSError as problem:
        raise UnreadablePicture(f"cannot be opened: {problem.strerror}") from None
    try:
        status = os.fstat(file.fileno())  # of what is open now, whatever has the name
        _require_regular(status.st_mode)
        require(status.st_size > 0, "an empty file", error=UnreadablePicture)
        limit = f"beyond the limit of {MAX_FILE_BYTES // 10**6} MB"
        require(status.st_size <= MAX_FILE_BYTES, f"{status.st_size} bytes are {limit}", error=UnreadablePicture)
    except BaseException:
        file.close()
        raise
    return file


def _require_regular(mode: int) -> None:
    kinds = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFLNK: "a link", stat.S_IFDIR: "a folder"}
    kind = kinds.get(stat.S_IFMT(mode), "a device")
    require(stat.S_ISREG(mode), f"{kind} and not a file", error=UnreadablePicture)


def _read(path: str) -> bytes:
    with _open_regular(path) as file:
        try:
            return file.read(MAX_FILE_BYTES)
        except OSError as problem:
            raise UnreadablePicture(f"cannot be read: {problem.strerror}") from None


def _decode_bytes(data: bytes, *, shortest: int | None) -> np.ndarray:
    # Not Image.open: it loads plugins of formats that are not wanted, and its limit on pixels is the process's.
    # The reader is chosen by the first bytes, and the size in the header is judged before anything is decoded.
    plugin = _plugin(data)
    try:
        with plugin(io.BytesIO(data), "") as image:
            _check_size(image.size)
            whole = image.size  # reducing while decoding rounds up, which must not change the picture's shape
            if shortest is not None:
                image.draft(None, (2 * shortest, 2 * shortest))  # a JPEG is decoded at 1/2, 1/4 or 1/8 of its size
            image.load()
            orientation = _orientation(image)
            plain = _shrink(_to_8_bit(image), shortest, whole)
        if plain.mode == "RGBA":
            plain = Image.alpha_composite(Image.new("RGBA", plain.size, "white"), plain).convert("RGB")
        return np.array(plain if orientation is None else plain.transpose(orientation))
    except UnreadablePicture:
        raise
    except Exception as problem:  # Pillow's plugins raise a dozen kinds for a broken file
        lines = str(problem).splitlines()
        reason = printable(lines[0])[:160] if lines else type(problem).__name__
        raise UnreadablePicture(f"cannot be decoded: {reason}") from None


def _plugin(data: bytes) -> type[ImageFile.ImageFile]:
    """The reader for what the first bytes say, whatever the file's name says. Raises UnreadablePicture."""
    readers: dict[bytes, type[ImageFile.ImageFile]] = {
        b"\xff\xd8\xff": JpegImagePlugin.JpegImageFile, b"\x89PNG\r\n\x1a\n": PngImagePlugin.PngImageFile,
        b"GIF87a": GifImagePlugin.GifImageFile, b"GIF89a": GifImagePlugin.GifImageFile,
        b"BM": BmpImagePlugin.BmpImageFile, b"II*\0": TiffImagePlugin.TiffImageFile,
        b"MM\0*": TiffImagePlugin.TiffImageFile,
    }  # fmt: skip
    for start, reader in readers.items():
        if data.startswith(start):
            return reader
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return WebPImagePlugin.WebPImageFile
    head = data[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    others = {
        b"<!doctype html": "an HTML page", b"<html": "an HTML page", b"<svg": "an SVG drawing", b"<?xml": "an XML file",
        b"%pdf": "a PDF file", b"%!ps": "a PostScript file", b"8bps": "a Photoshop file",
    }  # fmt: skip
    what = next((name for start, name in others.items() if head.startswith(start)), "no picture by its first bytes")
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis"):
        raise UnreadablePicture(f"a HEIC or AVIF picture inside; {_CONVERT}")
    raise UnreadablePicture(f"{what}, not JPEG, PNG, WebP, BMP, GIF or TIFF")


def _check_size(size: tuple[int, int]) -> None:
    short, long = sorted(size)
    text = f"{size[0]} x {size[1]} pixels"
    limit = f"beyond the limit of {MAX_PIXELS // 10**6} million"
    require(short * long <= MAX_PIXELS, f"{text} are {limit}", error=UnreadablePicture)
    require(short >= 2, f"{text} show nothing", error=UnreadablePicture)
    require(long <= MAX_ASPECT * short, f"{text} are a strip, longer than {MAX_ASPECT}:1", error=UnreadablePicture)


def _orientation(image: ImageFile.ImageFile) -> Image.Transpose | None:
    """How a stored picture is turned upright. A TIFF has been turned already when it was loaded."""
    try:
        tag = int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # broken EXIF beside good pixels is common, and every viewer shows such a picture as it is stored
        return None
    ways = Image.Transpose
    return {
        2: ways.FLIP_LEFT_RIGHT, 3: ways.ROTATE_180, 4: ways.FLIP_TOP_BOTTOM, 5: ways.TRANSPOSE,
        6: ways.ROTATE_270, 7: ways.TRANSVERSE, 8: ways.ROTATE_90,
    }.get(tag)  # fmt: skip


def _to_8_bit(image: Image.Image) -> Image.Image:
    """The image in mode RGB, or RGBA if some of it can be seen through."""
    if image.mode.startswith("I;16"):
        grey = (np.asarray(image).astype(np.uint32) + 128) // 257  # 65535 is white, as 255 is
        image = Image.fromarray(grey.astype(np.uint8))
    if image.mode in ("I", "F"):
        raise UnreadablePicture(f"pixels of mode {image.mode} have no known white; save it with 8 or 16 bits")
    wanted = "RGBA" if image.has_transparency_data else "RGB"
    return image if image.mode == wanted else image.convert(wanted)


def _shrink(image: Image.Image, shortest: int | None, whole: tuple[int, int]) -> Image.Image:
    """The picture with its shorter side at most `shortest`. whole: its size before any reduction in decoding."""
    if shortest is None or min(whole) <= shortest:
        return image
    scale = shortest / min(whole)
    size = (max(round(whole[0] * scale), shortest), max(round(whole[1] * scale), shortest))
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)


def perceptual_hash(array: np.ndarray) -> int:
    """64 bits that stay nearly the same when a picture is re-encoded or resized a little.

    array: (H, W, 3) uint8. Bit by bit: whether each of the 8 x 8 lowest frequencies of the grey picture is above
    their median. Two pictures of one plain colour hash equal.
    Source: Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions (2010), section 3.2.1.
    """
    grey = Image.fromarray(array).convert("L").resize((32, 32), Image.Resampling.BICUBIC, reducing_gap=3.0)
    waves = np.cos(np.pi * np.outer(np.arange(8), 2 * np.arange(32) + 1) / 64)
    block = waves @ np.asarray(grey, dtype=np.float64) @ waves.T
    low = np.round(block.ravel(), 3)  # a plain picture has rounding noise where it should have zeros
    bits = low > np.median(low[1:])  # the first is the mean brightness
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def close_pairs(hashes: np.ndarray, *, limit: int) -> list[tuple[int, int]]:
    """The pairs (i, j), i < j, whose hashes differ in at most `limit` bits, in order.

    hashes: (N,) uint64. Every pair is looked at: 10,000 hashes take about 0.4 s, 100,000 about 40 s. Among K equal
    hashes all K(K - 1)/2 pairs come back.
    """
    pairs: list[tuple[int, int]] = []
    rows = max(1, 2**22 // max(1, len(hashes)))
    for start in range(0, len(hashes), rows):
        distances = np.bitwise_count(hashes[start : start + rows, None] ^ hashes[None, start:])
        first, second = np.nonzero(distances <= limit)
        keep = second > first
        pairs += zip((first[keep] + start).tolist(), (second[keep] + start).tolist(), strict=True)
    return pairs


def write_skipped(path: Path, skipped: Iterable[Skipped]) -> None:
    """Writes a CSV file (0600) of picture and reason; a cell that a spreadsheet would run gets a quote before it.

    Source: OWASP, CSV Injection.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
    handle = os.open(path, flags, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        rows = itertools.chain([("picture", "reason")], ((item.id, item.reason) for item in skipped))
        csv.writer(file).writerows([_plain_cell(cell) for cell in row] for row in rows)


def _plain_cell(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
