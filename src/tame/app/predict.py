"""`tame predict`: classes with probabilities, or numbers, from a delivered model alone."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from tame.app.console import ResultConsole, TalkConsole, machine_stdout
from tame.app.own_stores import store_of
from tame.core.errors import UsageError, require
from tame.core.files import require_own_folder
from tame.core.plain import to_plain
from tame.core.sums import DESCRIPTION
from tame.core.text import printable
from tame.data.tables import safe_cell
from tame.evaluate.score import softmax
from tame.kinds.materials import prediction_of, read_model
from tame.kinds.prediction import Left, Told
from tame.parts.network import Build, Network
from tame.study.record import is_study
from tame.study.state import delivered_files, read_state, unfinished

SHOWN = 3  # classes per input in the table
UNSURE = "I do not know"


@dataclass(frozen=True, slots=True)
class Labelled:
    """A label for an input, with the probability of each class.

    label: None where the most likely class is less probable than was asked for. distance: how unlike the training data
    the input is, above 1 where it is flagged; None where the model cannot tell.
    """

    input: str
    label: str | None
    probability: float
    probabilities: Mapping[str, float]
    distance: float | None = None


@dataclass(frozen=True, slots=True)
class Valued:
    """A number for an input. distance: as of `Labelled`."""

    input: str
    value: float
    distance: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """A model's predictions. notes: None if this kind of data never has notes."""

    model: str
    task: str
    labels: tuple[str, ...]
    predictions: Sequence[Labelled | Valued]
    skipped: tuple[Left, ...]
    notes: tuple[str, ...] | None

    def to_json(self) -> dict[str, Any]:
        """The document that --json prints."""
        plain: dict[str, Any] = {"schema": "tame/1", **to_plain(self)}
        plain["predictions"] = [as_plain(each) for each in self.predictions]
        if self.notes is None:
            del plain["notes"]
        return plain


def predict_paths(
    study: Path, inputs: Sequence[Path], *, store: str | None = None, sure: float | None = None
) -> Predictions:
    """The study's predictions for the inputs: files and folders, as its kind of data takes them.

    store: as the user names it, for a study that is kept on a server; sure: as of `named`. Raises UsageError for a
    study without a model or a missing input, DataError if nothing can be read.
    """
    network = open_model(study, store=store)
    require_classes(network, sure)
    found = prediction_of(network.kind).of_paths(network, inputs)
    return Predictions(
        model=str(study), task=network.task, labels=network.labels,
        predictions=named(network, found.names, found.outputs, distances=found.distances, sure=sure),
        skipped=found.left,
        notes=(network.note, *(found.notes or ())) if network.note else found.notes,
    )  # fmt: skip


def judge_inputs(network: Network, x: object, *, by_place: bool = False) -> Told:
    """What a network says of an array or frame given from Python. by_place: see `Prediction`."""
    return prediction_of(network.kind).of_inputs(network, x, by_place=by_place)


def named(
    network: Network, names: Sequence[str], outputs: np.ndarray, *, distances: np.ndarray | None = None,
    sure: float | None = None,
) -> Sequence[Labelled | Valued]:  # fmt: skip
    """The label of each input with probabilities, or its number. outputs: (n, C) canonical; distances: (n,).

    sure: the probability below which no label is given.
    """
    apart: list[float | None] = [None] * len(names) if distances is None else distances.tolist()
    if not network.labels:
        return [Valued(name, float(own[0]), far) for name, own, far in zip(names, outputs, apart, strict=True)]
    return [
        Labelled(
            name, None if sure is not None and own.max() < sure else network.labels[int(own.argmax())],
            float(own.max()), {label: float(value) for label, value in zip(network.labels, own, strict=True)}, far,
        )
        for name, own, far in zip(names, softmax(outputs), apart, strict=True)
    ]  # fmt: skip


def require_classes(network: Network, sure: float | None) -> None:
    """Raises UsageError where a probability is asked for that is none, or of a model that gives none."""
    if sure is not None:
        require(0 <= sure <= 1, f"sure is a probability from 0 to 1, got {sure:g}")
        require(bool(network.labels), "sure is for classes; this model predicts a number, which has no probability")


