"""The halves of every kind of data that need torch, by the name of the kind; each is loaded when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import nn

from tame.kinds.kind import referred
from tame.kinds.known import KINDS
from tame.kinds.prediction import Prediction
from tame.parts.network import Build, Described, Network, read_network
from tame.trial.commands import Plain
from tame.trial.training_material import Material, OpenMaterial, Room


def open_material(kind: str, given: Plain, room: Room) -> tuple[Material, Plain]:
    """Opens data of this kind for training. Returns also what is known of it then. Raises UsageError."""
    return opener(kind)(given, room)


def opener(kind: str) -> OpenMaterial:
    """What opens data of this kind; loads what that needs. Raises UsageError."""
    found: OpenMaterial = referred(KINDS.get(kind).material)
    return found


def prediction_of(kind: str) -> Prediction:
    """What a model of this kind does with new examples."""
    found: Prediction = referred(KINDS.get(kind).prediction)
    return found


def read_model(folder: Path, build: Build | None = None, files: Mapping[str, str] | None = None) -> Network:
    """The network of a model folder, ready to judge. build: what made the module, where it is a user's own.

    files: as of `read_network`. Raises UsageError where there is none, it does not fit together, or `build` makes
    another module than it did for the training; RefusedError where a hash differs.
    """

    def empty(described: Described) -> nn.Module:
        return prediction_of(described.kind).empty(described, build)

    def check(network: Network) -> None:
        prediction_of(network.kind).verify(network)

    return read_network(folder, empty, files=files, check=check)
