"""The rows of a table in the process that trains: encoded for each fold by what its members learn from."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tame.core.errors import require
from tame.core.recipe import Recipe
from tame.data.encode import Encoder
from tame.data.tables import Column, Table
from tame.parts.losses import LOSSES
from tame.parts.mlp import Columns, build_table_model
from tame.parts.network import Network
from tame.trial.material import need_pictures, scale_of, scaled
from tame.trial.population import Examples, Task, joint
from tame.trial.shelf import Fold
from tame.trial.tasks import TableTask

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
