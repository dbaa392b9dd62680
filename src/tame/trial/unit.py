"""A unit of training: trials that are advanced together, epoch by epoch, with their curves and their checkpoint."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from tame.core.errors import StoppedError
from tame.core.recipe import Recipe
from tame.core.records import Point
from tame.parts.losses import cross_entropy_of
from tame.parts.metrics import METRICS, mean_over
from tame.parts.schedules import start_plateau, step_plateau
from tame.trial.commands import Fold, How
from tame.trial.member_states import MemberStates
from tame.trial.population import Engine, Examples, Measured, Member, Population, join, nothing, take

CHECKPOINT_S = 10.0  # between two checkpoints during training


@dataclass(frozen=True, slots=True)
class Job:
    """A trial as the coordinator requests it. how: in which way it began, None if it has not."""

    trial: int
    recipe: Recipe
    how: How | None = None


@dataclass(slots=True)
class Lane:
    """Members that one engine trains as one population."""

    engine: Engine
    examples: Examples
    members: Sequence[Member]
    population: Population | None = None


@dataclass(slots=True)
class Unit:
    """Jobs that are advanced together, each on the same folds; a job's value is the mean over its folds."""

    jobs: Sequence[Job]
    lanes: Sequence[Lane]
    metric: str
    states: MemberStates
    keep_all: bool  # whether the state is kept in a checkpoint even after training has ended
    writes: bool = True  # False where another process saves the same
    ended: dict[int, int] = field(default_factory=dict)  # trials that stopped early or diverged, and their best epoch

    def advance(
        self, *, until: int, emit: Callable[[int, Point], None], saved: Callable[[], None],
        end: Callable[[int, int], None] = lambda trial, best: None, between: Callable[[], None] = nothing,
    ) -> None:  # fmt: skip
        """Trains to epoch `until`.

        emit: called with every new point, and again with those that a checkpoint already holds; saved: called when
        everything emitted so far can no longer be lost, or need not be kept; end: called with a trial that stops early,
        and the epoch whose weights are kept; between: called before every step. Where one of them raises StoppedError,
        the last whole epoch is kept.
        """
        before = self._begin(until)
        for job in self.jobs:
            for point in self.states.curve(job.trial).values():
                emit(job.trial, point)
            if job.trial in self.ended and not self._diverged(job):
                end(job.trial, self.ended[job.trial])
        last = time.monotonic()
        for epoch in range(before + 1, until + 1):
            whole = [lane.population for lane in self.lanes]
            try:
                points = self._epoch(epoch, between)
            except StoppedError:  # between two steps, perhaps with some lanes an epoch further than others
                for lane, population in zip(self.lanes, whole, strict=True):
                    lane.population = population
                self._keep(saved)
                raise
            if not points:
                break
            for job, point in points:
                self.states.curve(job.trial)[epoch] = point
            stopped = self._judge(epoch, points)  # before emitting: whoever receives a point may stop everything
            try:
                for job, point in points:
                    emit(job.trial, point)
                for job in stopped:
                    end(job.trial, self.ended[job.trial])
            except StoppedError:
                self._tell_all(points, stopped, emit=emit, end=end, ended=self.ended)
                self._keep(saved)
                raise
            if epoch < until and time.monotonic() - last > CHECKPOINT_S:
                self._save()
                saved()
                last = time.monotonic()
        for lane in self.lanes:
            self._leave(lane)
            if lane.population is not None:
                self.states.put(lane.population)
        complete = [j for j in self.jobs if self._stops(j) and j.trial not in self.ended and until >= j.recipe.epochs]
        for job in complete:
            self._end(job)
        if self.keep_all or any(until < job.recipe.epochs for job in self.jobs):
            self._save()
        for job in complete:
            end(job.trial, self.ended[job.trial])
        saved()

    def _keep(self, saved: Callable[[], None]) -> None:
        """Keeps the weights of the last epoch, from which the next command goes on."""
        self._save()
        for lane in self.lanes:
            self._leave(lane)
            if lane.population is not None:
                self.states.put(lane.population)
        saved()

    @staticmethod
    def _tell_all(
        points: Sequence[tuple[Job, Point]], stopped: Sequence[Job], *, emit: Callable[[int, Point], None],
        end: Callable[[int, int], None], ended: Mapping[int, int],
    ) -> None:  # fmt: skip
        """Tells all of an epoch, whose weights are kept, although whoever hears it wants no more: else weights and
        curves would stand at different epochs."""
        for job, point in points:
            with suppress(StoppedError):
                emit(job.trial, point)
        for job in stopped:
            with suppress(StoppedError):
                end(job.trial, ended[job.trial])

    def _begin(self, until: int) -> int:
        """Restores the members, without those of trials that had ended, and returns their epoch."""
        states = [[(m, self.states.get(m.trial, m.fold, m.recipe)) for m in lane.members] for lane in self.lanes]
        for job in self.jobs:
            self._look_back(job)
        going = [[(m, state) for m, state in lane if m.trial not in self.ended] for lane in states]
        known = [state for lane in going for _, state in lane if state is not None]
        epochs = {state.epoch for state in known}
        # A unit continues from a common epoch; if a kill left its members at different epochs, it starts over.
        resumes = len(known) == sum(map(len, going)) and len(epochs) == 1 and max(epochs) <= until
        first = known[0].epoch if resumes else 0
        for lane, own in zip(self.lanes, going, strict=True):
            lane.population = None
            if own and resumes:
                lane.population = join([state for _, state in own if state is not None])
            elif own:
                lane.population = lane.engine.start([member for member, _ in own])
        for job in self.jobs:
            curve = self.states.curve(job.trial)
            for epoch in [epoch for epoch in curve if epoch > first and job.trial not in self.ended]:
                del curve[epoch]  # epochs that are trained again depend only on those before them
        return first

    def _epoch(self, epoch: int, between: Callable[[], None]) -> list[tuple[Job, Point]]:
        """Trains the remaining members one more epoch, and returns the new points of the curves."""
        seen: list[tuple[Lane, Population, Measured]] = []
        for lane in self.lanes:
            self._leave(lane)
            if lane.population is None:
                continue
            before = lane.population

            def watch(_: Population, measured: Measured, lane: Lane = lane, before: Population = before) -> None:
                seen.append((lane, before, measured))

            lane.population = lane.engine.advance(before, until=epoch, watch=watch, between=between)
        found: dict[tuple[int, Fold], tuple[float, float, float]] = {}
        for lane, population, measured in seen:
            found |= judged(population.members, measured, lane.examples, self.metric)
        return [(job, self._point(job, epoch, found)) for job in self.jobs if any(t == job.trial for t, _ in found)]

    def _point(self, job: Job, epoch: int, found: dict[tuple[int, Fold], tuple[float, float, float]]) -> Point:
        """A point of a job's curve: means over its folds, and the standard error of the metric."""
        own = {fold: values for (trial, fold), values in found.items() if trial == job.trial}
        train = _mean([values[0] for values in own.values()])
        folds = [values for fold, values in own.items() if fold is not None]
        if not folds:
            return Point(epoch, train, None, None)
        metrics = [values[2] for values in folds]
        metric, error = _mean(metrics), None
        if len(folds) > 1 and metric is not None:
            error = _finite(float(torch.tensor(metrics, dtype=torch.float64).std() / math.sqrt(len(folds))))
        return Point(epoch, train, _mean([values[1] for values in folds]), metric, error)

    # Trials that end before the last epoch -------------------------------------------------------------------------

    @staticmethod
    def _stops(job: Job) -> bool:
        return job.recipe.regularize.early_stopping > 0

    def _judge(self, epoch: int, points: Sequence[tuple[Job, Point]]) -> list[Job]:
        """Acts on this epoch: lowers rates, keeps the best weights. Returns the jobs that stop early."""
        stopped = []
        for job, point in points:
            if self._diverged(job):
                self.ended[job.trial] = epoch
                continue
            if job.recipe.schedule.name == "plateau":
                self._slow_down(job)
            if self._stops(job) and point.valid_loss is not None:
                if self._best(job) == epoch:
                    self._keep_best(job)
                elif self._is_patient_no_more(job):
                    self._end(job)
                    stopped.append(job)
        return stopped

    def _diverged(self, job: Job) -> bool:
        curve = self.states.curve(job.trial)
        last = curve[max(curve)]
        return last.train_loss is None or (last.valid_loss is None and self._validated(job))

    def _is_patient_no_more(self, job: Job) -> bool:
        return max(self.states.curve(job.trial)) - self._best(job) >= job.recipe.regularize.early_stopping

    def _look_back(self, job: Job) -> None:
        """Ends a trial that had already ended before the process was restarted."""
        curve = self.states.curve(job.trial)
        if not curve:
            return
        if self._diverged(job):
            self.ended[job.trial] = max(curve)
        elif self._stops(job) and (max(curve) >= job.recipe.epochs or self._is_patient_no_more(job)):
            self._end(job)

    def _best(self, job: Job) -> int:
        curve = self.states.curve(job.trial)
        good = {epoch: point.valid_loss for epoch, point in curve.items() if point.valid_loss is not None}
        return min(good, key=lambda epoch: (good[epoch], epoch)) if good else max(curve)

    def _keep_best(self, job: Job) -> None:
        for lane in self.lanes:
            members = lane.population.members if lane.population is not None else ()
            own = [i for i, member in enumerate(members) if member.trial == job.trial]
            if own and lane.population is not None:
                self.states.put_best(take(lane.population, own))

    def _end(self, job: Job) -> None:
        self.ended[job.trial] = self._best(job)
        self.states.take_best(job.trial)

    def _leave(self, lane: Lane) -> None:
        """Removes the members of ended trials from the group; their weights are kept."""
        if lane.population is None:
            return
        members = lane.population.members
        stay = [i for i, member in enumerate(members) if member.trial not in self.ended]
        finished = [i for i, m in enumerate(members) if m.trial in self.ended and not self._early(m)]
        if finished:
            self.states.put(take(lane.population, finished))
        if len(stay) < len(members):
            lane.population = take(lane.population, stay) if stay else None

    @staticmethod
    def _early(member: Member) -> bool:
        return member.recipe.regularize.early_stopping > 0

    def _validated(self, job: Job) -> bool:
        return any(m.fold is not None for lane in self.lanes for m in lane.members if m.trial == job.trial)

    def _slow_down(self, job: Job) -> None:
        """Sets the current rate multiplier for all members of a trial."""
        losses = [point.valid_loss for _, point in sorted(self.states.curve(job.trial).items())]
        rate = plateau_rate(losses, job.recipe)
        for lane in self.lanes:
            if lane.population is not None:
                lane.population = slowed(lane.population, rate, job.trial)

    def _save(self) -> None:
        if not self.writes:
            return
        trials = [job.trial for job in self.jobs]
        folds = [member.fold for lane in self.lanes for member in lane.members]
        digest = hashlib.blake2b(json.dumps([trials, folds]).encode(), digest_size=6).hexdigest()
        populations = [lane.population for lane in self.lanes if lane.population is not None]
        self.states.save(f"unit-{digest}", populations, trials)


