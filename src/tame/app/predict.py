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
from tame.core.errors import UsageError, require
from tame.core.files import require_own_folder
from tame.core.plain import to_plain
from tame.core.sums import DESCRIPTION
from tame.core.text import printable
from tame.data.tables import safe_cell
from tame.evaluate.score import softmax
from tame.kinds.materials import prediction_of, read_model
from tame.kinds.prediction import Left
from tame.parts.network import Build, Network
from tame.study.state import delivered_files, read_state, unfinished

SHOWN = 3  # classes per input in the table


@dataclass(frozen=True, slots=True)
class Labelled:
    """A label for an input, with the probability of each class."""

    input: str
    label: str
    probability: float
    probabilities: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Valued:
    """A number for an input."""

    input: str
    value: float


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
        if self.notes is None:
            del plain["notes"]
        return plain


def predict_paths(study: Path, inputs: Sequence[Path]) -> Predictions:
    """The study's predictions for the inputs: files and folders, as its kind of data takes them.

    Raises UsageError for a study without a model or a missing input, DataError if nothing can be read.
    """
    network = open_model(study)
    found = prediction_of(network.kind).of_paths(network, inputs)
    return Predictions(
        model=str(study), task=network.task, labels=network.labels,
        predictions=named(network, found.names, found.outputs), skipped=found.left,
        notes=(network.note, *(found.notes or ())) if network.note else found.notes,
    )  # fmt: skip


def judge_inputs(network: Network, x: object, *, by_place: bool = False) -> np.ndarray:
    """Canonical outputs (n, C) of an array or frame given from Python. by_place: see `Prediction`."""
    return prediction_of(network.kind).of_inputs(network, x, by_place=by_place)


def named(network: Network, names: Sequence[str], outputs: np.ndarray) -> Sequence[Labelled | Valued]:
    """The label of each input with probabilities, or its number. outputs: (n, C) canonical."""
    if not network.labels:
        return [Valued(name, float(own[0])) for name, own in zip(names, outputs, strict=True)]
    return [
        Labelled(
            name, network.labels[int(own.argmax())], float(own.max()),
            {label: float(value) for label, value in zip(network.labels, own, strict=True)},
        )
        for name, own in zip(names, softmax(outputs), strict=True)
    ]  # fmt: skip


def open_model(study: Path, build: Build | None = None) -> Network:
    """The network of a study's folder or of a model folder. build: the function that made a user's own module."""
    require_own_folder(study / "model")
    if os.path.lexists(study / "model" / DESCRIPTION):
        return read_model(study / "model", build, delivered_files(study))
    if (study / "study.db").exists():
        raise UsageError(unfinished(study, read_state(study)[1]))
    require(study.is_dir(), f"the study or model folder {study} does not exist")
    return read_model(study, build)


def print_csv(found: Predictions, *, safe: bool = False) -> None:
    """Comma-separated values on stdout: input, label, probability and one column for each class; or input, value.

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
    if found.labels:
        writer.writerow(["input", "label", "probability", *(cell(label) for label in found.labels)])
    else:
        writer.writerow(["input", "value"])
    for each in found.predictions:
        if isinstance(each, Valued):
            writer.writerow([cell(each.input), repr(each.value)])
        else:
            numbers = [each.probability, *(each.probabilities[label] for label in found.labels)]
            writer.writerow([cell(each.input), cell(each.label), *(f"{number:.6f}" for number in numbers)])
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
    if isinstance(each, Valued):
        return each.input, f"{each.value:.6g}"
    ranked = sorted(each.probabilities.items(), key=lambda item: -item[1])[1:SHOWN]
    others = ", ".join(f"{printable(name)} {value:.2f}" for name, value in ranked)
    return each.input, printable(each.label), f"{each.probability:.3f}", others
