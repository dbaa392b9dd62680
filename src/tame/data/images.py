"""Pictures in folders: which there are, their classes and parts.

Nothing here trusts a folder: no link is followed out of it, and whatever cannot be read is skipped with its reason and
never stops a study.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from tame.core.errors import DataError, require, unknown
from tame.core.files import write_text
from tame.core.result_parts import TargetFacts
from tame.core.text import printable
from tame.data.image_decoding import CONVERT, open_picture
from tame.data.image_depth import UnreadablePicture
from tame.data.image_layout import missing_in_train, no_pictures, same_inside, without_folders
from tame.data.image_layout import some as _some
from tame.data.labels import lookalikes

Part = Literal["", "train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")
_ALIASES: Mapping[Part, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
ENDINGS = frozenset({".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
UNSUPPORTED = frozenset({".heic", ".heif", ".avif", ".jxl", ".jp2"})
_IGNORED = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


@dataclass(frozen=True, slots=True)
class Picture:
    """A file that looks like a picture from outside; it was hashed, not decoded."""

    id: str  # its path below the root, printable and unique
    path: str  # absolute; undecodable bytes as surrogates
    label: int
    part: Part  # "" where the layout has no parts
    digest: str  # BLAKE2 of the content, 16 bytes as hexadecimal digits
    size_bytes: int
    offset: int | None = None  # where it begins in a file that holds many; None: the file is the picture
    value: float | None = None  # of a regression, whose pictures have the label 0


@dataclass(frozen=True, slots=True)
class Skipped:
    """What was left out, and why."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Listing:
    """What a folder or a list holds. `parts` names those that have pictures; it is empty where there are no parts.

    beside: of a list, the columns (N,) that group and order its pictures, as they came; digests: of its tables; target:
    of a regression, which has no classes.
    """

    root: str
    classes: tuple[str, ...]
    pictures: tuple[Picture, ...]
    skipped: tuple[Skipped, ...]
    parts: tuple[Part, ...]
    notes: tuple[str, ...]
    beside: Mapping[str, np.ndarray] = field(default_factory=dict, compare=False)
    digests: tuple[str, ...] = ()
    target: TargetFacts | None = None


@dataclass(frozen=True, slots=True)
class File:
    """A file that is to be hashed: its id, its absolute path, what it shows and the part that it came in.

    value: of a regression, instead of a class.
    """

    id: str
    path: str
    class_name: str
    part: Part
    value: float | None = None


@dataclass(slots=True)
class Found:
    """What a walk through folders gathers."""

    files: list[File] = field(default_factory=list)
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
    top = real_folder(root)
    found = Found()
    folders, files = entries(top)
    for name in files:
        _note_file(found, top, os.path.join(top, name), class_name=None, part="")
    if found.skipped and not folders:
        raise DataError(f"{printable(top)} holds pictures but no class folders; {_cure_without_folders(top)}")
    layout = _layout(top, folders, found, val=val, test=test)
    candidates: set[str] = set()
    for part, class_folders in layout.items():
        empty: list[str] = []
        for folder in class_folders:
            if _walk_class(found, top, folder, part):
                candidates.add(printable(os.path.basename(folder)))
            else:
                empty.append(identify(top, folder))
        if empty:
            said = f"{len(empty)} folders contain no pictures and do not count as classes"
            said = "1 folder contains no pictures and does not count as a class" if len(empty) == 1 else said
            found.notes.append(f"{said}: {_some(empty)}")
    pictures, skipped, classes = hash_all(found.files, found.skipped)
    if lost := sorted(candidates - set(classes)):
        found.notes.append(f"classes of which nothing can be read: {_some(lost)}")
    if found.others:
        kinds = ", ".join(f"{count} {kind or 'without one'}" for kind, count in found.others.most_common(8))
        found.notes.append(f"{found.others.total()} files are not pictures, by their extension: {kinds}")
    for name, count in sorted(found.nested.items()):
        found.notes.append(f"{count} pictures of class {name!r} lie in folders inside it and count as {name!r}")
    present = {picture.part for picture in pictures}
    parts = tuple(part for part in PARTS if part in present)
    listing = Listing(printable(top), classes, pictures, skipped, parts, tuple(found.notes))
    notes = _check(top, listing, layout, found.others, named=given_parts(top, folders, val=val, test=test))
    return replace(listing, notes=(*listing.notes, *notes))


def pictures_in(folder: Path) -> tuple[list[tuple[str, str]], list[Skipped]]:
    """The pictures in a folder and in those inside it, and what looks like one and is left out, as `scan` finds them.

    Each picture has its path as it was named, printable, and the path of its file. Raises DataError if the folder
    cannot be listed.
    """
    top = real_folder(folder)
    found = below(top)
    named = [(printable(os.path.join(os.fspath(folder), file.id)), file.path) for file in found.files]
    left = [Skipped(printable(os.path.join(os.fspath(folder), each.id)), each.reason) for each in found.skipped]
    return sorted(named), sorted(left, key=lambda each: each.id)


