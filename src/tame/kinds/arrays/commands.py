"""What the process that trains is given of arrays. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """file: of the inputs; build: the "file:name" of the function that makes a module, where there is one to find."""

    file: str
    build: str | None
