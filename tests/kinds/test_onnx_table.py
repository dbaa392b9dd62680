"""A model of tables as an ONNX file says what `tame predict` says, whatever is given to it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

from made_rows import CLASSES, TOWNS, made_network, made_table, together  # noqa: E402
from tame.app.model_files import onnx_runner, parity  # noqa: E402
from tame.core.errors import RefusedError, UsageError  # noqa: E402
from tame.core.recipe import Recipe  # noqa: E402
from tame.data.encode import Encoder  # noqa: E402
from tame.data.table_later import apply_kinds  # noqa: E402
from tame.data.tables import RawTable, Table  # noqa: E402
from tame.kinds.onnx import METADATA  # noqa: E402
from tame.kinds.tables.onnx_rows import given_nodes, row_nodes, words_of  # noqa: E402
from tame.kinds.tables.onnx_table import asked, extremes, table_of, used, write  # noqa: E402
from tame.kinds.tables.prediction import seen_of  # noqa: E402
from tame.parts.activations import ACTIVATIONS  # noqa: E402
from tame.parts.familiar import familiar  # noqa: E402
from tame.parts.losses import LOSSES  # noqa: E402
from tame.parts.onnx_nodes import Nodes, graph_of  # noqa: E402
from tame.parts.operators import FLOAT, INT64  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

ENCODINGS = [
    {"table.scaling": scaling, "table.numbers": numbers}
    for scaling in ("quantile", "standard")
    for numbers in ("plain", "piecewise", "periodic")
]
NETWORKS = [
    {"model.name": "linear"},
    {"model.norm": "none", "model.residual": True},
    {"model.norm": "layer"},
    {"model.norm": "batch", "model.residual": True},
]
TABLE = made_table()


def compared(network):
    """The largest difference of anything that is said of rows, made extremes and rows alone."""
    content = graph_of(network, write).SerializeToString()
    rows = asked(network, TABLE, what="rows")
    return max(parity(onnx_runner(content), network, each).largest for each in (rows, *extremes(network, rows)))


@pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda own: "-".join(own.values()))
@pytest.mark.parametrize("network", NETWORKS, ids=lambda own: "-".join(map(str, own.values())))
def test_every_encoding_and_every_network_says_the_same(encoding, network):
    assert compared(made_network({**encoding, **network})) < 2e-6  # float32


@pytest.mark.parametrize("one_hot", [0, 5, 1000])
def test_categories_are_embedded_or_one_hot_as_in_training(one_hot):
    assert compared(made_network({"table.one_hot": one_hot})) < 2e-6


@pytest.mark.parametrize("name", ACTIVATIONS.names())
def test_every_activation_says_the_same(name):
    assert compared(made_network({"model.activation": name, "model.norm": "layer"})) < 5e-6


@pytest.mark.parametrize("name", sorted(set(LOSSES.names()) - {"likelihood"}))
def test_every_loss_has_outputs_that_say_the_same(name):
    tasks = LOSSES.get(name).tasks
    some = [CLASSES[:2]] if "binary" in tasks else []
    some += [CLASSES] if tasks & {"multiclass", "distribution"} else []
    for labels in some or [()]:
        assert compared(made_network({"loss.name": name}, labels)) < 5e-6


@pytest.mark.parametrize("labels", [CLASSES, CLASSES[:2], ()], ids=len)
def test_several_networks_with_encodings_of_their_own_judge_as_one(labels):
    members = [made_network({**encoding, "seed": seed}, labels) for seed, encoding in enumerate(ENCODINGS)]
    assert compared(together(*members, temperature=1.7 if labels else 1.0)) < 2e-6


def test_equal_encodings_of_several_networks_are_in_the_file_once():
    alone = graph_of(made_network(), write)
    both = graph_of(together(made_network(), made_network({"seed": 7})), write)
    assert len(both.graph.node) < len(alone.graph.node) + 25


def test_the_distance_from_the_training_data_is_said_too():
    network = made_network()
    known = familiar(seen_of(network, TABLE, np.arange(TABLE.num_rows)))
    network = replace(network, familiar=known)
    content = graph_of(network, write).SerializeToString()
    rows = asked(network, TABLE, what="rows")
    assert rows.distances is not None
    for each in (rows, *extremes(network, rows)):
        assert parity(onnx_runner(content), network, each).distance < 1e-4
    assert (extremes(network, rows)[0].distances > 1).any()


def test_extremes_reach_every_column_and_are_read_as_predict_reads_them():
    network = made_network()
    rows = asked(network, TABLE, what="rows")
    made = extremes(network, rows)[0]
    feeds = {name: np.concatenate([each[name] for each in made.feeds]) for name in made.feeds[0]}
    for column in used(network):
        values = feeds[column.name]
        if column.kind in ("category", "boolean"):
            assert {"", "never seen"} <= set(values)
        else:
            assert np.isnan(values).any()
            assert np.isinf(values).any()
            assert (values > column.high).any()
            assert (values < column.low).any()
    assert made.outputs.shape == (len(feeds["size"]), 3)
    assert np.isfinite(made.outputs).all()


numbers = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True), st.sampled_from(TABLE.values["size"].tolist()),
    st.floats(-3, 3),
)  # fmt: skip


@pytest.fixture(scope="module", params=ENCODINGS, ids=lambda own: "-".join(own.values()))
def encoded(request):
    """An encoder with the graph of it alone."""
    recipe = Recipe().but({"table.bins": 6, "table.one_hot": 5, **request.param})
    encoder = Encoder.fit(TABLE, np.arange(300), recipe.table)
    columns = tuple(each for each in TABLE.columns if each.name in {plan.name for plan in encoder.plans})
    nodes = Nodes([each.name for each in columns])
    rows = row_nodes(nodes, encoder, given_nodes(nodes, columns), columns)
    outputs = [(rows.dense, FLOAT), (rows.periodic, FLOAT), (rows.codes, INT64)]
    for value, kind in outputs:
        if value:
            nodes.output("out", value, kind, ["n", "k"])
    model = nodes.model({}, about="rows")
    onnx.checker.check_model(model, full_check=True)
    return encoder, columns, onnxruntime.InferenceSession(model.SerializeToString())


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_any_number_and_any_text_is_encoded_as_by_tame(encoded, data):
    encoder, columns, session = encoded
    num = data.draw(st.integers(1, 4))
    feeds = {}
    for column in columns:
        if column.kind in ("category", "boolean"):
            some = st.sampled_from([*words_of(column), "never seen", "\u2713"])
            feeds[column.name] = np.array(data.draw(st.lists(some, min_size=num, max_size=num)), dtype=object)
        else:
            own = st.one_of(numbers, st.floats(column.low, column.high))
            feeds[column.name] = np.array(data.draw(st.lists(own, min_size=num, max_size=num)))
    found = np.concatenate(session.run(None, feeds), axis=1)
    wanted = encoder.transform(table_of(columns, feeds))
    np.testing.assert_allclose(found, wanted, rtol=3e-7, atol=1e-7)  # float32


def test_a_text_is_read_as_predict_reads_it():
    for column in TABLE.columns:
        if column.kind in ("category", "boolean"):
            known = words_of(column)
            texts = {column.name: np.array(list(known), dtype=object)}
            raw = RawTable((column.name,), texts, (), len(known), "", separator=",")
            assert apply_kinds(raw, [column])[0].values[column.name].tolist() == list(known.values()), column.name


def test_the_file_says_what_it_is():
    model = graph_of(made_network(), write)
    onnx.checker.check_model(model, full_check=True)
    about = json.loads({each.key: each.value for each in model.metadata_props}[METADATA])
    assert (about["schema"], about["task"], about["labels"]) == ("tame-onnx/1", "multiclass", list(CLASSES))
    told = {each["name"]: each for each in about["inputs"]}
    assert told["day"] == {
        "name": "day", "kind": "date", "type": "float64", "missing": "NaN", "unit": "days since 1970-01-01 in UTC",
        "low": TABLE.columns[6].low, "high": TABLE.columns[6].high,
    }  # fmt: skip
    assert told["town"]["categories"] == list(TOWNS)
    assert list(about["outputs"]) == ["label", "probabilities"]
    assert [each.name for each in model.graph.input] == list(told)


def test_columns_may_have_the_names_of_outputs_and_of_nodes():
    names = {"size": "label", "gap": "#1", "paid": "probabilities", "few": "a b", "town": "\u00fc"}
    columns = tuple(replace(each, name=names.get(each.name, each.name)) for each in TABLE.columns)
    table = Table(columns, {names.get(name, name): own for name, own in TABLE.values.items()}, TABLE.num_rows)
    network = made_network(table=table)
    content = graph_of(network, write).SerializeToString()
    assert parity(onnx_runner(content), network, asked(network, table, what="rows")).largest < 2e-6
    assert [each.name for each in onnx.load_from_string(content).graph.output] == ["label_", "probabilities_"]


# What is refused


def test_a_file_that_says_something_else_is_refused():
    network = made_network()
    other = graph_of(made_network({"seed": 3}), write).SerializeToString()
    said = r"no file was written: .* 400 rows \(\d+ labels differ: '.*' in example \d+\)"
    with pytest.raises(RefusedError, match=said):
        parity(onnx_runner(other), network, asked(network, TABLE, what="rows"))


def test_a_number_that_is_a_little_off_is_refused():
    network = made_network(labels=())
    other = replace(network, prepared={**network.prepared, "target": {"shift": 1e9 + 1, "scale": 250.0}})
    with pytest.raises(RefusedError, match=r"largest difference 0\.004, at most 0\.001 is allowed"):
        parity(onnx_runner(graph_of(other, write).SerializeToString()), network, asked(network, TABLE, what="rows"))


def test_a_value_that_is_not_finite_is_refused():
    network = made_network(labels=())
    with torch.no_grad():
        network.module.out.bias.fill_(torch.inf)
    with pytest.raises(RefusedError, match=r"value: 400 values are not finite"):
        compared(network)


def test_an_activation_without_a_form_in_onnx_is_refused(monkeypatch):
    network = made_network({"model.activation": "gelu"})
    network = replace(network, recipe=network.recipe.but({"model.activation": "relus"}))
    with pytest.raises(UsageError, match=r"hidden layers: no activation .*'relus'; did you mean 'relu'"):
        graph_of(network, write)


def test_a_loss_whose_outputs_have_no_form_in_onnx_is_refused(monkeypatch):
    monkeypatch.setitem(LOSSES._parts, "squared", replace(LOSSES.get("mse"), predict=torch.square))
    with pytest.raises(UsageError, match=r"by the loss 'squared' gives has no form in ONNX"):
        graph_of(made_network({"loss.name": "squared"}, ()), write)
