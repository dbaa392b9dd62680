"""The laws of every engine on every kind of task, and how units of training pool, save and resume."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tame.core.errors import StoppedError
from tame.core.recipe import Recipe
from tame.core.rng import stream
from tame.parts.backbones import build_backbone, cut
from tame.parts.losses import cross_entropy
from tame.parts.models import MODELS, Head, apply_heads, init_head, init_module
from tame.parts.optimizers import OPTIMIZERS
from tame.store.checkpoints import Checkpoints
from tame.testing import engine_laws
from tame.testing.engine_laws import LAWS, Bench, two_engines_agree
from tame.trial.fast import fold_norms
from tame.trial.pixels import PixelTask, TunedTask, augment
from tame.trial.population import (
    Examples,
    Member,
    Population,
    dropout_noise,
    epoch_batches,
    epoch_order,
    join,
    take,
)  # fmt: skip
from tame.trial.serial import HeadTask, Serial
from tame.trial.stacked import Stacked, group_key, view_draws
from tame.trial.unit import Job, Shelf, Unit, pool

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
NUM, FEATURES, CLASSES, FOLDS = 37, 6, 4, 3


def examples_of(num=NUM, classes=CLASSES, folds=FOLDS):
    """Labels, and folds with one example that is never validated."""
    target = torch.from_numpy(stream(0, "target").integers(classes, size=num))
    fold = torch.arange(num) % folds
    fold[num // 2] = -1
    return Examples(target, fold, classes)


def features_of(examples, *, views=2, dtype=torch.float64, spoilt=()):
    rng = stream(0, "features")
    centres = 2 * rng.normal(size=(examples.num_classes, FEATURES))
    noise = rng.normal(size=(views, len(examples), FEATURES))
    features = torch.from_numpy(centres[examples_of().target.numpy()] + noise)
    features[:, list(spoilt)] = torch.from_numpy(1e3 * stream(1, "spoilt").normal(size=(views, len(spoilt), FEATURES)))
    return features.to(dtype)


def head_recipes(optimizer, hidden):
    """Of one group, in all that may differ between its members."""
    base = Recipe().but(
        {
            "optimizer.name": optimizer,
            "optimizer.lr": 0.02,
            "model.hidden": hidden,
            "batch_size": 5,
            "epochs": 5,
            "seed": 3,
        }
        | {"input.views": 2, "model.dropout": 0.4 if hidden else 0.0}
    )
    others = [
        {"optimizer.lr": 0.01, "schedule.name": "wsd", "schedule.warmup": 0.3, "model.dropout": 0.0},
        {"optimizer.weight_decay": 0.3, "optimizer.momentum": 0.5, "schedule.name": "linear", "epochs": 4},
        {"loss.label_smoothing": 0.2, "optimizer.momentum": 0.0, "schedule.name": "constant", "epochs": 9},
    ]
    return (base, *(base.but(each) for each in others))


def stacked_bench(optimizer, hidden, dtype=torch.float64):
    recipes = head_recipes(optimizer, hidden)
    wild = recipes[0].but({"optimizer.lr": 1e4, "optimizer.weight_decay": 1e4, "epochs": 500})
    tight = dtype == torch.float64
    return Bench(
        make=lambda examples, spoilt: Stacked(features_of(examples, dtype=dtype, spoilt=spoilt), examples),
        examples=examples_of(), recipes=recipes, wild=None if tight else wild, takes_several=True,
        rtol=1e-10 if tight else 1e-5, atol=1e-11 if tight else 1e-5,
    )  # fmt: skip


def serial_bench(optimizer, hidden, dtype=torch.float64):
    """The reference on the same heads, one at a time."""

    def make(examples, spoilt):
        return Serial(HeadTask(features_of(examples, dtype=dtype, spoilt=spoilt), examples, CPU))

    return replace(stacked_bench(optimizer, hidden, dtype), make=make, takes_several=False)


def pictures_of(spoilt=(), num=NUM, size=16):
    """Tiny pictures whose class shows in their colour."""
    rng = stream(0, "pictures")
    colours = rng.integers(60, 200, size=(CLASSES, 3))
    target = examples_of(num).target.numpy()
    pixels = colours[target][:, :, None, None] + rng.normal(0, 25, size=(num, 3, size, size))
    pixels[list(spoilt)] = 255 * stream(1, "spoilt").random((len(spoilt), 3, size, size))
    return torch.from_numpy(pixels.clip(0, 255).astype(np.uint8))


def pixel_bench(model):
    base = Recipe().but(
        {"model.name": model, "model.width": 4, "input.size": 16, "batch_size": 8, "epochs": 5, "seed": 3}
        | {"augment.flip": True, "augment.crop": 0.15, "optimizer.lr": 1e-2, "model.dropout": 0.2, "input.views": 2}
    )
    sgd = base.but({"optimizer.name": "sgd", "schedule.name": "wsd", "schedule.warmup": 0.2, "model.dropout": 0.0})

    def make(examples, spoilt):
        return Serial(PixelTask(pictures_of(spoilt), examples, CPU))

    return Bench(make, examples_of(), (base, sgd), None, takes_several=False, rtol=0, atol=0)


def tiny_backbone(name="mobilenetv2_050"):
    """A network of timm with random weights; its norms have statistics, so that folding them is not trivial."""
    torch.manual_seed(0)
    module = timm.create_model(name, pretrained=False, num_classes=0)
    rng = torch.Generator().manual_seed(1)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.2, generator=rng)
            part.running_var.uniform_(0.5, 1.5, generator=rng)
            part.weight.data.uniform_(0.5, 1.5, generator=rng)
            part.bias.data.normal_(0, 0.2, generator=rng)
    config = {"architecture": name, "input_size": [3, 64, 64]}
    return build_backbone(config, module.state_dict(), name=name, digest="0")


@pytest.fixture(scope="module")
def tuned_bench():
    backbone = tiny_backbone()
    folded = replace(
        backbone, module=fold_norms(backbone.module, torch.linspace(-1, 1, 3 * 64 * 64).view(1, 3, 64, 64))
    )
    lower, upper = cut(folded, 1)
    base = Recipe().but(
        {"model.unfrozen": 1, "batch_size": 8, "epochs": 4, "optimizer.lr": 1e-3, "augment.flip": True, "seed": 3}
        | {"input.size": 32, "input.views": 2, "augment.crop": 0.1}
    )
    num = 21
    heads = {fold: Head(backbone.num_features, CLASSES, hidden=0) for fold in (None, 0, 1, 2)}
    for head in heads.values():
        head.load_state_dict(init_head(backbone.num_features, CLASSES, hidden=0, seed=0))

    def make(examples, spoilt):
        mean, std = torch.full((1, 3, 1, 1), 127.0), torch.full((1, 3, 1, 1), 60.0)
        pixels = pictures_of(spoilt, num, 32)
        return Serial(TunedTask(lower, upper, mean, std, heads, pixels, examples, CPU))

    return Bench(make, examples_of(num), (base,), None, takes_several=False, rtol=0, atol=0)


def two_members(make, *arguments):
    bench = make(*arguments)
    return replace(bench, recipes=bench.recipes[:2])


BENCHES = {
    **{f"stacked {name} {hidden}": (stacked_bench, name, hidden) for name in OPTIMIZERS.names() for hidden in (0, 5)},
    **{f"stacked float32 {name}": (stacked_bench, name, 5, torch.float32) for name in OPTIMIZERS.names()},
    **{f"serial {name}": (two_members, serial_bench, name, 5) for name in OPTIMIZERS.names()},
    **{f"serial {name}": (pixel_bench, name) for name in MODELS.names()},
}


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", BENCHES)
def test_every_engine_keeps_the_law(name, law):
    make, *arguments = BENCHES[name]
    law(make(*arguments))


TUNED_LAWS = [law for law in LAWS if law is not engine_laws.members_of_one_seed_share_their_chance]  # heads are given


@pytest.mark.parametrize("law", TUNED_LAWS, ids=lambda law: law.__name__)
def test_fine_tuning_keeps_the_law(tuned_bench, law):
    law(tuned_bench)


# Two engines ----------------------------------------------------------------------------------------------------------


def head_params(population):
    return {
        name.split(".", 1)[1]: value[0]
        for name, value in population.tensors.items()
        if name.startswith(("param.", "module."))
    }


@pytest.mark.parametrize("hidden", [0, 5])
@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_the_stacked_engine_equals_the_serial_one(name, hidden):
    two_engines_agree(stacked_bench(name, hidden), serial_bench(name, hidden), epochs=5, params=head_params)


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_the_stacked_engine_equals_the_serial_one_in_float32(name):
    fast, slow = (bench(name, 5, torch.float32) for bench in (stacked_bench, serial_bench))
    two_engines_agree(fast, slow, epochs=3, params=head_params)


@given(
    name=st.sampled_from(OPTIMIZERS.names()), hidden=st.sampled_from([0, 3]), batch=st.integers(1, 40),
    views=st.integers(1, 4), dropouts=st.lists(st.floats(0, 0.9), min_size=2, max_size=2), seed=st.integers(0, 50),
)  # fmt: skip
@settings(max_examples=15, deadline=None)
def test_both_engines_agree_at_any_batch_size_views_and_dropout(name, hidden, batch, views, dropouts, seed):
    """Down to batches of one example, of which a member may have none."""
    base = Recipe().but(
        {"optimizer.name": name, "model.hidden": hidden, "batch_size": batch, "input.views": views, "seed": seed}
        | {"epochs": 2, "optimizer.lr": 1e-2}
    )
    recipes = tuple(base.but({"model.dropout": rate}) for rate in dropouts)
    make = lambda examples, _: Stacked(features_of(examples, views=views), examples)  # noqa: E731
    fast = Bench(make, examples_of(), recipes, None, takes_several=True, rtol=1e-9, atol=1e-10)
    one = lambda examples, _: Serial(HeadTask(features_of(examples, views=views), examples, CPU))  # noqa: E731
    two_engines_agree(fast, replace(fast, make=one, takes_several=False), epochs=2, params=head_params)


def test_recipes_that_see_other_inputs_are_not_trained_in_one_group():
    base = Recipe()
    for change in (
        {"input.size": 96}, {"input.views": 2}, {"input.crop": 0.5}, {"model.hidden": 8}, {"batch_size": 8},
        {"optimizer.name": "sgd"}, {"seed": 1},
    ):  # fmt: skip
        assert group_key(base.but(change)) != group_key(base)
    for change in ({"optimizer.lr": 1.0}, {"model.dropout": 0.5}, {"schedule.name": "wsd"}, {"epochs": 3}):
        assert group_key(base.but(change)) == group_key(base)


# Common random numbers ------------------------------------------------------------------------------------------------


def test_an_epoch_sees_every_example_once_in_an_order_of_its_own():
    batches = epoch_batches(5, 1, 23, 6)
    assert [len(rows) for rows in batches] == [6, 6, 6, 5]
    assert torch.cat(batches).sort().values.tolist() == list(range(23))
    assert not torch.equal(epoch_order(5, 1, 23), epoch_order(5, 2, 23))
    assert not torch.equal(epoch_order(5, 1, 23), epoch_order(6, 1, 23))
    assert torch.equal(torch.cat(epoch_batches(5, 1, 23, 4)), torch.cat(batches)), (
        "the order is not that of the batch size"
    )


def test_views_are_drawn_evenly_for_each_example_and_epoch():
    recipe = Recipe().but({"input.views": 3})
    draws = torch.stack([view_draws(recipe, epoch, 500) for epoch in range(20)])
    assert set(draws.flatten().tolist()) == {0, 1, 2}
    assert (torch.bincount(draws.flatten()) / draws.numel() - 1 / 3).abs().max() < 0.02
    assert not view_draws(Recipe(), 1, 10).any()


def test_dropout_keeps_units_by_one_draw_that_each_member_compares_with_its_own_rate():
    rates = torch.tensor([0.0, 0.3, 0.6, 0.6])
    noise = dropout_noise(0, 1, 2, (50, 40))
    assert torch.equal(noise, dropout_noise(0, 1, 2, (50, 40)))
    assert not torch.equal(noise, dropout_noise(0, 1, 3, (50, 40)))
    one = {
        "mid.weight": torch.ones(40, 1),
        "mid.bias": torch.zeros(40),
        "out.weight": torch.eye(40),
        "out.bias": torch.zeros(40),
    }
    params = {name: value.expand(4, *value.shape).contiguous() for name, value in one.items()}
    found = apply_heads(params, torch.ones(50, 1), dropout=rates, noise=noise)
    kept = found > 0
    assert kept[0].all()
    assert torch.equal(kept[2], kept[3])
    assert (kept[1] | ~kept[2]).all(), "what is kept at a high rate is kept at a lower one"
    assert (kept.float().mean(dim=(1, 2)) - (1 - rates)).abs().max() < 0.03
    torch.testing.assert_close(found[1][kept[1]], torch.full((int(kept[1].sum()),), 1 / 0.7))
    head = Head(1, 40, hidden=40, dropout=0.3)
    head.load_state_dict(one)
    torch.testing.assert_close(head(torch.ones(50, 1), noise), found[1])


@pytest.mark.parametrize("name", MODELS.names())
def test_a_network_starts_from_its_seed_alone(name):
    recipe = Recipe().but({"model.width": 4}).model

    def built(noise, seed):
        torch.manual_seed(noise)
        module = MODELS.get(name)(recipe, CLASSES)
        init_module(module, seed=seed)
        return module.state_dict()

    first, again, other = built(0, 7), built(1, 7), built(0, 8)
    for key, value in first.items():
        assert torch.equal(value, again[key]), f"{key} does not come from the seed"
    assert any(not torch.equal(value, other[key]) for key, value in first.items())


@pytest.mark.parametrize("size", [16, 33])
@pytest.mark.parametrize("name", MODELS.names())
def test_a_network_gives_logits_at_any_input_size(name, size):
    module = MODELS.get(name)(Recipe().but({"model.width": 4}).model, CLASSES).eval()
    assert module(torch.zeros(2, 3, size, size)).shape == (2, CLASSES)


# Augmentation ---------------------------------------------------------------------------------------------------------


def test_augmentation_depends_on_seed_epoch_and_example_alone():
    recipe = Recipe().but({"augment.flip": True, "augment.crop": 0.2, "seed": 4})
    x = pictures_of().float()
    rows = torch.arange(NUM)
    whole = augment(x, recipe, 3, rows, NUM)
    assert torch.equal(whole, augment(x, recipe, 3, rows, NUM))
    some = torch.tensor([30, 2, 11])
    assert torch.equal(augment(x[some], recipe, 3, some, NUM), whole[some]), "not on the batch an example comes in"
    other = recipe.but({"optimizer.lr": 1.0, "batch_size": 3})
    assert torch.equal(augment(x, other, 3, rows, NUM), whole)
    assert not torch.equal(augment(x, recipe, 4, rows, NUM), whole)
    assert not torch.equal(augment(x, recipe.but({"seed": 5}), 3, rows, NUM), whole)
    assert torch.equal(augment(x, Recipe(), 3, rows, NUM), x), "no augmentation, no change"


def test_half_of_the_pictures_are_mirrored():
    x = stream(0, "x").normal(size=(400, 1, 4, 4))
    x = torch.from_numpy(x)
    found = augment(x, Recipe().but({"augment.flip": True}), 1, torch.arange(400), 400)
    same = (found == x).flatten(1).all(dim=1)
    mirrored = (found == x.flip(3)).flatten(1).all(dim=1)
    assert (same ^ mirrored).all()
    assert 160 < mirrored.sum() < 240


def test_shifts_move_by_whole_pixels_and_mirror_what_they_uncover():
    x = torch.from_numpy(stream(0, "x").normal(size=(60, 2, 10, 10)))
    found = augment(x, Recipe().but({"augment.crop": 0.3}), 1, torch.arange(60), 60)
    padded = nn.functional.pad(x, (3, 3, 3, 3), mode="reflect")
    moves = set()
    for i in range(60):
        fits = [
            (down, right)
            for down in range(-3, 4)
            for right in range(-3, 4)
            if torch.equal(found[i], padded[i, :, 3 - down : 13 - down, 3 - right : 13 - right])
        ]
        assert len(fits) == 1
        moves.add(fits[0])
    assert {down for down, _ in moves} == {right for _, right in moves} == set(range(-3, 4))


# Units, shelves and populations ---------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 3), min_size=1, max_size=6))
def test_taking_and_joining_are_inverse(keep):
    population = Stacked(features_of(examples_of()), examples_of()).start(stacked_bench("adamw", 5).members())
    chosen = take(population, keep)
    assert [m.trial for m in chosen.members] == keep
    again = join([take(chosen, [i]) for i in range(len(keep))])
    assert again.members == chosen.members
    for name, value in chosen.tensors.items():
        assert torch.equal(again.tensors[name], value)
        assert torch.equal(value, population.tensors[name][keep])


def run_unit(engine, jobs, folds, until, shelf, examples, *, metric="accuracy", keep_all=True):
    rows = {}
    unit = Unit(engine, jobs, folds, examples, metric, shelf, keep_all)
    unit.advance(until=until, emit=lambda trial, row: rows.__setitem__((trial, row[0]), row), saved=lambda: None)
    return rows


def test_a_curve_is_pooled_over_the_folds(tmp_path):
    """Against a plain loop over members trained alone, each example judged by the one that had not seen it."""
    examples, recipes = examples_of(), head_recipes("adamw", 5)[:2]
    engine = Stacked(features_of(examples), examples)
    jobs = [Job(4, recipes[0]), Job(9, recipes[1])]
    rows = run_unit(engine, jobs, [0, 1, 2], 3, Shelf(Checkpoints(tmp_path)), examples)
    for job in jobs:
        for epoch in (1, 2, 3):
            losses, right, train = [], [], []
            for fold in range(FOLDS):
                seen = []
                start = engine.start([Member(0, fold, job.recipe)])
                engine.advance(start, until=epoch, watch=lambda _, measured, seen=seen: seen.append(measured))
                train.append(float(seen[-1].train_loss[0]))
                for logits, row in zip(seen[-1].logits[0].double(), seen[-1].rows, strict=True):
                    label = examples.target[row]
                    losses.append(-float(torch.log_softmax(logits, 0)[label]))
                    right.append(int(logits.argmax() == label))
            assert len(losses) == NUM - 1, "every example that is validated counts once"
            _, train_loss, valid_loss, metric = rows[job.trial, epoch]
            assert train_loss == pytest.approx(np.mean(train), rel=1e-6)
            assert valid_loss == pytest.approx(np.mean(losses), rel=1e-5)
            assert metric == pytest.approx(np.mean(right), abs=1e-6)


def test_both_engines_give_the_same_curve_over_folds_and_all_examples(tmp_path):
    """As a finalist is trained: a member for each fold and one on all examples, which is not validated."""
    examples, recipe = examples_of(), head_recipes("sgd", 5)[0]
    stacked = Stacked(features_of(examples), examples)
    serial = Serial(HeadTask(features_of(examples), examples, CPU))
    folds = [0, 1, 2, None]
    one = run_unit(stacked, [Job(0, recipe)], folds, 3, Shelf(Checkpoints(tmp_path / "a")), examples)
    other = run_unit(serial, [Job(0, recipe)], folds, 3, Shelf(Checkpoints(tmp_path / "b")), examples)
    assert one.keys() == other.keys()
    for key, row in one.items():
        assert row == pytest.approx(other[key], rel=1e-5)


def test_a_unit_of_a_diverged_and_a_calm_trial_keeps_the_calm_one(tmp_path):
    bench = stacked_bench("sgd", 0, torch.float32)
    rows = run_unit(
        bench.engine(),
        [Job(0, bench.recipes[0]), Job(1, bench.wild)],
        [0, 1, 2],
        4,
        Shelf(Checkpoints(tmp_path)),
        bench.examples,
    )
    alone = run_unit(
        bench.engine(), [Job(0, bench.recipes[0])], [0, 1, 2], 4, Shelf(Checkpoints(tmp_path / "b")), bench.examples
    )
    assert rows[1, 4][1:] == [None, None, None]
    assert all(math.isfinite(value) for epoch in range(1, 5) for value in rows[0, epoch])
    for epoch in range(1, 5):
        assert rows[0, epoch] == pytest.approx(alone[0, epoch], rel=1e-5)


def test_a_stop_while_points_are_told_loses_none_of_them(tmp_path):
    """The first point that is told meets the stop; the points of the others were measured as well."""
    bench = stacked_bench("adamw", 0)
    jobs = [Job(i, recipe) for i, recipe in enumerate(bench.recipes)]
    straight = run_unit(bench.engine(), jobs, [0, 1, 2], 4, Shelf(Checkpoints(tmp_path / "straight")), bench.examples)
    for epoch in (1, 2, 4):
        folder = tmp_path / f"stopped{epoch}"

        def stop(trial, row, epoch=epoch):
            if row[0] == epoch:
                raise StoppedError("stopped by the user")

        unit = Unit(
            bench.engine(), jobs, [0, 1, 2], bench.examples, "accuracy", Shelf(Checkpoints(folder)), keep_all=False
        )
        with pytest.raises(StoppedError):
            unit.advance(until=4, emit=stop, saved=lambda: None)
        after = run_unit(bench.engine(), jobs, [0, 1, 2], 4, Shelf(Checkpoints(folder)), bench.examples)
        assert after == straight


def test_survivors_go_on_from_the_checkpoint_of_a_larger_unit(tmp_path):
    """After a kill between rungs: two of four trials are told to go on, in another order."""
    bench = stacked_bench("sgd", 5)
    jobs = [Job(i, recipe) for i, recipe in enumerate(bench.recipes)]
    straight = run_unit(bench.engine(), jobs, [0, 1, 2], 4, Shelf(Checkpoints(tmp_path / "a")), bench.examples)
    run_unit(bench.engine(), jobs, [0, 1, 2], 2, Shelf(Checkpoints(tmp_path / "b")), bench.examples)
    shelf = Shelf(Checkpoints(tmp_path / "b"))
    rows = run_unit(bench.engine(), [jobs[3], jobs[1]], [0, 1, 2], 4, shelf, bench.examples)
    assert set(rows) == {(trial, epoch) for trial in (1, 3) for epoch in range(1, 5)}
    for key, row in rows.items():
        assert row == pytest.approx(straight[key], rel=1e-6)
    shelf.forget([0, 2], keep=[1, 3])
    assert shelf.get(jobs[1], 0).epoch == 4
    shelf.forget([0, 1, 2, 3], keep=[])
    assert Checkpoints(tmp_path / "b").names() == []
    assert shelf.get(jobs[1], 0) is None


def test_a_unit_whose_members_are_apart_starts_again(tmp_path):
    bench = stacked_bench("sgd", 0)
    job = Job(0, bench.recipes[0])
    straight = run_unit(bench.engine(), [job], [0, 1], 3, Shelf(Checkpoints(tmp_path / "a")), bench.examples)
    shelf = Shelf(Checkpoints(tmp_path / "b"))
    for fold, until in ((0, 1), (1, 2)):
        engine = bench.engine()
        shelf.put(engine.advance(engine.start([Member(0, fold, job.recipe)]), until=until, watch=lambda *_: None))
    assert run_unit(bench.engine(), [job], [0, 1], 3, shelf, bench.examples) == straight


def test_a_shelf_gives_what_was_put_and_nothing_else(tmp_path):
    bench = stacked_bench("adamw", 5)
    engine = bench.engine()
    population = engine.start([Member(2, 0, bench.recipes[0]), Member(2, None, bench.recipes[0])])
    shelf = Shelf(Checkpoints(tmp_path))
    assert shelf.get(Job(2, bench.recipes[0]), 0) is None
    shelf.put(population)
    found = shelf.get(Job(2, bench.recipes[0]), None)
    assert found.members == population.members[1:]
    for name, value in population.tensors.items():
        assert torch.equal(found.tensors[name], value[1:])
    assert shelf.get(Job(2, bench.recipes[0]), 1) is None
    assert shelf.get(Job(3, bench.recipes[0]), 0) is None


def test_members_on_all_examples_alone_show_no_validation(tmp_path):
    bench = stacked_bench("adamw", 0)
    rows = run_unit(bench.engine(), [Job(0, bench.recipes[0])], [None], 1, Shelf(Checkpoints(tmp_path)), bench.examples)
    assert rows[0, 1][2:] == [None, None]
    assert rows[0, 1][1] > 0


def test_pooled_logits_are_those_of_the_member_that_had_not_seen_the_example():
    examples = examples_of()
    rows = (examples.fold >= 0).nonzero().squeeze(1)
    logits = torch.arange(2 * FOLDS).view(-1, 1, 1).expand(-1, len(rows), CLASSES).float()
    measured = engine_laws.Measured(1, torch.zeros(2 * FOLDS), logits, rows)
    found, where = pool([measured], [0, 1, 2], examples)
    assert torch.equal(where, rows)
    assert torch.equal(found[0, :, 0], examples.fold[rows].float())
    assert torch.equal(found[1, :, 0], examples.fold[rows].float() + FOLDS)


def test_validation_loss_of_logits_is_the_plain_one():
    logits = torch.from_numpy(stream(0, "logits").normal(size=(1, 9, 3)))
    target = torch.arange(9) % 3
    found = cross_entropy(logits, target, label_smoothing=torch.zeros(1, dtype=torch.float64)).mean()
    assert float(found) == pytest.approx(float(nn.functional.cross_entropy(logits[0], target)))


def test_a_population_is_a_value():
    population = Population((Member(0, None, Recipe()),), {"x": torch.zeros(1)})
    later = population.at(3, {"x": torch.ones(1)})
    assert (population.epoch, later.epoch, later.members) == (0, 3, population.members)


def test_the_reference_rehearses_without_being_moved():
    bench = pixel_bench("cnn")
    engine = bench.engine()
    assert 0 < engine.rehearse(bench.members()[0]) < 60
