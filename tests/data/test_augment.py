"""Augmentation, mixing and noise: what is drawn, for whom, and what is done with it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torchvision.transforms.v2 import functional as V

from tame.core.errors import ShapeError, UsageError
from tame.core.recipe import AugmentRecipe
from tame.core.rng import stream
from tame.data import augment as augmenting
from tame.data.augment import OPERATIONS, Mix, add_noise, apply_mix, augment, draw_mix

pytestmark = pytest.mark.usefixtures("one_thread")

NUM, SIDE = 40, 12
LOW, HIGH = -127.5 / 64, 127.5 / 64
RECIPES = {
    "flip": AugmentRecipe(flip=True),
    "crop": AugmentRecipe(crop=0.25),
    "rotation": AugmentRecipe(rotation=40),
    "color": AugmentRecipe(color=0.6),
    "strength": AugmentRecipe(strength=0.7),
    "all": AugmentRecipe(flip=True, crop=0.1, rotation=180, color=1.0, strength=1.0),
}
recipes = st.builds(
    AugmentRecipe,
    flip=st.booleans(),
    crop=st.sampled_from([0.0, 0.2, 0.5]),
    rotation=st.sampled_from([0.0, 5.0, 180.0]),
    color=st.sampled_from([0.0, 0.3, 1.0]),
    strength=st.sampled_from([0.0, 0.1, 1.0]),
)


def pictures(num=NUM, channels=3, side=SIDE, dtype=torch.float32, seed=0):
    """Smooth pictures of pixels in whole levels, in [LOW, HIGH]."""
    chance = torch.Generator().manual_seed(seed)
    coarse = torch.rand(num, channels, 4, 4, generator=chance)
    smooth = torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear")
    return (((255 * smooth).round() - 127.5) / 64).to(dtype)


def seen(x, recipe, *, seed=3, epoch=2, rows=None, num=NUM, low=LOW, high=HIGH):
    rows = torch.arange(len(x)) if rows is None else rows
    return augment(x, recipe, seed=seed, epoch=epoch, rows=rows, num_examples=num, low=low, high=high)


# What every augmentation must do


@settings(max_examples=40, deadline=None)
@given(
    recipe=recipes,
    seed=st.integers(0, 1000),
    channels=st.sampled_from([1, 3]),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
)
def test_shape_dtype_and_range_stay(recipe, seed, channels, dtype):
    x = pictures(num=10, channels=channels, dtype=dtype, seed=seed)
    before = x.clone()
    found = seen(x, recipe, seed=seed, low=float(x.min()), high=float(x.max()))
    assert found.shape == x.shape
    assert found.dtype == dtype
    assert found.isfinite().all()
    tolerance = 1e-5 if dtype != torch.bfloat16 else 2e-2
    assert found.min() >= x.min() - tolerance
    assert found.max() <= x.max() + tolerance
    assert torch.equal(x, before)


@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("name", RECIPES)
def test_the_layout_in_memory_stays_and_plays_no_part(name, form):
    x = pictures()
    found = seen(x.contiguous(memory_format=form), RECIPES[name])
    assert found.is_contiguous(memory_format=form)
    torch.testing.assert_close(found, seen(x, RECIPES[name]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", RECIPES)
def test_it_depends_on_seed_epoch_and_example_alone(name):
    recipe, x, rows = RECIPES[name], pictures(), torch.arange(NUM)
    whole = seen(x, recipe)
    assert torch.equal(whole, seen(x, recipe))
    some = torch.tensor([31, 5, 17, 5])
    torch.testing.assert_close(seen(x[some], recipe, rows=some), whole[some], rtol=0, atol=1e-5)
    assert not torch.equal(seen(x, recipe, seed=4), whole)
    assert not torch.equal(seen(x, recipe, epoch=3), whole)
    same = x[:1].expand(NUM, -1, -1, -1)
    different = seen(same, recipe, rows=rows)
    assert len({tuple(each.flatten().tolist()) for each in different}) > (1 if name == "flip" else NUM // 4)


@pytest.mark.parametrize("recipe", [AugmentRecipe(), AugmentRecipe(noise=1.0)], ids=["nothing", "noise"])
def test_nothing_asked_is_nothing_done(recipe):
    x = pictures()
    assert seen(x, recipe) is x


@pytest.mark.parametrize(
    "tiny", [AugmentRecipe(rotation=1e-4), AugmentRecipe(color=1e-6), AugmentRecipe(strength=1e-6)]
)
def test_a_tiny_strength_changes_next_to_nothing(tiny):
    x = pictures()
    torch.testing.assert_close(seen(x, tiny), x, rtol=0, atol=1e-4)


@pytest.mark.parametrize("field", ["crop", "rotation", "color", "strength"])
def test_a_larger_strength_changes_more(field):
    x, most = pictures(), 60 if field == "rotation" else 0.4
    weak, strong = ((seen(x, AugmentRecipe(**{field: share * most})) - x).abs().mean() for share in (0.25, 1.0))
    assert 0 < weak < strong


def test_one_kind_of_change_does_not_move_the_draws_of_another():
    x = pictures()
    turned = seen(x, AugmentRecipe(rotation=30))
    assert torch.equal(seen(seen(x, AugmentRecipe(flip=True)), AugmentRecipe(rotation=30)),
                       seen(x, AugmentRecipe(flip=True, rotation=30)))  # fmt: skip
    assert torch.equal(seen(turned, AugmentRecipe(color=0.5)), seen(x, AugmentRecipe(rotation=30, color=0.5)))


def test_what_is_no_batch_of_squares_is_refused():
    with pytest.raises(ShapeError, match=r"square pictures .* got \(2, 3, 4, 5\), 2 rows"):
        seen(torch.zeros(2, 3, 4, 5), RECIPES["all"])
    with pytest.raises(ShapeError, match=r"got \(2, 3, 4, 4\), 3 rows"):
        seen(torch.zeros(2, 3, 4, 4), RECIPES["all"], rows=torch.arange(3))
    with pytest.raises(UsageError, match="low must be below high, got 1 and 0"):
        seen(torch.zeros(2, 3, 4, 4), RECIPES["all"], low=1, high=0)


# What each change does


def test_mirror_images_and_shifts_equal_a_plain_loop():
    x, reach = pictures(), round(0.25 * SIDE)
    found = seen(x, AugmentRecipe(flip=True, crop=0.25)).numpy()
    flip, down, right = (stream(3, "augment", 2).random((3, NUM))[i] for i in range(3))
    for i in range(NUM):
        picture = x[i].numpy()[:, :, ::-1] if flip[i] < 0.5 else x[i].numpy()
        wide = np.pad(picture, ((0, 0), (reach, reach), (reach, reach)), mode="reflect")
        top = reach - round((2 * down[i] - 1) * reach)
        left = reach - round((2 * right[i] - 1) * reach)
        np.testing.assert_array_equal(found[i], wide[:, top : top + SIDE, left : left + SIDE])


def test_half_of_the_pictures_are_mirrored():
    x = pictures(num=1).expand(400, -1, -1, -1)
    same = (seen(x, AugmentRecipe(flip=True), num=400) == x).flatten(1).all(dim=1)
    assert 160 < same.sum() < 240


@given(turn=st.floats(-180, 180), shear=st.floats(-0.5, 0.5), seed=st.integers(0, 99), side=st.sampled_from([8, 9, 16]))
@settings(max_examples=30, deadline=None)
def test_places_are_read_as_scipy_reads_them(turn, shear, seed, side):
    x = pictures(num=1, channels=1, side=side, dtype=torch.float64, seed=seed)
    c, s = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    own = torch.tensor([[[c, s + shear, 0.0], [-s, c, 0.0]]], dtype=torch.float64)
    found = augmenting._affine(x, own)[0, 0].numpy()
    by_rows = np.array([[c, -s], [s + shear, c]])  # scipy counts rows first
    centre = np.full(2, (side - 1) / 2)
    wanted = ndimage.affine_transform(
        x[0, 0].numpy(), by_rows, offset=centre - by_rows @ centre, order=1, mode="mirror"
    )
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("degrees", "quarters"), [(0.0, 0), (90.0, 1), (180.0, 2), (-90.0, 3)])
def test_quarter_turns_are_exact(degrees, quarters):
    x = pictures(dtype=torch.float64)
    found = augmenting._affine(x, augmenting._turned(torch.full((NUM,), degrees, dtype=torch.float64)))
    torch.testing.assert_close(found, x.rot90(-quarters, (2, 3)), rtol=0, atol=1e-12)


def turned_by_scipy(picture, degrees):
    """(C, S, S) turned about its centre; scipy counts rows first."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    by_rows = np.array([[c, -s], [s, c]])
    centre = np.full(2, (picture.shape[-1] - 1) / 2)
    offset = centre - by_rows @ centre
    return np.stack([ndimage.affine_transform(p, by_rows, offset=offset, order=1, mode="mirror") for p in picture])


