"""Pictures given from Python: lists of paths and of Pillow's pictures, and datasets of them, each with its label.

A dataset is whatever has a length and items, which are pairs (picture, label) as torchvision's, or rows that are dicts
with a picture and a label as Hugging Face's. Neither library is needed.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from tame.core.errors import DataError, ShapeError, require
from tame.data.arrays import is_missing
from tame.data.image_decoding import decode, decode_bytes, deep_numbers, judged_warnings, of_image, read_bytes
from tame.data.image_depth import UnreadablePicture
from tame.data.image_places import is_picture_name
from tame.data.images import Part, part_of_name

LABEL = "label"  # the usual key of a row
PAIR = "a picture with its label: a pair, or a dict"


@dataclass(frozen=True, slots=True)
class Item:
    """One picture as it was given. name: its path, or its number; label: "" for none; beside: values of other keys."""

    name: str
    picture: object
    label: str
    part: Part
    is_path: bool
    beside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Keys:
    """How the rows of a dataset name what they hold; "" for what is not asked for."""

    image: str = ""
    label: str = ""
    beside: tuple[str, ...] = ()


def pictures_given(data: object) -> Mapping[Part, object] | None:
    """What holds pictures, by part ("" where there are none): None for any other data.

    data: a list of paths, (pictures, labels), a dataset, or a dict of these by part ("train", "validation", "test").
    """
    if not isinstance(data, Mapping):
        return {"": data} if _holds_pictures(data) else None
    if not data or not all(isinstance(key, str) and part_of_name(key) for key in data):
        return None
    if not any(_holds_pictures(each) for each in data.values()):
        return None
    parts = {part: data[key] for key in data if (part := part_of_name(key)) is not None}
    require(len(parts) == len(data), f"two of {', '.join(data)} are the same part")
    require("train" in parts, f"there is nothing to train on among {', '.join(data)}: give 'train' too")
    return parts


def is_picture(value: object) -> bool:
    """Whether this is a picture or names one: of Pillow, a path, or the bytes of a file in a dict."""
    if isinstance(value, Mapping):
        return set(value) == {"bytes", "path"}
    if isinstance(value, str):
        return is_picture_name(value)
    return isinstance(value, Image.Image | os.PathLike)


def items_of(parts: Mapping[Part, object], keys: Keys) -> Iterator[Item]:
    """Every picture with its label, part by part. Raises DataError for an item that holds none, and UsageError."""
    for part, data in parts.items():
        names = class_names(data, keys)
        for number, row in enumerate(_rows(data)):
            where = f"item {number} of the {part or 'given'} pictures"
            picture, label, beside = _taken(row, keys, where)
            is_path = isinstance(picture, str | os.PathLike)
            name = os.fspath(picture) if isinstance(picture, str | os.PathLike) else f"{part}/{number}".lstrip("/")
            yield Item(str(name), picture, _label(label, names, where), part, is_path, beside)


def content_of_given(picture: object) -> bytes:
    """The bytes of a picture's file; of Pillow's pictures those of a PNG file, grey of 16 bits as it is.

    Raises UnreadablePicture.
    """
    if isinstance(picture, Image.Image):
        buffer = io.BytesIO()
        with judged_warnings():
            pixels = deep_numbers(picture)
            if pixels is None:
                pixels = of_image(picture, shortest=None)
        Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()
    if isinstance(picture, Mapping) and picture["bytes"] is not None:
        return bytes(picture["bytes"])
    return read_bytes(_real(picture))


def pixels_of_given(picture: object, *, shortest: int, bits: int | None) -> np.ndarray:
    """The picture as `decode` gives it. Raises UnreadablePicture."""
    with judged_warnings():
        if isinstance(picture, Image.Image):
            return of_image(picture, shortest=shortest, bits=bits)
        if isinstance(picture, Mapping) and picture["bytes"] is not None:
            return decode_bytes(bytes(picture["bytes"]), shortest=shortest, bits=bits)
    return decode(_real(picture), shortest=shortest, bits=bits)


def pictures_alone(x: object) -> Iterator[object]:
    """The pictures of a list, of (pictures, labels) or of a dataset, whose labels are left out; or of one picture.

    Raises UsageError for what holds no pictures.
    """
    if is_picture(x):
        yield x
        return
    require(_holds_pictures(x), f"a {type(x).__name__} holds no pictures: give paths or pictures, or a dataset of them")
    for number, row in enumerate(_rows(x)):
        yield _taken(row, Keys(), f"item {number}")[0]


def class_names(data: object, keys: Keys) -> Sequence[str]:
    """The names of a dataset's classes by number, as torchvision's and Hugging Face's have them; () for none."""
    features = getattr(data, "features", None)
    if isinstance(features, Mapping):
        first = _first(data)
        label = _label_key(first, keys) if isinstance(first, Mapping) else ""
        names = getattr(features.get(label), "names", None)
    else:
        names = getattr(data, "classes", None)
    if isinstance(names, Sequence) and not isinstance(names, str):
        return [str(name) for name in names]
    inner = getattr(data, "dataset", None)  # of a part of another dataset
    return () if inner is None else class_names(inner, keys)


