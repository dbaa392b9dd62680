"""A model of pictures as an ONNX file sees what Pillow makes of a picture, and says what `tame predict` says."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
pytest.importorskip("onnxscript", reason="the extra onnx is not installed")

from tame.app.model_files import onnx_runner, parity  # noqa: E402
from tame.core.errors import UsageError  # noqa: E402
from tame.core.recipe import Recipe  # noqa: E402
from tame.data.views import square_view  # noqa: E402
from tame.kinds.onnx import METADATA  # noqa: E402
from tame.kinds.pictures.onnx_picture import PICTURE, asked, extremes, square_nodes, write  # noqa: E402
from tame.parts.backbones import build_backbone  # noqa: E402
from tame.parts.familiar import familiar  # noqa: E402
from tame.parts.mlp import head_of  # noqa: E402
from tame.parts.models import MODELS, init_module  # noqa: E402
from tame.parts.network import Network  # noqa: E402
from tame.parts.onnx_nodes import Nodes, graph_of  # noqa: E402
from tame.parts.operators import BYTES, DOUBLE  # noqa: E402
from tame.parts.torch_programs import program_file, program_runner  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

SIZE = 32


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


@pytest.fixture(scope="module", params=[("bicubic", 0.875), ("bicubic", 1.0), ("bilinear", 0.5)], ids=str)
def square(request):
    """What a graph makes of a picture alone, and what TAME makes of it."""
    name, crop = request.param
    nodes = Nodes([PICTURE])
    pixels = nodes.input(PICTURE, BYTES, ["n", "height", "width", 3])
    found = square_nodes(nodes, pixels, size=SIZE, crop=crop, bilinear=name == "bilinear")
    nodes.output("square", found, DOUBLE, ["n", 3, SIZE, SIZE])
    model = nodes.model({}, about="a square")
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return (
        lambda each: session.run(None, {PICTURE: each[None]})[0][0].transpose(1, 2, 0),
        lambda each: square_view(each, size=SIZE, view=0, name="", crop=crop, interpolation=name),
    )  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(height=st.integers(2, 120), width=st.integers(2, 120), seed=st.integers(0, 99))
@example(height=32, width=32, seed=0)
@example(height=33, width=32, seed=0)
@example(height=48, width=40, seed=0)  # the height loses twice as many pixels
@example(height=49, width=40, seed=0)  # and one more
@example(height=2, width=100, seed=0)
@example(height=100, width=2, seed=0)
def test_the_square_of_a_picture_of_any_size_is_that_of_pillow_to_the_last_level(square, height, width, seed):
    of_graph, of_tame = square
    pixels = noise(height, width, seed)
    np.testing.assert_array_equal(of_graph(pixels), of_tame(pixels))


def scratch_network(labels=("a", "b"), **changes):
    recipe = Recipe().but({"model.name": "cnn", "model.width": 4, "input.size": SIZE, "input.crop": 1.0, **changes})
    module = MODELS.get("cnn")(recipe.model, max(len(labels), 1))
    init_module(module, seed=1)
    prepared = {} if labels else {"target": {"shift": 10.0, "scale": 3.0}}
    return Network("images", "binary" if labels else "regression", recipe, labels, module.eval(), prepared=prepared)


def backbone_network(name="resnet10t", pooled=0, **changes):
    import timm

    torch.manual_seed(0)
    module = timm.create_model(name, num_classes=0)
    config = {"architecture": name, "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4], "input_size": [3, SIZE, SIZE]}
    backbone = build_backbone(config, module.state_dict(), name=name, digest="0" * 64)
    recipe = Recipe().but({"input.size": SIZE, "model.hidden": 8, "model.pooled": pooled, **changes})
    head = head_of(backbone.width(pooled), 3, recipe.model)
    init_module(head, seed=1)
    run = {"precision": "float32", "way": "plain", "batch_size": 8, "rate": 1.0, "size": SIZE}
    return Network("images", "multiclass", recipe, ("x", "y", "z"), head.eval(), backbone, run, 64, temperature=1.3)


def compared(network, *, most=1e-5):
    content = graph_of(network, write).SerializeToString()
    read = asked(network, [noise(40, 60), noise(90, 50), noise(SIZE, SIZE)], what="pictures")
    for each in (read, *extremes(network, read)):
        assert parity(onnx_runner(content), network, each).largest < most
    return content


@pytest.mark.slow
@pytest.mark.parametrize("labels", [("a", "b"), ()], ids=len)
def test_a_network_from_scratch_says_the_same(labels):
    compared(scratch_network(labels, **({} if labels else {"loss.name": "mse"})))


@pytest.mark.slow
@pytest.mark.parametrize("pooled", [0, 1])
@pytest.mark.parametrize("views", [1, 2])
def test_a_backbone_with_its_head_says_the_same_in_every_view(pooled, views):
    network = backbone_network(pooled=pooled, **{"input.views": views})
    content = compared(network)
    about = json.loads({each.key: each.value for each in onnx.load_from_string(content).metadata_props}[METADATA])
    assert about["shortest"] == 64
    assert about["inputs"][0]["shape"] == ["n", "height", "width", 3]


@pytest.mark.slow
def test_the_distance_from_the_training_pictures_is_said_too():
    network = backbone_network()
    features = torch.randn(200, network.backbone.width(0), generator=torch.Generator().manual_seed(0)).abs()
    network = replace(network, familiar=familiar(features))
    content = graph_of(network, write).SerializeToString()
    read = asked(network, [noise(40, 60), noise(90, 50)], what="pictures")
    assert read.distances is not None
    assert parity(onnx_runner(content), network, read).distance < 1e-4


def test_what_runs_in_half_precision_is_compared_in_single_precision_and_says_so():
    network = scratch_network()
    half = replace(network, run={"precision": "bfloat16", "way": "folded"})
    assert asked(half, [noise(40, 60)], what="pictures").what == "pictures, judged in float32"
    assert asked(network, [noise(40, 60)], what="pictures").what == "pictures"


class Odd(nn.Module):
    """A network that decides by what it sees, which no graph can hold."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x):
        return self.layer(x.mean(dim=(2, 3))) if x.mean() > 0 else self.layer(x.amax(dim=(2, 3)))


@pytest.mark.slow
def test_a_network_that_onnx_cannot_hold_is_refused_and_the_part_is_named():
    with pytest.raises(
        UsageError, match=r"the network cannot be traced: .*data-dependent.* \(test_onnx_picture\.py, line \d+: return"
    ):
        graph_of(replace(scratch_network(), module=Odd().eval()), write)


@pytest.mark.slow
def test_a_program_of_pictures_says_the_same_for_any_size():
    network = backbone_network(**{"input.views": 2})
    read = asked(network, [noise(40, 60), noise(90, 50), noise(SIZE, SIZE)], what="pictures")
    run = program_runner(program_file(network, write, read.feeds[0]))
    for each in (read, *extremes(network, read)):
        assert parity(run, network, each).largest < 1e-5
