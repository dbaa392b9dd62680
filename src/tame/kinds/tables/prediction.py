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
from tame.data.sources import short_names
from tame.data.table_later import apply_kinds
from tame.data.table_reading import read_raw
from tame.data.tables import LEARNT, Column, RawTable, Table
from tame.kinds.prediction import Predicted, Prediction, Told, distances, joined
from tame.kinds.tables.row_encoder import Featured, RowEncoder
from tame.kinds.tables.text_features import FrozenTexts, no_encoder
from tame.parts.losses import LOSSES
from tame.parts.mlp import WORDS, Columns, build_table_model
from tame.parts.network import Build, Described, Network
from tame.trial.fitted import applied, linear_of

JUDGED = 8192  # rows at once
CPU = torch.device("cpu")


def empty_network(described: Described) -> nn.Module:
    """The model of a table with these columns."""
    columns = Columns.from_json(described.prepared["model_columns"])
    if described.recipe.model.name == WORDS:
        return linear_of(columns.dense, described.num_outputs)
    return build_table_model(columns, described.num_outputs, described.recipe.model)


def judge_rows(
    network: Network, table: Table, rows: np.ndarray | None = None, *, device: torch.device,
    dtype: torch.dtype = torch.float32, featured: Featured | None = None,
) -> Tensor:  # fmt: skip
    """Canonical outputs (n, C) of rows of a table that was typed by the network's own columns.

    dtype: in float32 the rows that come along move what is said of a row in its seventh digit; in float64 they do not.
    featured: features of texts that are known already; None: the network's own encoder makes them.
    """
    every = np.arange(table.num_rows) if rows is None else rows
    own = featured or features_by(network)
    return network.together([_by_one(each, table, every, device, dtype, own) for each in network.members])


def features_by(network: Network) -> Featured:
    """The features of texts as the encoder of a network makes them, each once."""
    return no_encoder if network.texts is None else FrozenTexts(network.texts, device=CPU)


@torch.no_grad()
def _by_one(
    network: Network, table: Table, rows: np.ndarray, device: torch.device, dtype: torch.dtype, featured: Featured
) -> Tensor:
    """Canonical outputs (n, C) of one member."""
    encoder, predict = restored(network), LOSSES.get(network.recipe.loss.name).predict
    if network.recipe.model.name == WORDS:
        return network.in_units(predict(applied(network.module, encoder.sparse(table, rows))).to(dtype))
    module = network.module.to(device, dtype).eval()
    found = []
    for start in range(0, len(rows), JUDGED):
        x = torch.from_numpy(encoder.dense(table, rows[start : start + JUDGED], featured)).to(device, dtype)
        found.append(predict(module(x)).to("cpu", dtype))
    return network.in_units(torch.cat(found) if found else torch.zeros(0, max(len(network.labels), 1), dtype=dtype))


def distances_of(network: Network, table: Table, featured: Featured | None = None) -> np.ndarray | None:
    """(n,) how unlike the training rows each row is, above 1 where it is flagged; None where that is not known.

    featured: as of `judge_rows`.
    """
    every, own = np.arange(table.num_rows), featured or features_by(network)
    blocks = [every[start : start + JUDGED] for start in range(0, max(len(every), 1), JUDGED)]
    return joined([distances(network, seen_of(network, table, rows, own)) for rows in blocks])


def seen_of(network: Network, table: Table, rows: np.ndarray, featured: Featured | None = None) -> Tensor | None:
    """(n, D) the columns of encoded rows in which distances mean something: not the codes of embedded categories.

    None of a model on words: most texts have few words in common. featured: as of `judge_rows`.
    """
    if network.recipe.model.name == WORDS:
        return None
    encoder, own = restored(network), featured or features_by(network)
    return torch.from_numpy(encoder.dense(table, rows, own)[:, : encoder.layout.dense + encoder.layout.periodic])


def restored(network: Network) -> RowEncoder:
    """The encoder that was delivered with a network."""
    arrays: Mapping[str, np.ndarray] = {name: value.cpu().numpy() for name, value in network.arrays.items()}
    return RowEncoder.restore(network.prepared, arrays)