def _real(picture: object) -> str:
    """The file of a path: a link that was named is followed."""
    path = picture["path"] if isinstance(picture, Mapping) else picture
    if not isinstance(path, str | os.PathLike):
        raise UnreadablePicture("holds neither bytes nor a path")
    return os.path.realpath(path)


def _holds_pictures(data: object) -> bool:
    if isinstance(data, tuple) and len(data) == 2 and not isinstance(data[0], str | Image.Image | os.PathLike):
        return is_picture(_first(data[0]))
    first = _first(data)
    if is_picture(first):
        return True
    if isinstance(first, Mapping):
        return any(is_picture(value) for value in first.values())
    return isinstance(first, tuple | list) and len(first) == 2 and is_picture(first[0])


def _first(data: Any) -> object:
    """The first item of a list or dataset; None where there is none."""
    if isinstance(data, str | bytes) or not (hasattr(data, "__len__") and hasattr(data, "__getitem__")):
        return None
    try:
        return next(iter(data), None) if len(data) else None
    except (TypeError, KeyError, IndexError):  # it has items, but not by number
        return None


def _rows(data: Any) -> Iterator[object]:
    if isinstance(data, tuple) and len(data) == 2 and not is_picture(data[0]):
        pictures, labels = data
        if len(pictures) != len(labels):
            raise ShapeError(f"there are {len(pictures)} pictures and {len(labels)} labels: they must be as many")
        yield from zip(pictures, labels, strict=True)
    elif hasattr(data, "__iter__"):
        yield from data
    else:
        for number in range(len(data)):
            yield data[number]


def _taken(row: object, keys: Keys, where: str) -> tuple[object, object, tuple[str, ...]]:
    """The picture, the label and what lies beside them in one item. Raises DataError and UsageError."""
    if isinstance(row, Mapping) and not is_picture(row):
        image = keys.image or _picture_key(row)
        label = _label_key(row, keys)
        for key in (image, label, *keys.beside):
            require(not key or key in row, f"{where} has no {key!r}: it has {', '.join(map(str, row))}")
        beside = tuple(str(row[key]) for key in keys.beside)
        picture, own = row.get(image), row.get(label)
    else:
        said = "columns are for rows that are dicts; these are not"
        require(not (keys.image or keys.label or keys.beside), said)
        pair = isinstance(row, tuple | list) and len(row) == 2
        picture, own, beside = (row[0], row[1], ()) if pair else (row, None, ())  # type: ignore[index]
    if not is_picture(picture):
        raise DataError(f"{where} holds {_kind(picture)} and no picture: it must be {PAIR}")
    return picture, own, beside


def _picture_key(row: Mapping[Any, object]) -> str:
    """The key of the picture: of one that was loaded rather than of a path; "" where there is none."""
    found = sorted((key for key, value in row.items() if is_picture(value)), key=lambda key: isinstance(row[key], str))
    return found[0] if found else ""


def _kind(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def _label_key(row: Mapping[Any, object], keys: Keys) -> str:
    """The key of the label: as given, the usual one, or the only one that is left; "" where that is open."""
    if keys.label or LABEL in row:
        return keys.label or LABEL
    others = [key for key, value in row.items() if not is_picture(value) and key not in keys.beside]
    return str(others[0]) if len(others) == 1 else ""


def _label(value: object, names: Sequence[str], where: str) -> str:
    """The label as text, a number with all its digits; the name of its class where the dataset has names.

    Raises DataError for what is none.
    """
    item = getattr(value, "item", None)
    plain = item() if item is not None and getattr(value, "ndim", None) == 0 else value
    if is_missing(plain):
        return ""
    if isinstance(plain, float) and plain.is_integer():
        plain = int(plain)
    good = isinstance(plain, str | int) or (isinstance(plain, float) and math.isfinite(plain))
    require(good, f"the label of {where} is {plain!r:.60}: give text or a number", error=DataError)
    if isinstance(plain, int) and not isinstance(plain, bool) and names:
        within = 0 <= plain < len(names)
        require(within, f"the label of {where} is {plain}, and the dataset names {len(names)} classes", error=DataError)
        return names[plain]
    return str(plain)