def below(top: str) -> Found:
    """Everything in a folder and in those inside it, all as of one class. Raises DataError if it cannot be listed."""
    entries(top)
    found = Found()
    _walk_class(found, top, top, "")
    return found


def real_folder(root: Path) -> str:
    """The absolute path of a folder, without links. Raises DataError where there is none."""
    try:
        top = os.path.realpath(root, strict=True)
    except (OSError, ValueError):
        raise DataError(f"there is no folder {printable(str(root))}") from None
    what = "is a file; give the folder that holds the class folders"
    require(os.path.isdir(top), f"{printable(str(root))} {what}", error=DataError)
    return top


def entries(folder: str) -> tuple[list[str], list[str]]:
    """Names of the folders and of everything else in a folder, sorted. Raises DataError if it cannot be listed."""
    folders: list[str] = []
    others: list[str] = []
    try:
        with os.scandir(folder) as found:
            for entry in found:
                if not entry.name.startswith(".") and entry.name.casefold() not in _IGNORED:
                    (folders if entry.is_dir(follow_symlinks=False) else others).append(entry.name)
    except OSError as problem:
        raise DataError(f"the folder {printable(folder)} cannot be listed: {problem.strerror}") from None
    return sorted(folders), sorted(others)


def _cure_without_folders(folder: str) -> str:
    """What to do with the pictures of a folder that holds no class folders."""
    _, files = entries(folder)
    parent, pictures = os.path.dirname(folder), [printable(name) for name in files if extension(name) in ENDINGS]
    try:
        beside = [name for name in entries(parent)[0] if _holds_pictures(os.path.join(parent, name))]
    except DataError:  # the parent need not be readable: then nothing is known of what lies beside
        beside = []
    # Parts that lie beside each other are no classes.
    like_parts = any(name.casefold() in names for name in beside for names in _ALIASES.values())
    others = [printable(name) for name in files if extension(name) not in ENDINGS]
    own = [] if like_parts else [printable(name) for name in beside]
    return without_folders(pictures, others, beside=own, parent=printable(parent))


def _holds_pictures(folder: str) -> bool:
    try:
        return any(extension(name) in ENDINGS for name in entries(folder)[1])
    except DataError:
        return False


def _holds_classes(folder: str) -> bool:
    folders, files = entries(folder)
    return bool(folders) and not any(extension(name) in ENDINGS for name in files)


def _layout(top: str, folders: list[str], found: Found, *, val: str | None, test: str | None) -> dict[Part, list[str]]:
    """The class folders of each part, absolute; the part is "" where there is only one."""
    roles, rest = _roles(top, folders, found, given_parts(top, folders, val=val, test=test))
    layout: dict[Part, list[str]] = {}
    if "train" not in roles:
        if roles and not rest:
            raise DataError(
                f"{printable(top)} holds {_some(sorted(roles.values()))} but nothing to train on: no train/"
            )
        own = {name: entries(os.path.join(top, name))[0] for name in rest if _holds_classes(os.path.join(top, name))}
        like_parts = {alias: part for part, names in _ALIASES.items() for alias in names}
        if len(own) == len(rest) and (problem := same_inside(own, like_parts)):
            raise DataError(f"in {printable(top)}, {problem}")
        layout["train" if roles else ""] = [os.path.join(top, name) for name in rest]
        used = {*roles.values(), *rest}
    else:
        used = set(roles.values())
    for part in PARTS:
        if part in roles:
            layout[part] = _classes_of(top, roles[part], found)
    if unused := [printable(name) for name in folders if name not in used]:
        mend = "name one of them with --val or --test to use it"
        found.notes.append(f"not used, since they play no part: {_some(unused)} ({mend})")
    return layout


def part_of_name(folder: str) -> Part | None:
    """The part that a folder is called like, or None."""
    return next((part for part, names in _ALIASES.items() if folder.casefold() in names), None)


def part_folders(folders: list[str], given: Mapping[Part, str]) -> dict[Part, str]:
    """The folder of each part: those that were given, and those that are called like the other parts."""
    free = [name for name in folders if name not in given.values()]
    found = {part: given.get(part) or alias_of(part, free) for part in PARTS}
    return {part: name for part, name in found.items() if name is not None}


def given_parts(top: str, folders: list[str], *, val: str | None, test: str | None) -> dict[Part, str]:
    """The folders that were named for a part. Raises DataError for one that is not there."""
    asked: dict[Part, str | None] = {"val": val, "test": test}
    given = {part: name for part, name in asked.items() if name is not None}
    for name in given.values():
        if name not in folders:
            known = [printable(folder) for folder in folders]
            raise DataError(f"{unknown('folder', name, known)} in {printable(top)}")
    require(len(set(given.values())) == len(given), f"the folder {val!r} cannot be val and test", error=DataError)
    return given


