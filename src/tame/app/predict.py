"""`tame predict`: names and probabilities for pictures, by a delivered model and nothing else."""

from __future__ import annotations

import csv
import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tame.app.console import ResultConsole
from tame.core.errors import DataError, UsageError, require
from tame.data.images import UnreadablePicture, decode, printable
from tame.evaluate.score import softmax
from tame.parts.network import Network, read_network
from tame.trial.features import Pictures
from tame.trial.judge import judge

PICTURES = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
BATCH = 256  # pictures that are in memory at once
SHOWN = 3  # classes that the table names for each picture


def predict_paths(study: Path, inputs: Sequence[Path]) -> dict[str, Any]:
    """What the study's model says of pictures and of all pictures in folders.

    Raises UsageError for a study without a model or an input that is not there, DataError where no picture can be read.
    """
    network = open_model(study)
    found, skipped = [], []
    for start in range(0, len(paths := find_pictures(inputs)), BATCH):
        pixels, names = [], []
        for path in paths[start : start + BATCH]:
            try:
                pixels.append(decode(os.fspath(path), shortest=network.shortest))
                names.append(printable(os.fspath(path)))
            except UnreadablePicture as problem:
                skipped.append({"input": printable(os.fspath(path)), "reason": str(problem)})
        found += _named(network, names, pixels) if pixels else []
    require(
        bool(found),
        f"none of the {len(paths)} inputs is a picture that can be read: {_first(skipped)}",
        error=DataError,
    )
    return {
        "schema": "tame/1",
        "model": str(study),
        "labels": list(network.labels),
        "predictions": found,
        "skipped": skipped,
    }


def open_model(study: Path) -> Network:
    """The network of a study's folder, or of a model folder itself."""
    if (study / "model" / "model.json").is_file():
        return read_network(study / "model")
    if (study / "study.db").exists():
        raise UsageError(f"{study} is not finished and has no model yet; go on with: tame resume {study}")
    require(study.is_dir(), f"no study or model folder {study}")
    return read_network(study)


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
    """Comma-separated values on stdout: input, label, probability, and one column for each class."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["input", "label", "probability", *(_cell(label) for label in found["labels"])])
    for each in found["predictions"]:
        probabilities = [f"{each['probabilities'][label]:.6f}" for label in found["labels"]]
        writer.writerow([_cell(each["input"]), _cell(each["label"]), f"{each['probability']:.6f}", *probabilities])


def print_table(found: dict[str, Any]) -> None:
    """A table for people."""
    table = Table(box=None, pad_edge=False)
    table.add_column("picture", overflow="fold")
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
    errors = Console(stderr=True, highlight=False)
    for each in found["skipped"]:
        errors.print(Text(f"skipped {each['input']}: {each['reason']}"))


def _named(network: Network, names: Sequence[str], pixels: Sequence[Any]) -> list[dict[str, Any]]:
    logits = judge(network, Pictures(pixels, list(names)), device=torch.device("cpu"))
    found = []
    for name, row in zip(names, softmax(logits.double().numpy()), strict=True):
        best = int(row.argmax())
        shares = {label: float(share) for label, share in zip(network.labels, row, strict=True)}
        found.append(
            {"input": name, "label": network.labels[best], "probability": float(row[best]), "probabilities": shares}
        )
    return found


def _cell(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in "=+-@\t\r" and text else text


def _first(skipped: Sequence[dict[str, str]]) -> str:
    return f"{skipped[0]['input']}: {skipped[0]['reason']}" if skipped else "nothing was given"
