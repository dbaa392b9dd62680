"""Starts the executor of a study. Loads torch only if the study trains in this process."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tame.core.files import remove_drafts
from tame.worker.crew import Crew, crew_of
from tame.worker.executor import Executor, Hear, Place
from tame.worker.pool import PoolExecutor
from tame.worker.process import ProcessExecutor
from tame.worker.watch import Patience

if TYPE_CHECKING:
    from tame.parts.network import Build
    from tame.worker.ray_cluster import Cluster


def inline_executor(place: Place, *, hear: Hear, build: Build | None) -> Executor:
    """An executor in this process. build: makes a module of the user's own."""
    from tame.worker.inline import InlineExecutor  # loads torch, which the coordinator otherwise never needs

    return InlineExecutor(place, hear=hear, build=build)


def hired(
    place: Place, *, hear: Hear, log: Path | None, restarted: Callable[[str], None], patience: Callable[[], Patience],
    workers: int, ray: str | None,
) -> tuple[Executor, Crew]:  # fmt: skip
    """The workers of a study, and how many of them have what; for the arguments see `ProcessExecutor`.

    ray: the address of a cluster, "local" for one of this study alone, None for none. Raises UsageError where it cannot
    be reached, and RefusedError where it is not safe.
    """
    if ray is None:
        crew = crew_of(workers)
        return process_executor(place, hear=hear, log=log, restarted=restarted, patience=patience, crew=crew), crew
    from tame.worker.ray_cluster import Cluster  # loads much

    cluster = Cluster(ray, workers)
    try:
        found = ray_executor(place, hear=hear, log=log, restarted=restarted, patience=patience, cluster=cluster)
    except BaseException:
        cluster.close()
        raise
    return found, cluster.crew


def ray_executor(
    place: Place, *, hear: Hear, log: Path | None, restarted: Callable[[str], None], patience: Callable[[], Patience],
    cluster: Cluster,
) -> Executor:  # fmt: skip
    """The workers of a study, each a process behind an actor of a Ray cluster, which is left at the end."""

    def hire(number: int, *, hear: Hear, restarted: Callable[[str], None]) -> ProcessExecutor:
        own = cluster.place(place, number)
        way = partial(cluster.way, own)
        return ProcessExecutor(own, hear=hear, log=log, restarted=restarted, patience=patience(), way=way)

    if place.study is not None:
        remove_drafts(place.study, "checkpoints")
    return PoolExecutor(
        hire, workers=cluster.crew.workers, hear=hear, restarted=restarted, are_here=False,
        closing=cluster.close,
    )  # fmt: skip


def process_executor(
    place: Place, *, hear: Hear, log: Path | None, restarted: Callable[[str], None], patience: Callable[[], Patience],
    crew: Crew,
) -> Executor:  # fmt: skip
    """The workers of a study, each in a separate process; for the arguments see `ProcessExecutor`."""

    def hire(number: int, *, hear: Hear, restarted: Callable[[str], None]) -> ProcessExecutor:
        own = crew.place(place, number)
        return ProcessExecutor(own, hear=hear, log=log, restarted=restarted, patience=patience())

    if crew.workers == 1:
        return hire(0, hear=hear, restarted=restarted)
    if place.study is not None:
        remove_drafts(place.study, "checkpoints")  # which no worker may do beside others
    return PoolExecutor(hire, workers=crew.workers, hear=hear, restarted=restarted)
