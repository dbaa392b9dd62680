"""`tame doctor`: versions, devices, storage and limits of this machine."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata

from rich.text import Text

from tame import __version__
from tame.app.console import ResultConsole
from tame.app.own_cache import cache_folder
from tame.core.plain import to_plain
from tame.parts.beside_torch import found_misfit
from tame.parts.embedded import DEFAULT, EMBEDDED, is_installed, problem_with

FLOORS = {"torch": (2, 10), "pillow": (12, 0)}  # older ones have known vulnerabilities in reading weights and pictures
PACKAGES = ("torch", "torchvision", "timm", "numpy", "scipy", "scikit-learn", "pillow", "safetensors", "SQLAlchemy")
LITTLE_DISK = 2 * 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What this machine has, and what to fix on it."""

    schema: str = "tame/1"
    tame: str
    python: str
    system: str
    cores: int | None
    memory_bytes: int | None
    device: str
    device_memory_bytes: int | None
    versions: Mapping[str, str]
    backbones: Mapping[str, str]  # that need no download: installed, and proved by their hash
    sqlite: str
    journal: str
    cache: str
    cache_bytes: int
    free_bytes: int
    problems: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """The document of `tame doctor --json`."""
        plain: dict[str, object] = to_plain(self)
        return plain


def examine_machine() -> Machine:
    """What this machine has, and what to fix on it."""
    import torch  # the only light command that needs it

    cache = cache_folder()
    free = shutil.disk_usage(cache).free
    versions = {name: _version(name) for name in PACKAGES}
    problems = [
        f"{name} {versions[name]} is older than {'.'.join(map(str, floor))}, which fixes a known vulnerability"
        for name, floor in FLOORS.items()
        if tuple(int(part) for part in versions[name].split("+")[0].split(".")[:2]) < floor
    ]
    found = {name: problem_with(name) for name in EMBEDDED if name == DEFAULT or is_installed(name)}
    problems += [problem for problem in (*found.values(), found_misfit()) if problem]
    if free < LITTLE_DISK:
        problems.append(f"only {free / 2**30:.1f} GiB is free in the cache folder ({cache})")
    cuda = torch.cuda.is_available()
    return Machine(
        tame=__version__,
        python=platform.python_version(),
        system=platform.platform(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        memory_bytes=_memory(),
        device=torch.cuda.get_device_name(0) if cuda else "cpu",
        device_memory_bytes=torch.cuda.get_device_properties(0).total_memory if cuda else None,
        versions=versions,
        backbones={name: EMBEDDED[name].name for name, problem in found.items() if not problem},
        sqlite=sqlite3.sqlite_version,
        journal="wal" if sqlite3.sqlite_version_info >= (3, 51, 3) else "rollback",
        cache=str(cache),
        cache_bytes=sum(entry.stat().st_size for entry in cache.rglob("*") if entry.is_file()),
        free_bytes=free,
        problems=tuple(problems),
    )


def print_machine(found: Machine) -> None:
    """Prints the machine for people."""
    console = ResultConsole()
    gib = 2**30
    memory = f"{found.memory_bytes / gib:.0f} GiB" if found.memory_bytes else "unknown"
    rows = {
        "tame": f"{found.tame} on Python {found.python}, {found.system}",
        "device": f"{found.device}, {found.cores} cores, {memory} of memory",
        "packages": ", ".join(f"{name} {version}" for name, version in found.versions.items()),
        "backbones": _backbones(found.backbones),
        "storage": f"SQLite {found.sqlite} with the {found.journal} journal",
        "cache": f"{found.cache}: {found.cache_bytes / gib:.2f} GiB, {found.free_bytes / gib:.0f} GiB free",
    }
    for name, text in rows.items():
        console.print(Text(f"{name:<9} {text}"))
    for problem in found.problems:
        console.print(Text(f"fix this: {problem}"))
    if not found.problems:
        console.print(Text("nothing to fix"))


def _backbones(found: Mapping[str, str]) -> str:
    """The networks that need no download, the default first."""
    each = [f"{what} (--backbone {f'auto, {name}' if name == DEFAULT else name})" for name, what in found.items()]
    return ", ".join(each) or "none installed"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "0.0 (missing)"


def _memory() -> int | None:
    if sys.platform == "win32":
        return None
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