def judged(
    members: Sequence[Member], measured: Measured, examples: Examples, metric: str
) -> dict[tuple[int, Fold], tuple[float, float, float]]:
    """For each member: training loss, and loss and metric on the examples it has not seen (nan if there are none)."""
    found: dict[tuple[int, Fold], tuple[float, float, float]] = {}
    train = measured.train_loss.tolist()
    for fold in dict.fromkeys(member.fold for member in members):
        places = [i for i, member in enumerate(members) if member.fold == fold]
        own = examples.validates(replace(members[places[0]])).to(measured.rows.device)[measured.rows]
        if fold is None or not bool(own.any()):
            found |= {(members[i].trial, fold): (train[i], math.nan, math.nan) for i in places}
            continue
        outputs = measured.outputs[places][:, own.to(measured.outputs.device)].float().cpu()
        rows = measured.rows[own]
        weight = None if examples.weight is None else examples.weight[rows].cpu()
        aims = examples.aims([members[places[0]]], rows, outputs).cpu()
        aim, target, classes = (
            aims[0, :, 0] if aims.ndim == 3 else aims,
            examples.target[rows].cpu(),
            examples.num_classes,
        )
        judged = METRICS.get("bits_per_character")(outputs, aim, weight) if examples.are_texts else None
        loss = (judging_loss(outputs, aim, classes, weight) if judged is None else judged).tolist()
        value = _value(metric, examples.undo(outputs, fold), target, classes, weight)
        good = outputs.isfinite().flatten(1).all(dim=1).tolist()
        for i, place in enumerate(places):
            ok = good[i]
            found[members[place].trial, fold] = (
                train[place], loss[i] if ok else math.inf, float(value[i]) if ok else math.inf
            )  # fmt: skip
    return found