def columns_from(network: Network) -> tuple[Column, ...]:
    """The columns that a network was trained on, as they were understood."""
    require(network.kind in ("table", "texts"), f"this model judges {network.kind}, not tables")
    columns = tuple(Column.from_json(each) for each in network.prepared["columns"])
    if network.prepared.get("texts"):
        return columns
    # A model of an earlier TAME was not trained on texts.
    return tuple(replace(each, kind="ignored") if each.kind == "text" else each for each in columns)


def verify(network: Network) -> None:
    """Nothing, where the columns and encoders of a network can be read; raises TameError or what Python raises."""
    for member in network.members:
        _ = columns_from(member), restored(member)
        names = member.prepared.get("beside", [])
        told = isinstance(names, list) and all(isinstance(name, str) for name in names)
        require(told, f"the names of the columns beside must be a list of texts, got {names!r}")


def of_paths(network: Network, inputs: Sequence[Path]) -> Predicted:
    """What a network says of the rows of tables."""
    names: list[str] = []
    notes: list[str] = []
    outputs = [np.zeros((0, max(len(network.labels), 1)), dtype=np.float32)]
    apart: list[np.ndarray | None] = [None if network.familiar is None else np.zeros(0)]
    for path, short in zip(inputs, short_names(inputs), strict=True):
        require(path.exists(), f"no file {printable(os.fspath(path))}")
        raw = read_raw(path.resolve())
        table, said = apply_kinds(raw, columns_from(network), beside=network.prepared.get("beside", ()))
        notes += said
        names += [f"{printable(short)}:{line}" for line in raw.places.tolist()]
        featured = features_by(network)
        outputs.append(judge_rows(network, table, device=CPU, featured=featured).numpy())
        apart.append(distances_of(network, table, featured))
    return Predicted(tuple(names), np.concatenate(outputs), notes=tuple(notes), distances=joined(apart))


def of_inputs(network: Network, x: object, *, by_place: bool) -> Told:
    """What a network says of the rows of an array or frame."""
    table = table_of(network, x, by_place=by_place)
    # By place in double precision, since the rows that come along must not show at all.
    dtype = torch.float64 if by_place else torch.float32
    featured = features_by(network)
    outputs = judge_rows(network, table, device=CPU, dtype=dtype, featured=featured).double().numpy()
    return Told(outputs, distances_of(network, table, featured))


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
        self.others = nn.ModuleList([each.module for each in network.others])
        self._about = network

    def forward(self, rows: object) -> Tensor:
        """rows: a frame or array of n rows like that of the training. Returns (n, C) logits, or (n, 1) numbers in units
        of the target.

        Raises UsageError and DataError for rows that are unlike them.
        """
        table = table_of(self._about, rows)
        featured = features_by(self._about)
        return self._about.together([self._by_one(each, table, featured) for each in self._about.members])

    def _by_one(self, network: Network, table: Table, featured: Featured) -> Tensor:
        if network.recipe.model.name == WORDS:
            return _by_one(network, table, np.arange(table.num_rows), CPU, torch.float32, featured)
        like = next(network.module.parameters())
        x = torch.from_numpy(restored(network).dense(table, None, featured)).to(like)
        return network.in_units(LOSSES.get(network.recipe.loss.name).predict(network.module(x)))


def _renamed(raw: RawTable, columns: Sequence[Column]) -> RawTable:
    """The table with the names of these columns, which are its own in order."""
    names = dict(zip(raw.names, (column.name for column in columns), strict=True))
    return replace(
        raw, names=tuple(names.values()), columns={names[name]: own for name, own in raw.columns.items()},
        categories=frozenset(names[name] for name in raw.categories),
    )  # fmt: skip


def _empty(described: Described, _: Build | None) -> nn.Module:
    return empty_network(described)


PREDICTION = Prediction(empty=_empty, of_paths=of_paths, of_inputs=of_inputs, verify=verify, module=TableModule)
