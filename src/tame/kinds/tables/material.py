"""The rows of a table in the process that trains: encoded for each fold by what its members learn from."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tame.core.errors import require
from tame.core.recipe import Recipe
from tame.data.augment import add_noise
from tame.data.encode import Encoder
from tame.data.tables import Column, Table
from tame.parts.losses import LOSSES
from tame.parts.mlp import Columns, build_table_model, num_weights
from tame.parts.models import init_module
from tame.parts.network import Network
from tame.trial.choose import Chooser, member_bytes
from tame.trial.commands import Fold
from tame.trial.memory_needs import groups, members_together, size_bytes, states
from tame.trial.population import Examples, Groups, Member, Task, built, joint, num_outputs
from tame.trial.training_material import Material, need_pictures, scale_of, scaled

ENCODED = 8  # encodings that are kept: a few recipes of columns, times the folds
JUDGED = 8192  # rows at once


class TableMaterial:
    """A typed table. Rows of the test part are in it, their targets are not."""

    kind = "table"
    reason = ""  # every model of a table can be trained in company

    def __init__(self, table: Table, *, device: torch.device, beside: Sequence[str] = ()) -> None:
        """beside: columns of the files that are no features: target, groups, order."""
        self._beside = tuple(beside)
        self._table = table
        self._device = device
        self._kept: OrderedDict[Any, tuple[Encoder, Tensor]] = OrderedDict()
        self._stacks: OrderedDict[Any, Tensor] = OrderedDict()

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
        alike: dict[Any, list[Fold]] = {}
        for fold in folds:  # a category that a fold never learns from has no column there
            alike.setdefault(self._encoded(recipe, rows, examples, fold)[0].layout, []).append(fold)
        return list(alike.values())

    def network(
        self, task: Task, module: nn.Module, recipe: Recipe, fold: Fold, kind_of_task: str, labels: Sequence[str]
    ) -> Network:
        assert isinstance(task, TableTask)
        encoder = next(own for own, x in self._kept.values() if x is task.x)
        prepared = {
            "columns": [column.to_json() for column in self._table.columns],
            "encoder": encoder.to_json(),
            "model_columns": task.columns.to_json(),
            "target": scale_of(task.examples, fold),
            "beside": list(self._beside),
        }
        arrays = {name: torch.from_numpy(np.array(value)) for name, value in encoder.tensors().items()}
        return Network(self.kind, kind_of_task, recipe, tuple(labels), module.eval(), prepared=prepared, arrays=arrays)

    def judge(self, network: Network, rows: Sequence[int], *, cached: bool) -> Tensor:
        return judge_rows(network, self._table, np.array(rows, dtype=np.int64), device=self._device)

    def _encoded(self, recipe: Recipe, rows: Sequence[int], examples: Examples, fold: Fold) -> tuple[Encoder, Tensor]:
        key = (*asdict(recipe.table).values(), fold, len(rows))
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
        key = (*asdict(recipe.table).values(), tuple(folds), len(rows))
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


@torch.no_grad()
def judge_rows(
    network: Network, table: Table, rows: np.ndarray | None = None, *, device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> Tensor:  # fmt: skip
    """Canonical outputs (n, C) of rows of a table that was typed by the network's own columns.

    dtype: in float32 the rows that come along move what is said of a row in its seventh digit; in float64 they do not.
    """
    encoder = restored(network)
    module = network.module.to(device, dtype).eval()
    every = np.arange(table.num_rows) if rows is None else rows
    found = []
    for start in range(0, len(every), JUDGED):
        x = torch.from_numpy(encoder.transform(table, every[start : start + JUDGED])).to(device, dtype)
        found.append(LOSSES.get(network.recipe.loss.name).predict(module(x)).to("cpu", dtype))
    return network.in_units(torch.cat(found) if found else torch.zeros(0, max(len(network.labels), 1), dtype=dtype))


def restored(network: Network) -> Encoder:
    """The encoder that was delivered with a network."""
    arrays: Mapping[str, np.ndarray] = {name: value.cpu().numpy() for name, value in network.arrays.items()}
    return Encoder.restore(network.prepared["encoder"], arrays)


def columns_from(network: Network) -> tuple[Column, ...]:
    """The columns that a network was trained on, as they were understood."""
    require(network.kind == "table", f"this model judges {network.kind}, not tables")
    return tuple(Column.from_json(each) for each in network.prepared["columns"])


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


def of_tables(
    material: Material, recipes: Sequence[Recipe], folds: Sequence[Fold], rows: Sequence[int], examples: Examples,
    *, chooser: Chooser, cores: int,
) -> int:  # fmt: skip
    """Bytes that training these recipes on a table adds: their groups, the states that wait, and the encodings.

    cores: groups that are trained side by side.
    """
    tasks: dict[Any, TableTask] = {}
    each: dict[Recipe, int] = {}
    weights: dict[Recipe, int] = {}
    for recipe in recipes:
        key = tuple(asdict(recipe.table).values())
        if key not in tasks:
            task = material.task(recipe, rows, examples, folds[:1])
            assert isinstance(task, TableTask)
            tasks[key] = task
        module = built(tasks[key], Member(-1, folds[0], recipe))
        weights[recipe] = num_weights(module)
        each[recipe] = member_bytes(module, recipe, recipe.batch(len(rows)))

    members = partial(members_together, chooser, material, folds, rows, examples)

    copies = 2 * len(folds) if len(folds) > 1 else 1  # of each fold its own, and all of them in one array
    encodings = sum(copies * size_bytes(task.x) for task in tasks.values())
    judged = int((examples.fold >= 0).sum())
    return groups(each, len(folds), members, cores=cores, judged=judged) + states(weights, len(folds)) + encodings
