"""Evaluation: members one by one, with the engine that trained them, and the network that is delivered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tame.core.recipe import Recipe
from tame.parts.familiar import LEAST_ROWS, MOST_ROWS, familiar
from tame.parts.network import Network, write_network
from tame.parts.products import by_onednn
from tame.trial.choose import Group
from tame.trial.commands import Fold, How, MemberOf, Outputs, Priced, Progress, StateOf, Validation
from tame.trial.population import Population
from tame.trial.side_by_side import Emit, side_by_side
from tame.trial.unit import Job, Lane, plateau_rate, slowed
from tame.worker.bench import Bench
from tame.worker.pricing import priced

MOST_SLOW_ROWS = 500  # training examples that pass a network again whose inputs are not ready features


class Judging:
    """The commands that evaluate."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._network: Network | None = None

    def validation(self, state: StateOf, *, folds: Sequence[Fold]) -> Validation:
        learned, seen = self._bench.learned, []
        for fold in folds:
            group = self._alone(state, fold)
            (lane,) = group.lanes
            rows = learned.examples.validates(lane.members[0]).nonzero().squeeze(1)
            with by_onednn(group.precision.onednn):
                population = self._trained(lane, state)
                own = lane.engine.predict(population, rows.to(self._bench.device))[0].float().cpu()
            seen.append((rows, lane.examples.undo(own, fold)))
        return _joined(learned.rows, seen)

    def on_fewer(self, state: StateOf, *, folds: Sequence[Fold], rows: Sequence[int]) -> Validation:
        bench, learned = self._bench, self._bench.learned
        wanted = set(rows)
        kept = torch.tensor([row in wanted for row in learned.rows])
        seen, total = [], len(folds) * state.epochs
        for number, fold in enumerate(folds):
            place = (kept | (learned.examples.fold == fold)).nonzero().squeeze(1)
            some, own = learned.examples.only(place), [learned.rows[i] for i in place]
            job = Job(state.trial, state.recipe, state.how)
            (group,) = bench.chooser.groups(bench.material, [job], [fold], own, some)
            (lane,) = group.lanes
            with by_onednn(group.precision.onednn):
                population = lane.engine.start(lane.members)
                for epoch in range(1, state.epochs + 1):
                    population = lane.engine.advance(population, until=epoch, watch=lambda *_: None)
                    bench.emit(Progress("epochs on fewer examples", number * state.epochs + epoch, total))
                judged = some.validates(lane.members[0]).nonzero().squeeze(1)
                found = lane.engine.predict(population, judged.to(bench.device))[0].float().cpu()
            seen.append((place[judged], lane.examples.undo(found, fold)))
        return _joined(learned.rows, seen)

    def train_again(self, members: Sequence[MemberOf]) -> None:
        bench = self._bench
        cores = bench.cores([each.state.recipe for each in members])

        def train(lane: Lane, own: StateOf, emit: Emit) -> bool:
            what, total = "epochs of what is delivered", own.epochs
            self._trained(lane, own, on_epoch=lambda done: emit(Progress(what, done, total)))
            return True

        with bench.threads(cores):
            groups = [self._alone(each.state, each.fold) for each in members]
            todo = [partial(train, group.lanes[0], each.state) for group, each in zip(groups, members, strict=True)]
            side_by_side(todo, cores=cores, emit=bench.emit, onednn=[group.precision.onednn for group in groups])

    def network(
        self, members: Sequence[MemberOf], *, labels: Sequence[str], temperature: float = 1.0, remembers: bool = False
    ) -> None:
        network = _together([self._made(member, labels) for member in members], temperature)
        self._network = self._remembering(network) if remembers else network

    def price(self, recipes: Sequence[Recipe], *, fold: Fold, labels: Sequence[str], row: int) -> Priced:
        made = []
        for recipe in recipes:
            # Not in a group, so that no engine is measured for it; and at no epoch, since any weights take as long.
            (group,) = self._bench.arranged([Job(-1, recipe, How(stacked=False))], [fold])
            (lane,) = group.lanes
            made.append(self._network_of(lane, lane.engine.start(lane.members), recipe, fold, labels))
        return priced(self._remembering(_together(made, 1.0)), self._bench.material, row, self._bench.device)

    def _made(self, member: MemberOf, labels: Sequence[str]) -> Network:
        """The trained network of one member, with everything that it needs."""
        group = self._alone(member.state, member.fold)
        (lane,) = group.lanes
        with by_onednn(group.precision.onednn):
            population = self._trained(lane, member.state)
        return self._network_of(lane, population, member.state.recipe, member.fold, labels)

    def _network_of(
        self, lane: Lane, population: Population, recipe: Recipe, fold: Fold, labels: Sequence[str]
    ) -> Network:
        module, task = lane.engine.module(population, 0), self._bench.chooser.task_of(lane)
        return self._bench.material.network(task, module, recipe, fold, self._bench.learned.task, labels)

    def _remembering(self, network: Network) -> Network:
        """The network with what it needs to tell inputs that are unlike its training examples."""
        rows, material = self._bench.learned.rows, self._bench.material
        most = MOST_ROWS if material.stacks(network.recipe) else MOST_SLOW_ROWS
        some = rows if len(rows) <= most else [rows[i] for i in np.linspace(0, len(rows) - 1, most).astype(int)]
        seen = material.seen(network, some, cached=True) if len(rows) >= LEAST_ROWS else None
        return network if seen is None else replace(network, familiar=familiar(seen))

    def distances(self, rows: Sequence[int]) -> Sequence[float]:
        network = self._chosen()
        seen = None if network.familiar is None else self._bench.material.seen(network, rows, cached=True)
        if seen is None or network.familiar is None:
            return []
        found: list[float] = network.familiar.distance(seen).tolist()
        return found

    def judge(self, rows: Sequence[int]) -> Outputs:
        return _plain(self._bench.material.judge(self._chosen(), rows, cached=True))

    def deliver(self, folder: str) -> Mapping[str, str]:
        return write_network(self._chosen(), Path(folder))

    def judge_again(self, folder: str, *, rows: Sequence[int]) -> Outputs:
        material = self._bench.material
        return _plain(material.judge(material.read(Path(folder)), rows, cached=False))

    def _alone(self, state: StateOf, fold: Fold) -> Group:
        """One member alone, in the engine that trained it in its group."""
        (group,) = self._bench.groups([Job(state.trial, state.recipe, state.how)], [fold])
        return group

    def _trained(self, lane: Lane, state: StateOf, *, on_epoch: Callable[[int], None] | None = None) -> Population:
        """The member in that state; if it was dropped, it is trained again alone; only rounding differs."""

        def told(done: int) -> None:
            self._bench.emit(Progress("epochs trained again", done, state.epochs))

        (member,) = lane.members
        epochs, losses, states = state.epochs, state.losses, self._bench.states
        found = states.get(member.trial, member.fold, member.recipe)
        if found is not None and not lane.engine.fits(found):
            found = None
        if found is None or found.epoch != epochs:
            found = found if found is not None and found.epoch < epochs else lane.engine.start([member])
            for epoch in range(found.epoch + 1, epochs + 1):
                if losses is not None:
                    found = slowed(found, plateau_rate(losses[: epoch - 1], member.recipe), member.trial)
                found = lane.engine.advance(found, until=epoch, watch=lambda *_: None)
                (on_epoch or told)(epoch)
            states.put(found)
        return found

    def _chosen(self) -> Network:
        assert self._network is not None, "call network() first"
        return self._network


def _together(made: Sequence[Network], temperature: float) -> Network:
    """These networks as one, with one encoder of texts for all of them."""
    first, *others = made
    encoder = next((each.texts for each in made if each.texts is not None), None)
    return replace(first, others=tuple(others), temperature=temperature, texts=encoder)


def _joined(every: Sequence[int], seen: Sequence[tuple[Tensor, Tensor]]) -> Validation:
    """The outputs of all folds in the order of the examples. every: the row in the data of each example."""
    rows = torch.cat([rows for rows, _ in seen])
    order = rows.argsort()
    outputs = torch.cat([outputs for _, outputs in seen])[order]
    return Validation(rows=[every[row] for row in rows[order]], outputs=_plain(outputs))


def _plain(outputs: Tensor) -> list[list[float]]:
    found: list[list[float]] = outputs.tolist()
    return found