def test_turns_reach_both_ways_as_far_as_is_asked():
    x = pictures(dtype=torch.float64)
    found = seen(x, AugmentRecipe(rotation=20))
    turns = 20 * (2 * stream(3, "augment rotation", 2).random(NUM) - 1)
    assert turns.min() < -15
    assert turns.max() > 15
    for i in range(NUM):
        np.testing.assert_allclose(found[i].numpy(), turned_by_scipy(x[i].numpy(), turns[i]), rtol=0, atol=1e-9)


COLORS = {
    "_brightness": V.adjust_brightness,
    "_contrast": V.adjust_contrast,
    "_saturation": V.adjust_saturation,
    "_sharpness": V.adjust_sharpness,
}


@pytest.mark.parametrize("name", COLORS)
@settings(deadline=None)
@given(factor=st.floats(0, 2), seed=st.integers(0, 99))
def test_colors_change_as_in_torchvision(name, factor, seed):
    unit = torch.rand(2, 3, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    found = getattr(augmenting, name)(
        unit * (HIGH - LOW) + LOW, torch.full((2,), factor, dtype=torch.float64), LOW, HIGH
    )
    found, wanted = (found - LOW) / (HIGH - LOW), COLORS[name](unit, factor)
    if name == "_sharpness":  # torchvision leaves the edge as it is
        found, wanted = found[..., 1:-1, 1:-1], wanted[..., 1:-1, 1:-1]
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-3)  # torchvision rounds the weights of grey


