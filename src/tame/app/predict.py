"""`tame predict`: names with probabilities, or numbers, by a delivered model and nothing else."""

from __future__ import annotations

import csv
import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tame.app.console import ResultConsole
from tame.core.errors import DataError, UsageError, require
from tame.core.text import printable
from tame.data.arrays import read_inputs
from tame.data.image_decoding import UnreadablePicture, decode
from tame.data.sources import matrix_of, recoded, short_names
from tame.data.table_kinds import apply_kinds
from tame.data.table_reading import read_raw
from tame.data.tables import LEARNT, safe_cell
from tame.data.tables import Table as Rows
from tame.evaluate.score import softmax
from tame.kinds.arrays.material import judge_arrays
from tame.kinds.tables.material import columns_from, judge_rows
from tame.parts.network import Build, Network, read_network
from tame.study.state import read_state, unfinished

PICTURES = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
BATCH = 256  # pictures that are in memory at once
SHOWN = 3  # classes that the table names for each picture


def predict_paths(study: Path, inputs: Sequence[Path]) -> dict[str, Any]:
    """What the study's model says of pictures and of all pictures in folders, or of the rows of tables.

    Raises UsageError for a study without a model or an input that is not there, DataError where nothing can be read.
    """
    network = open_model(study)
    own = _of_pictures(network, inputs) if network.kind == "images" else _of_tables(network, inputs)
    return {"schema": "tame/1", "model": str(study), "task": network.task, "labels": list(network.labels), **own}


def predict_table(network: Network, table: Rows, names: Sequence[str]) -> list[dict[str, Any]]:
    """What a network says of the rows of a table that was typed by its own columns."""
    return named(network, names, judge_rows(network, table, device=torch.device("cpu")).numpy())


def _of_pictures(network: Network, inputs: Sequence[Path]) -> dict[str, Any]:
    from tame.kinds.pictures.features import Pictures  # timm takes seconds to load; tables do not need it
    from tame.kinds.pictures.prediction import judge

    found, skipped = [], []
    for start in range(0, len(paths := find_pictures(inputs)), BATCH):
        pixels, names = [], []
        for path in paths[start : start + BATCH]:
            try:
                pixels.append(decode(os.fspath(path), shortest=network.shortest))
                names.append(printable(os.fspath(path)))
            except UnreadablePicture as problem:
                skipped.append({"input": printable(os.fspath(path)), "reason": str(problem)})
        if pixels:
            outputs = judge(network, Pictures(pixels, names), device=torch.device("cpu"))
            found += named(network, names[-len(pixels) :], outputs.double().numpy())
    require(
        bool(found),
        f"none of the {len(paths)} inputs is a picture that can be read: {_first(skipped)}",
        error=DataError,
    )
    return {"predictions": found, "skipped": skipped}


def _of_tables(network: Network, inputs: Sequence[Path]) -> dict[str, Any]:
    found: list[dict[str, Any]] = []
    notes: list[str] = []
    for path, short in zip(inputs, short_names(inputs), strict=True):
        require(path.exists(), f"no file {printable(os.fspath(path))}")
        raw = read_raw(path.resolve())
        table, said = apply_kinds(raw, columns_from(network), beside=network.prepared.get("beside", ()))
        notes += said
        names = [f"{printable(short)}:{line}" for line in raw.places.tolist()]
        found += predict_table(network, table, names)
    return {"predictions": found, "skipped": [], "notes": notes}


def judge_inputs(network: Network, x: Any) -> np.ndarray:
    """Canonical outputs (n, C) of an array or frame given from Python."""
    cpu = torch.device("cpu")
    if network.kind == "table":
        table, _ = read_inputs(x, like=columns_from(network))
        wrong = "this model judges the rows of a table: give one array or frame of two dimensions"
        require(isinstance(table, Rows), wrong)
        assert isinstance(table, Rows)
        gone = [c.name for c in columns_from(network) if c.kind in LEARNT and c.name not in table.values]
        mend = "give it, with gaps where nothing is known"
        require(not gone, f"column {', '.join(map(repr, gone[:5]))} is not there; {mend}", error=DataError)
        return judge_rows(network, recoded(table, columns_from(network)), device=cpu).double().numpy()
    require(network.kind == "arrays", f"this model judges {network.kind}: give paths")
    array, _ = read_inputs(x)
    return judge_arrays(network, matrix_of(array), device=cpu).double().numpy()


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
        return read_network(study / "model", build)
    if (study / "study.db").exists():
        raise UsageError(unfinished(study, read_state(study)[1]))
    require(study.is_dir(), f"no study or model folder {study}")
    return read_network(study, build)


def find_pictures(inputs: Sequence[Path]) -> list[Path]:
    """The files named, and the files in folders that look like pictures, sorted. Links are not followed."""
    found: list[Path] = []
    for each in inputs:
        try:
            mode = each.stat().st_mode
        except OSError as problem:
            raise UsageError(f"no file or folder {printable(os.fspath(each))}: {problem.strerror}") from None
        if stat.S_ISDIR(mode):
            inside = sorted(Path(top) / name for top, _, names in os.walk(each) for name in names)
            found += [path for path in inside if path.suffix.lower() in PICTURES and not path.is_symlink()]
        else:
            found.append(each)
    require(bool(found), "there are no pictures in what was given", error=DataError)
    return found


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


def _first(skipped: Sequence[dict[str, str]]) -> str:
    return f"{skipped[0]['input']}: {skipped[0]['reason']}" if skipped else "nothing was given"
