"""The shared state of all commands: the data, the examples that are not sealed, the choice of engines, the states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from tame.core.errors import StorageError, require
from tame.core.recipe import Recipe
from tame.trial.choose import Chooser, Group
from tame.trial.commands import Fold, Note, Unsealed
from tame.trial.member_states import MemberStates
from tame.trial.memory_needs import members_together
from tame.trial.population import Examples
from tame.trial.side_by_side import Emit, threads
from tame.trial.training_material import Material, examples_of
from tame.trial.unit import Job
from tame.worker.environment import usable_cores


@dataclass(frozen=True, slots=True)
class Learned:
    """The examples that are not sealed. rows: of the data."""

    rows: list[int]
    examples: Examples
    task: str

    @classmethod
    def of(cls, given: Unsealed) -> Learned:
        return cls(list(given.rows), examples_of(given), given.task)


class Bench:
    """Set up by the first commands: `open` provides the material, `learn` the examples.

    share: the cores of this process while other workers train beside it; 0 where there are no others.
    """

    def __init__(
        self, chooser: Chooser, states: MemberStates | None, device: torch.device, emit: Emit, *, share: int = 0
    ) -> None:
        self.chooser = chooser
        self.device = device
        self.emit = emit
        self.share = share
        self._states = states
        self._material: Material | None = None
        self._learned: Learned | None = None

    @property
    def material(self) -> Material:
        assert self._material is not None, "call open() first"
        return self._material

    @material.setter
    def material(self, opened: Material) -> None:
        self._material = opened

    @property
    def learned(self) -> Learned:
        assert self._learned is not None, "call learn() first"
        return self._learned

    @learned.setter
    def learned(self, given: Learned) -> None:
        self._learned = given

    @property
    def rows(self) -> Sequence[int]:
        """The rows in the data of the examples that are not sealed; empty before they are known."""
        return self._learned.rows if self._learned is not None else []

    @property
    def states(self) -> MemberStates:
        assert self._states is not None, "this worker has no study"
        return self._states

    def groups(self, jobs: Sequence[Job], folds: Sequence[Fold], cores: int = 1) -> list[Group]:
        """Jobs grouped by what can be trained together, in at least as many groups as there are cores for them."""
        own = self.learned
        return self.chooser.groups(
            self.material, jobs, folds, own.rows, own.examples, begun=self.states.was_stacked, at_least=cores
        )

    def arranged(self, jobs: Sequence[Job], folds: Sequence[Fold]) -> list[Group]:
        """Jobs as the one group that they were arranged as, or in smaller ones where memory is too short for it."""
        own = self.learned
        group = self.chooser.arranged(self.material, jobs, folds, own.rows, own.examples)
        return self.groups(jobs, folds) if group is None else [group]

    def smaller(self, group: Group, folds: Sequence[Fold]) -> list[Group]:
        """The same jobs in groups of half the size, after memory ran out. Raises StorageError if that does not help."""
        said = self.chooser.smaller(len(group.jobs))
        alone = f"memory ran out with trial {group.jobs[0].trial} alone; try a smaller model"
        require(bool(said), alone, error=StorageError)
        self.emit(Note(said))
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return self.groups(group.jobs, folds)

    def members(self, folds: Sequence[Fold]) -> Callable[[Recipe, int], int]:
        """How many of this many members of a recipe are trained together."""
        own = self.learned
        return partial(members_together, self.chooser, self.material, folds, own.rows, own.examples)

    def is_small(self, recipes: Sequence[Recipe]) -> bool:
        """Whether the steps of all these recipes are so short that one core per training is best."""
        return self.device.type == "cpu" and all(map(self.material.small, recipes))

    def is_timed_by_work(self, recipe: Recipe) -> bool:
        """Whether what is measured of its steps does not include what other programs take."""
        return self.is_small([recipe]) or (self.device.type == "cpu" and self.material.stacks(recipe))

    def cores(self, recipes: Sequence[Recipe], *, share: int = 0) -> int:
        """How many trainings of these recipes run side by side: one per core if their steps are small.

        share: the cores that there are for them; 0 for all.
        """
        return (share or usable_cores()) if self.is_small(recipes) else 1

    def in_all(self, recipes: Sequence[Recipe]) -> int:
        """How many trainings of these recipes run side by side in this machine's memory, those of other workers too."""
        others = usable_cores() // self.share if self.share and self.device.type == "cpu" else 1
        return max(self.cores(recipes), others)

    @staticmethod
    def threads(cores: int, *, share: int = 0) -> threads:
        """The number of torch threads for each of so many trainings side by side. share: as in `cores`."""
        most = torch.get_num_threads()
        return threads(1 if cores > 1 else min(share or most, most))
