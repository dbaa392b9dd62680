"""The laws of every optimizer, the optimizers of other packages, clipping, and what an optimizer remembers."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tame.core.errors import UsageError
from tame.core.recipe import OptimizerRecipe
from tame.parts.extra_optimizers import ALLOWED, EXTRA, REFUSED
from tame.parts.muon import orthogonalized, takes_muon
from tame.parts.optimizer_rules import one_by_one
from tame.parts.optimizers import (
    OPTIMIZERS,
    USES,
    Hyper,
    clip_gradients,
    load_optimizer_tensors,
    optimizer_names,
    optimizer_tensors,
    plain_optimizer,
)
from tame.testing.optimizer_laws import LAWS, float64

pytestmark = pytest.mark.usefixtures("one_thread")

FIELDS = ("lr", "weight_decay", "momentum", "beta2")
HAVE_EXTRA = all(importlib.util.find_spec(name) for name in ("pytorch_optimizer", "schedulefree"))
needs_extra = pytest.mark.skipif(not HAVE_EXTRA, reason="needs the extra: pip install tame-ml[optim]")


def hyper_of(*recipes: OptimizerRecipe) -> Hyper:
    return Hyper(*(torch.tensor([getattr(r, name) for r in recipes], dtype=torch.float64) for name in FIELDS))


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_every_optimizer_keeps_the_law(name, law):
    law(OPTIMIZERS.get(name))


@pytest.mark.parametrize("name", OPTIMIZERS.names())
@given(
    lr=st.floats(1e-5, 1e-1),
    decay=st.floats(0, 1),
    momentum=st.floats(0, 0.99),
    beta2=st.floats(0, 0.9999),
    scale=st.floats(1e-3, 1e3),
    seed=st.integers(0, 99),
)
@settings(max_examples=20, deadline=None)
def test_a_few_steps_equal_those_of_the_reference_at_any_hyperparameters(name, lr, decay, momentum, beta2, scale, seed):
    chance = torch.Generator().manual_seed(seed)
    recipe = OptimizerRecipe(lr=lr, weight_decay=decay, momentum=momentum, beta2=beta2)
    start = torch.randn(5, 2, dtype=torch.float64, generator=chance)
    own = nn.Parameter(start.clone())
    reference = OPTIMIZERS.get(name).reference([("body.weight", own)], recipe)
    train_mode(reference)
    params = {"body.weight": start.clone()[None]}
    state = OPTIMIZERS.get(name).init(params)
    for _ in range(3):
        grad = scale * torch.randn(5, 2, dtype=torch.float64, generator=chance)
        own.grad = grad.clone()
        with float64():
            reference.step()
        params, state = OPTIMIZERS.get(name).update(params, {"body.weight": grad[None]}, state, hyper_of(recipe))
    torch.testing.assert_close(params["body.weight"][0], own.detach(), rtol=1e-9, atol=1e-11)  # float64


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_a_hyperparameter_matters_just_where_it_is_said_to(name):
    base = OptimizerRecipe(lr=1e-2, weight_decay=0.1, momentum=0.8, beta2=0.9)
    others = {field: replace(base, **{field: getattr(base, field) / 2}) for field in FIELDS}
    hyper = hyper_of(base, *others.values())
    start = torch.randn(3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    params = {"body.weight": start.repeat(5, 1, 1), "out.weight": start.repeat(5, 1, 1)}
    state = OPTIMIZERS.get(name).init(params)
    for seed in range(4):
        grad = torch.randn(3, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        grads = {key: grad.repeat(5, 1, 1) for key in params}
        params, state = OPTIMIZERS.get(name).update(params, grads, state, hyper)
    moved = {field for i, field in enumerate(FIELDS, 1) if any(not torch.equal(v[0], v[i]) for v in params.values())}
    assert moved == USES[name]


def test_every_name_says_what_it_uses():
    assert tuple(sorted(USES)) == optimizer_names(extra=True)
    assert set(OPTIMIZERS.names()) == set(optimizer_names(extra=False)) < set(USES)
    assert all("lr" in uses and uses <= set(FIELDS) for uses in USES.values())


@pytest.mark.parametrize("name", ["adam", "adamw", "adagrad"])
def test_large_members_use_the_fused_kernel_with_the_same_result(name):
    recipes = [OptimizerRecipe(lr=lr, weight_decay=0.1) for lr in (1e-3, 1e-2)]
    chance = torch.Generator().manual_seed(0)
    start = torch.randn(2, 180, 100, generator=chance)
    params = {"body.weight": start.clone()}
    state = OPTIMIZERS.get(name).init(params)
    assert one_by_one(params, state)
    assert not one_by_one({"body.weight": start[:, :40].contiguous()}, {}), "too small"
    assert not one_by_one(params, {"total.body.weight": start.mT.contiguous().mT}), "in another order"
    own = [nn.Parameter(start[i].clone()) for i in range(2)]
    plain = [OPTIMIZERS.get(name).reference([("body.weight", own[i])], recipes[i]) for i in range(2)]
    for _ in range(3):
        grad = torch.randn(2, 100, 180, generator=chance).mT  # as autograd may give it: not contiguous
        for i in range(2):
            own[i].grad = grad[i].clone()
            plain[i].step()
        params, state = OPTIMIZERS.get(name).update(params, {"body.weight": grad}, state, hyper_of(*recipes))
    for i in range(2):
        torch.testing.assert_close(params["body.weight"][i], own[i].detach(), rtol=1e-5, atol=1e-6)  # float32


# Muon


@pytest.mark.parametrize(
    ("name", "ndim", "taken"),
    [
        ("body.0.weight", 2, True),
        ("body.0.bias", 1, False),
        ("out.weight", 2, False),
        ("head.out.weight", 2, False),
        ("layout.weight", 2, True),
        ("embeddings.0.weight", 2, False),
        ("TokenEmbedding.weight", 2, False),
        ("periodic.frequency", 2, False),
        ("conv.weight", 4, False),
    ],
)
def test_muon_takes_the_weights_of_hidden_layers(name, ndim, taken):
    assert takes_muon(name, ndim) == taken


@pytest.mark.parametrize("shape", [(6, 6), (3, 12), (12, 3)])
def test_muon_equals_torchs_within_its_bfloat16(shape):
    """torch's Newton-Schulz iteration runs in bfloat16, of 8 bits: after 20 steps within 3 % of the way gone."""
    recipe = OptimizerRecipe(lr=1e-2, weight_decay=0.1, momentum=0.9)
    chance = torch.Generator().manual_seed(3)
    start = torch.randn(shape, generator=chance)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    plain = plain_optimizer([("body.weight", ours)], replace(recipe, name="muon"))
    torchs = torch.optim.Muon(
        [theirs], lr=1e-2, weight_decay=0.1, momentum=0.9, nesterov=True, adjust_lr_fn="match_rms_adamw"
    )
    for _ in range(20):
        ours.grad = torch.randn(shape, generator=chance)
        theirs.grad = ours.grad.clone()
        plain.step()
        torchs.step()
    way = (theirs - start).norm()
    assert (ours - theirs).norm() < 0.03 * way, (ours - theirs).norm() / way
    assert way > 0.1


