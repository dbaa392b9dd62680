"""Frozen features: however fast a backbone is run, it says the same, and what was computed once is not again."""

from __future__ import annotations

import copy
from functools import cache

import numpy as np
import pytest
import timm
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import nn

from tame.data.cache import ArrayCache
from tame.kinds.costs import Speed
from tame.kinds.pictures import inference as fast
from tame.kinds.pictures.features import AGREEMENT, Pictures, Runner, extract, measure_speed
from tame.kinds.pictures.inference import FusedConv, can_fuse, distance, fold_norms, folded_pairs, fuse
from tame.parts.backbones import Backbone, build_backbone, cut
from tame.worker.environment import tune_allocator, usable_cores, worker_environment

NAMES = ("mobilenetv2_100", "resnet18", "efficientnet_b0", "mobilenetv3_small_050", "convnext_atto")
SIZE = 64
CPU = torch.device("cpu")
PLAIN = Speed("float32", "plain", 4, 1.0, SIZE)


@cache
def backbone(name: str) -> Backbone:
    """A backbone with random weights whose norms do something."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = timm.create_model(name, num_classes=0)
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                for values, low in (
                    (part.weight, 0.5),
                    (part.running_var, 0.5),
                    (part.bias, -0.2),
                    (part.running_mean, -0.2),
                ):
                    assert values is not None
                    values.data.uniform_(low, low + 1 if low > 0 else -low)
    return build_backbone({"architecture": name}, module.state_dict(), name=name, digest=name)


def probe(batch: int = 2, *, seed: int = 1) -> torch.Tensor:
    return torch.randn(batch, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def parts(name: str) -> list[nn.Module]:
    """The whole network, alone and with its stages averaged, and the part of it below the last stage."""
    return [backbone(name).module, backbone(name).staged(), cut(backbone(name), 1)[0]]


def pictures(num: int) -> Pictures:
    rng = np.random.default_rng(0)
    pixels = [rng.integers(0, 256, (70 + i, 90, 3), dtype=np.uint8) for i in range(num)]
    return Pictures(pixels, [f"digest{i}" for i in range(num)])


def features(given: Pictures, rows: range, *, view: int = 0, crop: float = 0.875, **how: object) -> np.ndarray:
    known = {"speed": PLAIN, "cache": None, "device": CPU, "size": SIZE} | how
    return extract(backbone("mobilenetv3_small_050"), given, rows, view=view, crop=crop, **known)


@pytest.mark.parametrize("name", NAMES)
def test_folding_norms_changes_nothing(name):
    for module in parts(name):
        before = copy.deepcopy(module.state_dict())
        folded = fold_norms(module, probe(1))
        other = probe(3, seed=2)
        assert distance(folded(other), module(other)) < 1e-4  # float32
        assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
        left = [each for each in folded.modules() if isinstance(each, nn.BatchNorm2d)]
        assert (folded is module) == (name == "convnext_atto"), "convnext has no BatchNorm, the others have"
        assert not left


@pytest.mark.skipif(not can_fuse(), reason="this torch has no fused convolutions")
@pytest.mark.parametrize("name", NAMES)
def test_fusing_changes_nothing(name):
    for place, module in enumerate(parts(name)):
        fused = fuse(fold_norms(module, probe(1)), probe(1), dtype=torch.float32)
        other = probe(3, seed=2)
        with torch.no_grad():
            assert distance(fused(other), module(other)) < 1e-4  # float32
        left = [each for each in fused.modules() if isinstance(each, nn.Conv2d)]
        assert not left or place == 2, "only what a part leaves unused is not fused"
        if name in ("mobilenetv2_100", "efficientnet_b0"):
            assert any(
                each.packed[-3] in ("hardtanh", "swish") for each in fused.modules() if isinstance(each, FusedConv)
            )


def test_pairs_are_those_that_were_folded():
    module = backbone("resnet18").module
    pairs, folded = folded_pairs(module, probe(1)), fold_norms(module, probe(1))
    assert ("conv1", "bn1") in pairs
    assert len(pairs) == 20
    for conv, norm in pairs:
        assert folded.get_submodule(conv).bias is not None
        assert isinstance(folded.get_submodule(norm), nn.Identity)


class _Shared(nn.Module):
    """A convolution whose result is used twice: plain, and after a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.act = nn.ReLU()
        nn.init.constant_(self.norm.bias, 1.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        return self.act(self.norm(y)) + y


class _Late(nn.Module):
    """A residual network: its activation comes after the sum, which is done in place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.act = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        y += x
        return self.act(y)


class _Repeated(nn.Module):
    """One convolution with two norms, used in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.first, self.second = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
        nn.init.constant_(self.first.bias, 1.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.conv(self.first(self.conv(x))))


@pytest.mark.parametrize("kind", [_Shared, _Repeated])
def test_what_cannot_be_folded_stays_as_it_is(kind):
    module = kind().eval()
    assert fold_norms(module, probe(1)) is module
    assert folded_pairs(module, probe(1)) == []


@pytest.mark.parametrize("kind", [_Shared, _Late, _Repeated])
def test_what_cannot_be_fused_is_computed_all_the_same(kind):
    module = kind().eval()
    fused = fuse(module, probe(1), dtype=torch.float32)
    with torch.no_grad():
        torch.testing.assert_close(fused(probe()), module(probe()), rtol=1e-4, atol=1e-5)  # float32


def test_a_torch_without_fused_convolutions_leaves_the_network(monkeypatch):
    monkeypatch.setattr(torch.ops, "mkldnn", object())
    module = backbone("mobilenetv2_100").module
    assert not can_fuse()
    assert fast.fuse(module, probe(1), dtype=torch.bfloat16) is module
    runner = Runner(module, backbone("mobilenetv2_100"), CPU, Speed("float32", "fused", 4, 1.0, SIZE), size=SIZE)
    assert runner.way == "folded"


def test_a_distance_from_what_is_not_finite_is_infinite():
    assert distance(torch.tensor([float("nan")]), torch.ones(1)) == float("inf")
    assert distance(torch.ones(2), torch.ones(1)) == float("inf")
    assert distance(torch.zeros(1), torch.zeros(1)) == 0


@pytest.mark.parametrize("way", ["plain", "folded", "fused"])
@pytest.mark.parametrize("name", NAMES)
def test_a_runner_gives_what_the_loop_gives(name, way):
    own, given = backbone(name), pictures(3)
    pixels = np.stack([picture[:SIZE, :SIZE] for picture in given.pixels])
    mean, std = (torch.tensor(own.config[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    x = (torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - mean) / std
    for module in parts(name):
        with torch.no_grad():
            expected = module(x)
        exact = Runner(module, own, CPU, Speed("float32", way, 4, 1.0, SIZE), size=SIZE)(pixels)
        assert exact.dtype == torch.float32
        assert distance(exact, expected) < 1e-4  # float32
        half = Runner(module, own, CPU, Speed("bfloat16", way, 4, 1.0, SIZE), size=SIZE)(pixels)
        assert half.dtype == torch.float32
        assert 0 < distance(half, expected) < AGREEMENT  # bfloat16
    assert next(own.module.parameters()).dtype == torch.float32, "a runner works on a copy"


@pytest.mark.skipif(not can_fuse(), reason="this torch has no fused convolutions")
@torch.no_grad()
def test_convolutions_with_the_padding_of_tensorflow_are_fused_for_every_size():
    module = nn.Sequential(
        Conv2dSame(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU6(),
        Conv2dSame(8, 8, 5, stride=2, groups=8, bias=False), nn.BatchNorm2d(8), nn.ReLU6(),
    ).eval()  # fmt: skip
    fused = fuse(fold_norms(module, probe(1)), probe(1), dtype=torch.float32)
    assert [type(part) for part in fused if not isinstance(part, nn.Identity)] == [FusedConv, FusedConv]
    for side in (SIZE, SIZE + 1, SIZE + 2):  # what is padded differs
        x = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(side))
        torch.testing.assert_close(fused(x), module(x), rtol=1e-4, atol=1e-5)  # float32


@pytest.mark.parametrize("num", [1, 9])
def test_a_measured_way_is_one_that_agrees(num):
    own, given = backbone("mobilenetv3_small_050"), pictures(num)
    speed = measure_speed(own, CPU, given, size=SIZE, crop=0.875)
    assert speed.rate > 0
    assert speed.size == SIZE
    assert speed.batch_size in (1, 8)
    exact, found = (features(given, range(num), speed=each) for each in (PLAIN, speed))
    assert distance(torch.from_numpy(found), torch.from_numpy(exact)) < AGREEMENT


def test_extraction_with_and_without_a_cache_is_the_same(tmp_path):
    given = pictures(11)
    kept = features(given, range(11), cache=ArrayCache(tmp_path))
    np.testing.assert_array_equal(kept, features(given, range(11)))
    np.testing.assert_array_equal(kept[[7, 2]], features(given, [7, 2], cache=ArrayCache(tmp_path)))


def test_what_was_computed_is_read_and_not_computed_again(tmp_path):
    given = pictures(5)
    first = features(given, range(5), cache=ArrayCache(tmp_path))
    before = sorted(tmp_path.iterdir())
    gone = Pictures([np.empty((0, 0, 3), np.uint8)] * 5, given.digests)  # nothing could be computed from these
    np.testing.assert_array_equal(features(gone, range(5), cache=ArrayCache(tmp_path)), first)
    assert sorted(tmp_path.iterdir()) == before


def test_equal_pictures_pass_the_backbone_once(tmp_path):
    one = pictures(1)
    seen: list[tuple[int, int]] = []
    twins = Pictures(list(one.pixels) * 3, list(one.digests) * 3)
    found = features(twins, range(3), progress=lambda done, whole: seen.append((done, whole)))
    assert seen == [(1, 1)]
    np.testing.assert_array_equal(found[0], found[2])


def test_whatever_changes_the_values_has_its_own_place_in_the_cache(tmp_path):
    given, cache = pictures(4), ArrayCache(tmp_path)
    ways = [
        {}, {"view": 1}, {"view": 2}, {"crop": 0.6}, {"size": 96}, {"speed": Speed("bfloat16", "plain", 4, 1.0, SIZE)},
        {"speed": Speed("bfloat16", "fused", 4, 1.0, SIZE)},
    ]  # fmt: skip
    found = [features(given, range(4), cache=cache, **way) for way in ways]
    again = [features(given, range(4), cache=cache, **way) for way in ways]
    for index, value in enumerate(found):
        np.testing.assert_array_equal(value, again[index])
        assert all(not np.array_equal(value, other) for other in found[:index]), ways[index]


def test_a_stop_loses_nothing_that_was_computed(tmp_path):
    class Stop(Exception):
        pass

    def stop_at_once(done: int, whole: int) -> None:
        raise Stop

    given = pictures(9)
    with pytest.raises(Stop):
        features(given, range(9), cache=ArrayCache(tmp_path), progress=stop_at_once)
    assert len(ArrayCache(tmp_path).keys()) == PLAIN.batch_size


def test_features_are_stored_in_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr("tame.kinds.pictures.features.CHUNK", 4)
    features(pictures(9), range(9), cache=ArrayCache(tmp_path))
    assert len(list(tmp_path.glob("*.safetensors"))) == 3


def test_a_worker_hears_of_its_cores():
    assert worker_environment()["OMP_NUM_THREADS"] == str(usable_cores())
    assert usable_cores() >= 1
    assert isinstance(tune_allocator(), bool)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("way", ["plain", "folded", "fused"])
@pytest.mark.parametrize("name", ["mobilenetv2_100", "resnet18"])
def test_the_features_of_a_picture_do_not_depend_on_its_company(name, way, precision):
    own, given = backbone(name), pictures(19)
    speed = Speed(precision, way, 8, 1.0, SIZE)

    def found(rows: range) -> np.ndarray:
        return extract(own, given, rows, size=SIZE, view=0, crop=0.875, speed=speed, device=CPU, cache=None)

    together = found(range(19))
    for rows in (range(1), range(3, 10), range(16, 19)):
        np.testing.assert_array_equal(found(rows), together[list(rows)])


class _Counting(nn.Module):
    """The means of the channels; it notes how many pictures pass at once."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
        self.seen: list[int] = []

    def __deepcopy__(self, _: object) -> _Counting:
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(len(x))
        return x.mean((2, 3)) * self.scale


@pytest.mark.parametrize(("batch_size", "passes"), [(8, [8]), (256, [3])])
def test_batches_are_whole_but_for_a_model_from_an_accelerator(batch_size, passes):
    module = _Counting()
    own = Backbone("counting", module, {"mean": (0, 0, 0), "std": (1, 1, 1)}, "0", 3, ())
    speed = Speed("float32", "plain", batch_size, 1.0, SIZE)
    given = pictures(3)
    found = extract(own, given, range(3), size=SIZE, view=0, crop=0.875, speed=speed, device=CPU, cache=None)
    assert found.shape == (3, 3)
    assert module.seen == passes
