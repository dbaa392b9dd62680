"""Judging texts in files with a trained network: for `tame predict` and from Python."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import nn

from tame.core.errors import DataError, UsageError, require
from tame.core.text import printable
from tame.data.sources import table_of_texts
from tame.data.texts import ENDINGS, UnreadableText, normalised, on_encodings, read_text
from tame.kinds.prediction import Left, Predicted, Prediction, Told
from tame.kinds.tables.prediction import CPU, TableModule, distances_of, empty_network, features_by, judge_rows, verify
from tame.parts.network import Build, Described, Network


def of_paths(network: Network, inputs: Sequence[Path]) -> Predicted:
    """What a network says of texts, and of all texts in folders."""
    names: list[str] = []
    texts: list[str] = []
    encodings: list[str] = []
    left: list[Left] = []
    for path in files_of(inputs):
        try:
            # A link that was named itself is followed.
            found = read_text(os.path.realpath(path))
        except UnreadableText as problem:
            left.append(Left(printable(os.fspath(path)), str(problem)))
            continue
        names.append(printable(os.fspath(path)))
        texts.append(found.content)
        encodings.append(found.encoding)
    first = f"{left[0].input}: {left[0].reason}" if left else "there are no texts (.txt, .md) in what was given"
    require(bool(texts), f"nothing can be judged: {first}", error=DataError)
    told = _told(network, texts)
    return Predicted(tuple(names), told.outputs, tuple(left), tuple(on_encodings(encodings)), told.distances)


def of_inputs(network: Network, x: object, *, by_place: bool) -> Told:
    """What a network says of texts given from Python: a list of str, or one. Raises UsageError for anything else."""
    return _told(network, given_texts(x))


def given_texts(x: object) -> list[str]:
    """A list of str, or one, as texts are read. Raises UsageError for anything else."""
    given = [x] if isinstance(x, str) else list(x) if isinstance(x, Sequence) else []
    good = bool(given) and all(isinstance(each, str) for each in given)
    if not good:
        raise UsageError(f"this model judges texts: give a list of str, got {type(x).__name__}")
    return [normalised(str(each)) for each in given]


def _told(network: Network, texts: Sequence[str]) -> Told:
    table, featured = table_of_texts(texts), features_by(network)
    outputs = judge_rows(network, table, device=CPU, featured=featured).double().numpy()
    return Told(np.asarray(outputs), distances_of(network, table, featured))


def files_of(inputs: Sequence[Path]) -> list[Path]:
    """The files among these, and the texts in folders by their endings. Raises UsageError for what is not there."""
    found: list[Path] = []
    for each in inputs:
        require(each.exists(), f"no file or folder {printable(os.fspath(each))}")
        if each.is_dir():
            inside = (Path(root) / name for root, _, names in os.walk(each) for name in names)
            found += sorted(path for path in inside if path.suffix.lower() in ENDINGS)
        else:
            found.append(each)
    return found


def _empty(described: Described, _: Build | None) -> nn.Module:
    return empty_network(described)


PREDICTION = Prediction(empty=_empty, of_paths=of_paths, of_inputs=of_inputs, verify=verify, module=TableModule)
