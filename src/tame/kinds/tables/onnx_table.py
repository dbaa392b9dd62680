"""A delivered model of tables for other programs: columns in, classes or numbers out."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import nn

from tame.core.config import ARRAYS, StudyConfig
from tame.core.errors import DataError, require
from tame.core.text import printable
from tame.data.sources import take_rows
from tame.data.table_cells import LARGEST
from tame.data.table_later import apply_kinds
from tame.data.table_reading import read_raw
from tame.data.tables import MISSING, UNSEEN, Column, RawTable, Table
from tame.kinds.arrays.source import read_kept
from tame.kinds.kind import Known
from tame.kinds.onnx import CHECK, METADATA, SCHEMA, Asked, N, OnnxForm, spaced, truth_of, validation_ids
from tame.kinds.tables.onnx_rows import RowNodes, given_nodes, row_nodes, words_of
from tame.kinds.tables.onnx_texts import TOKENIZER, TextNodes, rules, text_inputs
from tame.kinds.tables.prediction import CPU, columns_from, distances_of, features_by, judge_rows, restored
from tame.kinds.tables.prediction import table_of as read_inputs
from tame.kinds.tables.row_encoder import RowEncoder
from tame.kinds.tables.rows import Rows
from tame.kinds.tables.source import read_rows
from tame.parts.mlp import WORDS, Mlp
from tame.parts.network import Network
from tame.parts.onnx_networks import add_outputs, canonical_nodes, distance_nodes, mlp_nodes, together_nodes
from tame.parts.operators import Operators

MOST_ROWS, MOST_TEXTS = 20_000, 1000  # that are compared, evenly spaced ones of more; of rows with texts
BATCH, TEXTS_AT_ONCE = 2048, 32  # rows in one call
ORDINARY = "Hello, is this a text like any other?"
EXTREME_TEXTS = (
    "", ORDINARY, ".", "a", "\u0130\u1e9e\u01c5 \ufb01 \U0001f600 \u4f60\u597d", "  two\n\nlines\t ", "x" * 300,
    "no " * 9000, " ".join(map(str, range(4000))), ORDINARY.upper(), "never_seen_" * 20,
)  # fmt: skip
ALONE = 8  # made rows that are also given one at a time
MOST_ALONE = 200  # columns that are driven to their extremes by themselves
OUTSIDE = (
    "decimal commas, units and brackets of numbers are read before: give plain numbers",
    "dates are given as days since 1970-01-01 in UTC, with the time as a fraction",
    "spaces around texts are cut before, and a category is given as it is written here",
)


def write(network: Network, start: Callable[[Sequence[str]], N]) -> tuple[N, Mapping[str, str]]:
    """All members with their encodings, from columns to probabilities.

    Raises UsageError for a part that has no form in ONNX.
    """
    encoders = [restored(member) for member in network.members]
    columns = _seen(network, encoders)
    plain = [column for column in columns if column.kind != "text"]
    texts = text_inputs(encoders, [column.name for column in plain])
    nodes = start([column.name for column in plain] + [name for own in texts for name in own.names.values()])
    given, from_texts = given_nodes(nodes, plain), TextNodes(nodes, texts, network.texts)
    judged, seen = [], []
    for member, encoder in zip(network.members, encoders, strict=True):
        rows = RowNodes("", "", "")
        if encoder.encoder is not None:
            rows = row_nodes(nodes, encoder.encoder, given, plain)
        if member.recipe.model.name == WORDS:
            outputs = _linear(nodes, member.module, encoder, from_texts, rows)
        else:
            dense = [from_texts.dense(plan) for plan in encoder.texts] + [each for each in [rows.dense] if each]
            rows = replace(rows, dense=nodes.beside(*dense) if dense else "")
            module = member.module
            assert isinstance(module, Mlp)
            outputs = mlp_nodes(
                nodes, module, member.recipe.model.activation, dense=rows.dense, periodic=rows.periodic,
                codes=rows.codes,
            )  # fmt: skip
        seen.append([each for each in (rows.dense, rows.periodic) if each])
        judged.append(canonical_nodes(nodes, member, outputs))
    distance = ""
    if network.familiar is not None and network.recipe.model.name != WORDS:
        distance = distance_nodes(nodes, network.familiar, nodes.beside(*seen[0]))
    outputs_of = add_outputs(nodes, network, together_nodes(nodes, network, judged), distance)
    about = {
        "schema": SCHEMA, "kind": network.kind, "task": network.task, "labels": list(network.labels),
        "inputs": [*map(_described, plain), *(each for own in texts for each in own.described())],
        "outputs": outputs_of, "outside": list(OUTSIDE if plain else ()) + list(rules(texts)),
    }  # fmt: skip
    if texts:
        about["terms"] = {own.column: {name: list(every) for name, every in own.terms.items()} for own in texts}
    metadata = {METADATA: json.dumps(about, ensure_ascii=bool(texts))}  # a term may be no Unicode text
    if network.texts is not None and any(own.lengths for own in texts):
        metadata[TOKENIZER] = network.texts.tokenizer.decode()
    return nodes, metadata


def _linear(nodes: Operators, module: nn.Module, encoder: RowEncoder, texts: TextNodes, rows: RowNodes) -> str:
    """Outputs (n, O) of a linear model on words, and on what the other columns are."""
    assert isinstance(module, nn.Linear)
    weight, start = module.weight.detach().cpu().float().numpy(), 0
    parts = [nodes.constant(module.bias.detach().cpu().float().numpy())]
    for plan in encoder.texts:
        assert plan.tfidf is not None
        parts.append(texts.words(plan, weight[:, start : start + plan.tfidf.num_terms]))
        start += plan.tfidf.num_terms
    if encoder.encoder is not None:
        parts.append(nodes.op("MatMul", rows.dense, nodes.constant(np.ascontiguousarray(weight[:, start:].T))))
    found = parts[0]
    for each in parts[1:]:
        found = nodes.op("Add", found, each)
    return found


def used(network: Network) -> tuple[Column, ...]:
    """The columns that a model looks at, in the order of the table."""
    return _seen(network, [restored(member) for member in network.members])


def _seen(network: Network, encoders: Sequence[RowEncoder]) -> tuple[Column, ...]:
    names = {plan.name for own in encoders for plan in own.texts}
    names |= {plan.name for own in encoders if own.encoder is not None for plan in own.encoder.plans}
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
    found = read_kept(folder) if config.data == ARRAYS else read_rows(config).rows
    known.require_same(found.digests, "table")
    rows = np.flatnonzero([name in wanted for name in found.ids])
    require(len(rows) > 0, f"no validation row of the study is in {config.data}; {CHECK}", error=DataError)
    return asked(
        network, take_rows(found.table, rows), what="validation rows", truth=known_classes(network, known, found, rows)
    )


def of_path(network: Network, path: Path) -> Asked:
    """The rows of a table. Raises UsageError and DataError."""
    require(path.exists(), f"no file {printable(str(path))}")
    raw = read_raw(path.resolve())
    table, _ = apply_kinds(raw, columns_from(network), beside=network.prepared.get("beside", ()))
    require(table.num_rows > 0, f"{printable(str(path))} has no rows", error=DataError)
    return asked(network, table, what=f"rows of {printable(path.name)}")


def of_inputs(network: Network, x: object) -> Asked:
    """The rows of an array or frame. Raises UsageError and DataError."""
    return asked(network, read_inputs(network, x), what="rows given")


def extremes(network: Network, read: Asked) -> list[Asked]:
    """Rows outside the training range, with gaps and with unseen categories; and some rows one at a time."""
    columns, base = used(network), read.feeds[0]
    ends = {column.name: extremes_of(column) for column in columns}
    alone = [column.name for column in columns][:: math.ceil(len(columns) / MOST_ALONE)]
    together = max(map(len, ends.values()))
    num = sum(len(ends[name]) for name in alone) + together
    rows = {
        column.name: np.array([ORDINARY] * num, dtype=object) if column.kind == "text"
        else np.repeat(base[column.name][:1], num)
        for column in columns
    }  # fmt: skip
    row = 0
    for name in alone:  # one column at a time in a row that is otherwise ordinary
        own = ends[name]
        rows[name][row : row + len(own)] = own
        row += len(own)
    for name, own in ends.items():  # and all columns at once
        rows[name][row:] = [own[place % len(own)] for place in range(together)]
    table = table_of(columns, rows)
    last = np.arange(num - ALONE, num)
    some = {name: values[last] for name, values in rows.items()}
    return [
        _asked(network, table, rows, "made rows at the extremes"),
        _asked(network, take_rows(table, last), some, "of them one at a time", batch=1),
    ]


def extremes_of(column: Column) -> list[object]:
    """Values of a column that a file must survive: missing ones first, then unseen, at the ends and far beyond."""
    if column.kind == "text":
        return list(EXTREME_TEXTS)
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


def table_of(columns: Sequence[Column], rows: Mapping[str, np.ndarray]) -> Table:
    """The table that rows stand for, by column: numbers (n,), and texts read as `tame predict` reads them."""
    words = [column for column in columns if column.kind in ("category", "boolean", "text")]
    num = len(next(iter(rows.values())))
    values: dict[str, np.ndarray] = {}
    texts: Mapping[str, tuple[str, ...]] = {}
    if words:
        names = tuple(column.name for column in words)
        raw = RawTable(names, {name: rows[name] for name in names}, (), num, "", separator=",")
        read, _ = apply_kinds(raw, words)
        values, texts = dict(read.values), read.texts
    for column in columns:
        if column not in words:
            own = rows[column.name]
            values[column.name] = np.where(np.abs(own) > LARGEST, np.nan, own)
    return Table(tuple(columns), values, num, texts=texts)


def known_classes(network: Network, known: Known, found: Rows, rows: np.ndarray) -> np.ndarray | None:
    """(n,) the classes of these rows by number; None where each has none."""
    if found.shares is not None or not found.classes:
        return None
    labels = [found.classes[int(value)] for value in found.values[rows]]
    return truth_of(network, known, [found.ids[row] for row in rows], labels)


def asked(network: Network, table: Table, *, what: str, truth: np.ndarray | None = None) -> Asked:
    """Rows of a table that was read, as many as are compared. truth: as of `Asked`."""
    columns = used(network)
    most = MOST_TEXTS if any(column.kind == "text" for column in columns) else MOST_ROWS
    some = spaced(table.num_rows, most)
    table = table if len(some) == table.num_rows else take_rows(table, some)
    own = _asked(network, table, rows_of(columns, table), what)
    return replace(own, truth=None if truth is None else truth[some])


def rows_of(columns: Sequence[Column], table: Table) -> dict[str, np.ndarray]:
    """The rows of a table as the file is given them, by column; without those of text. columns: the model's own."""
    own, found = {column.name: column for column in table.columns}, {}
    for column in columns:
        values = table.values[column.name]
        if column.kind in ("category", "boolean"):
            texts = np.array([*own[column.name].categories, unseen(column), ""], dtype=object)
            found[column.name] = texts[np.where(values == MISSING, -1, np.where(values == UNSEEN, -2, values))]
        elif column.kind != "text":
            found[column.name] = values.astype(np.float64)
    return found


