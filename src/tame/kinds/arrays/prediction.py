"""Judging arrays with a module of the user's own: for scores, for parity checks and for `Study.predict`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tame.core.errors import TameError, UsageError, require
from tame.data.arrays import read_inputs
from tame.data.sources import matrix_of
from tame.kinds.prediction import Predicted, Prediction
from tame.parts.losses import LOSSES
from tame.parts.network import Build, Described, Network
from tame.trial.own_module import words_of

JUDGED = 256  # examples at once


def empty_network(described: Described, build: Build | None) -> nn.Module:
    """What the user's function makes."""
    require(
        build is not None,
        "this network was built by a function of your own: tame.load(folder, model=build).predict(X)",
    )
    assert build is not None
    return build(**described.recipe.own)


@torch.no_grad()
def judge_arrays(network: Network, x: np.ndarray, *, device: torch.device) -> Tensor:
    """Canonical outputs (n, C) of inputs (n, ...)."""
    shape = tuple(network.prepared["shape"])
    require(x.shape[1:] == shape, f"inputs are {x.shape[1:]} each, the network was trained on {shape}")
    module = network.module.to(device).eval()
    predict = LOSSES.get(network.recipe.loss.name).predict
    found = [
        predict(answers(module, as_input(x[start : start + JUDGED], device))).float().cpu()
        for start in range(0, len(x), JUDGED)
    ]
    return network.in_units(torch.cat(found) if found else torch.zeros(0, max(len(network.labels), 1)))


def answers(module: nn.Module, x: Tensor) -> Tensor:
    """What a module says of x, which nobody has looked at. Raises UsageError where it fails."""
    try:
        with torch.no_grad():
            said: Tensor = module(x)
            return said
    except (TameError, KeyboardInterrupt):  # Ctrl-C, once or twice
        raise
    except BaseException as problem:  # as above
        shape = tuple(x.shape)
        raise UsageError(f"the model failed on inputs {shape}: {words_of(problem)}") from problem


def as_input(x: np.ndarray, device: torch.device) -> Tensor:
    """What a module is given: whole numbers as int64, bytes (pictures) as shares of 255, all else as float32."""
    array = np.require(x, requirements=("C", "W"))  # torch warns of memory that it may not write
    if array.dtype == np.uint8:
        return torch.from_numpy(array).to(device).float() / 255
    if array.dtype.kind in "iu":
        return torch.from_numpy(array.astype(np.int64)).to(device)
    return torch.from_numpy(array.astype(np.float32)).to(device)


def of_paths(network: Network, inputs: Sequence[Path]) -> Predicted:
    """Nothing: arrays are given from Python."""
    raise UsageError(f"this model judges {network.kind}, not tables")


def of_inputs(network: Network, x: object, *, by_place: bool) -> np.ndarray:
    """Canonical outputs (n, C) of an array or frame."""
    array, _ = read_inputs(x)
    return judge_arrays(network, matrix_of(array), device=torch.device("cpu")).double().numpy()


PREDICTION = Prediction(empty=empty_network, of_paths=of_paths, of_inputs=of_inputs)
