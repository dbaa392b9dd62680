"""What an input that nobody should give is, and which exit codes are right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Make = Callable[[Path], list[str]]  # makes the input in a folder, and says the command
FIT = ("--inline", "--quiet", "--trials", "1", "--epochs", "1", "--seed", "1")
GOOD, USAGE, DATA, STORAGE, REFUSED = 0, 2, 3, 6, 7


@dataclass(frozen=True)
class Bad:
    """One input: what it is, the command, and the exit codes of which each is right."""

    group: str
    what: str
    right: tuple[int, ...]
    make: Make
