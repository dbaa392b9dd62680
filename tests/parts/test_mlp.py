"""The multi-layer perceptron: all members at once against the plain module, and the plain module against a loop."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tame.core.errors import UsageError
from tame.core.recipe import ModelRecipe
from tame.core.rng import stream
from tame.parts.activations import ACTIVATIONS
from tame.parts.mlp import BatchNorm, Columns, Mlp, build_table_model, head_of, num_weights, shared_linear
from tame.parts.mlp_gradients import outputs_and_slopes
from tame.parts.models import init_module

pytestmark = pytest.mark.usefixtures("one_thread")

COLUMNS = Columns(3, 2, (4, 9), dim=3)


def rows_of(columns, num=7):
    rng = stream(0, "rows")
    numbers = torch.from_numpy(rng.normal(size=(num, columns.dense + columns.periodic)))
    codes = [torch.from_numpy(rng.integers(count, size=(num, 1))).double() for count in columns.embedded]
    return torch.cat([numbers, *codes], dim=1)


def model_of(columns, seed=0, outputs=4, **own):
    model = Mlp(columns, outputs, ModelRecipe(name="mlp", width=6, **own))
    init_module(model, seed=seed)
    for part in model.modules():
        if isinstance(part, BatchNorm):  # as training leaves it
            rng = torch.Generator().manual_seed(seed)
            part.running_mean.normal_(generator=rng)
            part.running_var.uniform_(0.5, 2, generator=rng)
            part.weight.data.uniform_(0.5, 2, generator=rng)
            part.bias.data.normal_(generator=rng)
    return model.double()


def draws_of(seed=0, num=7):
    chance = torch.Generator().manual_seed(seed)
    return lambda width: torch.rand(num, width, generator=chance)


def stacked(models):
    states = [model.state_dict() for model in models]
    return {name: torch.stack([state[name] for state in states]).clone() for name in states[0]}


@given(
    columns=st.builds(
        Columns, st.integers(1, 4), st.integers(0, 3), st.lists(st.integers(2, 50), max_size=3).map(tuple),
        st.integers(1, 5),
    ),
    depth=st.integers(0, 3), norm=st.sampled_from(["none", "layer", "batch"]), residual=st.booleans(),
    activation=st.sampled_from(ACTIVATIONS.names()), num=st.integers(1, 5), training=st.booleans(),
    rates=st.tuples(st.floats(0, 0.9), st.floats(0, 0.9)),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_all_members_at_once_equal_each_plain_module(columns, depth, norm, residual, activation, num, training, rates):
    own = {"depth": depth, "norm": norm, "residual": residual, "activation": activation}
    models = [model_of(columns, seed, dropout=rate, **own) for seed, rate in enumerate(rates)]
    x, tensors = rows_of(columns, num), stacked(models)
    draws = draws_of(3, num) if training else None
    dropout = torch.tensor(rates, dtype=torch.float64)
    found = models[0].stacked(tensors, x, dropout=dropout, draws=draws)
    for place, model in enumerate(models):
        wanted = model.train(training)(x, draws_of(3, num) if training else None)
        torch.testing.assert_close(found[place], wanted, rtol=1e-9, atol=1e-10)
        for name, value in model.state_dict().items():  # running statistics too
            torch.testing.assert_close(tensors[name][place], value, rtol=1e-12, atol=1e-12)


def test_members_may_see_inputs_of_their_own():
    models = [model_of(COLUMNS, seed, norm="layer") for seed in range(3)]
    each = torch.stack([rows_of(COLUMNS)[torch.arange(7).roll(i)] for i in range(3)])
    found = models[0].stacked(stacked(models), each, dropout=None, draws=None)
    for place, model in enumerate(models):
        torch.testing.assert_close(found[place], model.eval()(each[place]), rtol=1e-10, atol=1e-12)


def test_gradients_of_all_members_at_once_are_their_own():
    models = [model_of(COLUMNS, seed, norm="batch", residual=True) for seed in range(2)]
    x, tensors = rows_of(COLUMNS), stacked(models)
    names = [name for name, _ in models[0].named_parameters()]
    leaves = {name: tensors[name].requires_grad_() for name in names}
    models[0].stacked({**tensors, **leaves}, x, dropout=None, draws=draws_of()).square().sum().backward()
    for place, model in enumerate(models):
        model.train()(x).square().sum().backward()
        for name, value in model.named_parameters():
            torch.testing.assert_close(leaves[name].grad[place], value.grad, rtol=1e-8, atol=1e-9)


@given(
    columns=st.sampled_from([COLUMNS, Columns(4), Columns(0, 2), Columns(0, 0, (4,))]),
    depth=st.integers(0, 3), norm=st.sampled_from(["none", "layer", "batch"]), residual=st.booleans(),
    activation=st.sampled_from(ACTIVATIONS.names()), rates=st.sampled_from([None, (0.0, 0.5), (0.3, 0.9)]),
    own_inputs=st.booleans(), some=st.booleans(),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_gradients_written_out_equal_those_of_autograd(
    columns, depth, norm, residual, activation, rates, own_inputs, some
):
    models = [model_of(columns, s, depth=depth, norm=norm, residual=residual, activation=activation) for s in range(2)]
    x, tensors = rows_of(columns), stacked(models)
    x = torch.stack([x, x.roll(1, dims=0)]) if own_inputs else x
    dropout = None if rates is None else torch.tensor(rates, dtype=torch.float64)
    mine = torch.tensor([[1.0] * 7, [1.0, 0, 1, 1, 0, 1, 1]]).double() if some else None
    params = {name: tensors.pop(name) for name, _ in models[0].named_parameters()}
    moved = {name: value.clone() for name, value in tensors.items()}
    leaves = {name: value.clone().requires_grad_() for name, value in params.items()}
    wanted = models[0].stacked({**leaves, **tensors}, x, dropout=dropout, draws=draws_of(), mine=mine)
    found, slopes = outputs_and_slopes(models[0], params, moved, x, dropout=dropout, draws=draws_of(), mine=mine)
    torch.testing.assert_close(found, wanted.detach(), rtol=1e-10, atol=1e-10)
    for name, value in tensors.items():
        torch.testing.assert_close(moved[name], value, rtol=1e-12, atol=1e-12)
    along = torch.from_numpy(stream(1, "along").normal(size=wanted.shape))
    of_params = dict(zip(leaves, torch.autograd.grad(wanted, list(leaves.values()), along), strict=True))
    given_out = slopes(along)
    assert given_out.keys() == of_params.keys()
    for name, value in of_params.items():
        torch.testing.assert_close(given_out[name], value, rtol=1e-9, atol=1e-9)


def test_the_plain_module_equals_a_loop_over_examples():
    model = model_of(COLUMNS, depth=2, norm="layer", residual=True, activation="tanh").eval()
    own, x = {name: value.tolist() for name, value in model.state_dict().items()}, rows_of(COLUMNS)

    def linear(name, values):
        pairs = zip(own[f"{name}.weight"], own[f"{name}.bias"], strict=True)
        return [sum(a * b for a, b in zip(row, values, strict=True)) + bias for row, bias in pairs]

    def normed(name, values):
        mean = sum(values) / len(values)
        spread = sum((v - mean) ** 2 for v in values) / len(values)
        scale, shift = own[f"{name}.weight"], own[f"{name}.bias"]
        return [(v - mean) / math.sqrt(spread + 1e-5) * a + b for v, a, b in zip(values, scale, shift, strict=True)]

    for row, found in zip(x.tolist(), model(x).tolist(), strict=True):
        values = row[:3]
        for p in range(2):
            angles = [2 * math.pi * f * row[3 + p] for f in own["periodic.frequency"][p]]
            waves = [math.cos(a) for a in angles] + [math.sin(a) for a in angles]
            for d in range(3):
                z = sum(w * own["periodic.weight"][p][k][d] for k, w in enumerate(waves)) + own["periodic.bias"][p][d]
                values.append(max(z, 0))
        for i in range(2):
            values += own[f"embeddings.{i}.weight"][int(row[5 + i])]
        hidden = [math.tanh(v) for v in normed("norms.0", linear("body.0", values))]
        more = [math.tanh(v) for v in normed("norms.1", linear("body.1", hidden))]
        hidden = [a + b for a, b in zip(hidden, more, strict=True)]
        assert found == pytest.approx(linear("out", hidden), rel=1e-9)


def test_dropout_keeps_units_by_one_draw_that_each_member_compares_with_its_own_rate():
    rates = torch.tensor([0.0, 0.3, 0.6, 0.6])
    model = Mlp(Columns(1), 40, ModelRecipe(name="mlp", width=40, depth=1))
    one = {
        "body.0.weight": torch.ones(40, 1), "body.0.bias": torch.zeros(40), "out.weight": torch.eye(40),
        "out.bias": torch.zeros(40),
    }  # fmt: skip
    tensors = {name: value.expand(4, *value.shape).contiguous() for name, value in one.items()}
    found = model.stacked(tensors, torch.ones(50, 1), dropout=rates, draws=draws_of(num=50))
    kept = found > 0
    assert kept[0].all()
    assert torch.equal(kept[2], kept[3])
    assert (kept[1] | ~kept[2]).all(), "what is kept at a high rate is kept at a lower one"
    assert (kept.float().mean(dim=(1, 2)) - (1 - rates)).abs().max() < 0.03
    torch.testing.assert_close(found[1][kept[1]], torch.full((int(kept[1].sum()),), 1 / 0.7))
    assert (model.stacked(tensors, torch.ones(50, 1), dropout=rates, draws=None) > 0).all(), "none when it predicts"


def test_batch_norm_equals_torchs_and_judges_one_example_by_its_statistics():
    own, torchs = BatchNorm(3), nn.BatchNorm1d(3)
    x = torch.from_numpy(stream(0, "x").normal(2, 3, size=(5, 3))).float()
    for _ in range(3):
        assert torch.equal(own.train()(x), torchs.train()(x))
    assert torch.equal(own.running_var, torchs.running_var)
    before = own.running_mean.clone()
    assert torch.equal(own.train()(x[:1]), torchs.eval()(x[:1]))
    assert torch.equal(own.running_mean, before)


def test_layers_before_a_batch_norm_have_no_bias():
    assert "body.0.bias" not in model_of(COLUMNS, norm="batch").state_dict()
    assert "body.0.bias" in model_of(COLUMNS, norm="layer").state_dict()


def test_the_first_weights_come_from_the_seed_and_the_name_alone():
    torch.manual_seed(1)
    first = model_of(COLUMNS, 5, depth=3).state_dict()
    torch.manual_seed(2)
    other_ways = ((5, 3), (6, 3), (5, 1))
    again, other, shallow = (model_of(COLUMNS, seed, depth=depth).state_dict() for seed, depth in other_ways)
    for name, value in first.items():
        assert torch.equal(value, again[name])
        assert not torch.equal(value, other[name])
    assert torch.equal(first["body.0.weight"], shallow["body.0.weight"])
    bound = 1 / math.sqrt(first["body.1.weight"].shape[1])
    assert 0.8 * bound < first["body.1.weight"].abs().max() <= bound


def test_periodic_embeddings_start_with_their_own_spread():
    for sigma in (0.05, 2.0):
        frequency = model_of(Columns(0, 40, dim=30, sigma=sigma)).periodic.frequency
        assert float(frequency.detach().std()) == pytest.approx(sigma, rel=0.1)


@pytest.mark.parametrize("weight", [(1, 1, 1), (3, 2, 4)])
def test_one_product_serves_all_members(weight):
    members, outputs, features = weight
    torch.manual_seed(0)
    w, b = torch.randn(*weight, dtype=torch.float64), torch.randn(members, outputs, dtype=torch.float64)
    x = torch.randn(5, features, dtype=torch.float64)
    torch.testing.assert_close(shared_linear(w, b, x), torch.einsum("mod,bd->mbo", w, x) + b[:, None])
    torch.testing.assert_close(shared_linear(w, None, x), torch.einsum("mod,bd->mbo", w, x))
    torch.testing.assert_close(shared_linear(w, b, x.expand(members, -1, -1)), shared_linear(w, b, x))


def test_columns_come_back_from_their_json():
    assert Columns.from_json(COLUMNS.to_json()) == COLUMNS
    assert Columns(2).to_json()["embedded"] == []
    assert Columns(0, embedded=(2, 10, 10_000)).widths == [2, 6, 32]
    assert COLUMNS.embedding_width == 2 * 3 + sum(COLUMNS.widths)


def test_models_by_name():
    recipe = ModelRecipe(name="linear", width=6, depth=3)
    assert list(build_table_model(Columns(4), 2, recipe).state_dict()) == ["out.weight", "out.bias"]
    assert num_weights(build_table_model(Columns(4), 2, recipe)) == 10
    with pytest.raises(UsageError, match="did you mean 'mlp'"):
        build_table_model(Columns(4), 2, ModelRecipe(name="mpl"))
    assert num_weights(head_of(5, 3, ModelRecipe())) == 18
    assert num_weights(head_of(5, 3, ModelRecipe(hidden=7))) == 5 * 7 + 7 + 7 * 3 + 3