def test_color_draws_brightness_contrast_and_saturation_for_every_picture():
    x = pictures(num=6, dtype=torch.float64)
    found = seen(x, AugmentRecipe(color=0.4), num=6)
    draws = stream(3, "augment color", 2).random((3, 6))
    for i in range(6):
        wanted = (x[i] - LOW) / (HIGH - LOW)
        for change, draw in zip(list(COLORS.values())[:3], draws, strict=True):
            wanted = change(wanted, 1 + 0.4 * (2 * draw[i] - 1))
        torch.testing.assert_close((found[i] - LOW) / (HIGH - LOW), wanted, rtol=0, atol=1e-3)


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(("low", "high"), [(LOW, HIGH), (0.0, 255.0), (-0.7, 1.1)])
def test_posterising_drops_bits_as_in_torchvision(bits, dtype, low, high):
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(2, 1, 16, 16)
    x = levels.to(dtype) / 255 * (high - low) + low
    found = OPERATIONS["posterize"](x, torch.tensor([1.0, -1.0]) * bits / 4, low, high)
    wanted = V.posterize(levels, 8 - bits)
    torch.testing.assert_close((found - low) / (high - low) * 255, wanted.to(dtype), rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_of_strength_does_something_both_ways_or_says_nothing(name):
    x = pictures(num=2)
    found = OPERATIONS[name](x, torch.tensor([-0.6, 0.6], dtype=torch.float64), LOW, HIGH)
    assert torch.equal(found, x) is (name == "nothing")
    both = OPERATIONS[name](x[:1].expand(2, -1, -1, -1), torch.tensor([-0.6, 0.6], dtype=torch.float64), LOW, HIGH)
    assert torch.equal(both[0], both[1]) is (name in ("nothing", "posterize"))


def test_strength_makes_two_drawn_operations_of_every_picture():
    num, names = 400, list(OPERATIONS)
    x = pictures(num=num, side=8, dtype=torch.float64)
    found = seen(x, AugmentRecipe(strength=0.5), num=num)
    which, sign = zip(*(stream(3, f"augment operation {i}", 2).random((2, num)) for i in range(2)), strict=True)
    counts = dict.fromkeys(names, 0)
    for i in range(num):
        wanted = x[i : i + 1]
        for turn in range(2):
            name = names[int(which[turn][i] * len(names))]
            magnitude = torch.tensor([-0.5 if sign[turn][i] < 0.5 else 0.5], dtype=torch.float64)
            wanted = OPERATIONS[name](wanted, magnitude, LOW, HIGH)
            counts[name] += 1
        torch.testing.assert_close(found[i : i + 1], wanted, rtol=0, atol=1e-12)
    assert 45 < min(counts.values()) <= max(counts.values()) < 105, "800 draws of 11 operations: 73 of each"


# Mixing


def mix(**changes):
    own = {"mixup": 0.0, "cutmix": 0.0, "seed": 1, "epoch": 2, "step": 3, "batch_size": 16, "side": SIDE}
    return draw_mix(**(own | changes))


def test_no_mixing_asked_is_none():
    assert mix() is None
    assert mix(side=None) is None


@given(alpha=st.floats(1e-3, 10), seed=st.integers(0, 99), step=st.integers(0, 99), size=st.integers(1, 20))
def test_mixup_weighs_an_example_and_its_partner(alpha, seed, step, size):
    drawn = mix(mixup=alpha, seed=seed, step=step, batch_size=size)
    assert 0 <= drawn.lam <= 1
    assert drawn.box is None
    assert sorted(drawn.partner.tolist()) == list(range(size))
    x = torch.randn(size, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    before, found = x.clone(), apply_mix(x, drawn)
    for i, j in enumerate(drawn.partner.tolist()):
        torch.testing.assert_close(found[i], drawn.lam * x[i] + (1 - drawn.lam) * x[j], rtol=1e-12, atol=1e-12)
    assert torch.equal(x, before)


@given(alpha=st.floats(1e-3, 10), seed=st.integers(0, 99), step=st.integers(0, 99), side=st.integers(1, 40))
def test_cutmix_pastes_a_box_whose_area_is_the_weight(alpha, seed, step, side):
    drawn = mix(cutmix=alpha, seed=seed, step=step, batch_size=6, side=side)
    top, left, bottom, right = drawn.box
    assert 0 <= top <= bottom <= side
    assert 0 <= left <= right <= side
    ids = torch.arange(6.0)[:, None, None, None].expand(6, 2, side, side)
    found = apply_mix(ids, drawn)
    for i, j in enumerate(drawn.partner.tolist()):
        assert set(found[i].unique().tolist()) <= {float(i), float(j)}
        if i != j:
            assert (found[i] == i).float().mean().item() == pytest.approx(drawn.lam, abs=1e-6)
            assert (found[i, :, top:bottom, left:right] == j).all()
    assert torch.equal(ids[:, 0, 0, 0], torch.arange(6.0))


def test_the_weights_follow_the_beta_distribution():
    lams = np.array([mix(mixup=0.4, step=step).lam for step in range(3000)])
    assert lams.mean() == pytest.approx(0.5, abs=0.03)
    assert lams.var() == pytest.approx(1 / (4 * (2 * 0.4 + 1)), rel=0.06)  # of Beta(a, a)


@given(lam=st.floats(0, 1), side=st.integers(8, 224))
def test_a_box_in_the_middle_has_the_area_that_was_drawn(lam, side):
    top, left, bottom, right = augmenting._box(side, lam, 0.5, 0.5)
    assert bottom - top == right - left
    assert (bottom - top) ** 2 == pytest.approx((1 - lam) * side**2, abs=side + 1)  # to the nearest whole pixel


def test_with_both_a_draw_chooses_one_for_the_step():
    boxes = [mix(mixup=0.2, cutmix=1.0, step=step).box is not None for step in range(400)]
    assert 0.4 < np.mean(boxes) < 0.6


def test_a_mix_depends_on_seed_epoch_and_step_and_its_partners_on_nothing_else():
    one = mix(mixup=0.2)
    again = mix(mixup=0.2)
    assert one.lam == again.lam
    assert torch.equal(one.partner, again.partner)
    for other in ({"seed": 2}, {"epoch": 1}, {"step": 4}):
        changed = mix(mixup=0.2, **other)
        assert changed.lam != one.lam
        assert not torch.equal(changed.partner, one.partner)
    for other in ({"mixup": 3.0}, {"mixup": 0.0, "cutmix": 1.0}, {"mixup": 0.2, "cutmix": 1.0}):
        assert torch.equal(mix(**({"mixup": 0.2} | other)).partner, one.partner)


def test_numbers_of_categories_are_those_of_one_of_the_two_and_never_their_mean():
    x = torch.randint(0, 1000, (4000, 5), generator=torch.Generator().manual_seed(0)).float()
    drawn = mix(mixup=0.8, batch_size=len(x), has_codes=True)
    found, other = apply_mix(x, drawn, codes_from=3), x[drawn.partner]
    torch.testing.assert_close(found[:, :3], drawn.lam * x[:, :3] + (1 - drawn.lam) * other[:, :3])
    keeps = drawn.keeps[:, None]
    assert torch.equal(found[:, 3:], torch.where(keeps, x[:, 3:], other[:, 3:]))
    assert keeps.double().mean().item() == pytest.approx(drawn.lam, abs=0.03)
    assert torch.equal(drawn.partner, mix(mixup=0.8, batch_size=len(x)).partner)


def test_what_cannot_be_mixed_is_refused():
    with pytest.raises(UsageError, match=r"regularize\.cutmix needs pictures, got 0\.5"):
        mix(cutmix=0.5, side=None)
    with pytest.raises(ShapeError, match="need a batch of 16 examples for this mix, got 3"):
        apply_mix(torch.zeros(3, 2), mix(mixup=0.5))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("box", [None, (0, 1, 2, 3)])
def test_mixing_keeps_the_dtype(dtype, box):
    found = apply_mix(torch.ones(2, 1, 4, 4, dtype=dtype), Mix(lam=0.3, partner=torch.tensor([1, 0]), box=box))
    assert found.dtype == dtype
    torch.testing.assert_close(found, torch.ones_like(found), rtol=1e-2, atol=0)


# Noise


def noisy(x, strength=0.5, *, columns=slice(0, 3), **changes):
    return add_noise(x, strength=strength, columns=columns, **({"seed": 1, "epoch": 2, "step": 3} | changes))


def test_noise_has_its_strength_in_its_columns_and_is_nowhere_else():
    x = torch.randn(4000, 5, generator=torch.Generator().manual_seed(0))
    before = x.clone()
    moved = noisy(x, columns=slice(1, 4)) - x
    assert torch.equal(x, before)
    assert not moved[:, [0, 4]].any()
    torch.testing.assert_close(moved[:, 1:4].std(dim=0), torch.full((3,), 0.5), rtol=0.05, atol=0)
    assert moved[:, 1:4].mean().abs() < 0.02
    assert abs(torch.corrcoef(moved[:, 1:4].T)[0, 1]) < 0.06


def test_noise_depends_on_seed_epoch_and_step_and_is_scaled_by_the_strength():
    x = torch.zeros(7, 3, dtype=torch.float64)
    assert torch.equal(noisy(x), noisy(x))
    torch.testing.assert_close(noisy(x, 1.0), 2 * noisy(x, 0.5), rtol=1e-12, atol=0)
    assert noisy(x).dtype == torch.float64
    for other in ({"seed": 2}, {"epoch": 1}, {"step": 4}):
        assert not torch.equal(noisy(x, **other), noisy(x))
    assert noisy(x, 0.0) is x
    assert torch.equal(noisy(x, columns=slice(2, 2)), x)
