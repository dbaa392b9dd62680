"""Judging rows of tables with a trained network: for scores, for parity checks and for `tame predict`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tame.core.errors import DataError, require
from tame.core.text import printable
from tame.data.arrays import read_columns, read_inputs
from tame.data.encode import Encoder
from tame.data.sources import short_names
from tame.data.table_later import apply_kinds
from tame.data.table_reading import read_raw
from tame.data.tables import LEARNT, Column, RawTable, Table
from tame.kinds.prediction import Predicted, Prediction
from tame.parts.losses import LOSSES
from tame.parts.mlp import Columns, build_table_model
from tame.parts.network import Build, Described, Network

JUDGED = 8192  # rows at once
CPU = torch.device("cpu")


def empty_network(described: Described) -> nn.Module:
    """The model of a table with these columns."""
    columns = Columns.from_json(described.prepared["model_columns"])
    return build_table_model(columns, described.num_outputs, described.recipe.model)


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


def of_paths(network: Network, inputs: Sequence[Path]) -> Predicted:
    """What a network says of the rows of tables."""
    names: list[str] = []
    notes: list[str] = []
    outputs = [np.zeros((0, max(len(network.labels), 1)), dtype=np.float32)]
    for path, short in zip(inputs, short_names(inputs), strict=True):
        require(path.exists(), f"no file {printable(os.fspath(path))}")
        raw = read_raw(path.resolve())
        table, said = apply_kinds(raw, columns_from(network), beside=network.prepared.get("beside", ()))
        notes += said
        names += [f"{printable(short)}:{line}" for line in raw.places.tolist()]
        outputs.append(judge_rows(network, table, device=CPU).numpy())
    return Predicted(tuple(names), np.concatenate(outputs), notes=tuple(notes))


def of_inputs(network: Network, x: object, *, by_place: bool) -> np.ndarray:
    """Canonical outputs (n, C) of the rows of an array or frame."""
    table = table_of(network, x, by_place=by_place)
    # By place in double precision, since the rows that come along must not show at all.
    dtype = torch.float64 if by_place else torch.float32
    return judge_rows(network, table, device=CPU, dtype=dtype).double().numpy()


def table_of(network: Network, x: object, *, by_place: bool = False) -> Table:
    """The rows of an array or frame, as the network's columns understand them; what is odd is told by warnings.

    Raises UsageError and DataError.
    """
    columns = columns_from(network)
    found, _ = read_inputs(x, like=columns)
    require(
        isinstance(found, Table), "this model judges the rows of a table: give one array or frame of two dimensions"
    )
    raw = read_columns(x)
    if by_place:
        return apply_kinds(_renamed(raw, columns), columns)[0]
    gone = [c.name for c in columns if c.kind in LEARNT and c.name not in raw.names]
    advice = "give it, with gaps where nothing is known"
    require(not gone, f"column {', '.join(map(repr, gone[:5]))} is not there; {advice}", error=DataError)
    table, notes = apply_kinds(raw, columns)
    for note in notes:
        warnings.warn(note, stacklevel=2)  # from Python there is no other place where it would be seen
    return table


class TableModule(nn.Module):
    """Rows to canonical outputs: encoded as the training rows were, then judged by `network`."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network.module
        self._about = network

    def forward(self, rows: object) -> Tensor:
        """rows: a frame or array of n rows like that of the training. Returns (n, C) logits, or (n, 1) numbers in units
        of the target.

        Raises UsageError and DataError for rows that are unlike them.
        """
        table = table_of(self._about, rows)
        like = next(self.network.parameters())
        x = torch.from_numpy(restored(self._about).transform(table, np.arange(table.num_rows))).to(like)
        return self._about.in_units(LOSSES.get(self._about.recipe.loss.name).predict(self.network(x)))


def _renamed(raw: RawTable, columns: Sequence[Column]) -> RawTable:
    """The table with the names of these columns, which are its own in order."""
    names = dict(zip(raw.names, (column.name for column in columns), strict=True))
    return replace(
        raw, names=tuple(names.values()), columns={names[name]: own for name, own in raw.columns.items()},
        categories=frozenset(names[name] for name in raw.categories),
    )  # fmt: skip


def _empty(described: Described, _: Build | None) -> nn.Module:
    return empty_network(described)


PREDICTION = Prediction(empty=_empty, of_paths=of_paths, of_inputs=of_inputs, module=TableModule)