def test_orthogonalized_matrices_keep_their_singular_vectors():
    matrices = torch.randn(4, 3, 7, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    found = orthogonalized(matrices)
    u, _, v = torch.linalg.svd(matrices, full_matrices=False)
    middle = u.mT @ found @ v.mT
    values = middle.diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(middle, torch.diag_embed(values), rtol=0, atol=1e-10)
    assert ((values > 0.6) & (values < 1.3)).all(), values
    torch.testing.assert_close(orthogonalized(matrices.mT), found.mT, rtol=0, atol=1e-12)
    assert torch.equal(orthogonalized(torch.zeros(2, 3, 3)), torch.zeros(2, 3, 3))


# Schedule-free


@needs_extra
@pytest.mark.parametrize("name", ["schedule_free_adamw", "schedule_free_sgd"])
def test_schedule_free_equals_the_package_of_its_authors(name):
    import schedulefree

    recipe = OptimizerRecipe(name=name, lr=0.05, weight_decay=0.1, momentum=0.8, beta2=0.95)
    start = torch.randn(4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    plain = plain_optimizer([("x", ours)], recipe)
    if name == "schedule_free_sgd":
        other = schedulefree.SGDScheduleFree([theirs], lr=recipe.lr, momentum=recipe.momentum, weight_decay=0.1)
    else:
        other = schedulefree.AdamWScheduleFree(
            [theirs], lr=recipe.lr, betas=(recipe.momentum, recipe.beta2), weight_decay=0.1
        )
    for step in range(20):
        plain.train()
        other.train()
        ours.grad = torch.randn(4, generator=torch.Generator().manual_seed(step), dtype=torch.float64)
        theirs.grad = ours.grad.clone()
        for optimizer in (plain, other):
            optimizer.param_groups[0]["lr"] = recipe.lr * min(1, step / 5)  # from zero
            optimizer.step()
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)  # float64
        plain.eval()
        other.eval()
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_a_schedule_free_step_without_train_is_refused():
    param = nn.Parameter(torch.zeros(2))
    param.grad = torch.ones(2)
    optimizer = plain_optimizer([("x", param)], OptimizerRecipe(name="schedule_free_sgd"))
    with pytest.raises(RuntimeError, match=r"needs train\(\) before step\(\)"):
        optimizer.step()


# Clipping


@given(
    norm=st.lists(st.sampled_from([0.0, 0.1, 1.0, 1e3]), min_size=3, max_size=3),
    value=st.lists(st.sampled_from([0.0, 0.05, 0.7, 1e3]), min_size=3, max_size=3),
    seed=st.integers(0, 99),
)
@settings(max_examples=50, deadline=None)
def test_clipping_equals_torchs(norm, value, seed):
    chance = torch.Generator().manual_seed(seed)
    grads = {
        name: torch.randn(3, *shape, generator=chance, dtype=torch.float64)
        for name, shape in (("a", (4, 2)), ("b", (5,)), ("c", ()))
    }
    before = {name: grad.clone() for name, grad in grads.items()}
    limits = torch.tensor([norm, value], dtype=torch.float64)
    found = clip_gradients(grads, norm=limits[0], value=limits[1])
    assert all(torch.equal(grad, before[name]) for name, grad in grads.items())
    for i in range(3):
        own = {name: nn.Parameter(torch.zeros_like(grad[i])) for name, grad in grads.items()}
        for name, param in own.items():
            param.grad = grads[name][i].clone()
        if value[i]:
            nn.utils.clip_grad_value_(own.values(), value[i])
        if norm[i]:
            nn.utils.clip_grad_norm_(own.values(), norm[i])
        for name, param in own.items():
            torch.testing.assert_close(found[name][i], param.grad, rtol=1e-12, atol=0)  # float64
            if not norm[i] and not value[i]:
                assert torch.equal(found[name][i], grads[name][i])


def test_a_wild_gradient_is_clipped_alone():
    grads = {"a": torch.tensor([[torch.inf, 1.0], [torch.nan, 1.0], [3.0, 4.0], [torch.nan, -torch.inf]])}
    limits = torch.tensor([1.0, 1.0, 1.0, 0.0])
    found = clip_gradients(grads, norm=limits, value=0 * limits)["a"]
    assert not found[:2].isfinite().all(dim=1).any()
    torch.testing.assert_close(found[2], torch.tensor([0.6, 0.8]), rtol=1e-5, atol=0)
    assert found[3][0].isnan()
    assert found[3][1] == -torch.inf


def test_clipping_fetches_nothing_from_the_device():
    limits = torch.empty(3, device="meta")
    found = clip_gradients({"a": torch.empty(3, 4, 2, device="meta")}, norm=limits, value=limits)
    assert found["a"].shape == (3, 4, 2)


# By name, from other packages too


def train_mode(optimizer: torch.optim.Optimizer) -> None:
    if hasattr(optimizer, "train"):
        optimizer.train()


def small_module() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).double()  # some begin with steps of 1e-8


