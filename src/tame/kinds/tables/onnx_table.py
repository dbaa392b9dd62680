"""A delivered model of tables as one ONNX graph: columns in, classes or numbers out. Needs the extra `onnx`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from onnx import ModelProto

from tame.core.config import StudyConfig
from tame.core.errors import DataError, require
from tame.core.text import printable
from tame.data.sources import take_rows
from tame.data.table_cells import LARGEST
from tame.data.table_later import apply_kinds
from tame.data.table_reading import read_raw
from tame.data.tables import MISSING, UNSEEN, Column, RawTable, Table
from tame.kinds.kind import Known
from tame.kinds.onnx import CHECK, METADATA, SCHEMA, Asked, OnnxForm, validation_ids
from tame.kinds.tables.onnx_rows import given_nodes, row_nodes, words_of
from tame.kinds.tables.prediction import CPU, columns_from, distances_of, judge_rows, restored
from tame.kinds.tables.source import read_rows
from tame.parts.mlp import Mlp
from tame.parts.network import Network
from tame.parts.onnx_networks import add_outputs, canonical_nodes, distance_nodes, mlp_nodes, together_nodes
from tame.parts.onnx_nodes import Nodes

MOST_ROWS = 20_000  # that are compared, evenly spaced ones of more
BATCH = 2048  # in one call
ALONE = 8  # made rows that are also given one at a time
MOST_ALONE = 200  # columns that are driven to their extremes by themselves
OUTSIDE = (
    "decimal commas, units and brackets of numbers are read before: give plain numbers",
    "dates are given as days since 1970-01-01 in UTC, with the time as a fraction",
    "spaces around texts are cut before, and a category is given as it is written here",
)


def graph(network: Network) -> ModelProto:
    """All members with their encodings, from columns to probabilities. Raises UsageError for columns of text."""
    columns = used(network)
    nodes = Nodes([column.name for column in columns])
    given = given_nodes(nodes, columns)
    judged, seen = [], ""
    for member in network.members:
        encoder = restored(member).encoder
        assert encoder is not None, "a model without columns of text has an encoder"
        rows = row_nodes(nodes, encoder, given, columns)
        module = member.module
        assert isinstance(module, Mlp)
        outputs = mlp_nodes(
            nodes, module, member.recipe.model.activation, dense=rows.dense, periodic=rows.periodic, codes=rows.codes
        )
        judged.append(canonical_nodes(nodes, member, outputs))
        seen = seen or nodes.beside(*(each for each in (rows.dense, rows.periodic) if each))
    distance = "" if network.familiar is None else distance_nodes(nodes, network.familiar, seen)
    outputs_of = add_outputs(nodes, network, together_nodes(nodes, network, judged), distance)
    about = {
        "schema": SCHEMA, "kind": network.kind, "task": network.task, "labels": list(network.labels),
        "inputs": [_described(column) for column in columns], "outputs": outputs_of, "outside": list(OUTSIDE),
    }  # fmt: skip
    return nodes.model({METADATA: json.dumps(about, ensure_ascii=False)}, about="A model of tables, tuned by TAME")


def used(network: Network) -> tuple[Column, ...]:
    """The columns that a model looks at, in the order of the table. Raises UsageError where it looks at texts."""
    texts = [repr(each["name"]) for member in network.members for each in member.prepared.get("texts", ())]
    said = f"texts cannot be in an ONNX file yet; this model reads {', '.join(dict.fromkeys(texts))}"
    require(not texts, said)
    names = {
        plan.name for member in network.members if (own := restored(member).encoder) is not None for plan in own.plans
    }
    return tuple(column for column in columns_from(network) if column.name in names)


def _described(column: Column) -> dict[str, object]:
    """What is said of a column in the file."""
    number = column.kind in ("number", "date")
    found: dict[str, object] = {
        "name": column.name, "kind": column.kind, "type": "float64" if number else "text",
        "missing": "NaN" if number else "",
    }  # fmt: skip
    if column.kind == "date":
        found["unit"] = "days since 1970-01-01 in UTC"
    elif column.unit:
        found["unit"] = column.unit
    if number:
        return {**found, "low": column.low, "high": column.high}
    return {**found, "categories": list(column.categories)}


# What it is compared on


def of_study(network: Network, config: StudyConfig, known: Known, folder: Path) -> Asked:
    """The validation rows of a study. Raises DataError where its data is gone or changed."""
    wanted = validation_ids(config, folder)
    found = read_rows(config).rows
    known.require_same(found.digests, "table")
    rows = np.flatnonzero([name in wanted for name in found.ids])
    require(len(rows) > 0, f"no validation row of the study is in {config.data}; {CHECK}", error=DataError)
    return asked(network, _some(take_rows(found.table, rows)), what="validation rows")


def of_path(network: Network, path: Path) -> Asked:
    """The rows of a table. Raises UsageError and DataError."""
    require(path.exists(), f"no file {printable(str(path))}")
    raw = read_raw(path.resolve())
    table, _ = apply_kinds(raw, columns_from(network), beside=network.prepared.get("beside", ()))
    require(table.num_rows > 0, f"{printable(str(path))} has no rows", error=DataError)
    return asked(network, _some(table), what=f"rows of {printable(path.name)}")


def extremes(network: Network, read: Asked) -> list[Asked]:
    """Rows outside the training range, with gaps and with unseen categories; and some rows one at a time."""
    columns, base = used(network), read.feeds[0]
    ends = {column.name: extremes_of(column) for column in columns}
    alone = [column.name for column in columns][:: math.ceil(len(columns) / MOST_ALONE)]
    together = max(map(len, ends.values()))
    num = sum(len(ends[name]) for name in alone) + together
    rows = {name: np.repeat(values[:1], num) for name, values in base.items()}
    row = 0
    for name in alone:  # one column at a time in a row that is otherwise ordinary
        own = ends[name]
        rows[name][row : row + len(own)] = own
        row += len(own)
    for name, own in ends.items():  # and all columns at once
        rows[name][row:] = [own[place % len(own)] for place in range(together)]
    table = table_of(columns, rows)
    each = [{name: values[row : row + 1] for name, values in rows.items()} for row in range(num - ALONE, num)]
    return [
        _asked(network, table, batches(rows), "made rows at the extremes"),
        _asked(network, take_rows(table, np.arange(num - ALONE, num)), each, "of them one at a time"),
    ]


def extremes_of(column: Column) -> list[object]:
    """Values of a column that a file must survive: missing ones first, then unseen, at the ends and far beyond."""
    if column.kind in ("category", "boolean"):
        return ["", unseen(column), *column.categories[:2], column.categories[-1]]
    low, high = column.low or 0.0, column.high or 0.0
    width = (high - low) or 1.0
    far = [low - 0.01 * width, high + 0.01 * width, low - 1000 * width, high + 1000 * width]
    return [
        np.nan, np.inf, -np.inf, low, high, (low + high) / 2, *far, 0.0, 5e-324, LARGEST, -LARGEST, 2 * LARGEST, 1e300,
    ]  # fmt: skip


def unseen(column: Column) -> str:
    """A text that is none of the column's, nor a mark of a missing value."""
    known, text = words_of(column), "never seen"
    while text in known:
        text += "!"
    return text


