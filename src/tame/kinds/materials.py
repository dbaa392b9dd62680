"""The halves of every kind of data that need torch, by the name of the kind; each is loaded when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import nn

from tame.core.errors import WorkerError, require, unknown
from tame.kinds.prediction import Prediction
from tame.parts.network import Build, Described, Network, read_network
from tame.trial.commands import Plain
from tame.trial.training_material import Material, OpenMaterial, Room


@dataclass(frozen=True, slots=True)
class Halves:
    """References, "package.module:name": what opens a kind for training, and its `Prediction`."""

    material: str
    prediction: str


HALVES: Mapping[str, Halves] = {
    "images": Halves("tame.kinds.pictures.material:open_material", "tame.kinds.pictures.prediction:PREDICTION"),
    "table": Halves("tame.kinds.tables.material:open_material", "tame.kinds.tables.prediction:PREDICTION"),
    "arrays": Halves("tame.kinds.arrays.material:open_material", "tame.kinds.arrays.prediction:PREDICTION"),
}


def open_material(kind: str, given: Plain, room: Room) -> tuple[Material, Plain]:
    """Opens data of this kind for training. Returns also what is known of it then."""
    require(kind in HALVES, unknown("kind of data", kind, HALVES), error=WorkerError)
    opens: OpenMaterial = _referred(HALVES[kind].material)
    return opens(given, room)


def prediction_of(kind: str) -> Prediction:
    """What a model of this kind does with new examples."""
    found: Prediction = _referred(HALVES[kind].prediction)
    return found


def read_model(folder: Path, build: Build | None = None) -> Network:
    """The network of a model folder, ready to judge. build: what made the module, where it is a user's own.

    Raises UsageError where there is none or it does not fit together, RefusedError where a hash differs.
    """

    def empty(described: Described) -> nn.Module:
        known = described.kind in HALVES
        place = folder / "model.json"
        require(known, f"{place} is for {described.kind!r}; this TAME judges {', '.join(HALVES)}")
        return prediction_of(described.kind).empty(described, build)

    return read_network(folder, empty)


def _referred(reference: str) -> Any:  # it has the type that the caller states
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)