def _roles(top: str, folders: list[str], found: Found, given: Mapping[Part, str]) -> tuple[dict[Part, str], list[str]]:
    """The folder of each part, and the folders that are classes if none of them is train.

    A folder named like a part can also be a class ("train", beside "car"). train is a part if it holds folders and no
    pictures, or if nothing but parts lies beside it; val and test are parts beside such a train, and else only if they
    hold classes that lie beside them too.
    """
    free = [name for name in folders if name not in given.values()]
    like_parts = {name for name in free if any(name.casefold() in names for names in _ALIASES.values())}
    rest = [name for name in free if name not in like_parts]
    roles: dict[Part, str] = dict(given)
    train = alias_of("train", free)
    others = {part: name for part in PARTS[1:] if part not in given and (name := alias_of(part, free))}
    if train is not None:
        if _holds_classes(os.path.join(top, train)) or (not rest and (others or given)):
            roles["train"] = train
        else:
            rest.append(train)
    for part, name in others.items():
        is_part = _holds_classes(os.path.join(top, name))
        inside, _ = entries(os.path.join(top, name))
        if "train" not in roles and not (is_part and (not rest or set(inside) & set(rest))):
            rest.append(name)
        elif is_part:
            roles[part] = name
        else:
            found.notes.append(f"{printable(name)}/ holds no class folders and so no answers; it is not read")
    return roles, sorted(rest)


def alias_of(part: Part, folders: list[str]) -> str | None:
    """The folder that is called like a part, or None. Raises DataError where there are several."""
    names = [name for name in folders if name.casefold() in _ALIASES[part]]
    require(len(names) < 2, f"{_some(names)} could each be the part {part}; keep one of them", error=DataError)
    return names[0] if names else None


def _classes_of(top: str, part_folder: str, found: Found) -> list[str]:
    folder = os.path.join(top, part_folder)
    folders, files = entries(folder)
    for name in files:
        _note_file(found, top, os.path.join(folder, name), class_name=None, part="")
    if not folders:
        raise DataError(f"{printable(part_folder)}/ holds no class folders; {_cure_without_folders(folder)}")
    return [os.path.join(folder, name) for name in folders]


def _walk_class(found: Found, top: str, class_folder: str, part: Part) -> bool:
    """Notes everything in a class folder and the folders inside it; whether there was anything like a picture."""
    name = printable(os.path.basename(class_folder))
    before = len(found.files) + len(found.skipped)
    waiting = [class_folder]
    while waiting:
        folder = waiting.pop()
        try:
            folders, files = entries(folder)
        except DataError as problem:
            found.skipped.append(Skipped(identify(top, folder), str(problem)))
            continue
        waiting += [os.path.join(folder, inner) for inner in reversed(folders)]
        for file in files:
            is_picture = _note_file(found, top, os.path.join(folder, file), class_name=name, part=part)
            if is_picture and folder != class_folder:
                found.nested[name] += 1
    return len(found.files) + len(found.skipped) > before


def _note_file(found: Found, top: str, path: str, *, class_name: str | None, part: Part) -> bool:
    """Notes one entry that is no folder; whether it goes on as a picture."""
    own_id, kind = identify(top, path), extension(path)
    try:
        if os.path.islink(path):
            path = link_target(top, path)
        elif kind in UNSUPPORTED:
            raise UnreadablePicture(f"{kind} files cannot be read; {CONVERT}")
        if kind not in ENDINGS:
            found.others[kind] += 1
            return False
        if class_name is None:
            raise UnreadablePicture("lies in no class folder")
    except UnreadablePicture as problem:
        found.skipped.append(Skipped(own_id, str(problem)))
        return False
    found.files.append(File(own_id, path, class_name, part))
    return True


def link_target(top: str, path: str) -> str:
    """The file that a link leads to. Raises UnreadablePicture unless it is one inside the folder `top`."""
    try:
        target = os.path.realpath(path, strict=True)
    except OSError:
        raise UnreadablePicture("a link that leads nowhere") from None
    if os.path.isdir(target):
        raise UnreadablePicture("a link to a folder; such links are not followed")
    if os.path.commonpath([top, target]) != top:
        raise UnreadablePicture("a link that leaves the data folder; such links are not followed")
    return target


