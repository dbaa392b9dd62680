"""`tame predict`: names with probabilities, or numbers, by a delivered model and nothing else."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tame.app.console import ResultConsole
from tame.core.errors import UsageError, require
from tame.core.text import printable
from tame.data.tables import safe_cell
from tame.evaluate.score import softmax
from tame.kinds.materials import prediction_of, read_model
from tame.parts.network import Build, Network
from tame.study.state import read_state, unfinished

SHOWN = 3  # classes that the table names for each picture


def predict_paths(study: Path, inputs: Sequence[Path]) -> dict[str, Any]:
    """What the study's model says of the inputs: of files and folders, as its kind of data takes them.

    Raises UsageError for a study without a model or an input that is not there, DataError where nothing can be read.
    """
    network = open_model(study)
    found = prediction_of(network.kind).of_paths(network, inputs)
    own: dict[str, Any] = {
        "schema": "tame/1", "model": str(study), "task": network.task, "labels": list(network.labels),
        "predictions": named(network, found.names, found.outputs), "skipped": [asdict(each) for each in found.left],
    }  # fmt: skip
    return own if found.notes is None else {**own, "notes": list(found.notes)}


def judge_inputs(network: Network, x: object, *, by_place: bool = False) -> np.ndarray:
    """Canonical outputs (n, C) of an array or frame given from Python. by_place: see `Prediction`."""
    return prediction_of(network.kind).of_inputs(network, x, by_place=by_place)


def named(network: Network, names: Sequence[str], outputs: np.ndarray) -> list[dict[str, Any]]:
    """For each input its label with probabilities, or its number. outputs: (n, C) canonical."""
    if not network.labels:
        return [{"input": name, "value": float(own[0])} for name, own in zip(names, outputs, strict=True)]
    return [
        {
            "input": name,
            "label": network.labels[int(own.argmax())],
            "probability": float(own.max()),
            "probabilities": {label: float(value) for label, value in zip(network.labels, own, strict=True)},
        }
        for name, own in zip(names, softmax(outputs), strict=True)
    ]


def open_model(study: Path, build: Build | None = None) -> Network:
    """The network of a study's folder, or of a model folder itself. build: made the module, where it is a user's."""
    if (study / "model" / "model.json").is_file():
        return read_model(study / "model", build)
    if (study / "study.db").exists():
        raise UsageError(unfinished(study, read_state(study)[1]))
    require(study.is_dir(), f"no study or model folder {study}")
    return read_model(study, build)


def print_csv(found: dict[str, Any]) -> None:
    """Comma-separated values on stdout: input, label, probability and one column for each class; or input, value."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    if not found["labels"]:
        writer.writerow(["input", "value"])
        writer.writerows([safe_cell(each["input"]), repr(each["value"])] for each in found["predictions"])
        return
    writer.writerow(["input", "label", "probability", *(safe_cell(label) for label in found["labels"])])
    for each in found["predictions"]:
        numbers = [each["probability"], *(each["probabilities"][label] for label in found["labels"])]
        writer.writerow([safe_cell(each["input"]), safe_cell(each["label"]), *(f"{number:.6f}" for number in numbers)])


def print_table(found: dict[str, Any]) -> None:
    """A table for people."""
    table = Table(box=None, pad_edge=False)
    table.add_column("input", overflow="fold")
    errors = Console(stderr=True, highlight=False)
    for note in found.get("notes", []):
        errors.print(Text(note))
    if not found["labels"]:
        table.add_column("value", justify="right")
        for each in found["predictions"]:
            table.add_row(Text(each["input"]), Text(f"{each['value']:.6g}"))
        ResultConsole().print(table)
        return
    table.add_column("is")
    table.add_column("probability", justify="right")
    table.add_column("then", overflow="fold")
    for each in found["predictions"]:
        ranked = sorted(each["probabilities"].items(), key=lambda item: -item[1])[1:SHOWN]
        others = ", ".join(f"{printable(name)} {value:.2f}" for name, value in ranked)
        own = (each["input"], printable(each["label"]), f"{each['probability']:.3f}", others)
        table.add_row(*(Text(cell) for cell in own))
    console = ResultConsole()
    console.print(table)
    for each in found["skipped"]:
        errors.print(Text(f"skipped {each['input']}: {each['reason']}"))
