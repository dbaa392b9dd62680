"""How the matrices of a kind of members are multiplied on this machine: measured once, then cached.

Float32 with MKL or oneDNN, or rounded to bfloat16 between hidden layers while parameters stay float32. Decided by a
single member, so that its result does not depend on the rest of its group.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch

from tame.core.recipe import Recipe
from tame.parts.products import by_onednn, is_heavier, is_heavy
from tame.trial.commands import Fold
from tame.trial.measurements import Measurements
from tame.trial.measurer import Measurer
from tame.trial.population import Examples, Member, Task
from tame.trial.settings import group_key
from tame.trial.stacked import Stacked
from tame.trial.traced import TRACES
from tame.trial.training_material import Material

FORMAT = 1  # of the cached measurements
LOOKS = 24  # measurements in the first steps of a recipe, where the curves of both precisions are compared
AGREES = 0.01  # the largest relative difference of the loss over these steps


@dataclass(frozen=True, slots=True)
class Precision:
    """onednn: whether oneDNN instead of MKL multiplies float32; half: whether hidden layers multiply bfloat16."""

    onednn: bool = False
    half: bool = False

    @property
    def key(self) -> str:
        """Distinguishes measurements in different precisions."""
        return ("-onednn" if self.onednn else "") + ("-half" if self.half else "")

    @property
    def words(self) -> str:
        """How matrices are multiplied, for people; empty for MKL."""
        float32 = "; products by oneDNN" if self.onednn else ""
        return "; products between hidden layers in bfloat16" if self.half else float32


@dataclass(slots=True)
class Precisions:
    """The precision of each kind of members.

    Whether curves agree depends on the data, so that other studies do not count.
    """

    kept: Measurements
    device: torch.device
    measurer: Measurer
    _known: dict[Hashable, Precision] = field(default_factory=dict)
    _measured: dict[str, bool] = field(default_factory=dict)

    def of(
        self, material: Material, recipe: Recipe, rows: Sequence[int], examples: Examples, folds: Sequence[Fold]
    ) -> Precision:
        """The precision for members of this kind."""
        if not material.stacks(recipe):
            return Precision()
        kind = (group_key(recipe), len(rows), folds[0])
        if kind not in self._known:
            task, member = material.task(recipe, rows, examples, folds[:1]), Member(-1, folds[0], recipe)
            self._known[kind] = self._of(task, member, material.kind)
        return self._known[kind]

    def _of(self, task: Task, member: Member, data: str) -> Precision:
        module, batch = task.build(member), member.recipe.batch(len(task.examples.walked(member)))
        if any(value.dtype != torch.float32 for value in module.parameters()):
            return Precision()
        cpu, own, machine = self.device.type == "cpu", member.recipe, self.measurer
        exact = cpu and is_heavy(module, batch) and machine.onednn_is_exact()
        onednn = exact and self._is("products", machine.onednn_pays)
        half = is_heavier(module, batch) and self._is("bfloat16", partial(machine.half_pays, self.device))
        if half:
            name = f"agrees-{data}-{own.model.norm}-{own.model.activation}-{own.model.residual}-{own.optimizer.name}"
            with by_onednn(onednn):
                half = self._is(name, partial(agrees, task, member, measurer=machine), shared=False)
        return Precision(onednn, half)

    def _is(self, name: str, measure: Callable[[], bool], *, shared: bool = True) -> bool:
        """The measurement of this name; shared: as in `Measurements`."""
        key = f"{name}-{FORMAT}-{torch.__version__}-{self.device.type}-{os.cpu_count()}"
        if key not in self._measured:
            found = self.kept.recall(key, _yes_or_no, shared=shared)
            if found is None:
                self.kept.remember(key, found := measure(), shared=shared)
            self._measured[key] = found
        return self._measured[key]


def agrees(task: Task, member: Member, *, measurer: Measurer) -> bool:
    """Whether the first steps of this member have about the same loss in both precisions."""
    usual, half = (measurer.first_loss(Stacked(task, TRACES, half), member, LOOKS) for half in (False, True))
    return abs(half - usual) <= AGREES * abs(usual)


def _yes_or_no(value: object) -> bool:
    """A cached bool. Raises TypeError for anything else."""
    if not isinstance(value, bool):
        raise TypeError(value)
    return value
