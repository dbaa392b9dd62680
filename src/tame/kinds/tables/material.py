"""The rows of a table in the process that trains: encoded for each fold by what its members learn from."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tame.core.errors import WorkerError
from tame.core.plain import from_plain, to_plain
from tame.core.recipe import Recipe, TableRecipe
from tame.data.augment import add_noise
from tame.data.encode import Encoder
from tame.data.sources import open_columns, open_rows, take_rows
from tame.data.tables import Table
from tame.kinds.linear import QUESTION, answer_linear, read_asked
from tame.kinds.tables.commands import Given
from tame.kinds.tables.kind import TABLES
from tame.kinds.tables.prediction import empty_network, judge_rows, seen_of
from tame.parts.mlp import Columns, build_table_model, num_weights
from tame.parts.models import init_module
from tame.parts.network import Network, read_network
from tame.trial.choose import member_bytes
from tame.trial.commands import Fold, Plain
from tame.trial.memory_needs import groups, size_bytes, states
from tame.trial.population import Examples, Groups, Member, Task, built, joint, num_outputs
from tame.trial.training_material import Room, Trained, need_pictures, not_asked, scale_of, scaled

LINEAR_ONE_HOT = 200  # categories of a column that a linear model tells apart; those of larger columns it leaves out
ENCODED = 8  # encodings that are kept: a few recipes of columns, times the folds


class TableMaterial:
    """A typed table. Rows of the test part are in it, their targets are not."""

    reason = ""  # every model of a table can be trained in company

    def __init__(
        self, table: Table, *, device: torch.device, beside: Sequence[str] = (), kind: str = TABLES.name
    ) -> None:
        """beside: columns of the files that are no features: target, groups, order; kind: of data, which may be one
        that is turned into columns."""
        self.kind = kind
        self._beside = tuple(beside)
        self._table = table
        self._device = device
        self._kept: OrderedDict[Hashable, tuple[Encoder, Tensor]] = OrderedDict()
        self._stacks: OrderedDict[Hashable, Tensor] = OrderedDict()

    def answer(self, question: str, given: Plain, rows: Sequence[int]) -> Plain:
        if question != QUESTION:
            raise not_asked(question, "tables", [QUESTION])
        asked = read_asked(given)
        own, judged = (np.array(each, dtype=np.int64) for each in (asked.rows, asked.judged))
        encoder = Encoder.fit(self._table, own, TableRecipe(one_hot=LINEAR_ONE_HOT))
        width = encoder.layout.dense + encoder.layout.periodic  # codes of embedded categories are no quantities
        x, seen = (encoder.transform(self._table, each)[:, :width] for each in (own, judged))
        found: Plain = to_plain(answer_linear(asked, x, seen))
        return found

    def rehearsed(self) -> TableMaterial:
        return self

    def rehearsal(self, recipe: Recipe, rows: Sequence[int], examples: Examples, folds: Sequence[Fold]) -> Task | None:
        return None

    def adds_bytes(self, trained: Trained) -> int:
        return of_tables(self, trained)

    def read(self, folder: Path) -> Network:
        return read_network(folder, empty_network)

    def check(self, recipe: Recipe, examples: Examples) -> None:
        need_pictures(recipe)
        build_table_model(Columns(1), 1, recipe.model)

    def small(self, recipe: Recipe) -> bool:
        return True

    def stacks(self, recipe: Recipe) -> bool:
        return True

    def task(self, recipe: Recipe, rows: Sequence[int], examples: Examples, folds: Sequence[Fold]) -> Task:
        encoded = [self._encoded(recipe, rows, examples, fold) for fold in folds]
        encoder, x = encoded[0]
        own = replace(scaled(examples, recipe), together=int(examples.fold.max()) > 0).to(self._device)
        columns = columns_of(encoder, recipe)
        if len(folds) == 1:
            return TableTask(x, columns, own, self._device)
        return TableTask(self._all(recipe, rows, examples, folds), columns, own, self._device, by_fold=tuple(folds))

    def lanes(self, recipe: Recipe, rows: Sequence[int], examples: Examples, folds: Sequence[Fold]) -> list[list[Fold]]:
        if not joint(replace(examples, together=int(examples.fold.max()) > 0), recipe):
            return [[fold] for fold in folds]
        alike: dict[Hashable, list[Fold]] = {}
        for fold in folds:  # a category that a fold never learns from has no column there
            alike.setdefault(self._encoded(recipe, rows, examples, fold)[0].layout, []).append(fold)
        return list(alike.values())

    def network(
        self, task: Task, module: nn.Module, recipe: Recipe, fold: Fold, kind_of_task: str, labels: Sequence[str]
    ) -> Network:
        assert isinstance(task, TableTask)
        encoder = self._encoder_of(task)
        prepared = {
            "columns": [column.to_json() for column in self._table.columns],
            "encoder": encoder.to_json(),
            "model_columns": task.columns.to_json(),
            "target": scale_of(task.examples, fold),
            "beside": list(self._beside),
        }
        arrays = {name: torch.from_numpy(np.array(value)) for name, value in encoder.tensors().items()}
        return Network(self.kind, kind_of_task, recipe, tuple(labels), module.eval(), prepared=prepared, arrays=arrays)

    def input_names(self, task: Task) -> tuple[str, ...]:
        """The column that each number of a row comes from, but for the codes of embedded categories."""
        assert isinstance(task, TableTask)
        return self._encoder_of(task).names

    def _encoder_of(self, task: TableTask) -> Encoder:
        return next(own for own, x in self._kept.values() if x is task.x)

    def seen(self, network: Network, rows: Sequence[int], *, cached: bool) -> Tensor | None:
        return seen_of(network, self._table, np.array(rows, dtype=np.int64))

    def judge(self, network: Network, rows: Sequence[int], *, cached: bool) -> Tensor:
        return judge_rows(network, self._table, np.array(rows, dtype=np.int64), device=self._device)

    def _encoded(self, recipe: Recipe, rows: Sequence[int], examples: Examples, fold: Fold) -> tuple[Encoder, Tensor]:
        key = (recipe.table, fold, hash(tuple(rows)))
        if key not in self._kept:
            every = np.array(rows, dtype=np.int64)
            learnt = every if fold is None else every[(examples.fold != fold).numpy()]
            encoder = Encoder.fit(self._table, learnt, recipe.table)
            x = torch.from_numpy(encoder.transform(self._table, every)).to(self._device)
            self._kept[key] = (encoder, x)
            if len(self._kept) > ENCODED * 6:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def _all(self, recipe: Recipe, rows: Sequence[int], examples: Examples, folds: Sequence[Fold]) -> Tensor:
        """(F, N, D) the encodings of all these folds; the last ones are kept, since every round asks for them."""
        key = (recipe.table, tuple(folds), hash(tuple(rows)))
        if key not in self._stacks:
            if len(self._stacks) >= ENCODED:
                self._stacks.popitem(last=False)
            self._stacks[key] = torch.stack([self._encoded(recipe, rows, examples, fold)[1] for fold in folds])
        self._stacks.move_to_end(key)
        return self._stacks[key]


def columns_of(encoder: Encoder, recipe: Recipe) -> Columns:
    """What the columns of an encoded row are, for the model."""
    layout, own = encoder.layout, recipe.table
    return Columns(layout.dense, layout.periodic, layout.embedded, own.dim, own.sigma)


@dataclass(frozen=True, slots=True)
class TableTask:
    """Models on encoded rows. x: (N, D) float32, columns as `columns` says; or (F, N, D), one for each of `by_fold`.

    Encodings are fitted on what the members of a fold learn from.
    """

    x: Tensor
    columns: Columns
    examples: Examples
    device: torch.device
    autocast: torch.dtype | None = None
    by_fold: tuple[int | None, ...] | None = None
    eval_batch: int = 8192
    draws: bool = False

    def build(self, member: Member) -> nn.Module:
        model = build_table_model(self.columns, num_outputs(member.recipe, self.examples), member.recipe.model)
        init_module(model, seed=member.recipe.seed)
        return model.to(self.x)

    def batch(self, recipe: Recipe, rows: Tensor, *, epoch: int, step: int) -> Tensor:
        x = self.x.index_select(-2, rows)  # less than half the time of x[rows]
        if not recipe.augment.noise:
            return x
        numbers = slice(0, self.columns.dense + self.columns.periodic)
        return add_noise(x, strength=recipe.augment.noise, seed=recipe.seed, epoch=epoch, step=step, columns=numbers)

    def views(self, recipe: Recipe, rows: Tensor) -> list[Tensor]:
        return [self.x.index_select(-2, rows)]

    def groups(self, module: nn.Module, recipe: Recipe) -> Groups:
        return [(list(module.named_parameters()), 1.0)]


def of_tables(material: TableMaterial, trained: Trained) -> int:
    """Bytes that training all this on a table adds: its groups, the states that wait, and the encodings."""
    folds, rows, examples = trained.folds, trained.rows, trained.examples
    tasks: dict[TableRecipe, TableTask] = {}
    each: dict[Recipe, int] = {}
    weights: dict[Recipe, int] = {}
    for recipe in trained.recipes:
        key = recipe.table
        if key not in tasks:
            task = material.task(recipe, rows, examples, folds[:1])
            assert isinstance(task, TableTask)
            tasks[key] = task
        module = built(tasks[key], Member(-1, folds[0], recipe))
        weights[recipe] = num_weights(module)
        each[recipe] = member_bytes(module, recipe, recipe.batch(len(rows)))
    copies = 2 * len(folds) if len(folds) > 1 else 1  # of each fold its own, and all of them in one array
    encodings = sum(copies * size_bytes(task.x) for task in tasks.values())
    judged = int((examples.fold >= 0).sum())
    together = groups(each, len(folds), trained.members, cores=trained.cores, judged=judged)
    return together + states(weights, len(folds)) + encodings


def open_material(given: Plain, room: Room) -> tuple[TableMaterial, Plain]:
    """Opens a table: `kinds/tables/commands.py` has what is given."""
    asked = from_plain(Given, given, what="'open' of a table", error=WorkerError)
    arrays = None if asked.arrays is None else Path(asked.arrays)
    if arrays is not None and (not asked.files or arrays.exists()):
        table = open_columns(arrays, asked.columns)
    else:
        files = [Path(file) for file in asked.files]
        table = take_rows(open_rows(files, asked.columns), np.array(asked.kept, dtype=np.int64))
    return TableMaterial(table, device=room.device, beside=asked.beside), {"device": room.device.type}
