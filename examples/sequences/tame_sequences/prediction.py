"""Predictions of a delivered model for new sequences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from tame.core.errors import UsageError, require
from tame.kinds.prediction import Predicted, Prediction, Told
from tame.kinds.tables.prediction import empty_network, judge_rows
from tame.parts.network import Build, Described, Network
from tame_sequences.source import integers_of, read_lines, table_of


def empty(described: Described, build: Build | None) -> nn.Module:
    """The module that the weights are loaded into."""
    return empty_network(described)


def of_paths(network: Network, inputs: Sequence[Path]) -> Predicted:
    """The predictions of a network for sequences in files without classes."""
    names: list[str] = []
    sequences: list[tuple[int, ...]] = []
    for path in inputs:
        require(path.exists(), f"no file {path}")
        for number, words in read_lines(path):
            names.append(f"{path.name}:{number}")
            sequences.append(integers_of(path, number, words))
    outputs = judge_rows(network, table_of(sequences), device=torch.device("cpu"))
    return Predicted(tuple(names), outputs.numpy())


def of_inputs(network: Network, x: object, *, by_place: bool) -> Told:
    """Raises UsageError: sequences come only in files."""
    raise UsageError("this model needs sequences: give the path of a .seq file")


PREDICTION = Prediction(empty=empty, of_paths=of_paths, of_inputs=of_inputs)