def hash_all(
    files: Sequence[File], skipped: Sequence[Skipped], classes: Sequence[str] | None = None
) -> tuple[tuple[Picture, ...], tuple[Skipped, ...], tuple[str, ...]]:
    """The files with their digests, what is left out with those that cannot be read, and the classes.

    classes: in their order, () of a regression; None: those that can be read, in the order of their names.
    """
    with ThreadPoolExecutor(4) as pool:
        hashed = list(pool.map(_digest_or_reason, [file.path for file in files]))
    left, good = list(skipped), []
    for file, result in zip(files, hashed, strict=True):
        if isinstance(result, str):
            left.append(Skipped(file.id, result))
        else:
            good.append((file, *result))
    found = tuple(sorted({file.class_name for file, _, _ in good}) if classes is None else classes)
    labels = {name: label for label, name in enumerate(found)}
    pictures = tuple(
        Picture(file.id, file.path, labels[file.class_name] if found else 0, file.part, digest, size, value=file.value)
        for file, digest, size in good
    )
    return pictures, tuple(sorted(left, key=lambda item: item.id)), found


def _digest_or_reason(path: str) -> tuple[str, int] | str:
    try:
        with open_picture(path) as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
            return digest, file.tell()
    except UnreadablePicture as problem:
        return str(problem)
    except OSError as problem:
        return f"cannot be read: {problem.strerror}"


def _check(
    top: str, listing: Listing, layout: Mapping[Part, list[str]], others: Mapping[str, int], *, named: Iterable[Part]
) -> list[str]:
    """Notes on what is odd about the parts. Raises DataError if these pictures teach nothing."""
    notes: list[str] = []
    held: dict[Part, set[str]] = {part: set() for part in ("", *PARTS)}
    for picture in listing.pictures:
        held[picture.part].add(listing.classes[picture.label])
    train = held[""] | held["train"]
    if not train:
        cure = no_pictures(others, unreadable=len(listing.skipped))
        what = "to train on " if listing.pictures else ""
        raise DataError(f"no pictures {what}in {printable(top)}{_why(listing)}{cure}")
    refuse_twins(listing.classes)
    for part in layout.keys() - {"", "train"}:
        here = held[part]
        require(bool(here) or part not in named, f"the {part} folder holds no pictures{_why(listing)}", error=DataError)
        notes += notes_on_part(part, here, train)
    if len(train) == 1:
        [folder] = [each for each in next(iter(layout.values())) if printable(os.path.basename(each)) in train]
        [name] = train
        if _holds_classes(folder):
            cure = f"did you mean {printable(folder)}?"
        elif listing.skipped:
            cure = "repair the pictures of other classes"
        else:
            cure = f"put those of another class into a folder beside it, or: {_cure_without_folders(folder)}"
        raise DataError(f"only one class, {name!r}, in {printable(top)}; two or more are needed{_why(listing)}; {cure}")
    return notes


def notes_on_part(part: Part, here: Collection[str], train: Collection[str]) -> list[str]:
    """What is to be said of the classes of a part beside those of train. Raises DataError for one only it has."""
    only, missing = sorted({*here} - {*train}), sorted({*train} - {*here})
    require(not only, missing_in_train(part, only, sorted(train)), error=DataError)
    if not here:
        return [f"the part {part} holds no pictures"]
    return [f"the part {part} lacks the classes {_some(missing)}"] if missing else []


def _why(listing: Listing) -> str:
    """What was seen instead of pictures."""
    skipped = listing.skipped
    first = f"; {len(skipped)} skipped, the first {skipped[0].id}: {skipped[0].reason}" if skipped else ""
    return f"{first}{''.join(f'; {note}' for note in listing.notes)}"


def refuse_twins(classes: Iterable[str]) -> None:
    """Raises DataError for two names of classes that look the same."""
    # What cannot be printed is escaped in the names of classes, and is compared as it is in the names of folders.
    plain = [name.encode("ascii", "backslashreplace").decode("unicode_escape") for name in classes]
    twins = lookalikes(plain)
    if twins is not None:
        raise DataError(
            f"the classes {twins[0]!a} and {twins[1]!a} look alike: they differ only in case, spaces, Unicode form, "
            "letters that are hard to tell apart, final punctuation or leading zeros; rename or merge their folders"
        )


def identify(top: str, path: str) -> str:
    """The id of a picture: its path below a folder, printable."""
    return printable(os.path.relpath(path, top).replace(os.sep, "/"))


def extension(path: str) -> str:
    """The ending of a file's name in small letters, with its dot; printable."""
    return printable(os.path.splitext(path)[1].lower())


def write_skipped(path: Path, skipped: Iterable[Skipped]) -> None:
    """Writes a CSV file (0600) of picture and reason; a cell that a spreadsheet would run gets a quote before it.

    Source: OWASP, CSV Injection.
    """
    rows = itertools.chain([("picture", "reason")], ((item.id, item.reason) for item in skipped))
    text = io.StringIO(newline="")
    csv.writer(text).writerows([_plain_cell(cell) for cell in row] for row in rows)
    write_text(path.parent, path.name, text.getvalue())


def _plain_cell(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
