"""Which engine trains a group, and how many members at once: measured in a few steps, once a study.

The choice is not obvious: small models gain most from being trained together, until a group no longer fits into the
cache; convolutions are slower together on a CPU; what torch.func cannot handle is trained one by one.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import nn

from tame.core.clocks import work_clock
from tame.core.errors import StorageError, require
from tame.core.plain import from_plain, to_plain
from tame.core.recipe import Recipe
from tame.parts.adapters import Adapted
from tame.parts.mlp import num_weights
from tame.parts.optimizers import OPTIMIZERS
from tame.parts.products import by_onednn
from tame.trial.commands import EngineUse, Fold, How
from tame.trial.fitted import Fitted, SparseTask
from tame.trial.measurements import Measurements
from tame.trial.measurer import Measurer, Rehearsals
from tame.trial.own_module import is_out_of_memory
from tame.trial.population import Examples, Member, Task
from tame.trial.precision import Precision, Precisions
from tame.trial.serial import Serial
from tame.trial.settings import group_key
from tame.trial.stacked import Stacked
from tame.trial.traced import TRACES
from tame.trial.training_material import Material
from tame.trial.unit import Job, Lane

FORMAT = 12  # of the cached measurements
SIZES = (1, 4, 16, 64)  # group sizes that are tried, if there are at least half as many members
GROUP_BYTES = 512 * 2**20  # limit on parameters, gradients, moments and activations of a group
STEPS = 4
COMPANY = 16  # group size that a forecast assumes
MOST_PARTS = 64
LONG_S = 6.0  # after which no larger group is measured; what is then known is kept for the study, not for the machine


@dataclass(frozen=True, slots=True)
class _Remembered:
    """As stored in a file: by size as text, null for infinity."""

    alone: float
    together: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds per step of one member: alone, and in groups of several sizes."""

    alone: float
    together: dict[int, float]

    @classmethod
    def from_json(cls, own: object) -> Measured:
        """The measurement that `to_json` wrote. Raises StorageError or ValueError for anything else."""
        known = from_plain(_Remembered, own, what="what was measured of a step")
        sizes = {int(size): math.inf if each is None else each for size, each in known.together.items()}
        found = cls(known.alone, sizes)
        if not all(each > 0 for each in (found.alone, *sizes, *sizes.values())):
            raise ValueError(own)
        return found

    def to_json(self) -> object:
        """Plain values; null for infinity."""
        sizes = {str(size): each if math.isfinite(each) else None for size, each in self.together.items()}
        return to_plain(_Remembered(self.alone, sizes))

    def choice(self, members: int) -> Choice:
        """The fastest choice for this many members. A group size counts if at least half of it is filled."""
        sizes = {size: each for size, each in self.together.items() if size <= 2 * members}
        best = min(sizes, key=lambda size: sizes[size], default=0)
        if not best or sizes[best] >= self.alone:
            return Choice(False, 1, self.alone, self._words(), self.alone)
        return Choice(True, best, sizes[best], self._words(), min(self.alone, sizes.get(1, math.inf)))

    def _words(self) -> str:
        tried = {size: seconds for size, seconds in sorted(self.together.items()) if math.isfinite(seconds)}
        each = "".join(f", {_company(size)} {1e3 * seconds:.2f}" for size, seconds in tried.items())
        return f"measured, a step of one member: plain {1e3 * self.alone:.2f} ms{each}"


@dataclass(frozen=True, slots=True)
class Choice:
    """stacked: whether members are trained together; members: the most at once; step_s: measured seconds per step of
    one member; alone_s: of one trained alone. 0 if nothing was measured."""

    stacked: bool
    members: int
    step_s: float
    why: str
    alone_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Group:
    """Jobs that are advanced together, with their lanes and the precision of their matrix products."""

    jobs: list[Job]
    lanes: list[Lane]
    precision: Precision

    @property
    def is_solved(self) -> bool:
        """Whether they are solved at once."""
        return isinstance(self.lanes[0].engine, Fitted)

    @property
    def how(self) -> How:
        """In which way they are trained."""
        stacked = isinstance(self.lanes[0].engine, Stacked)
        return How(stacked=stacked, onednn=self.precision.onednn, half=self.precision.half)


