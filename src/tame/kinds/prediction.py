"""What a delivered model does with new examples: the half of a kind of data that needs nothing of a study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from torch import Tensor, nn

from tame.core.errors import UsageError
from tame.parts.network import Build, Described, Network


@dataclass(frozen=True, slots=True)
class Left:
    """An input that could not be read, and why."""

    input: str
    reason: str


@dataclass(frozen=True, slots=True)
class Predicted:
    """Canonical outputs (n, C) of inputs by name, what was left out, and what was noticed (None: nothing ever is).

    distances: (n,) how unlike the training data each input is, above 1 where it is flagged; None where that is unknown.
    """

    names: tuple[str, ...]
    outputs: np.ndarray
    left: tuple[Left, ...] = ()
    notes: tuple[str, ...] | None = None
    distances: np.ndarray | None = None


def as_it_is(network: Network) -> None:
    """Verifies nothing: a network that TAME makes is the same wherever it is loaded."""


def no_module(network: Network) -> nn.Module:
    """Raises UsageError: a kind of another package need not have one."""
    raise UsageError(f"a model of the kind of data {network.kind!r} is not given as a module; use predict or outputs")


def joined(parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """Distances one after the other; None where those of a part are not known."""
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if known and len(known) == len(parts) else None


def distances(network: Network, seen: Tensor | None) -> np.ndarray | None:
    """(n,) how unlike its training data a network finds what it sees (n, D); None where that is not known."""
    if network.familiar is None or seen is None:
        return None
    return np.asarray(network.familiar.distance(seen).numpy())


@dataclass(frozen=True, slots=True)
class Told:
    """Canonical outputs (n, C) of what was given from Python; distances: as of `Predicted`."""

    outputs: np.ndarray
    distances: np.ndarray | None = None


class OfInputs(Protocol):
    def __call__(self, network: Network, x: object, *, by_place: bool) -> Told: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """empty: the module that the weights of a model folder are loaded into, build made it where it is a user's own;
    of_paths: files and folders, as the command line has them; of_inputs: the same of an array or frame given from
    Python; verify: raises UsageError for a network that is not the one that was trained, or anything for one whose
    prepared values are not of this kind; module: the network as a
    module of torch from raw examples to canonical outputs.

    Each raises UsageError for what this kind does not take, DataError for what cannot be read. by_place: columns of a
    table are those of the network in their order, whatever their names, and nothing of a row depends on the others.
    """

    empty: Callable[[Described, Build | None], nn.Module]
    of_paths: Callable[[Network, Sequence[Path]], Predicted]
    of_inputs: OfInputs
    verify: Callable[[Network], None] = as_it_is
    module: Callable[[Network], nn.Module] = no_module
