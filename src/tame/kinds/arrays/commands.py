"""What the process that trains is given of arrays. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tame.core.recipe import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """file: of the inputs; build: the "file:name" of the function that makes a module, where there is one to find."""

    file: str
    build: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketch:
    """The question "looks": recipe, flat, of an untrained module that is written into a folder as if delivered."""

    recipe: Mapping[str, Value]
    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """How a module looks: its layers as torch prints them, and its tensors' types and shapes by name."""

    layers: str
    tensors: Mapping[str, str]
