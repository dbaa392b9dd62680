"""What is measured of a picture beside its content. Loads nothing: the study asks for it, and the report names it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Light:
    """Traits of the pixels of a picture. red, blue: shares of the three colours."""

    brightness: float
    contrast: float
    red: float
    blue: float
    saturation: float


@dataclass(frozen=True, slots=True)
class Head:
    """Traits of the file of a picture, by its head; format: "" and a size of 1 x 1 where that cannot be read."""

    width: int
    height: int
    size_bytes: int
    format: str