def table_of(columns: Sequence[Column], feeds: Mapping[str, np.ndarray]) -> Table:
    """The table that the inputs of a file stand for: texts read as `tame predict` reads them."""
    texts = [column for column in columns if column.kind in ("category", "boolean")]
    num = len(next(iter(feeds.values())))
    values: dict[str, np.ndarray] = {}
    if texts:
        names = tuple(column.name for column in texts)
        raw = RawTable(names, {name: feeds[name] for name in names}, (), num, "", separator=",")
        values |= apply_kinds(raw, texts)[0].values
    for column in columns:
        if column not in texts:
            own = feeds[column.name]
            values[column.name] = np.where(np.abs(own) > LARGEST, np.nan, own)
    return Table(tuple(columns), values, num)


def asked(network: Network, table: Table, *, what: str) -> Asked:
    """Rows of a table that was read."""
    return _asked(network, table, batches(feeds_of(used(network), table)), what)


def batches(rows: Mapping[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """The inputs of several calls, for all these rows."""
    num = len(next(iter(rows.values())))
    return [{name: own[start : start + BATCH] for name, own in rows.items()} for start in range(0, num, BATCH)]


def feeds_of(columns: Sequence[Column], table: Table) -> dict[str, np.ndarray]:
    """The inputs of the file for all rows of a table. columns: the model's own."""
    own, found = {column.name: column for column in table.columns}, {}
    for column in columns:
        values = table.values[column.name]
        if column.kind in ("category", "boolean"):
            texts = np.array([*own[column.name].categories, unseen(column), ""], dtype=object)
            found[column.name] = texts[np.where(values == MISSING, -1, np.where(values == UNSEEN, -2, values))]
        else:
            found[column.name] = values.astype(np.float64)
    return found


def _asked(network: Network, table: Table, feeds: Sequence[Mapping[str, np.ndarray]], what: str) -> Asked:
    outputs = judge_rows(network, table, device=CPU).double().numpy()
    return Asked(what, feeds, outputs, distances_of(network, table))


def _some(table: Table) -> Table:
    """At most MOST_ROWS of a table, evenly spaced."""
    if table.num_rows <= MOST_ROWS:
        return table
    return take_rows(table, np.linspace(0, table.num_rows - 1, MOST_ROWS).astype(np.int64))


ONNX = OnnxForm(graph=graph, of_study=of_study, of_path=of_path, extremes=extremes)
