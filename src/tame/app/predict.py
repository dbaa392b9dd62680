"""`tame predict`: names with probabilities, or numbers, by a delivered model and nothing else."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from tame.app.console import ResultConsole, TalkConsole
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

SHOWN = 3  # classes that the table names for each picture


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
    """What a model says of inputs. notes: None where nothing is ever noticed of this kind of data."""

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
    """What the study's model says of the inputs: of files and folders, as its kind of data takes them.

    Raises UsageError for a study without a model or an input that is not there, DataError where nothing can be read.
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
    """For each input its label with probabilities, or its number. outputs: (n, C) canonical."""
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
    """The network of a study's folder, or of a model folder itself. build: made the module, where it is a user's."""
    require_own_folder(study / "model")
    if os.path.lexists(study / "model" / DESCRIPTION):
        return read_model(study / "model", build, delivered_files(study))
    if (study / "study.db").exists():
        raise UsageError(unfinished(study, read_state(study)[1]))
    require(study.is_dir(), f"no study or model folder {study}")
    return read_model(study, build)


def print_csv(found: Predictions) -> None:
    """Comma-separated values on stdout: input, label, probability and one column for each class; or input, value."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    if found.labels:
        writer.writerow(["input", "label", "probability", *(safe_cell(label) for label in found.labels)])
    else:
        writer.writerow(["input", "value"])
    for each in found.predictions:
        if isinstance(each, Valued):
            writer.writerow([safe_cell(each.input), repr(each.value)])
        else:
            numbers = [each.probability, *(each.probabilities[label] for label in found.labels)]
            writer.writerow([safe_cell(each.input), safe_cell(each.label), *(f"{number:.6f}" for number in numbers)])


def print_table(found: Predictions) -> None:
    """A table for people."""
    table = Table(box=None, pad_edge=False)
    table.add_column("input", overflow="fold")
    errors = TalkConsole()
    for note in found.notes or ():
        errors.print(Text(note))
    if found.labels:
        table.add_column("is")
        table.add_column("probability", justify="right")
        table.add_column("then", overflow="fold")
    else:
        table.add_column("value", justify="right")
    for each in found.predictions:
        table.add_row(*map(Text, _cells(each)))
    ResultConsole().print(table)
    for left in found.skipped:
        errors.print(Text(f"skipped {left.input}: {left.reason}"))


def _cells(each: Labelled | Valued) -> tuple[str, ...]:
    """A row of the table for people."""
    if isinstance(each, Valued):
        return each.input, f"{each.value:.6g}"
    ranked = sorted(each.probabilities.items(), key=lambda item: -item[1])[1:SHOWN]
    others = ", ".join(f"{printable(name)} {value:.2f}" for name, value in ranked)
    return each.input, printable(each.label), f"{each.probability:.3f}", others