def as_plain(each: Labelled | Valued) -> dict[str, object]:
    """The plain values of a prediction; without the distance where the model cannot tell."""
    plain: dict[str, object] = to_plain(each)
    if each.distance is None:
        return {name: value for name, value in plain.items() if name != "distance"}
    return {**plain, "unlike": each.distance > 1}


def open_model(study: Path, build: Build | None = None, *, store: str | None = None) -> Network:
    """The network of a study's folder or of a model folder. build: the function that made a user's own module; store:
    as in `predict_paths`."""
    require(study.is_dir(), f"the study or model folder {study} does not exist")
    require_own_folder(study / "model")
    address = store_of(study, store)
    if os.path.lexists(study / "model" / DESCRIPTION):
        return read_model(study / "model", build, delivered_files(study, store=address))
    if is_study(study):
        raise UsageError(unfinished(study, read_state(study, store=address)[1]))
    return read_model(study, build)


def print_csv(found: Predictions, *, safe: bool = False) -> None:
    """Comma-separated values on stdout: input, label, probability and one column for each class; or input, value.
    Where the model can tell, at the end how unlike the training data the input is, and whether that is flagged.

    Names and labels are as they are; only on a terminal they are made inert. safe: with an apostrophe before what a
    spreadsheet would run as a formula, which stderr says.
    """
    changed: list[str] = []

    def cell(text: str) -> str:
        shown = safe_cell(text) if safe else text
        if shown != text:
            changed.append(text)
        return shown

    writer = csv.writer(machine_stdout(), lineterminator="\n")
    telling = any(each.distance is not None for each in found.predictions)
    last = ["distance", "unlike"] if telling else []
    if found.labels:
        writer.writerow(["input", "label", "probability", *(cell(label) for label in found.labels), *last])
    else:
        writer.writerow(["input", "value", *last])
    for each in found.predictions:
        told = [] if each.distance is None else [f"{each.distance:.4f}", "yes" if each.distance > 1 else "no"]
        if isinstance(each, Valued):
            writer.writerow([cell(each.input), repr(each.value), *told])
        else:
            numbers = [each.probability, *(each.probabilities[label] for label in found.labels)]
            writer.writerow([cell(each.input), cell(each.label or ""), *(f"{number:.6f}" for number in numbers), *told])
    if changed:
        many = f"{len(changed):,} cells" if len(changed) > 1 else "1 cell"
        example = f"{printable(changed[0])} as '{printable(changed[0])}"
        errors = TalkConsole()
        errors.print(Text(f"--safe-csv: {many} begin with an apostrophe that is not part of them, such as {example}"))


def print_remarks(found: Predictions) -> None:
    """What was noticed and what was skipped, on stderr, whatever stdout carries."""
    errors = TalkConsole()
    for note in found.notes or ():
        errors.print(Text(printable(note)))
    if flagged := sum(each.distance is not None and each.distance > 1 for each in found.predictions):
        many = f"{flagged:,} of {len(found.predictions):,} inputs are"
        errors.print(Text(f"{many} unlike the training data: do not trust what is said of them"))
    for left in found.skipped:
        errors.print(Text(f"skipped {left.input}: {left.reason}"))


def print_table(found: Predictions) -> None:
    """Prints a table for people."""
    table = Table(box=None, pad_edge=False)
    table.add_column("input", overflow="fold")
    if found.labels:
        table.add_column("prediction")
        table.add_column("probability", justify="right")
        table.add_column("other classes", overflow="fold")
    else:
        table.add_column("value", justify="right")
    for each in found.predictions:
        table.add_row(*map(Text, _cells(each)))
    ResultConsole().print(table)


def _cells(each: Labelled | Valued) -> tuple[str, ...]:
    """A row of the table for people."""
    unlike = " (unlike the training data)" if each.distance is not None and each.distance > 1 else ""
    if isinstance(each, Valued):
        return each.input, f"{each.value:.6g}{unlike}"
    ranked = sorted(each.probabilities.items(), key=lambda item: -item[1])[each.label is not None : SHOWN]
    others = ", ".join(f"{printable(name)} {value:.2f}" for name, value in ranked)
    label = UNSURE if each.label is None else printable(each.label)
    return each.input, f"{label}{unlike}", f"{each.probability:.3f}", others
