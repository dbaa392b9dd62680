"""The encoding of typed columns, held against scikit-learn, plain loops and its own round trip."""

from __future__ import annotations

import json
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import QuantileTransformer, StandardScaler

from tame.core.errors import DataError, UsageError
from tame.core.recipe import TableRecipe
from tame.core.rng import stream
from tame.data.encode import MOST_WIDTH, Encoder, Layout, Scaling
from tame.data.tables import MISSING, UNSEEN, Column, Table

PLAIN = TableRecipe()


def table_of(**columns) -> Table:
    """Arrays are numbers, lists of texts categories (None: missing), anything else a pair (kind, values)."""
    made, values = [], {}
    for name, own in columns.items():
        kind, own = own if isinstance(own, tuple) else ("category" if isinstance(own, list) else "number", own)
        if kind in ("category", "boolean"):
            names = sorted({each for each in own if each is not None}, key=lambda each: (-own.count(each), each))
            values[name] = np.array([MISSING if each is None else names.index(each) for each in own], np.int64)
            made.append(Column(name, kind, "text", own.count(None), tuple(names)))
        else:
            values[name] = np.asarray(own, np.float64)
            made.append(Column(name, kind, "numbers", int(np.isnan(values[name]).sum())))
    return Table(tuple(made), values, len(next(iter(values.values()))))


def everything(table):
    return np.arange(table.num_rows)


def encode(table, recipe=PLAIN, *, rows=None):
    encoder = Encoder.fit(table, everything(table) if rows is None else rows, recipe)
    return encoder, encoder.transform(table)


def numbers_of(seed, num=500):
    rng = stream(seed, "encode")
    return rng.gamma(1.5, size=num) * 10.0 ** rng.integers(-6, 6)


# Scaling