class Chooser:
    """Groups jobs, by what was measured. measurer: measures how long a step takes; by default on this machine."""

    def __init__(self, kept: Measurements, device: torch.device, *, measurer: Measurer | None = None) -> None:
        self._kept = kept
        self._device = device
        self._known: dict[str, Measured] = {}
        self._uses: dict[str, EngineUse] = {}
        self._smaller = 1  # divisor of group sizes after memory ran out
        self._parts = 1  # parts of each batch, likewise
        self._traces = TRACES
        self._measurer = measurer or Rehearsals()
        self._precisions = Precisions(kept, device, self._measurer)

    def groups(
        self, material: Material, jobs: Sequence[Job], folds: Sequence[Fold], rows: Sequence[int], examples: Examples,
        *, begun: Callable[[int], bool | None] = lambda trial: None, at_least: int = 1,
    ) -> list[Group]:  # fmt: skip
        """Jobs grouped by what they can share, in the best group size for this machine; what is solved at once comes
        first, then the longest.

        begun: whether a trial is trained in the stacked engine, None if it has not started. A trial keeps its engine
        and its precision: what is measured now may differ, and so does the choice where others of its group have ended.
        at_least: how many groups there should be, since this many are trained side by side.
        """
        # Of all alike, however far a kill has left some of them: those that begin again are then trained as before it.
        num_alike = Counter(group_key(job.recipe) for job in jobs)
        alike: dict[tuple[Hashable, How | None, bool | None], list[Job]] = {}
        for job in jobs:
            how = job.how if self._parts == 1 else None  # where memory ran out, only the serial engine is left
            before = begun(job.trial) if how is None else how.stacked
            alike.setdefault((group_key(job.recipe), how, before), []).append(job)
        found = []
        for (key, how, before), own in alike.items():
            recipe = own[0].recipe
            choice = self.choice(material, recipe, folds, rows, examples, members=num_alike[key] * len(folds))
            if how is None:
                precision = self._precisions.of(material, recipe, rows, examples, folds)
            else:
                precision = Precision(how.onednn, how.half)
            if before is not None and before != choice.stacked:
                most = choice.members if choice.stacked else len(own) * len(folds)
                choice = replace(choice, stacked=before, members=most)
            self._note(recipe, choice, len(own) * len(folds), precision.words)
            num = len(examples)
            job_s = choice.step_s * math.ceil(num / recipe.batch(num)) * max(1, recipe.epochs)
            sets = material.lanes(recipe, rows, examples, folds) if choice.stacked else [[fold] for fold in folds]
            most = max(1, choice.members // (self._smaller * max(map(len, sets)))) if choice.stacked else 1
            most = min(most, math.ceil(len(own) / math.ceil(at_least / len(alike))))
            for start in range(0, len(own), most):
                some = own[start : start + most]
                half = precision.half if choice.stacked else None
                lanes = self._lanes(material, some, sets, rows, examples, half=half)
                found.append((job_s * len(some), Group(some, lanes, precision)))
        # What is solved at once is a model however soon the clock ends. Then longest first, so that no core ends up
        # alone with a long group.
        return [group for _, group in sorted(found, key=lambda each: (each[1].is_solved, each[0]), reverse=True)]

    def arranged(
        self, material: Material, jobs: Sequence[Job], folds: Sequence[Fold], rows: Sequence[int], examples: Examples
    ) -> Group | None:
        """Jobs as one group, in the way in which they were arranged; None where memory is too short for groups as they
        were arranged."""
        how = jobs[0].how
        if how is None or self._parts > 1 or self._smaller > 1:
            return None
        sets = material.lanes(jobs[0].recipe, rows, examples, folds) if how.stacked else [[fold] for fold in folds]
        half = how.half if how.stacked else None
        return Group(
            list(jobs), self._lanes(material, jobs, sets, rows, examples, half=half), Precision(how.onednn, how.half)
        )

    def choice(
        self, material: Material, recipe: Recipe, folds: Sequence[Fold], rows: Sequence[int], examples: Examples,
        *, members: int,
    ) -> Choice:  # fmt: skip
        """The engine and group size for this many members of this shape."""
        if self._parts > 1:
            why = f"memory is short: gradients are accumulated over {self._parts} parts of a batch"
            return Choice(False, 1, 0.0, why)
        names = {recipe.optimizer.name, recipe.then.optimizer if recipe.then.start < 1 else recipe.optimizer.name}
        extra = names - set(OPTIMIZERS.names())
        if extra:
            return Choice(False, 1, 0.0, f"{', '.join(sorted(extra))} supports only one network at a time")
        if not material.stacks(recipe):
            return Choice(False, 1, 0.0, material.reason)
        key = self._key(material, recipe, rows, examples, folds)
        if key not in self._known:
            self._known[key] = self._kept.recall(key, Measured.from_json) or Measured(0.0, {})
        known = self._known[key]
        if any(size <= 2 * members and size not in known.together for size in SIZES):
            known, is_all = self._measured(known, members, material, recipe, folds, rows, examples)
            self._known[key] = known
            if math.isfinite(known.alone):
                self._kept.remember(key, known.to_json(), shared=is_all)
        if math.isinf(known.alone):
            return Choice(False, 1, 0.0, "memory ran out while it was measured")
        found = known.choice(members)
        # A member that uses bfloat16 in a group also does so alone.
        return replace(
            found, stacked=found.stacked or self._precisions.of(material, recipe, rows, examples, folds).half
        )

    def epoch_s(
        self, material: Material, recipe: Recipe, folds: Sequence[Fold], rows: Sequence[int], examples: Examples
    ) -> tuple[float, float]:
        """Seconds per epoch of one member, in a group of the best size and alone."""
        member = Member(-1, folds[0], recipe)
        task = material.task(recipe, rows, examples, folds[:1])
        choice = self.choice(material, recipe, folds, rows, examples, members=COMPANY)
        if not choice.step_s:
            alone = self.rehearse(task, member)
            return alone, alone
        num = len(task.examples.walked(member))
        ahead = 1 + 0.4 * int(task.examples.validates(member).sum()) / num
        steps = math.ceil(num / recipe.batch(num)) * ahead
        return choice.step_s * steps, choice.alone_s * steps

    def rehearse(self, task: Task, member: Member) -> float:
        """Seconds per epoch of one member alone, with its batches in parts if memory is too small for whole ones.

        Raises StorageError if even the smallest parts are too large.
        """
        if isinstance(task, SparseTask):
            return Fitted(task).rehearse(member)
        while math.isinf(found := self._seconds_alone(Serial(task, self._parts), member, whole=True)):
            alone = "memory ran out with a single network; try a smaller model"
            require(bool(self.smaller(1)), alone, error=StorageError)
        return found

    def smaller(self, num_jobs: int) -> str:
        """Halves all later groups, or all batches if the group is a single trial; returns a sentence that says which.

        Empty if nothing can be made smaller.
        """
        if num_jobs > 1:
            self._smaller *= 2
            return f"memory ran out with {num_jobs} trials together; half as many now"
        self._parts *= 2
        if self._parts > MOST_PARTS:
            return ""
        return f"memory ran out with one trial alone; gradients are accumulated over {self._parts} parts of a batch now"

    def uses(self) -> tuple[EngineUse, ...]:
        """The choices and their reasons, for people."""
        return tuple(self._uses.values())

    def task_of(self, lane: Lane) -> Task:
        """The task that a lane's engine trains."""
        assert isinstance(lane.engine, Stacked | Serial | Fitted)
        return lane.engine.task

    def _lanes(
        self, material: Material, jobs: Sequence[Job], sets: Sequence[Sequence[Fold]], rows: Sequence[int],
        examples: Examples, *, half: bool | None,
    ) -> list[Lane]:  # fmt: skip
        """half: as in the stacked engine; None: the serial engine."""
        lanes = []
        for folds in sets:
            task = material.task(jobs[0].recipe, rows, examples, folds)
            members = [Member(job.trial, fold, job.recipe) for job in jobs for fold in folds]
            if isinstance(task, SparseTask):
                lanes += [Lane(Fitted(task), task.examples, [member]) for member in members]
            elif half is not None:
                lanes.append(Lane(Stacked(task, self._traces, half), task.examples, members))
            else:
                lanes += [Lane(Serial(task, self._parts), task.examples, [member]) for member in members]
        return lanes

    def _measured(
        self, known: Measured, members: int, material: Material, recipe: Recipe, folds: Sequence[Fold],
        rows: Sequence[int], examples: Examples,
    ) -> tuple[Measured, bool]:  # fmt: skip
        """Seconds per step of one member, alone and in groups of these sizes, measured unless known; and whether there
        was time for all of them."""
        task = material.task(recipe, rows, examples, folds[:1])
        member, precision = Member(-1, folds[0], recipe), self._precisions.of(material, recipe, rows, examples, folds)
        stacked = Stacked(task, self._traces, precision.half)
        with by_onednn(precision.onednn):
            alone = known.alone or self._seconds_alone(Serial(task), member)
            together, most = dict(known.together), self._most(task, member)
            clock = work_clock(self._device.type)
            begun, is_all = clock(), True
            for size in [size for size in SIZES if size <= 2 * members and size not in together]:
                past = bool(together) and together[max(together)] > 1.2 * min(together.values())
                if size > max(4, most) or past or math.inf in (alone, *together.values()):
                    together[size] = math.inf  # does not fit into memory, or larger than the best
                    continue
                if together and clock() - begun > LONG_S:
                    together[size], is_all = math.inf, False
                    continue
                group = [replace(member, trial=-1 - i) for i in range(size)]
                together[size] = _seconds(partial(self._measurer.together, stacked, group, STEPS)) / size
        return Measured(alone, together), is_all

    def _seconds_alone(self, engine: Serial, member: Member, *, whole: bool = False) -> float:
        return _seconds(partial(self._measurer.alone, engine, member, STEPS, whole=whole))

    def _most(self, task: Task, member: Member) -> int:
        """How many members fit into the memory that a group may use."""
        recipe = member.recipe
        return max(1, GROUP_BYTES // member_bytes(task.build(member), recipe, recipe.batch(len(task.examples))))

    def _key(
        self, material: Material, recipe: Recipe, rows: Sequence[int], examples: Examples, folds: Sequence[Fold]
    ) -> str:
        """Recipes with the same key take about the same time: sizes are rounded to powers of two."""
        task = material.task(recipe, rows, examples, folds[:1])
        member = Member(-1, folds[0], recipe)
        weights = num_weights(task.build(member))
        batch = recipe.batch(len(task.examples.walked(member)))
        parts = (
            FORMAT, material.kind, self._device.type, torch.__version__, os.cpu_count(), round(math.log2(weights + 1)),
            round(math.log2(batch)), recipe.model.depth, recipe.model.norm, recipe.optimizer.name,
            recipe.then.start < 1, recipe.model.dropout > 0,
        )  # fmt: skip
        return "-".join(map(str, parts)) + self._precisions.of(material, recipe, rows, examples, folds).key

    def _note(self, recipe: Recipe, choice: Choice, num: int, more: str) -> None:
        own = recipe.model
        shape = f"{own.name} {own.depth} x {own.width}" if own.name == "mlp" else own.name
        name = f"{shape}, batch {recipe.batch_size}, {recipe.optimizer.name}"
        members = min(num, choice.members) if choice.stacked else 1
        known = self._uses.get(name)
        if known is None or members > known.members:  # of recipes of one shape, the choice of the largest group
            self._uses[name] = EngineUse(
                group=name, members=members, engine="stacked" if choice.stacked else "serial", why=choice.why + more
            )


def _company(size: int) -> str:
    return "stacked alone" if size == 1 else f"{size} together"


def member_bytes(module: nn.Module, recipe: Recipe, batch: int) -> int:
    """Bytes of a member of a group: parameters, gradients, moments and the activations of a batch."""
    if isinstance(module, Adapted):
        return 4 * num_weights(module) * 6 + module.step_bytes(batch, recipe.input.length)
    active = batch * max(recipe.model.width, recipe.model.hidden, 8) * max(recipe.model.depth, 1) * 4
    return 4 * (num_weights(module) * 6 + active)


def _seconds(measure: Callable[[], float]) -> float:
    """The measured seconds; infinity if memory is too small."""
    try:
        return measure()
    except RuntimeError as problem:
        if not is_out_of_memory(problem):
            raise
        return math.inf
