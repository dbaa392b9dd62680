"""Training in groups: which trials are trained together, and on their way to the last epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial

from tame.core.errors import ApartError, StoppedError, StorageError, require
from tame.parts.products import by_onednn
from tame.trial.choose import Group
from tame.trial.commands import (
    Advanced,
    Arranged,
    Asked,
    Chosen,
    EndedEarly,
    Fold,
    How,
    Message,
    PointMeasured,
    Saved,
    Seat,
)
from tame.trial.own_module import is_out_of_memory
from tame.trial.population import Engine
from tame.trial.ranks import Ranks, can_meet, meeting
from tame.trial.serial import Serial
from tame.trial.side_by_side import Emit, Pulse, side_by_side
from tame.trial.unit import Job, Unit
from tame.worker.bench import Bench


class Training:
    """The commands that train. run: trains a unit as `Unit.advance` does."""

    def __init__(self, bench: Bench, run: Callable[..., None]) -> None:
        self._bench = bench
        self._run = run

    def advance(
        self, trials: Sequence[Asked], *, folds: Sequence[Fold], until: int, metric: str, final: bool
    ) -> Advanced:
        bench = self._bench
        recipes = [each.recipe for each in trials]
        for each in trials:
            # What is lost of another trial is trained again; a copy would begin from nothing, and be another network.
            held = not each.inherited or bench.states.epoch(each.trial) >= each.inherited
            lost = f"the weights that trial {each.trial} has from its parent are lost; begin the study again"
            require(held, lost, error=StorageError)
        is_arranged = all(each.group is not None for each in trials)
        share = bench.share if is_arranged else 0
        cores = bench.cores(recipes, share=share)
        with bench.threads(cores, share=share):
            begun = time.monotonic()
            groups = self._arranged(trials, folds) if is_arranged else self._groups(trials, folds, cores)
            preparing_s = time.monotonic() - begun
            while groups:
                self._tell(groups)
                units = [Unit(group.jobs, group.lanes, metric, bench.states, keep_all=final) for group in groups]
                todo = [partial(self._advance, unit, until) for unit in units]
                onednn = [group.precision.onednn for group in groups]
                failed = side_by_side(todo, cores=cores, emit=bench.emit, onednn=onednn)
                groups = [own for place in failed for own in bench.smaller(groups[place], folds)]
        return Advanced(engines=bench.chooser.uses(), preparing_s=preparing_s)

    def advance_together(
        self, trials: Sequence[Asked], *, folds: Sequence[Fold], until: int, metric: str, final: bool, seat: Seat
    ) -> None:
        bench = self._bench
        bench.states.take_over([each.trial for each in trials])
        with bench.threads(1, share=bench.share):
            (group,) = self._arranged(trials, folds)
            with (
                by_onednn(group.precision.onednn),
                meeting(seat, bench.device, Pulse(bench.emit)) as ranks,
            ):
                voice = _Voice(ranks, bench.emit)
                lanes = [replace(lane, engine=_shared(lane.engine, ranks)) for lane in group.lanes]
                unit = Unit(group.jobs, lanes, metric, bench.states, keep_all=final, writes=ranks.is_first)
                if not self._advance(unit, until, voice.say, between=voice.between):
                    bench.smaller(group, folds)
                    raise ApartError("memory ran out in a process that trains with others")
                voice.between()
        if seat.number:
            bench.states.take_over([each.trial for each in trials])  # what they are now, the first one knows

    def arrange(self, trials: Sequence[Asked], *, folds: Sequence[Fold], workers: int) -> Arranged:
        bench, recipes = self._bench, [each.recipe for each in trials]
        cores, begun = bench.cores(recipes), time.monotonic()
        with bench.threads(cores):
            groups = self._groups(trials, folds, max(cores, workers))
        self._tell(groups)
        return Arranged(
            groups=tuple(tuple(job.trial for job in group.jobs) for group in groups),
            hows=tuple(group.how for group in groups),
            at_once=bench.cores(recipes, share=bench.share),
            is_shared=_is_shared(groups),
            engines=bench.chooser.uses(),
            preparing_s=time.monotonic() - begun,
        )

    def _tell(self, groups: Sequence[Group]) -> None:
        """Tells in which way those trials are trained that begin now, or that memory is too short to train as they
        began; in the order of trials, however they are grouped."""
        begun = {job.trial: group.how for group in groups for job in group.jobs if job.how != group.how}
        ways: dict[How, list[int]] = {}
        for trial in sorted(begun):
            ways.setdefault(begun[trial], []).append(trial)
        for how, trials in ways.items():
            self._bench.emit(Chosen(trials, how))

    def _groups(self, trials: Sequence[Asked], folds: Sequence[Fold], at_least: int) -> list[Group]:
        jobs = [Job(each.trial, each.recipe, each.how) for each in trials]
        copied = {each.trial for each in trials if each.inherited}
        return [group for own in self._apart(jobs, copied) for group in self._bench.groups(own, folds, at_least)]

    def _arranged(self, trials: Sequence[Asked], folds: Sequence[Fold]) -> list[Group]:
        jobs: dict[int | None, list[Job]] = {}
        for each in trials:
            jobs.setdefault(each.group, []).append(Job(each.trial, each.recipe, each.how))
        return [group for own in jobs.values() for group in self._bench.arranged(own, folds)]

    def _apart(self, jobs: Sequence[Job], copied: Collection[int]) -> list[list[Job]]:
        """The jobs in sets that may be grouped: one set, unless it has copies and the jobs are at different epochs.

        If a kill left the members of a group at different epochs, the group starts over, which a copy cannot.
        """
        if not copied:
            return [list(jobs)]
        epochs = {job.trial: self._bench.states.epoch(job.trial) for job in jobs}
        return [[job for job in jobs if epochs[job.trial] == epoch] for epoch in sorted(set(epochs.values()))]

    def _advance(self, unit: Unit, until: int, emit: Emit, *, between: Callable[[], None] | None = None) -> bool:
        """Trains a unit to a total of `until` epochs; returns False if memory ran out. between: called before every
        step; by default it shows that the training goes on."""
        trials = [job.trial for job in unit.jobs]
        try:
            self._run(
                unit,
                until=until,
                emit=lambda trial, point: emit(PointMeasured(trial, point)),
                saved=lambda: emit(Saved(trials)),
                end=lambda trial, best: emit(EndedEarly(trial, best)),
                between=between or Pulse(emit),
            )
        except RuntimeError as problem:
            if not is_out_of_memory(problem):
                raise
            return False
        return True


class _Voice:
    """What processes that train together say, and where they end: the first one speaks for all, and all end at once.

    emit: of this process.
    """

    def __init__(self, ranks: Ranks, emit: Emit) -> None:
        self._ranks = ranks
        self._emit = emit
        self._pulse = Pulse(self._try)
        self._is_to_end = False

    def say(self, message: Message) -> None:
        if self._ranks.is_first:
            self._try(message)

    def between(self) -> None:
        """Before every step, and at the end. Raises StoppedError in all processes where one of them is to end."""
        self._pulse()
        if self._ranks.any(self._is_to_end):
            raise StoppedError("stopped by the user")

    def _try(self, message: Message) -> None:
        try:
            self._emit(message)
        except StoppedError:  # the others would wait for this one: all end before the next step
            self._is_to_end = True


def _is_shared(groups: Sequence[Group]) -> bool:
    """Whether several workers may train the only group together: large parts of a pretrained network, one by one."""
    if len(groups) != 1 or not can_meet():
        return False
    (group,) = groups
    return len(group.jobs) == 1 and group.jobs[0].recipe.model.unfrozen > 0


def _shared(engine: Engine, ranks: Ranks) -> Engine:
    assert isinstance(engine, Serial), "what is fine-tuned is trained one by one"
    return replace(engine, ranks=ranks)