@pytest.mark.parametrize("num", [2, 3, 999, 1000, 1001, 5000])
def test_quantile_scaling_is_scikit_learns_where_the_ends_are_not_tied(num):
    rng = stream(num, "quantiles")
    column = np.concatenate([rng.normal(size=num - num // 3), np.round(rng.normal(size=num // 3), 1)])
    column = np.concatenate([column, [column.min() - 1, column.max() + 1]])
    new = np.concatenate([column, rng.normal(scale=3, size=400), np.unique(np.round(column, 1)), [-1e9, 1e9]])
    theirs = QuantileTransformer(n_quantiles=min(1000, len(column)), output_distribution="normal", subsample=None)
    wanted = theirs.fit(column[:, None]).transform(new[:, None])
    encoder, _ = encode(table_of(a=column))
    np.testing.assert_allclose(encoder.transform(table_of(a=new)), wanted, atol=2e-6)


def test_values_that_tie_at_an_end_share_the_middle_of_their_ranks():
    column = np.concatenate([np.zeros(900), np.arange(1, 101)])
    encoder, matrix = encode(table_of(gain=column))
    np.testing.assert_allclose(
        encoder.transform(table_of(gain=np.array([-1e-9, 101])))[:, 0], [-5.1993, 5.1993], atol=1e-4
    )
    # With the noise that breaks ties, scikit-learn's median of the zeros is that of ranks 0 to 0.9.
    noisy = column + stream(0, "noise").normal(scale=1e-6, size=1000)
    theirs = QuantileTransformer(n_quantiles=1000, output_distribution="normal", subsample=None)
    wanted = np.median(theirs.fit_transform(noisy[:, None])[:900])
    np.testing.assert_allclose(matrix[:900, 0], wanted, atol=0.01)
    assert matrix[-1, 0] == pytest.approx(5.1993, abs=1e-4)


def test_standard_scaling_is_scikit_learns_and_cut_at_ten():
    column = numbers_of(3)
    new = np.concatenate([column, [1e12, -1e12, np.inf, -np.inf]])
    wanted = np.clip(StandardScaler().fit(column[:, None]).transform(np.clip(new, -1e20, 1e20)[:, None]), -10, 10)
    encoder, _ = encode(table_of(a=column), TableRecipe(scaling="standard"))
    np.testing.assert_allclose(encoder.transform(table_of(a=new)), wanted, rtol=1e-6, atol=1e-6)


@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True, width=64), min_size=2, max_size=30),
    st.lists(st.floats(allow_nan=True, allow_infinity=True, width=64), min_size=1, max_size=30),
    st.sampled_from(["plain", "piecewise", "periodic"]),
    st.sampled_from(["quantile", "standard"]),
)
@settings(max_examples=150, deadline=None)
def test_every_float_there_is_encodes_to_finite_numbers_in_order(train, new, numbers, scaling):
    table = table_of(a=np.array(train), b=np.array([0.0, 1.0] * (len(train) // 2) + [0.0] * (len(train) % 2)))
    encoder, matrix = encode(table, TableRecipe(numbers=numbers, scaling=scaling, bins=4))
    assert np.isfinite(matrix).all()
    ordered = np.sort(np.array(new)[~np.isnan(new)])
    found = encoder.transform(table_of(a=ordered, b=np.zeros(len(ordered))))
    assert np.isfinite(found).all()
    assert np.isfinite(encoder.transform(table_of(a=np.array(new), b=np.zeros(len(new))))).all()
    assert (np.diff(found, axis=0) >= 0).all()  # every column rises with the value, and marks and b are constant


def test_numbers_are_fitted_on_the_training_rows_only():
    column, rows = numbers_of(5), np.arange(0, 500, 2)
    other = column.copy()
    other[1::2] = 1e7
    for recipe in (PLAIN, TableRecipe(scaling="standard"), TableRecipe(numbers="piecewise")):
        a, _ = encode(table_of(a=column), recipe, rows=rows)
        b, _ = encode(table_of(a=other), recipe, rows=rows)
        np.testing.assert_array_equal(a.transform(table_of(a=column)), b.transform(table_of(a=column)))


def test_a_target_is_scaled_and_comes_back():
    values = numbers_of(7)
    scaling = Scaling.of(values)
    scaled = scaling.apply(values)
    assert (scaled.mean(), scaled.std()) == (pytest.approx(0, abs=1e-12), pytest.approx(1))
    np.testing.assert_allclose(scaling.undo(scaled), values, rtol=1e-12)
    assert Scaling.of(np.full(3, 0.1)) == Scaling(0.1, 1.0)
    assert math.isfinite(Scaling.of(np.array([1e308, -1e308])).scale)
    for bad, words in ((np.empty(0), "got \\(0,\\)"), (np.ones((2, 2)), "got \\(2, 2\\)"), ([1, 2, np.nan], "row 2$")):
        with pytest.raises(DataError, match=words):
            Scaling.of(np.asarray(bad))


# Missing values


@pytest.mark.parametrize("scaling", ["quantile", "standard"])
@pytest.mark.parametrize("kind", ["number", "date"])
def test_a_missing_number_is_the_middle_and_is_marked(scaling, kind):
    column = np.array([1.0, 2, np.nan, 4, 7, np.nan])
    encoder, matrix = encode(table_of(a=(kind, column)), TableRecipe(scaling=scaling))
    assert encoder.layout == Layout(2, 0, ())
    np.testing.assert_array_equal(matrix[:, 1], np.isnan(column))
    assert (matrix[np.isnan(column), 0] == 0).all()
    assert (matrix[~np.isnan(column), 0] != 0).all()


def test_a_number_missing_only_after_training_is_the_middle_without_a_mark():
    column = np.arange(9.0) ** 2
    for numbers in ("plain", "piecewise", "periodic"):
        encoder, _ = encode(table_of(a=column), TableRecipe(numbers=numbers, bins=4))
        found = encoder.transform(table_of(a=np.array([np.nan, 16.0])))
        np.testing.assert_array_equal(found[0], found[1])  # 16 is the median


def test_a_constant_with_missing_values_leaves_its_mark_and_without_is_left_out():
    column = np.array([3.0, np.nan, 3.0, 3.0])
    table = table_of(a=column, b=np.full(4, 2.0), c=["x", None, "x", "x"], d=np.full(4, np.nan), e=[None] * 4)
    encoder, matrix = encode(table)
    np.testing.assert_array_equal(matrix, [[0, 0], [1, 1], [0, 0], [0, 0]])
    assert encoder.notes == (
        "left out, because they carry no information: 'b' (constant in the training rows), "
        "'d' (no value in the training rows), 'e' (no value in the training rows)",
    )
    np.testing.assert_array_equal(Encoder.restore(encoder.to_json(), encoder.tensors()).transform(table), matrix)


# Encodings of numbers


def piecewise_by_loop(value, edges):
    """Section 3.2 of Gorishniy et al. (2022), equation 1, cut to [-2, 3]."""
    found = []
    bins = len(edges) - 1
    for t in range(1, bins + 1):
        low, high = edges[t - 1], edges[t]
        if value < low and t > 1:
            found.append(0.0)
        elif value >= high and t < bins:
            found.append(1.0)
        else:
            found.append(min(3.0, max(-2.0, (value - low) / (high - low))))
    return found


@pytest.mark.parametrize("bins", [2, 7, 32])
@pytest.mark.parametrize("tied", [False, True])
def test_the_piecewise_encoding_is_the_papers(bins, tied):
    column = numbers_of(11)
    column = np.round(column / column.max() * 20) if tied else column
    new = np.concatenate([column, np.linspace(-3, 3, 50) * column.max()])
    edges = np.unique(np.quantile(column, np.arange(bins + 1) / bins)) if not tied else edges_of(column, bins)
    assert len(edges) == bins + 1 or tied
    encoder, _ = encode(table_of(a=column), TableRecipe(numbers="piecewise", bins=bins))
    found = encoder.transform(table_of(a=new))
    wanted = np.array([piecewise_by_loop(value, edges) for value in new])
    assert encoder.layout == Layout(len(edges), 0, ())
    np.testing.assert_allclose(found[:, :-1], wanted, atol=1e-6)
    plain, _ = encode(table_of(a=column))
    np.testing.assert_array_equal(found[:, -1:], plain.transform(table_of(a=new)))


def edges_of(column, bins):
    """By the rule for ties, in plain words: values that fill a bin alone, then quantiles of the others."""
    counts = Counter(column.tolist())
    heavy = [value for value, count in counts.most_common(bins // 2) if count > len(column) / bins]
    rest = np.array([value for value in column if value not in heavy])
    num = bins + 1 - len(heavy)
    between = np.quantile(rest, np.arange(num) / (num - 1))[1:-1] if num > 2 and len(rest) > 1 else []
    return np.unique([column.min(), column.max(), *heavy, *between])


def test_the_few_who_have_an_amount_are_told_apart_behind_the_many_zeros():
    amount = np.concatenate([np.zeros(900), np.exp(stream(0, "amount").normal(size=100))])
    encoder, _ = encode(table_of(a=amount), TableRecipe(numbers="piecewise", bins=16))
    edges = encoder.tensors()["edges"]
    assert (edges > 0).sum() == 15


def test_periodic_numbers_stand_behind_the_dense_and_before_the_embedded_columns():
    many = [f"c{i % 40}" for i in range(120)]
    column = np.arange(120.0)
    column[5] = np.nan
    table = table_of(many=many, a=column, pair=["x", "y"] * 60, day=("date", np.arange(120.0) ** 2))
    encoder, matrix = encode(table, TableRecipe(numbers="periodic"))
    plain, other = encode(table)
    assert encoder.layout == Layout(2, 2, (41,))
    assert plain.layout == Layout(4, 0, (41,))
    np.testing.assert_array_equal(matrix, other[:, [1, 2, 0, 3, 4]])


def test_bins_become_fewer_where_the_table_is_wide_and_the_notes_say_so():
    rng = stream(0, "wide")
    wide = table_of(**{f"x{i}": rng.normal(size=200) for i in range(500)}, pair=["a", "b"] * 100)
    encoder, _ = encode(wide, TableRecipe(numbers="piecewise"))
    assert encoder.layout.width == 500 * 7 + 500 + 1 <= MOST_WIDTH
    assert encoder.notes == ("7 bins a column instead of 32: the table may fill 4096 columns",)


def test_where_two_bins_a_column_are_too_many_the_rest_stays_plain():
    rng = stream(0, "wider")
    wide = table_of(**{f"x{i}": rng.normal(size=20) for i in range(2000)})
    encoder, matrix = encode(wide, TableRecipe(numbers="piecewise"))
    assert encoder.layout.width == MOST_WIDTH == matrix.shape[1]
    assert encoder.notes == (
        "2 bins a column instead of 32: the table may fill 4096 columns",
        "952 of 2000 numeric columns have no bins: the table may fill 4096 columns",
    )


def test_ten_thousand_numeric_columns_are_encoded():
    values = stream(0, "widest").normal(size=(10_000, 50))
    wide = table_of(**{f"x{i}": row for i, row in enumerate(values)})
    encoder, matrix = encode(wide, TableRecipe(numbers="piecewise"))
    assert matrix.shape == (50, 10_000)
    assert encoder.notes == ("10000 of 10000 numeric columns have no bins: the table may fill 4096 columns",)


def test_a_wide_table_remembers_fewer_quantiles_of_each_column():
    values = stream(0, "long").normal(size=(1500, 1200))
    encoder, _ = encode(table_of(**{f"x{i}": row for i, row in enumerate(values)}))
    assert encoder.tensors()["knots"].shape == (1500 * 666, 3)


# Categories


def test_few_categories_are_one_hot_and_unseen_ones_all_zero():
    encoder, matrix = encode(table_of(a=["x", "y", "z", "x", None]))
    np.testing.assert_array_equal(matrix, [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
    new = table_of(a=["new", "z", "new", None])
    np.testing.assert_array_equal(encoder.transform(new), [[0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1]])


def test_the_code_for_unseen_is_unseen():
    table = table_of(a=["x", "y", "z", "x"])
    encoder, _ = encode(table)
    values = {"a": np.array([UNSEEN, 1, MISSING, 0])}
    np.testing.assert_array_equal(
        encoder.transform(Table(table.columns, values, 4)), [[0, 0, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0]]
    )


def test_categories_that_only_other_rows_have_are_unseen():
    table = table_of(a=["x", "x", "x", "y", "z", "w"], b=np.arange(6.0))
    encoder, matrix = encode(table, rows=np.array([0, 1, 3, 4]))
    np.testing.assert_array_equal(matrix[:, :3].sum(axis=1), [1, 1, 1, 1, 1, 0])
    assert encoder.layout.dense == 4


@pytest.mark.parametrize("kind", ["category", "boolean"])
def test_two_values_are_one_number(kind):
    encoder, matrix = encode(table_of(a=(kind, ["no", "yes", "no", None])))
    np.testing.assert_array_equal(matrix, [[0, 0], [1, 0], [0, 0], [0.5, 1]])
    np.testing.assert_array_equal(encoder.transform(table_of(a=["yes", "maybe"])), [[1, 0], [0.5, 0]])


def test_many_categories_are_embedded_and_rare_ones_share_the_code_of_missing():
    names = ["a"] * 3 + ["b"] * 2 + ["c"] * 2 + ["once", None]
    encoder, matrix = encode(table_of(a=names), TableRecipe(one_hot=3))
    assert encoder.layout == Layout(0, 0, (4,))
    np.testing.assert_array_equal(matrix[:, 0], [1, 1, 1, 2, 2, 3, 3, 0, 0])
    np.testing.assert_array_equal(encoder.transform(table_of(a=["new", "c", None, "new"]))[:, 0], [0, 3, 0, 0])
    one_hot, _ = encode(table_of(a=names), TableRecipe(one_hot=4))
    assert one_hot.layout == Layout(5, 0, ())


def test_the_order_of_columns_and_of_categories_does_not_matter():
    a, b = ["x", "y", "z", "x", "y", "x"], ["p", "q", "r", "r", "r", "r"]
    encoder, matrix = encode(table_of(a=a, n=np.arange(6.0), b=b))
    turned = table_of(extra=np.zeros(9), b=[*b, "q", "q", "q"], n=np.arange(9.0), a=[*a, "z", "z", "z"])
    np.testing.assert_array_equal(encoder.transform(turned, np.arange(6)), matrix)
    np.testing.assert_array_equal(encoder.transform(turned, np.array([4, 1])), matrix[[4, 1]])


# What cannot be encoded


def test_a_table_without_a_usable_column_is_refused_with_the_reasons():
    columns = (Column("id", "identifier", "a number for each row"), Column("same", "number", ""))
    table = Table(columns, {"same": np.ones(4)}, 4)
    with pytest.raises(DataError, match=r"'id' \(identifier: a number for each row\), 'same' \(constant in the tra"):
        encode(table)
    with pytest.raises(DataError, match="the table has none"):
        encode(Table((), {}, 4))
    with pytest.raises(DataError, match="no training rows"):
        encode(table_of(a=np.arange(4.0)), rows=np.arange(0))
    many = table_of(**{f"c{i}": np.zeros(3) for i in range(20)})
    with pytest.raises(DataError, match=r"'c7' \(constant in the training rows\) and 12 more$"):
        encode(many)


def test_a_category_in_which_nothing_recurs_is_left_out():
    encoder, _ = encode(table_of(a=[f"v{i}" for i in range(50)], b=np.arange(50.0)))
    assert encoder.layout == Layout(1, 0, ())
    assert "'a' (no value occurs twice in the training rows)" in encoder.notes[0]


def test_a_table_that_lacks_a_column_or_has_it_of_another_kind_is_refused():
    encoder, _ = encode(table_of(age=np.arange(4.0), job=["a", "b", "c", "a"]))
    with pytest.raises(DataError, match="no column 'job', which the model was trained on"):
        encoder.transform(table_of(age=np.arange(4.0)))
    with pytest.raises(DataError, match="'age' must be a number, as in training; here it is a category"):
        encoder.transform(table_of(age=["x", "y"], job=["a", "b"]))
    with pytest.raises(DataError, match="'job' must be a category, as in training; here it is a date"):
        encoder.transform(table_of(age=np.arange(2.0), job=("date", np.arange(2.0))))


# Round trip, and files that were tampered with


def rich_table(seed=0, num=300):
    rng = stream(seed, "rich")
    a = rng.normal(size=num)
    a[rng.random(num) < 0.1] = np.nan
    return table_of(
        a=a, b=rng.gamma(1, size=num) * 1e5, whole=rng.integers(0, 9, num).astype(float),
        day=("date", rng.integers(0, 20_000, num).astype(float)), half=np.where(rng.random(num) < 0.5, np.nan, 1.0),
        pair=rng.choice(["m", "f"], num).tolist(), few=rng.choice(["p", "q", "r", None], num).tolist(),
        many=[f"t{i}" for i in rng.integers(0, 60, num)], flag=("boolean", rng.choice(["no", "yes"], num).tolist()),
    )  # fmt: skip


@pytest.mark.parametrize("numbers", ["plain", "piecewise", "periodic"])
@pytest.mark.parametrize("scaling", ["quantile", "standard"])
def test_a_restored_encoder_gives_the_same_bits(numbers, scaling):
    table = rich_table()
    encoder, matrix = encode(table, TableRecipe(numbers=numbers, scaling=scaling))
    text = json.dumps(encoder.to_json(), allow_nan=False)
    again = Encoder.restore(json.loads(text), {k: v.copy() for k, v in encoder.tensors().items()})
    assert (again.layout, again.notes) == (encoder.layout, encoder.notes)
    np.testing.assert_array_equal(again.transform(table), matrix)
    assert json.dumps(again.to_json()) == text
    assert matrix.dtype == np.float32
    assert matrix.shape == (300, encoder.layout.width)
    assert Layout.from_json(encoder.layout.to_json()) == encoder.layout


def tampered(change):
    """The JSON and tensors of a rich piecewise encoder after `change(json, tensors)`."""
    encoder, _ = encode(rich_table(), TableRecipe(numbers="piecewise"))
    document, tensors = json.loads(json.dumps(encoder.to_json())), dict(encoder.tensors())
    change(document, tensors)
    return document, tensors


def set_column(name, /, **values):
    def change(document, tensors):
        next(c for c in document["columns"] if c["name"] == name).update(values)

    return change


def set_tensor(name, make):
    def change(document, tensors):
        tensors[name] = make(tensors[name].copy())

    return change


def with_value(array, value, where=(0,)):
    array[where] = value
    return array


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d, t: d.pop("columns"), "lacks columns"),
        (lambda d, t: d.update(columns=[]), "too many|more than its columns use"),
        (lambda d, t: d.update(notes=[3]), "notes must be texts"),
        (lambda d, t: d["columns"].append(7), "must be a JSON object, got int"),
        (lambda d, t: d["columns"].append(dict(d["columns"][-1])), "names of their own"),
        (lambda d, t: d["layout"].update(dense=10**9), "but it says"),
        (lambda d, t: d["layout"].update(dense=-1), "counts its columns from 0"),
        (lambda d, t: d["layout"].update(embedded=[1]), "at least 2 codes"),
        (lambda d, t: d["layout"].update(periodic=True), "periodic must be a whole number"),
        (set_column("a", name=3), "name must be text, got 3"),
        (set_column("a", kind="text"), "no kind 'text'"),
        (set_column("a", enters="whole"), "cannot enter 'whole'"),
        (set_column("a", mark=1), "mark must be true or false"),
        (set_column("a", centre=float("nan")), "centre must be a finite number"),
        (set_column("a", centre=1e200), "centre or spread"),
        (set_column("a", spread=-1.0), "centre or spread"),
        (set_column("a", spread=2.0), "knots"),
        (set_column("a", knots=-3), "too few knots"),
        (set_column("a", knots=10**12), "too few knots"),
        (set_column("a", edges=1), "1 edges"),
        (set_column("a", enters="plain"), "edges"),
        (set_column("half", mark=False), "nothing that enters"),
        (set_column("few", categories=["p", "p", "q"]), "must be different texts"),
        (set_column("few", categories=["p", "q", None]), "must be different texts"),
        (set_column("few", categories=["p"]), "1 categories cannot enter 'one_hot'"),
        (set_column("many", mark=True), "cannot enter 'embedded'"),
        (set_column("pair", enters="three"), "cannot enter 'three'"),
        (set_tensor("knots", lambda k: with_value(k, np.nan)), "must be finite"),
        (set_tensor("knots", lambda k: with_value(k, 1e9)), "do not rise"),
        (set_tensor("knots", lambda k: with_value(k, -0.5, (0, 1))), "do not rise, or leave their range"),
        (set_tensor("knots", lambda k: k[:, :2]), "knots must be finite float64 of shape"),
        (set_tensor("knots", lambda k: k.astype(np.float32)), "knots must be finite float64"),
        (set_tensor("knots", lambda k: np.concatenate([k, k])), "more than its columns use"),
        (set_tensor("knots", lambda k: k[:-1]), "too few knots"),
        (set_tensor("edges", lambda e: e[::-1].copy()), "do not rise"),
        (set_tensor("edges", lambda e: with_value(e, -1e200)), "leave their range"),
        (lambda d, t: t.pop("edges"), r"has knots and edges, got \['knots'\]"),
        (lambda d, t: t.update(extra=np.ones(2)), "has knots and edges"),
    ],
)
def test_a_tampered_encoder_is_refused(change, words):
    document, tensors = tampered(change)
    with pytest.raises(UsageError, match=words):
        Encoder.restore(document, tensors)


@pytest.mark.parametrize("value", [None, [], "x", {"layout": 3}])
def test_what_is_no_encoder_at_all_is_refused(value):
    with pytest.raises(UsageError, match="encoder"):
        Encoder.restore(value, {})
