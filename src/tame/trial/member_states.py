"""The states of all members between two units of training: in memory and in checkpoints."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from threading import Lock

import numpy as np
import torch

from tame.core.errors import StorageError
from tame.core.recipe import Recipe
from tame.core.records import Point
from tame.store.checkpoints import Checkpoints, DamagedError
from tame.trial.commands import Fold
from tame.trial.population import Member, Population, take

BEST = "best"  # in the names of what is kept from the best epoch


class MemberStates:
    """The states of all trained members, by trial and fold, with the curves of their trials.

    note: hears of checkpoints that are damaged. They count as if they were missing: what they held is trained again.
    """

    def __init__(self, checkpoints: Checkpoints, note: Callable[[str], None] = lambda text: None) -> None:
        self.checkpoints = checkpoints
        self._note = note
        self._writing = Lock()  # units that are trained side by side save to the same folder
        self._own: dict[tuple[int, Fold], Population] = {}
        self._best: dict[tuple[int, Fold], Population] = {}  # the best epoch of trials that may stop early
        self._index: dict[str, tuple[int, frozenset[int]]] = {}  # of each checkpoint: its epoch and its trials
        self._numbers = checkpoints.numbers()  # of those that the index tells, to see which are written since
        for name in checkpoints.names():
            found = self._sound(name)
            if found is not None:
                self._index[name] = _about(found[1])
        self._curves: dict[int, dict[int, Point]] = {}

    def get(self, trial: int, fold: Fold, recipe: Recipe) -> Population | None:
        """The member's state, from a checkpoint if this process has not trained it.

        Of a trial that ended early, a checkpoint has the state of its best epoch alone.
        """
        if (trial, fold) not in self._own:
            self._load(trial)
        found = self._own.get((trial, fold), self._best.get((trial, fold)))
        return replace(found, members=(Member(trial, fold, recipe),)) if found else None

    def was_stacked(self, trial: int) -> bool | None:
        """Whether the state of a trial is from the stacked engine; None if there is no state."""
        if not any(number == trial for number, _ in self._own):
            self._load(trial)
        held = {**self._best, **self._own}
        found = next((own for (number, _), own in held.items() if number == trial), None)
        return None if found is None else any(name.startswith("param.") for name in found.tensors)

    def epoch(self, trial: int) -> int:
        """The epoch of a trial's state; 0 if there is none."""
        if not any(number == trial for number, _ in self._own):
            self._load(trial)
        return max((own.epoch for (number, _), own in self._own.items() if number == trial), default=0)

    def copy(
        self, sources: Mapping[int, int], recipes: Mapping[int, Recipe], folds: Sequence[Fold], *, epoch: int
    ) -> None:
        """Creates new trials from the states of others at that epoch, in their own checkpoint. sources: by new trial.

        Trials that already exist are left as they are. Raises StorageError if a source is not at that epoch.
        """
        missing = [trial for trial in sources if not self.epoch(trial)]
        copies = []
        for trial in missing:
            for fold in folds:
                found = self.get(sources[trial], fold, recipes[trial])
                if found is None or found.epoch != epoch:
                    raise StorageError(
                        f"the weights of trial {sources[trial]} after epoch {epoch} are lost, and trial {trial} was to "
                        "continue from them; start a new study"
                    )
                copies.append(_renamed(found, trial, recipes[trial]))
            own = {key: best for key, best in self._best.items() if key[0] == sources[trial]}
            self._best |= {(trial, fold): _renamed(best, trial, recipes[trial]) for (_, fold), best in own.items()}
            points = self.curve(sources[trial])
            self._curves[trial] = {number: point for number, point in points.items() if number <= epoch}
        if missing:
            self.save(f"copy-{missing[0]}", copies, missing)  # before the sources continue training
            for population in copies:
                self.put(population)

    def put(self, population: Population) -> None:
        """Stores the state of every member of a population."""
        for i, member in enumerate(population.members):
            self._own[member.trial, member.fold] = take(population, [i])

    def put_best(self, population: Population) -> None:
        """Stores the state of members at the best epoch so far of their trial."""
        for i, member in enumerate(population.members):
            self._best[member.trial, member.fold] = take(population, [i])

    def take_best(self, trial: int) -> None:
        """Makes the state of a trial that of its best epoch."""
        self._own |= {key: value for key, value in self._best.items() if key[0] == trial}

    def curve(self, trial: int) -> dict[int, Point]:
        """The points of this trial's curve so far, by epoch."""
        return self._curves.setdefault(trial, {})

    def save(self, name: str, populations: Sequence[Population], trials: Sequence[int]) -> None:
        """Saves populations, the best states of their trials, and the curves of the trials in one checkpoint."""
        best = [value for (trial, _), value in self._best.items() if trial in trials]
        if not populations and not best:
            return
        kept = [(population, False) for population in populations] + [(population, True) for population in best]
        tensors = {
            f"{i}/{key}": value.cpu().numpy() for i, (p, _) in enumerate(kept) for key, value in p.tensors.items()
        }
        members = [[[m.trial, m.fold] for m in p.members] for p, _ in kept]
        curves = {str(trial): [point.row() for point in self.curve(trial).values()] for trial in trials}
        furthest = max((epoch for trial in trials for epoch in self.curve(trial)), default=0)
        epoch = populations[0].epoch if populations else furthest
        meta = {
            "epoch": str(epoch), "members": json.dumps(members), "curves": json.dumps(curves),
            "epochs": json.dumps([p.epoch for p, _ in kept]), BEST: json.dumps([is_best for _, is_best in kept]),
        }  # fmt: skip
        with self._writing:
            self.checkpoints.save(name, tensors, meta)
            self._index[name] = _about(meta)

    def hand_over(self, trials: Sequence[int]) -> None:
        """Saves what is only in memory of these trials, each in a checkpoint of its own."""
        for trial in trials:
            own = [population for (number, _), population in self._own.items() if number == trial]
            name = self._furthest(trial)
            if own and (name is None or self._index[name][0] < max(each.epoch for each in own)):
                self.save(f"trial-{trial}", own, [trial])

    def take_over(self, trials: Sequence[int]) -> None:
        """Forgets what is in memory of these trials; what other processes have saved since is known from here on."""
        gone = set(trials)
        self._own = {key: value for key, value in self._own.items() if key[0] not in gone}
        self._best = {key: value for key, value in self._best.items() if key[0] not in gone}
        self._curves = {trial: curve for trial, curve in self._curves.items() if trial not in gone}
        numbers = self.checkpoints.numbers()
        for name in [name for name in self._index if name not in numbers]:
            del self._index[name]
        for name in [name for name, number in numbers.items() if number != self._numbers.get(name)]:
            meta = self.checkpoints.about(name)
            if meta is not None:
                self._index[name], self._numbers[name] = _about(meta), numbers[name]

    def forget(self, trials: Sequence[int], *, keep: Sequence[int]) -> None:
        """Drops trials that will never continue, and the checkpoints that contain none of `keep`."""
        gone = set(trials)
        self._own = {key: value for key, value in self._own.items() if key[0] not in gone}
        self._best = {key: value for key, value in self._best.items() if key[0] not in gone}
        for name in [name for name, (_, held) in self._index.items() if not held & set(keep)]:
            self.checkpoints.drop(name)
            del self._index[name]

    def _load(self, trial: int) -> None:
        """Loads the trial from its latest checkpoint, along with the other trials for which this one is the latest."""
        found = None
        while found is None:
            name = self._furthest(trial)
            if name is None:
                return
            found = self._sound(name)
            if found is None:
                del self._index[name]
            elif _about(found[1]) != self._index[name]:  # it was damaged since, and an earlier one took its place
                self._index[name] = _about(found[1])
                found = None
        tensors, meta = found
        for number, rows in json.loads(meta["curves"]).items():
            self.curve(int(number)).update({row[0]: Point(*row) for row in rows})
        epochs, best = json.loads(meta["epochs"]), json.loads(meta[BEST])
        for i, members in enumerate(json.loads(meta["members"])):
            own = {k.split("/", 1)[1]: torch.from_numpy(v) for k, v in tensors.items() if k.startswith(f"{i}/")}
            room = self._best if best[i] else self._own
            for place, (number, fold) in enumerate(members):
                if (number, fold) not in room and self._furthest(number) == name:
                    member = Member(number, fold, Recipe())
                    # A copy has torch's memory alignment; otherwise matrix products may differ in the last bit.
                    state = {key: value[place : place + 1].clone() for key, value in own.items()}
                    room[number, fold] = Population((member,), state, epochs[i])

    def _sound(self, name: str) -> tuple[dict[str, np.ndarray], dict[str, str]] | None:
        """The last sound checkpoint of that name; None where all of it is damaged."""
        try:
            tensors, meta, went_back = self.checkpoints.load(name)
        except DamagedError as problem:
            self._note(f"{problem}; what it held is trained again")
            return None
        if went_back is not None:
            self._note(went_back)
        return tensors, meta

    def _furthest(self, trial: int) -> str | None:
        names = [name for name, (_, held) in self._index.items() if trial in held]
        return max(names, key=lambda name: self._index[name][0]) if names else None


def _renamed(population: Population, trial: int, recipe: Recipe) -> Population:
    """The same state, for a member of another trial."""
    (member,) = population.members
    tensors = {name: value.clone() for name, value in population.tensors.items()}
    return Population((Member(trial, member.fold, recipe),), tensors, population.epoch)


def _about(meta: Mapping[str, str]) -> tuple[int, frozenset[int]]:
    held = {trial for members in json.loads(meta["members"]) for trial, _ in members}
    return int(meta["epoch"]), frozenset(held)
