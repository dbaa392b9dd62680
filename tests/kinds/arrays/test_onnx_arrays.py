"""A module of the user's own as an ONNX file says what it says in TAME, and what ONNX lacks is named."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
pytest.importorskip("onnxscript", reason="the extra onnx is not installed")

from tame.app.model_files import onnx_runner, parity  # noqa: E402
from tame.core.errors import UsageError  # noqa: E402
from tame.core.recipe import Recipe  # noqa: E402
from tame.kinds.arrays.onnx_arrays import asked, extremes, of_inputs, write  # noqa: E402
from tame.kinds.arrays.prediction import INPUTS, looked_at  # noqa: E402
from tame.kinds.onnx import METADATA  # noqa: E402
from tame.parts.familiar import familiar  # noqa: E402
from tame.parts.network import Network  # noqa: E402
from tame.parts.onnx_nodes import graph_of  # noqa: E402
from tame.parts.torch_programs import program_file, program_runner  # noqa: E402

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.slow]

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)


class Recurrent(nn.Module):
    """The last state of a GRU over numbers or over words."""

    def __init__(self, words=0):
        super().__init__()
        self.words = nn.Embedding(words, 4) if words else nn.Identity()
        self.steps = nn.GRU(4, 8, batch_first=True)
        self.out = nn.Linear(8, 2)

    def forward(self, x):
        return self.out(self.steps(self.words(x))[0][:, -1])


class Attending(nn.Module):
    """One layer of a transformer."""

    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
        self.out = nn.Linear(4, 2)

    def forward(self, x):
        return self.out(self.layer(x).mean(dim=1))


class Bessel(nn.Module):
    """A layer that ONNX has no operator for."""

    def forward(self, x):
        return torch.special.bessel_j0(x)


class Deciding(nn.Module):
    """A module that decides by what it sees."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(4, 2)

    def forward(self, x):
        return self.out(x) if x.sum() > 0 else self.out(-x)


def pictures():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.GELU(), nn.Flatten(), nn.Linear(4 * 36, 2))


NUMBERS = RNG.normal(size=(40, 4)).astype(np.float32)
STEPS = RNG.normal(size=(40, 5, 4)).astype(np.float32)
MODULES = {
    "numbers": (lambda: nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, 2)), NUMBERS),
    "float64": (lambda: nn.Sequential(nn.Linear(4, 2)).double(), NUMBERS.astype(np.float64)),
    "bytes": (pictures, RNG.integers(0, 256, (20, 3, 8, 8)).astype(np.uint8)),
    "steps": (Recurrent, STEPS),
    "words": (lambda: Recurrent(30), RNG.integers(0, 30, (20, 5))),
    "attention": (Attending, STEPS),
}


def own_network(module, x, labels=("no", "yes"), **changes):
    loss = "cross_entropy" if labels else "mse"
    recipe = Recipe().but({"model.name": "own", "loss.name": loss})
    prepared = {"shape": list(x.shape[1:]), "dtype": str(x.dtype), "device": "cpu", "target": {"shift": 3, "scale": 2}}
    task = "binary" if labels else "regression"
    arrays = {INPUTS: torch.from_numpy(x[:16].copy())}
    return Network("arrays", task, recipe, labels, module.eval(), prepared=prepared, arrays=arrays, **changes)


def compared(network, x):
    model = graph_of(network, write)
    onnx.checker.check_model(model, full_check=True)
    content, read = model.SerializeToString(), asked(network, x, what="examples")
    found = [parity(onnx_runner(content), network, each) for each in (read, *extremes(network, read))]
    assert max(each.largest for each in found) < 1e-5
    assert max(each.distance for each in found) < 1e-4
    return model


@pytest.mark.parametrize("name", MODULES)
def test_a_module_says_the_same_for_one_example_and_for_many(name):
    make, x = MODULES[name]
    torch.manual_seed(0)
    model = compared(own_network(make(), x, temperature=1.4), x)
    about = json.loads({each.key: each.value for each in model.metadata_props}[METADATA])
    assert about["inputs"] == [{"name": "x", "kind": "array", "type": str(x.dtype), "shape": ["n", *x.shape[1:]]}]


def test_a_number_is_in_units_of_the_target():
    torch.manual_seed(0)
    compared(own_network(nn.Linear(4, 1), NUMBERS, labels=()), NUMBERS)


def test_the_distance_from_the_training_examples_is_said_too():
    torch.manual_seed(0)
    network = own_network(MODULES["numbers"][0](), NUMBERS)
    seen = looked_at(network, NUMBERS, device=CPU)[1]
    compared(replace(network, familiar=familiar(seen)), NUMBERS)


def test_inputs_from_python_are_compared_as_predict_takes_them():
    network = own_network(nn.Linear(4, 2), NUMBERS)
    assert of_inputs(network, NUMBERS.tolist()).outputs.shape == (40, 2)
    with pytest.raises(UsageError, match=r"inputs are \(3,\) each, the network was trained on \(4,\)"):
        of_inputs(network, NUMBERS[:, :3])


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (
            nn.Sequential(nn.Linear(4, 4), nn.Sequential(Bessel(), nn.Linear(4, 2))),
            r"your module has a part that ONNX does not have: the operator prims\.bessel_j0, in 1\.0 "
            r"\(test_onnx_arrays\.py, line \d+: return torch\.special\.bessel_j0\(x\)\)",
        ),
        (Deciding(), r"your module cannot be traced: .* \(test_onnx_arrays\.py, line \d+: return self\.out\(x\) if"),
    ],
)
def test_what_onnx_lacks_is_named_with_its_place(module, said, capfd):
    with pytest.raises(UsageError, match=said):
        graph_of(own_network(module, NUMBERS), write)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["bytes", "words", "attention"])
def test_a_program_of_a_module_says_the_same(name):
    make, x = MODULES[name]
    torch.manual_seed(0)
    network = own_network(make(), x, temperature=1.4)
    read = asked(network, x, what="examples")
    run = program_runner(program_file(network, write, read.feeds[0]))
    for each in (read, *extremes(network, read)):
        assert parity(run, network, each).largest < 1e-5


def test_no_file_tells_where_it_was_made():
    network = own_network(Attending(), STEPS)
    read = asked(network, STEPS, what="examples")
    program = zipfile.ZipFile(BytesIO(program_file(network, write, read.feeds[0])))
    for content in [graph_of(network, write).SerializeToString(), *map(program.read, program.namelist())]:
        assert str(Path(__file__).parent).encode() not in content
        assert b"site-packages" not in content
        assert read.feeds[0]["x"][0].tobytes() not in content