def _value(metric: str, outputs: Tensor, target: Tensor, num_classes: int, weight: Tensor | None) -> Tensor:
    """The metric (M,) of outputs (M, n, C). Rows of probabilities count as their top class, except in log_loss."""
    if not num_classes:
        return METRICS.get(metric)(outputs, target.to(outputs), weight)
    if target.ndim == 1:
        return METRICS.get(metric)(outputs, target, weight)
    if metric == "log_loss":
        return judging_loss(outputs, target, num_classes, weight)
    return METRICS.get(metric)(outputs, target.argmax(dim=1), weight)


def plateau_rate(losses: Sequence[float | None], recipe: Recipe) -> float:
    """The rate multiplier of a plateau schedule after these validation losses, one per epoch."""
    like = torch.zeros(1, dtype=torch.float64)
    state, own = start_plateau(1, like=like), recipe.schedule
    for loss in losses:
        state = step_plateau(
            state, like + (math.nan if loss is None else loss), patience=like + own.patience,
            factor=like + own.factor, is_plateau=like == 0,
        )  # fmt: skip
    return float(state.multiplier)


def slowed(population: Population, rate: float, trial: int) -> Population:
    """The population with a new rate multiplier for the members of a trial."""
    if "plateau.multiplier" not in population.tensors:
        return population
    multiplier = population.tensors["plateau.multiplier"].clone()
    for i, member in enumerate(population.members):
        if member.trial == trial:
            multiplier[i] = rate
    return population.at(population.epoch, {**population.tensors, "plateau.multiplier": multiplier})


def judging_loss(outputs: Tensor, target: Tensor, num_classes: int, weight: Tensor | None = None) -> Tensor:
    """The loss (M,) by which all recipes are compared: log loss in nats, or the mean squared error of a regression.

    outputs: (M, n, C) canonical; target: (n,) class numbers, (n, C) shares of classes, or (n,) numbers; weight: (n,) as
    of `Examples`.
    """
    if not num_classes:
        return mean_over((outputs.squeeze(-1) - target.to(outputs)).square(), weight)
    if target.is_floating_point():
        return mean_over(-(target.to(outputs) * outputs.log_softmax(dim=-1)).sum(dim=-1), weight)
    return mean_over(cross_entropy_of(outputs, target), weight)


def _mean(values: Sequence[float]) -> float | None:
    return _finite(math.fsum(values) / len(values)) if all(map(math.isfinite, values)) else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
