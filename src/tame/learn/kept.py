"""Examples of lessons that were read before, kept in the owner's cache: to read them again takes seconds.

A key is of the content: of what a study recorded about its data, with the digests of its files. So what is kept is
true for as long as it is there, also where the files have changed since, or are gone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

import tame
from tame.core.config import StudyConfig
from tame.core.errors import StorageError
from tame.core.plain import from_plain, to_plain
from tame.data.cache import ArrayCache
from tame.learn.ground import Album, Ground, Tuning, Whose
from tame.study.state import State

FOLDER = "lessons"  # of the cache
FORM = 1  # counted up where networks come to see the same data in another way
ABOUT = "about"  # among the tensors: the bytes of the rest
PARTS = ("x", "y", "x_valid", "y_valid")


@dataclass(frozen=True, slots=True, kw_only=True)
class _About:
    """What is kept of examples beside their numbers."""

    classes: tuple[str, ...]
    names: tuple[str, ...]
    of: tuple[int, int]
    has_tuning: bool
    has_album: bool


def key_of_study(config: StudyConfig, state: State) -> str | None:
    """Differs wherever the examples or how networks see them do; None where the study did not record its data yet."""
    if state.data is None or not state.data.get("digests"):
        return None
    base = None if state.plan is None else dict(state.plan.base)
    return key_of(to_plain(config), state.data, base, to_plain(state.edits))


def key_of(*parts: object) -> str:
    """A key of these plain values, and of how this version of TAME reads data."""
    said = json.dumps([tame.__version__, FORM, *parts], sort_keys=True)
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()


def kept_or_read(folder: Path, key: str | None, read: Callable[[], Ground], whose: Whose) -> Ground:
    """The examples under this key, read and kept where they are not there. folder: the cache; key: None keeps nothing.

    What else they can give, as pictures, is read when it is asked for, and raises as `read` does.
    """
    if key is None:
        return read()
    own = ArrayCache(folder / FOLDER)
    found = own.get([key]).get(key)
    if found is not None:
        return _unpacked(found.tobytes(), read, whose)
    ground = read()
    with suppress(StorageError):  # it only takes longer the next time
        own.put({key: np.frombuffer(_packed(ground), dtype=np.uint8)})
    return ground


def _packed(ground: Ground) -> bytes:
    about = _About(
        classes=ground.classes, names=ground.names, of=ground.of, has_tuning=ground.tuning is not None,
        has_album=ground.album is not None,
    )  # fmt: skip
    said = torch.frombuffer(bytearray(json.dumps(to_plain(about)).encode()), dtype=torch.uint8)
    packed: bytes = save({ABOUT: said, **{name: _smaller(getattr(ground, name)) for name in PARTS}})
    return packed


def _smaller(values: Tensor) -> Tensor:
    """The same numbers in half the bytes, where nothing is lost."""
    small = values.float() if values.is_floating_point() else values
    return small if torch.equal(small.to(values.dtype), values) else values


def _unpacked(content: bytes, read: Callable[[], Ground], whose: Whose) -> Ground:
    tensors = load(content)
    about = from_plain(_About, json.loads(tensors.pop(ABOUT).numpy().tobytes()), what="the examples of a lesson")
    x, y, x_valid, y_valid = (
        own.double() if own.is_floating_point() else own for own in (tensors[part] for part in PARTS)
    )
    whole = cache(read)

    def tuning() -> Tuning:
        make = whole().tuning
        assert make is not None
        return make()

    def album() -> Album:
        make = whole().album
        assert make is not None
        return make()

    return Ground(
        name=whose.name, nouns=whose.nouns, classes=about.classes, x=x, y=y, x_valid=x_valid, y_valid=y_valid,
        names=about.names, of=about.of, tuning=tuning if about.has_tuning else None,
        album=album if about.has_album else None,
    )  # fmt: skip
