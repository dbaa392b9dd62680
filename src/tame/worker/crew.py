"""How many workers a study has, and what each of them may use. Does not load torch."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from tame.core.errors import UsageError, require
from tame.worker.environment import usable_cores
from tame.worker.executor import Place
from tame.worker.pipe import VISIBLE

LOCAL = "local"  # as the address of a Ray cluster: one of the study alone, on this machine
FLOOR = (2, 60)  # of Ray: the first with tokens that TAME was tried with
INSTALL = 'pip install "tame-ml[ray]"'
DRIVER = Path("/proc/driver/nvidia/gpus")  # a folder for each GPU, on Linux


@dataclass(frozen=True, kw_only=True, slots=True)
class Crew:
    """The workers of a study on this machine. threads: of each, while all of them train; gpus: one for each worker, as
    CUDA names them; empty if they train on the processor."""

    workers: int = 1
    threads: int = 1
    gpus: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """A sentence for the user."""
        if self.gpus:
            return f"{self.workers} workers train at the same time, on a GPU each"
        cores = usable_cores()
        each = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        said = f"{self.workers} workers train at the same time, with {each} each"
        return said if self.workers <= cores else f"{said}; there are only {cores} cores, so that some of them wait"

    def place(self, whole: Place, number: int) -> Place:
        """The place of the worker of this number in that of the study."""
        if self.workers == 1:
            return whole
        return replace(whole, share=self.threads, gpu=self.gpus[number] if self.gpus else "")


def require_ray() -> None:
    """Raises UsageError where Ray is not installed, or too old; it is not loaded."""
    try:
        version = metadata.version("ray")
    except metadata.PackageNotFoundError:
        raise UsageError(f"--ray needs Ray, which is not installed: {INSTALL}") from None
    found = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    require(found >= FLOOR, f"Ray {version} is too old, TAME needs {'.'.join(map(str, FLOOR))} or newer: {INSTALL}")


def crew_of(workers: int) -> Crew:
    """So many workers on this machine. One has all of it.

    Raises UsageError where there are GPUs, but not one for each.
    """
    cores = usable_cores()
    if workers == 1:
        return Crew(threads=cores)
    gpus = gpus_here()
    if gpus:
        few = f"{workers} workers need a GPU each, and there {'is 1' if len(gpus) == 1 else f'are {len(gpus)}'}"
        require(workers <= len(gpus), f"{few}: give --workers {len(gpus)}, or hide them with {VISIBLE}= (nothing)")
    return Crew(workers=workers, threads=max(1, cores // workers), gpus=gpus[:workers])


def gpus_here() -> tuple[str, ...]:
    """The GPUs that torch may use here, as CUDA_VISIBLE_DEVICES names them. Raises UsageError if it names one twice."""
    if not _has_cuda():
        return ()
    said = os.environ.get(VISIBLE)
    if said is None:
        try:
            return tuple(map(str, range(len(list(DRIVER.iterdir())))))
        except OSError:
            return ()
    named = tuple(filter(None, map(str.strip, said.split(","))))
    if "-1" in named:  # by which CUDA hides what follows
        named = named[: named.index("-1")]
    if len(set(named)) < len(named):
        raise UsageError(f"{VISIBLE}={said} names a GPU twice; two workers cannot share one")
    return named


def _has_cuda() -> bool:
    """Whether torch was built for GPUs, by its version: loading it would take seconds."""
    try:
        return not metadata.version("torch").endswith("+cpu")
    except metadata.PackageNotFoundError:
        return False
