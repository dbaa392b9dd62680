"""What heads are trained on: features of a backbone, scaled stage by stage, and the network that is delivered."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import timm
import torch

from tame.core.errors import UsageError
from tame.core.recipe import Recipe
from tame.kinds.costs import Speed
from tame.kinds.pictures.features import Pictures
from tame.kinds.pictures.inputs import Inputs
from tame.kinds.pictures.material import FEATURE_LENGTH, PictureMaterial
from tame.kinds.pictures.prediction import empty_network
from tame.parts.backbones import Backbone, build_backbone
from tame.parts.network import read_network, write_network
from tame.trial.population import Examples, Member
from tame.trial.stacked import Stacked
from tame.trial.training_material import Trained

SIZE, NUM, CLASSES = 64, 12, 3


@cache
def backbone() -> Backbone:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = timm.create_model("resnet18", num_classes=0)
    return build_backbone({"architecture": "resnet18"}, module.state_dict(), name="resnet18", digest="0" * 64)


@pytest.fixture
def material(tmp_path: Path) -> PictureMaterial:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (NUM, 4, 4, 3), dtype=np.uint8)
    pictures = Pictures(
        [np.kron(each, np.ones((18, 18, 1), np.uint8)) for each in coarse], [str(i) for i in range(NUM)]
    )
    inputs = Inputs(pictures, backbone(), cache=tmp_path, device=torch.device("cpu"), say=lambda *_: None)
    inputs.measure(size=SIZE, crop=1.0, known=Speed("float32", "plain", 8, 100.0, SIZE))
    return PictureMaterial(inputs, cache=tmp_path)


def recipe(pooled: int) -> Recipe:
    return Recipe().but(
        {"input.size": SIZE, "input.crop": 1.0, "input.views": 2, "model.pooled": pooled, "epochs": 2, "batch_size": 4}
    )


EXAMPLES = Examples(torch.arange(NUM) % CLASSES, torch.full((NUM,), -1), CLASSES)


@pytest.mark.parametrize("pooled", [0, 1, 4])
def test_every_stage_that_a_head_sees_is_as_long(material, pooled):
    task = material.task(recipe(pooled), range(NUM), EXAMPLES, [None])
    widths = [64, 128, 256, 512, 512][4 - pooled :]
    assert task.features.shape == (2, NUM, sum(widths))
    for part in task.features[0].double().split(widths, dim=1):
        assert part.mean(dim=0).abs().max() < 1e-4  # float32
        length = part.square().sum(dim=1).mean().sqrt()
        assert float(length) == pytest.approx(FEATURE_LENGTH / len(widths) ** 0.5, rel=1e-4)
    plain = material.inputs.features(range(NUM), size=SIZE, views=2, crop=1.0, pooled=pooled)
    torch.testing.assert_close((plain - task.shift) * task.scale, task.features, rtol=0, atol=0)


@pytest.mark.parametrize("pooled", [0, 2, 4])
def test_a_head_on_stages_predicts_after_delivery_as_it_was_trained(material, pooled, tmp_path):
    own = recipe(pooled)
    task = material.task(own, range(NUM), EXAMPLES, [None])
    engine = Stacked(task)
    population = engine.advance(engine.start([Member(0, None, own)]), until=2, watch=lambda *_: None)
    wanted = engine.predict(population, torch.arange(NUM))[0]
    network = material.network(task, engine.module(population, 0), own, None, "multiclass", ("a", "b", "c"))
    found = material.judge(network, range(NUM), cached=True)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)  # float32
    write_network(network, tmp_path / "model")
    again = material.judge(read_network(tmp_path / "model", empty_network), range(NUM), cached=False)
    torch.testing.assert_close(again, found, rtol=0, atol=0)


def test_more_stages_than_there_are_are_refused(material):
    material.inputs.backbone = build_backbone(
        {"architecture": "vit_tiny_patch16_224"}, timm.create_model("vit_tiny_patch16_224").state_dict(), name="vit",
        digest="1",
    )  # fmt: skip
    with pytest.raises(UsageError, match="vit has 0 stages that can be averaged, not 1"):
        material.check(recipe(1), EXAMPLES)


def test_memory_counts_the_features_of_all_stages_that_are_kept(material):
    def needs(pooled: int) -> int:
        trained = Trained(
            recipes=[recipe(pooled)], folds=[None], rows=range(NUM), examples=EXAMPLES, cores=1, tuning=None,
            rehearsed=None, members=lambda _, wanted: wanted,
        )  # fmt: skip
        return material.adds_bytes(trained)

    assert needs(4) > needs(0) > 0
