"""The worker: implements the commands of `trial/commands.py` with torch.

A trial is trained as one member per fold; a finalist under cross-validation also has a member on all examples, which is
the one that can be delivered.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from tame.core.errors import require
from tame.core.probed import Probed
from tame.core.rate_range import RateRange
from tame.core.recipe import Recipe
from tame.kinds.known import KINDS
from tame.kinds.materials import open_material
from tame.parts.network import Build
from tame.parts.unused_settings import refuse_unused
from tame.store.checkpoints import Checkpoints
from tame.trial.choose import Chooser
from tame.trial.commands import (
    Advanced,
    Arranged,
    Asked,
    AskedCopy,
    DeviceMemory,
    Doing,
    EngineMeasured,
    Fold,
    MemberOf,
    MemoryUse,
    Note,
    Outputs,
    Plain,
    Priced,
    Progress,
    Rehearsed,
    Seat,
    StateOf,
    Unsealed,
    Validation,
)
from tame.trial.measurements import Measurements
from tame.trial.measurer import Measurer
from tame.trial.member_states import MemberStates
from tame.trial.population import Member
from tame.trial.probing import probe
from tame.trial.rising_rates import tried_rates
from tame.trial.side_by_side import Emit
from tame.trial.training_material import Room, Trained, check_parts
from tame.trial.unit import Unit
from tame.worker.bench import Bench, Learned
from tame.worker.environment import usable_cores
from tame.worker.judging import Judging
from tame.worker.machine import peak_bytes, slowdown
from tame.worker.training import Training


class Trainer:
    """The commands of the worker. `emit` sends messages on the way to the coordinator.

    under: a second cache, whose pixels and features are only read; share: its cores while other workers of the study
    train, 0 where it is the only one; gpu: its own, as CUDA names it; measured: what the study has measured before, by
    key; measurer: measures how long a step takes; run: trains a unit as `Unit.advance` does.
    """

    def __init__(
        self, *, cache: Path, study: Path | None, emit: Emit, build: Build | None = None, under: Path | None = None,
        share: int = 0, gpu: str = "", measured: Mapping[str, object] | None = None, measurer: Measurer | None = None,
        run: Callable[..., None] = Unit.advance,
    ) -> None:  # fmt: skip
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        uncounted = "there are GPUs here that nobody could count: name one for each worker, CUDA_VISIBLE_DEVICES=0,1"
        require(not share or device.type == "cpu" or bool(gpu), uncounted)
        states = None
        if study:
            kept_in = Checkpoints(study / "checkpoints", tidies=not share)
            states = MemberStates(kept_in, note=lambda text: emit(Note(text)))
        kept = Measurements(cache / "engines.json", measured or {}, lambda key, value: emit(EngineMeasured(key, value)))
        self._bench = Bench(Chooser(kept, device, measurer=measurer), states, device, emit, share=share)
        self._training = Training(self._bench, run)
        self._judging = Judging(self._bench)
        self._room = Room(
            cache=cache, under=under, study=study, device=device, build=build,
            doing=lambda what, limit_s: emit(Doing(what, limit_s)),
            say=lambda what, done, total: emit(Progress(what, done, total)),
        )  # fmt: skip

    # What the study is about -----------------------------------------------------------------------------------------

    def open(self, kind: str, given: Plain) -> Plain:
        self._bench.material, known = open_material(kind, given, self._room)
        return known

    def ask(self, question: str, given: Plain) -> Plain:
        return self._bench.material.answer(question, given, self._bench.rows)

    def tell(self, question: str, given: Plain) -> None:
        self.ask(question, given)

    def learn(self, examples: Unsealed) -> None:
        self._bench.learned = Learned.of(examples)

    # Before training -------------------------------------------------------------------------------------------------

    def check(self, recipes: Sequence[Recipe], *, also: Sequence[Recipe] = (), given: Sequence[str] = ()) -> None:
        material, learned = self._bench.material, self._bench.learned
        examples = learned.examples
        shares = examples.num_classes > 0 and examples.target.ndim == 2
        for recipe in recipes:
            stacked = material.stacks(recipe)
            counts = (
                learned.task == "regression" and recipe.loss.name == "poisson" and bool((examples.target >= 0).all())
            )
            task = "counts" if counts else "distribution" if shares else learned.task
            check_parts(
                recipe, task=task, num_classes=examples.num_classes, has_costs=examples.costs is not None,
                stacked=stacked,
            )  # fmt: skip
            material.check(recipe, examples)
        refuse_unused([*recipes, *also], given, uses=KINDS.get(material.kind).uses)

    def rehearse(self, recipe: Recipe, *, folds: Sequence[Fold]) -> Rehearsed:
        bench, rows, examples = self._bench, self._bench.rows, self._bench.learned.examples
        task = bench.material.rehearsal(recipe, rows, examples, folds)
        cores, material, prepare_s = bench.cores([recipe]), bench.material.rehearsed(), 0.0
        with bench.threads(cores):
            if task is not None:
                company = alone = bench.chooser.rehearse(task, Member(-1, folds[0], recipe))
            else:
                begun = time.monotonic()
                material.task(recipe, rows, examples, folds[:1])
                prepare_s = time.monotonic() - begun
                company, alone = bench.chooser.epoch_s(material, recipe, folds, rows, examples)
        pair_s = alone * (1 if cores > 1 else 2)
        return Rehearsed(epoch_s=company / cores, alone_s=alone, pair_s=pair_s, prepare_s=prepare_s)

    def memory(
        self, recipes: Sequence[Recipe], *, folds: Sequence[Fold], tuning: Recipe | None, rehearsed: Recipe | None
    ) -> MemoryUse:
        bench, device = self._bench, None
        cores = bench.in_all(recipes)
        trained = Trained(
            recipes=recipes, folds=folds, rows=bench.rows, examples=bench.learned.examples, cores=cores, tuning=tuning,
            rehearsed=rehearsed, members=bench.members(folds),
        )  # fmt: skip
        with bench.threads(cores):
            adds = bench.material.adds_bytes(trained)
        if bench.device.type == "cuda":
            total = torch.cuda.get_device_properties(bench.device).total_memory
            device = DeviceMemory(peak_bytes=torch.cuda.max_memory_allocated(bench.device), total_bytes=total)
        return MemoryUse(process=os.getpid(), peak_bytes=peak_bytes(), adds_bytes=adds, device=device)

    def probe(self, recipe: Recipe, *, folds: Sequence[Fold], limit_s: float) -> Probed:
        bench = self._bench
        with bench.threads(bench.cores([recipe])):
            task = bench.material.task(recipe, bench.rows, bench.learned.examples, folds[:1])
            return probe(task, Member(-1, folds[0], recipe), limit_s=limit_s)

    def rates(self, recipe: Recipe, *, folds: Sequence[Fold], limit_s: float) -> RateRange:
        bench = self._bench
        with bench.threads(bench.cores([recipe])):
            task = bench.material.task(recipe, bench.rows, bench.learned.examples, folds[:1])
            return tried_rates(task, Member(-1, folds[0], recipe), limit_s=limit_s)

    def slowdown(self, recipe: Recipe) -> float:
        return slowdown(usable_cores()) if self._bench.is_timed_by_work(recipe) else 1.0

    # Training --------------------------------------------------------------------------------------------------------

    def advance(
        self, trials: Sequence[Asked], *, folds: Sequence[Fold], until: int, metric: str, final: bool
    ) -> Advanced:
        return self._training.advance(trials, folds=folds, until=until, metric=metric, final=final)

    def advance_together(
        self, trials: Sequence[Asked], *, folds: Sequence[Fold], until: int, metric: str, final: bool, seat: Seat
    ) -> None:
        self._training.advance_together(trials, folds=folds, until=until, metric=metric, final=final, seat=seat)

    def arrange(self, trials: Sequence[Asked], *, folds: Sequence[Fold], workers: int) -> Arranged:
        return self._training.arrange(trials, folds=folds, workers=workers)

    def hand_over(self, trials: Sequence[int]) -> None:
        self._bench.states.hand_over(trials)

    def take_over(self, trials: Sequence[int]) -> None:
        self._bench.states.take_over(trials)

    def copy(self, trials: Sequence[AskedCopy], *, folds: Sequence[Fold]) -> None:
        for epoch in sorted({each.epoch for each in trials}):
            own = [each for each in trials if each.epoch == epoch]
            recipes = {each.trial: each.recipe for each in own}
            self._bench.states.copy({each.trial: each.source for each in own}, recipes, folds, epoch=epoch)

    def forget(self, trials: Sequence[int], *, keep: Sequence[int]) -> None:
        self._bench.states.forget(trials, keep=keep)

    # Evaluation ------------------------------------------------------------------------------------------------------

    def validation(self, state: StateOf, *, folds: Sequence[Fold]) -> Validation:
        return self._judging.validation(state, folds=folds)

    def on_fewer(self, state: StateOf, *, folds: Sequence[Fold], rows: Sequence[int]) -> Validation:
        return self._judging.on_fewer(state, folds=folds, rows=rows)

    def price(self, recipes: Sequence[Recipe], *, fold: Fold, labels: Sequence[str], row: int) -> Priced:
        return self._judging.price(recipes, fold=fold, labels=labels, row=row)

    def train_again(self, members: Sequence[MemberOf]) -> None:
        self._judging.train_again(members)

    def network(
        self, members: Sequence[MemberOf], *, labels: Sequence[str], temperature: float = 1.0, remembers: bool = False
    ) -> None:
        self._judging.network(members, labels=labels, temperature=temperature, remembers=remembers)

    def distances(self, rows: Sequence[int]) -> Sequence[float]:
        return self._judging.distances(rows)

    def judge(self, rows: Sequence[int]) -> Outputs:
        return self._judging.judge(rows)

    def deliver(self, folder: str) -> Mapping[str, str]:
        return self._judging.deliver(folder)

    def judge_again(self, folder: str, *, rows: Sequence[int]) -> Outputs:
        return self._judging.judge_again(folder, rows=rows)