def _asked(
    network: Network, table: Table, rows: Mapping[str, np.ndarray], what: str, *, batch: int | None = None
) -> Asked:
    """What TAME says of rows, and what the file is asked. rows: the same by column; those of text are of the table."""
    encoders = [restored(member) for member in network.members]
    texts = text_inputs(encoders, [name for name in rows if name not in table.texts])
    batch = batch or (TEXTS_AT_ONCE if texts else BATCH)
    feeds = []
    for start in range(0, table.num_rows, batch):
        some = slice(start, start + batch)
        own = {name: values[some] for name, values in rows.items() if name not in table.texts}
        for each in texts:
            own |= each.feeds(*_different(table, each.column, some), network.texts)
        feeds.append(own)
    featured = features_by(network)
    outputs = judge_rows(network, table, device=CPU, featured=featured).double().numpy()
    return Asked(what, feeds, outputs, distances_of(network, table, featured))


def _different(table: Table, column: str, rows: slice) -> tuple[list[str], np.ndarray]:
    """The different texts of some rows, and the codes of these rows into them."""
    codes = table.values[column][rows]
    known, places = np.unique(codes[codes != MISSING], return_inverse=True)
    found = np.full(len(codes), MISSING)
    found[codes != MISSING] = places
    return [table.texts[column][code] for code in known.tolist()], found


ONNX = OnnxForm(write=write, of_study=of_study, of_path=of_path, of_inputs=of_inputs, extremes=extremes)