def trained(module: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> list[Tensor]:
    for step in steps:
        chance = torch.Generator().manual_seed(step)
        x, target = torch.randn(8, 5, generator=chance).double(), torch.randint(3, (8,), generator=chance)
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(x), target).backward()
        optimizer.step()
    return [param.detach().clone() for param in module.parameters()]


@needs_extra
@pytest.mark.parametrize("name", sorted(EXTRA))
def test_an_extra_optimizer_runs_by_name_and_resumes_bit_for_bit(name):
    recipe = OptimizerRecipe(name=name, lr=1e-2, weight_decay=1e-2, beta2=0.99)
    module = small_module()
    start = [param.detach().clone() for param in module.parameters()]
    optimizer = plain_optimizer(list(module.named_parameters()), recipe)
    train_mode(optimizer)
    trained(module, optimizer, range(13))
    kept, weights = optimizer_tensors(optimizer), {n: v.clone() for n, v in module.state_dict().items()}
    end = trained(module, optimizer, range(13, 26))
    again = small_module()
    resumed = plain_optimizer(list(again.named_parameters()), recipe)
    train_mode(resumed)
    again.load_state_dict(weights)
    load_optimizer_tensors(resumed, kept)
    assert all(torch.equal(a, b) for a, b in zip(end, trained(again, resumed, range(13, 26)), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(end, start, strict=True))


@needs_extra
@pytest.mark.parametrize("name", sorted(EXTRA))
def test_an_extra_optimizer_uses_what_it_is_said_to(name):
    base = OptimizerRecipe(name=name, lr=1e-2, weight_decay=0.1, momentum=0.8, beta2=0.9)

    def end(recipe: OptimizerRecipe) -> list[Tensor]:
        module = small_module()
        optimizer = plain_optimizer(list(module.named_parameters()), recipe)
        train_mode(optimizer)
        return trained(module, optimizer, range(12))

    plain = end(base)
    changed = {field: end(replace(base, **{field: getattr(base, field) / 2})) for field in FIELDS}
    moved = {f for f, found in changed.items() if any(not torch.equal(a, b) for a, b in zip(plain, found, strict=True))}
    assert moved == USES[name]


@pytest.mark.parametrize("name", optimizer_names(extra=HAVE_EXTRA))
def test_further_groups_have_rates_of_their_own(name):
    recipe = OptimizerRecipe(name=name, lr=1e-2)

    def end(factor: float) -> list[Tensor]:
        module = small_module()
        optimizer = plain_optimizer(list(module[0].named_parameters()), recipe)
        optimizer.add_param_group({"params": list(module[2].parameters())})
        optimizer.param_groups[-1]["lr"] *= factor
        train_mode(optimizer)
        return trained(module, optimizer, range(6))

    slow, fast, start = end(1.0), end(3.0), list(small_module().parameters())
    assert not any(torch.equal(a, b) for a, b in zip(slow, start, strict=True))
    one_rate = name.startswith(("dadapt", "prodigy"))  # theirs is found for all groups together
    assert any(torch.equal(a, b) for a, b in zip(slow[2:], fast[2:], strict=True)) == one_rate


def test_unavailable_names_say_why(monkeypatch):
    named = list(small_module().named_parameters())
    with pytest.raises(UsageError, match=r"no optimizer named 'nesterof'; did you mean 'nesterov'\?"):
        plain_optimizer(named, OptimizerRecipe(name="nesterof"))
    with pytest.raises(UsageError, match=r"no optimizer named 'prodigi'; did you mean 'prodigy'\?"):
        plain_optimizer(named, OptimizerRecipe(name="prodigi"))
    with pytest.raises(UsageError, match=r"'nero' is based on code under CC-BY-NC-SA-4.0; TAME uses only Apache-2.0"):
        plain_optimizer(named, OptimizerRecipe(name="nero"))
    if HAVE_EXTRA:
        with pytest.raises(UsageError, match=r"'adan' is in pytorch_optimizer, but the licence .* not reviewed"):
            plain_optimizer(named, OptimizerRecipe(name="adan"))
    monkeypatch.setitem(sys.modules, "pytorch_optimizer", None)  # as if it were not installed
    with pytest.raises(UsageError, match=r"needs the package pytorch_optimizer: pip install tame-ml\[optim\]"):
        plain_optimizer(named, OptimizerRecipe(name="prodigy"))


def test_no_extra_optimizer_shadows_ours_or_has_a_licence_that_is_not_allowed():
    assert not {*EXTRA, *REFUSED} & set(OPTIMIZERS.names())
    assert {extra.licence for extra in EXTRA.values()} <= ALLOWED
    assert not set(REFUSED.values()) & ALLOWED


# What an optimizer remembers


class Hoarder(torch.optim.Optimizer):
    """Keeps things of every kind."""

    def __init__(self, params, *, rate=0.1, betas=(0.5, 0.9)):
        super().__init__(params, {"lr": rate, "betas": betas, "count": 0, "best": -1.0, "open": False, "word": "a"})

    def fill(self, group_value):
        for number, param in enumerate(self.param_groups[0]["params"]):
            self.state[param] = {
                "many": [torch.ones(2), [], (torch.zeros(1), 3)],
                "deep": {"flag": True, "none": None, "2": number},
                "half": torch.ones(2, dtype=torch.float16),
            }
        self.state["shared"] = torch.tensor([7])
        self.param_groups[0].update(count=4, best=0.25, open=True, sums=group_value, call=print)


def same(a: object, b: object) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and type(a) is type(b):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and a == b


def test_the_state_of_an_optimizer_comes_back_unchanged():
    first, other = ([nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1))] for _ in range(2))
    full, empty = Hoarder(first), Hoarder(other, rate=0.7, betas=(0.1, 0.2))
    full.fill([1, 2.5])
    kept = optimizer_tensors(full)
    assert all(isinstance(value, Tensor) for value in kept.values())
    full.state[first[0]]["many"][0].add_(1)  # what was taken does not change with it
    empty.param_groups[0]["best"] = 5.0
    load_optimizer_tensors(empty, kept)
    full.state[first[0]]["many"][0].sub_(1)
    assert all(same(full.state[a], empty.state[b]) for a, b in zip(first, other, strict=True))
    assert same(full.state["shared"], empty.state["shared"])
    group = empty.param_groups[0]
    assert {key: group[key] for key in ("count", "best", "open", "sums")} == {
        "count": 4, "best": 0.25, "open": True, "sums": [1, 2.5],
    }  # fmt: skip
    assert (group["lr"], group["betas"]) == (0.7, (0.1, 0.2)), "how it was made is the recipe's"
    load_optimizer_tensors(full, optimizer_tensors(Hoarder(first)))
    assert (dict(full.state), full.param_groups[0]["count"]) == ({}, 0)


def test_state_that_no_tensor_can_hold_is_refused():
    param = nn.Parameter(torch.zeros(2))
    hoarder = Hoarder([param])
    hoarder.state[param] = {"set": {1, 2}}
    with pytest.raises(UsageError, match=r"Hoarder has a value in state\.0\.set that no checkpoint can hold"):
        optimizer_tensors(hoarder)


def test_the_tensors_of_more_parameters_are_refused():
    two = Hoarder([nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2))])
    two.fill(1)
    kept = optimizer_tensors(two)
    with pytest.raises(UsageError, match=r"the checkpoint has state 1; this Hoarder has only 1"):
        load_optimizer_tensors(Hoarder([nn.Parameter(torch.zeros(2))]), kept)
    with pytest.raises(UsageError, match="tensors of the optimizer are incomplete"):
        load_optimizer_tensors(two, {name: kept[name] for name in kept if not name.startswith("group")})
