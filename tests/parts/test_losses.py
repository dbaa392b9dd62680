"""The laws of every loss, what torch says of those it has, and the checks that come before training."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from tame.core.errors import ShapeError, UsageError
from tame.core.recipe import LossRecipe
from tame.parts.loss_checks import check_loss, check_outputs, unused_settings
from tame.parts.losses import (
    LOSSES,
    NUMBERS,
    TASKS,
    LossHyper,
    average_loss,
    average_loss_and_slope,
    cross_entropy_of,
    loss_hyper,
    mean_loss,
)
from tame.testing.loss_laws import LAWS, LOOPS, cases, equals_a_plain_loop

pytestmark = pytest.mark.usefixtures("one_thread")

DOUBLE = torch.zeros(0, dtype=torch.float64)


def hyper_of(*recipes: LossRecipe, counts=None, costs=None, like=DOUBLE) -> LossHyper:
    return loss_hyper(recipes or [LossRecipe()], class_counts=counts, costs=costs, like=like)


def each(name: str, outputs, target, hyper: LossHyper | None = None):
    return LOSSES.get(name).each(outputs, target, hyper or hyper_of(*[LossRecipe()] * len(outputs), like=outputs))


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", LOSSES.names())
def test_every_loss_keeps_the_law(name, law):
    law(LOSSES.get(name))


@pytest.mark.parametrize("name", LOSSES.names())
def test_every_loss_equals_a_plain_loop(name):
    equals_a_plain_loop(LOSSES.get(name), LOOPS[name])


@pytest.mark.parametrize("weighed", [False, True])
@pytest.mark.parametrize("name", LOSSES.names())
def test_a_slope_is_the_gradient_of_the_average(name, weighed):
    loss = LOSSES.get(name)
    for case in cases(loss):
        for smooths in (True, False):
            hyper = case.hyper if smooths else replace(case.hyper, label_smoothing=0 * case.hyper.label_smoothing)
            weight = None
            if weighed:
                weight = (torch.arange(case.outputs[..., 0].numel()) % 3).view(case.outputs.shape[:2]).double()
                weight[0] = 0  # a member without an example
                balance = torch.arange(1.0, 1 + case.num_classes).double().expand(len(weight), -1)
                hyper = replace(hyper, class_weights=balance if case.num_classes else None)
            leaf = case.outputs.clone().requires_grad_()
            wanted = average_loss(loss, leaf, case.target, hyper, weight=weight)
            (along,) = torch.autograd.grad(wanted.sum(), leaf)
            found = average_loss_and_slope(loss, case.outputs, case.target, hyper, weight=weight, smooths=smooths)
            torch.testing.assert_close(found[0], wanted.detach(), rtol=1e-10, atol=1e-12)
            torch.testing.assert_close(found[1], along, rtol=1e-9, atol=1e-12)


@given(
    seed=st.integers(0, 10_000),
    members=st.integers(1, 4),
    batch=st.integers(1, 9),
    classes=st.integers(2, 7),
    smoothing=st.floats(0, 0.99),
    scale=st.floats(0.1, 50),
    rows=st.booleans(),
)
def test_cross_entropy_equals_that_of_torch(seed, members, batch, classes, smoothing, scale, rows):
    chance = torch.Generator().manual_seed(seed)
    outputs = scale * torch.randn(members, batch, classes, dtype=torch.float64, generator=chance)
    target = torch.randint(classes, (batch,), generator=chance)
    if rows:
        target = torch.softmax(torch.randn(batch, classes, dtype=torch.float64, generator=chance), dim=1)
    recipes = [LossRecipe(label_smoothing=smoothing * i / members) for i in range(members)]
    found = each("cross_entropy", outputs, target, hyper_of(*recipes))
    for i, recipe in enumerate(recipes):
        wanted = F.cross_entropy(outputs[i], target, label_smoothing=recipe.label_smoothing, reduction="none")
        torch.testing.assert_close(found[i], wanted, rtol=1e-12, atol=1e-12)  # float64


BY_TORCH = {
    "mse": lambda out, y, recipe: F.mse_loss(out, y, reduction="none"),
    "mae": lambda out, y, recipe: F.l1_loss(out, y, reduction="none"),
    "huber": lambda out, y, recipe: F.huber_loss(out, y, delta=recipe.delta, reduction="none"),
    "poisson": lambda out, y, recipe: F.poisson_nll_loss(out, y, log_input=True, reduction="none"),
}


@pytest.mark.parametrize("name", BY_TORCH)
@given(seed=st.integers(0, 10_000), deltas=st.lists(st.floats(0.01, 10), min_size=1, max_size=4))
def test_losses_of_numbers_equal_those_of_torch(name, seed, deltas):
    chance = torch.Generator().manual_seed(seed)
    recipes = [LossRecipe(delta=delta) for delta in deltas]
    outputs = 3 * torch.randn(len(recipes), 8, 1, dtype=torch.float64, generator=chance)
    target = torch.randint(5, (8,), generator=chance).double()
    found = each(name, outputs, target, hyper_of(*recipes))
    for i, recipe in enumerate(recipes):
        wanted = BY_TORCH[name](outputs[i, :, 0], target, recipe)
        torch.testing.assert_close(found[i], wanted, rtol=1e-12, atol=1e-12)  # float64


@given(seed=st.integers(0, 10_000), smoothing=st.floats(0, 0.9))
def test_losses_of_two_classes_equal_those_of_torch(seed, smoothing):
    chance = torch.Generator().manual_seed(seed)
    outputs = 5 * torch.randn(1, 8, 1, dtype=torch.float64, generator=chance)
    target = torch.randint(2, (8,), generator=chance)
    hyper = hyper_of(LossRecipe(label_smoothing=smoothing))
    found = each("binary_cross_entropy", outputs, target, hyper)
    soft = (1 - smoothing) * target.double() + smoothing / 2
    wanted = F.binary_cross_entropy_with_logits(outputs[0, :, 0], soft, reduction="none")
    torch.testing.assert_close(found[0], wanted, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(each("logistic", outputs, target, hyper), found, rtol=1e-12, atol=1e-12)
    two = each("cross_entropy", LOSSES.get("binary_cross_entropy").predict(outputs), target, hyper)
    torch.testing.assert_close(two, found, rtol=1e-12, atol=1e-12)
    margin = F.soft_margin_loss(outputs[0, :, 0], 2.0 * target - 1, reduction="none")
    torch.testing.assert_close(each("logistic", outputs, target)[0], margin, rtol=1e-9, atol=1e-12)


@given(seed=st.integers(0, 10_000))
def test_kl_divergence_equals_that_of_torch_and_is_zero_at_the_target(seed):
    chance = torch.Generator().manual_seed(seed)
    outputs = 3 * torch.randn(1, 8, 4, dtype=torch.float64, generator=chance)
    target = torch.softmax(2 * torch.randn(8, 4, dtype=torch.float64, generator=chance), dim=1)
    wanted = F.kl_div(F.log_softmax(outputs[0], dim=1), target, reduction="none").sum(dim=1)
    torch.testing.assert_close(each("kl_divergence", outputs, target)[0], wanted, rtol=1e-12, atol=1e-12)
    assert each("kl_divergence", target.log()[None], target).abs().max() < 1e-14


@given(seed=st.integers(0, 10_000), scale=st.floats(0.1, 30))
def test_focal_without_gamma_and_equal_costs_are_cross_entropy(seed, scale):
    chance = torch.Generator().manual_seed(seed)
    outputs = scale * torch.randn(1, 8, 5, dtype=torch.float64, generator=chance)
    target = torch.randint(5, (8,), generator=chance)
    wanted = cross_entropy_of(outputs, target)
    found = each("focal", outputs, target, hyper_of(LossRecipe(gamma=0)))
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    found = each("cost_sensitive", outputs, target, hyper_of(costs=1 - torch.eye(5)))
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


def test_focal_down_weights_easy_examples():
    logits = torch.tensor([0.9, 0.1]).double().log().expand(1, 2, 2)
    found = each("focal", logits, torch.tensor([0, 1]), hyper_of(LossRecipe(gamma=2)))
    assert found[0].tolist() == pytest.approx([-0.01 * math.log(0.9), -0.81 * math.log(0.1)])


def test_a_confusion_that_costs_nothing_is_not_penalised():
    costs = torch.tensor([[0.0, 0, 3], [1, 0, 1], [1, 1, 0]])
    outputs = torch.tensor([[[0.0, 9, -2]]]).double().requires_grad_()
    found = each("cost_sensitive", outputs, torch.tensor([0]), hyper_of(costs=costs))
    assert found.item() == pytest.approx(math.log1p(3 * math.exp(-2)))
    (grad,) = torch.autograd.grad(found.sum(), outputs)
    assert grad[0, 0, 1] == 0
    assert grad[0, 0, 2] > 0


def test_log_cosh_keeps_its_digits_near_and_far():
    outputs = torch.tensor([-1e4, -20.5, -1e-3, 0, 1e-3, 20.5, 1e4], dtype=torch.float64)
    found = each("log_cosh", outputs[None, :, None], torch.zeros(7).double())[0]
    far = [abs(x) - math.log(2) for x in (1e4, 20.5)]
    near = math.log(math.cosh(1e-3))
    assert found.tolist() == pytest.approx([*far, near, 0, near, *far[::-1]], rel=1e-12, abs=1e-15)


def test_the_least_quantile_loss_is_at_the_quantile():
    target = torch.arange(101).double()
    outputs = torch.arange(101).double()
    for share in (0.1, 0.5, 0.9):
        hyper = hyper_of(*[LossRecipe(quantile=share)] * 101)
        found = mean_loss("quantile", outputs[:, None, None].expand(-1, 101, 1), target, hyper)
        assert outputs[found.argmin()] == pytest.approx(100 * share)


def test_balanced_weights_average_as_torch_does():
    chance = torch.Generator().manual_seed(3)
    counts = torch.tensor([10, 80, 0, 10])
    outputs = torch.randn(2, 30, 4, dtype=torch.float64, generator=chance)
    target = torch.randint(4, (30,), generator=chance)
    hyper = hyper_of(LossRecipe(class_weights="balanced"), LossRecipe(), counts=counts)
    weights = torch.tensor([2.5, 100 / 320, 25, 2.5]).double()
    assert hyper.class_weights.tolist() == [weights.tolist(), [1, 1, 1, 1]]
    found = mean_loss("cross_entropy", outputs, target, hyper)
    wanted = [F.cross_entropy(outputs[0], target, weight=weights), F.cross_entropy(outputs[1], target)]
    torch.testing.assert_close(found, torch.stack(wanted), rtol=1e-12, atol=1e-12)
    assert hyper_of(LossRecipe(), counts=counts).class_weights is None


def test_balanced_weights_follow_the_counts_of_each_member():
    recipes = [LossRecipe(class_weights="balanced")] * 2
    hyper = hyper_of(*recipes, counts=torch.tensor([[1, 3], [2, 2]]))
    assert hyper.class_weights.tolist() == [[2, pytest.approx(2 / 3)], [1, 1]]


def test_settings_take_the_dtype_of_what_they_are_used_on():
    recipe = LossRecipe(label_smoothing=0.1, delta=2, quantile=0.9, gamma=3, class_weights="balanced")
    hyper = hyper_of(recipe, counts=torch.tensor([1, 1]), costs=1 - torch.eye(2), like=torch.zeros(1))
    values = (hyper.label_smoothing, hyper.delta, hyper.quantile, hyper.gamma, hyper.class_weights, hyper.costs)
    assert [value.dtype for value in values] == [torch.float32] * 6
    assert [round(value.item(), 6) for value in values[:4]] == [0.1, 2, 0.9, 3]


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(UsageError, match="class_weights balanced needs classes"):
        hyper_of(LossRecipe(class_weights="balanced"))
    for costs in ([[0.0, 1]], [[1.0, 1], [1, 0]], [[0.0, -1], [1, 0]], [[0.0, math.inf], [1, 0]]):
        with pytest.raises(ShapeError, match=r"costs must be \(C, C\)"):
            hyper_of(costs=torch.tensor(costs))
    with pytest.raises(ShapeError, match=r"cost_sensitive on 3 classes needs costs \(3, 3\), got \(2, 2\)"):
        each("cost_sensitive", torch.zeros(1, 2, 3), torch.tensor([0, 1]), hyper_of(costs=1 - torch.eye(2)))
    with pytest.raises(ShapeError, match="got None"):
        each("cost_sensitive", torch.zeros(1, 2, 3), torch.tensor([0, 1]))


@pytest.mark.parametrize(
    ("name", "outputs", "target", "message"),
    [
        ("cross_entropy", torch.zeros(2, 3, 4), torch.zeros(2).long(), r"got \(2, 3, 4\) and \(2,\) int64"),
        ("cross_entropy", torch.zeros(3, 4), torch.zeros(3).long(), r"need outputs \(M, B, O\)"),
        ("cross_entropy", torch.zeros(1, 3, 4), torch.zeros(3), r"\(B,\) int64 or \(B, C\) probabilities, .* float32"),
        ("cross_entropy", torch.zeros(1, 3, 4), torch.zeros(3, 5), r"got \(1, 3, 4\) and \(3, 5\)"),
        ("hinge", torch.zeros(1, 3, 4), torch.zeros(3, 4), r"target \(B,\) int64, got"),
        ("kl_divergence", torch.zeros(1, 3, 4), torch.zeros(3).long(), r"target \(B, C\) probabilities, got"),
        ("mse", torch.zeros(1, 3, 4), torch.zeros(3), r"need outputs \(M, B, K\) and target \(B, K\)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused_with_their_shapes(name, outputs, target, message):
    with pytest.raises(ShapeError, match=message):
        mean_loss(name, outputs, target, hyper_of(like=outputs))


def test_an_unknown_loss_is_refused_with_the_nearest_name():
    with pytest.raises(UsageError, match="did you mean 'cross_entropy'"):
        mean_loss("crossentropy", torch.zeros(1, 2, 3), torch.zeros(2).long(), hyper_of())


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", LOSSES.names())
def test_a_loss_is_checked_against_the_task(name, task):
    num_classes = {"binary": 2, "multiclass": 3, "distribution": 3}.get(task, 0)
    check = {"task": task, "num_classes": num_classes, "has_costs": True}
    if task in LOSSES.get(name).tasks:
        check_loss(LossRecipe(name=name), **check)
    else:
        with pytest.raises(UsageError, match=f"^{name} needs .*, but the target has .*; use ") as caught:
            check_loss(LossRecipe(name=name), **check)
        use = str(caught.value).rpartition("use ")[2].partition(",")[0]
        check_loss(LossRecipe(name=use), **check)


@pytest.mark.parametrize(
    ("recipe", "task", "message"),
    [
        (LossRecipe(name="mse"), "multiclass", "^mse needs numbers, but the target has 3 classes; use cross_entropy$"),
        (
            LossRecipe(),
            "regression",
            '^cross_entropy needs classes, but the target has numbers; use mse, or give task="classification" if each',
        ),
        (
            LossRecipe(name="logistic"),
            "multiclass",
            "^logistic needs 2 classes, but the target has 3 classes; use cross",
        ),
        (LossRecipe(name="poisson"), "regression", "^poisson needs counts, but the target has numbers; use mse$"),
        (LossRecipe(name="hing"), "multiclass", "no loss named 'hing'; did you mean 'hinge'"),
        (LossRecipe(name="cost_sensitive"), "multiclass", "cost_sensitive needs costs: set loss.costs to a CSV file"),
        (LossRecipe(name="mse", class_weights="balanced"), "regression", "balanced needs classes, .* leave it at none"),
        (LossRecipe(), "multiclas", "no task named 'multiclas'; did you mean 'multiclass'"),
    ],
)
def test_a_loss_that_cannot_be_trained_is_refused_with_the_fix(recipe, task, message):
    with pytest.raises(UsageError, match=message):
        check_loss(recipe, task=task, num_classes=3, has_costs=False)


def test_settings_that_do_nothing_are_named():
    told = {
        "label_smoothing": 0.1,
        "class_weights": "balanced",
        "delta": 2,
        "quantile": 0.1,
        "gamma": 1,
        "costs": "a>b=2",
    }
    assert unused_settings(LossRecipe(**told)) == ("delta", "quantile", "gamma", "costs")
    assert unused_settings(LossRecipe(name="huber", **told)) == tuple(n for n in told if n != "delta")
    assert unused_settings(LossRecipe(name="mse")) == ()


@pytest.mark.parametrize("name", LOSSES.names())
def test_outputs_and_targets_that_fit_pass_the_check(name):
    for case in cases(LOSSES.get(name)):
        check_outputs(name, case.outputs[0][:0], case.target[:0], num_classes=case.num_classes)
        check_outputs(name, case.outputs[0], case.target, num_classes=case.num_classes, ends_in="Linear")
        zeros = torch.zeros_like(case.outputs[0])  # as from a last layer that begins at 0
        check_outputs(name, zeros, case.target, num_classes=case.num_classes)


LABELS = torch.arange(6) % 3
PLAIN = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
ROWS = torch.softmax(PLAIN, dim=1)
NUMBER = torch.linspace(-1, 1, 6)


@pytest.mark.parametrize(
    ("name", "outputs", "target", "message"),
    [
        ("cross_entropy", (PLAIN, None), LABELS, r"returns a tuple of 2, cross_entropy needs one tensor \(B, O\)"),
        ("cross_entropy", {"logits": PLAIN}, LABELS, "returns a dict, cross_entropy needs one tensor"),
        ("cross_entropy", PLAIN.argmax(dim=1), LABELS, "returns int64, but cross_entropy needs real numbers"),
        ("cross_entropy", PLAIN[:, :, None], LABELS, r"shape \(6, 3, 1\), .* needs \(B, 3\): flatten or pool"),
        ("mse", NUMBER, NUMBER, r"shape \(6,\), but mse needs \(B, 1\): keep the last dimension"),
        ("cross_entropy", PLAIN[:2], LABELS, "2 rows for 6 examples"),
        ("cross_entropy", PLAIN[:, :1], LABELS, "returns 1 output, but cross_entropy on 3 classes needs 3: change the"),
        ("mse", PLAIN, NUMBER, "returns 3 outputs, but mse needs 1: change the last layer"),
        ("mse", PLAIN[:, :2], PLAIN, "returns 2 outputs, but mse needs 3"),
        ("cross_entropy", PLAIN.log(), LABELS, "NaN or infinity for [1-6] of 6 examples"),
        ("cross_entropy", ROWS, LABELS, "already returns probabilities, but cross_entropy needs logits: remove the"),
        ("focal", ROWS.half(), LABELS, "remove the softmax"),
        ("cross_entropy", ROWS.log(), LABELS, None),
        ("mse", torch.full((6, 1), 1.0), NUMBER, None),
        (
            "kl_divergence",
            PLAIN,
            LABELS,
            r"needs rows of probabilities \(B, 3\), the target is \(6,\) int64; .* cross_e",
        ),
        ("hinge", PLAIN, ROWS, r"hinge needs class numbers \(B,\), but the target has rows \(6, 3\); use"),
        ("cross_entropy", PLAIN, ROWS[:, :2], "on 3 classes needs rows of 3 probabilities, but the target's have 2"),
        ("cross_entropy", PLAIN, PLAIN, "must be probabilities: 0 or more, with a sum of 1"),
        (
            "cross_entropy",
            PLAIN,
            NUMBER,
            r"needs class numbers \(B,\) int64, but the target is \(6,\) float32; .* use mse",
        ),
        ("cross_entropy", PLAIN, LABELS + 1, "class numbers must be 0 to 2, but the target's are 1 to 3"),
        ("mse", NUMBER[:, None], NUMBER.log(), "the target has NaN or infinity"),
        ("poisson", NUMBER[:, None], NUMBER, "poisson needs counts, but the lowest target is -1; use mse"),
        ("mse", NUMBER[:, None], [1.0] * 6, "the target must be a tensor, got a list"),
    ],
)
def test_outputs_of_an_untrained_model_are_checked(name, outputs, target, message):
    num_classes = 0 if LOSSES.get(name).tasks & NUMBERS else 3
    if message is None:
        check_outputs(name, outputs, target, num_classes=num_classes)
        return
    with pytest.raises(UsageError, match=message):
        check_outputs(name, outputs, target, num_classes=num_classes)


@pytest.mark.parametrize(
    ("name", "layer", "good"),
    [
        ("cross_entropy", nn.Softmax(dim=1), False),
        ("cross_entropy", nn.Sigmoid(), False),
        ("cross_entropy", nn.LogSoftmax(dim=1), True),
        ("cross_entropy", nn.Linear(3, 3), True),
        ("hinge", nn.Sigmoid(), False),
        ("mse", nn.Sigmoid(), True),
    ],
)
def test_a_last_layer_that_spoils_the_logits_is_named(name, layer, good):
    target = NUMBER.expand(3, -1).T if name == "mse" else LABELS
    check = {"num_classes": 0 if name == "mse" else 3, "ends_in": type(layer).__name__}
    outputs = layer(PLAIN).detach()
    if good:
        check_outputs(name, outputs, target, **check)
    else:
        with pytest.raises(UsageError, match=f"ends in {type(layer).__name__}, but {name} needs logits: remove it"):
            check_outputs(name, outputs, target, **check)


def test_one_output_is_refused_behind_a_sigmoid_only_if_it_is_known():
    outputs, target = torch.sigmoid(PLAIN[:, :1]), LABELS % 2
    check_outputs("binary_cross_entropy", outputs, target, num_classes=2)
    for ends_in in ("Sigmoid", "LogSoftmax"):
        with pytest.raises(UsageError, match=f"ends in {ends_in}"):
            check_outputs("binary_cross_entropy", outputs, target, num_classes=2, ends_in=ends_in)
    with pytest.raises(UsageError, match="ends in Softplus, but poisson needs logarithms of rates"):
        check_outputs("poisson", outputs, target.float(), num_classes=0, ends_in="Softplus")
