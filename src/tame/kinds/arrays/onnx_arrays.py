"""A module of the user's own for other programs, with what is done to its inputs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tame.core.config import StudyConfig
from tame.core.errors import DataError, UsageError, require
from tame.data.own_inputs import read_own_inputs
from tame.kinds.arrays.prediction import INPUTS, as_input, looked_at
from tame.kinds.arrays.source import inputs_of, read_kept
from tame.kinds.kind import Known
from tame.kinds.onnx import CHECK, METADATA, SCHEMA, Asked, N, OnnxForm, spaced, validation_ids
from tame.kinds.prediction import distances
from tame.kinds.tables.onnx_table import known_classes
from tame.parts.network import Network
from tame.parts.onnx_networks import add_outputs, canonical_nodes, distance_nodes, together_nodes
from tame.parts.operators import BYTES, DOUBLE, FLOAT, INT64
from tame.parts.traced_modules import TRACED

GIVEN = "x"  # the input of the file
MOST = 1000  # examples that are compared, evenly spaced ones of more
BATCH = 64  # in one call
MADE = 16  # examples of each sort
CPU = torch.device("cpu")
TYPES = {"uint8": BYTES, "int64": INT64, "float64": DOUBLE, "float32": FLOAT}


class _Whole(nn.Module):
    """What a module says of its inputs, in float32, and what its last linear layer is given where that is wanted."""

    def __init__(self, module: nn.Module, *, is_watched: bool) -> None:
        super().__init__()
        self.module = module
        self._given: list[Tensor] = []
        self._is_watched = is_watched
        if is_watched:  # as `last_inputs` does
            layers = [part for part in module.modules() if isinstance(part, nn.Linear)]
            layers[-1].register_forward_pre_hook(lambda _, inputs: self._given.append(inputs[0]))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        self._given.clear()
        outputs = self.module(x).float()
        return (outputs, self._given[0].float()) if self._is_watched else (outputs,)


def write(network: Network, start: Callable[[Sequence[str]], N]) -> tuple[N, Mapping[str, str]]:
    """From inputs as they are given to probabilities.

    Raises UsageError for what cannot be traced and an operator that ONNX does not have.
    """
    shape, kind = tuple(network.prepared["shape"]), type_of(network)
    nodes = start([GIVEN])
    x = nodes.input(GIVEN, TYPES[kind], ["n", *shape])
    if kind == "uint8":
        x = nodes.op("Div", nodes.cast(x, FLOAT), nodes.constant(np.array(255, np.float32)))
    found = nodes.module(
        _Whole(network.module.to(CPU).eval(), is_watched=network.familiar is not None), x,
        example=as_input(examples_of(network), CPU), name="your module",
    )  # fmt: skip
    judged = together_nodes(nodes, network, [canonical_nodes(nodes, network, found[0])])
    distance = "" if network.familiar is None else distance_nodes(nodes, network.familiar, found[1])
    outputs = add_outputs(nodes, network, judged, distance)
    about = {
        "schema": SCHEMA, "kind": network.kind, "task": network.task, "labels": list(network.labels),
        "inputs": [{"name": GIVEN, "kind": "array", "type": kind, "shape": ["n", *shape]}], "outputs": outputs,
        "outside": [],
    }  # fmt: skip
    return nodes, {METADATA: json.dumps(about, ensure_ascii=False)}


def type_of(network: Network) -> str:
    """The type of the numbers that the file is given, of those that a module may have been trained on."""
    kind = np.dtype(str(network.prepared["dtype"]))
    if kind.kind in "iu":
        return "uint8" if kind == np.uint8 else "int64"
    return "float64" if kind == np.float64 else "float32"


def examples_of(network: Network) -> np.ndarray:
    """A few inputs that the module was trained on, as many as a trace needs; zeros where none were kept."""
    shape = tuple(network.prepared["shape"])
    kept = network.arrays[INPUTS].numpy() if INPUTS in network.arrays else np.zeros((1, *shape))
    return np.resize(kept, (TRACED, *shape)).astype(type_of(network))


# What it is compared on


def of_study(network: Network, config: StudyConfig, known: Known, folder: Path) -> Asked:
    """The validation examples of a study, which keeps its inputs."""
    wanted = validation_ids(config, folder)
    x = inputs_of(folder)
    rows = np.array([row for row in range(len(x)) if str(row) in wanted], dtype=np.int64)
    require(len(rows) > 0, f"no validation example of the study is known; {CHECK}", error=DataError)
    rows = rows[spaced(len(rows), MOST)]
    truth = known_classes(network, known, read_kept(folder), rows)
    return replace(asked(network, np.asarray(x[rows]), what="validation examples"), truth=truth)


def of_path(network: Network, path: Path) -> Asked:
    """Nothing: arrays are given from Python."""
    raise UsageError(f"your module sees arrays, not files such as {path}; give --check's data from Python: check=X")


def of_inputs(network: Network, x: object) -> Asked:
    """Inputs that are given from Python. Raises UsageError and DataError."""
    array, _ = read_own_inputs(x, like=np.dtype(str(network.prepared["dtype"])))
    return asked(network, array[spaced(len(array), MOST)], what="examples given")


def extremes(network: Network, read: Asked) -> list[Asked]:
    """Examples made of others: mixed, zero, of the smallest and the largest numbers, and a few one at a time."""
    x = np.concatenate([each[GIVEN] for each in read.feeds])
    low, high = x.min(axis=0), x.max(axis=0)
    rng = np.random.default_rng(0)
    mixed = np.stack([rng.permutation(x.reshape(len(x), -1)[:, place]) for place in range(x[0].size)], axis=1)
    made = [mixed.reshape(x.shape)[:MADE], np.stack([low, high])]
    if x.dtype.kind == "f":
        made += [np.zeros((1, *x.shape[1:])), 3 * made[0], np.stack([low, high]) * 100]
    every = np.concatenate(made).astype(x.dtype)
    outputs, _ = looked_at(network, every, device=CPU)
    every = every[outputs.isfinite().all(dim=1).numpy()]  # a module may say nothing of what it never saw
    return [
        asked(network, every, what="made examples"), asked(network, every[:4], what="of them one at a time", batch=1),
    ]  # fmt: skip


def asked(network: Network, x: np.ndarray, *, what: str, batch: int = BATCH) -> Asked:
    """Inputs as they are, and what TAME says of them."""
    own = np.ascontiguousarray(x.astype(type_of(network)))
    outputs, seen = looked_at(network, own, device=CPU)
    feeds = [{GIVEN: own[start : start + batch]} for start in range(0, len(own), batch)]
    return Asked(what, feeds, outputs.double().numpy(), distances(network, seen))


ONNX = OnnxForm(write=write, of_study=of_study, of_path=of_path, of_inputs=of_inputs, extremes=extremes)
