"""timm and torchvision, which it imports, must fit torch: packages of two builds can be installed beside each other."""

from __future__ import annotations

import traceback
from importlib import import_module, metadata

NAMES = ("timm", "torchvision")
UNFIT = (ImportError, OSError, RuntimeError)  # what loading a package raises whose compiled part fits another torch


def misfit(problem: Exception) -> str:
    """What to repair where one of these could not be loaded; "" where `problem` came from something else."""
    rooms = {
        frame.f_globals.get("__name__", "").partition(".")[0] for frame, _ in traceback.walk_tb(problem.__traceback__)
    }
    if not rooms & {*NAMES} and getattr(problem, "name", "") not in NAMES:
        return ""
    said = (str(problem).splitlines() or [type(problem).__name__])[0]
    have = ", ".join(map(_named, ("torch", *NAMES)))
    return f"these do not fit each other: {have} ({said:.200}); install torch and torchvision together, from one place"


def found_misfit() -> str:
    """The same by loading them; "" where all is well."""
    try:
        import_module("timm")
    except UNFIT as problem:
        return misfit(problem)
    return ""


def _named(name: str) -> str:
    try:
        return f"{name} {metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return f"{name} (missing)"
