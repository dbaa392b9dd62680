"""Costs of confusions: read from text and from a file, and what predictions cost."""

from __future__ import annotations

import csv
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tame.core.errors import UsageError
from tame.data.costs import expected_cost, parse_costs

CLASSES = ("cat", "dog", "pizza", "bread")


def write(path, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return str(path)


def test_text_names_some_confusions_and_the_others_cost_1():
    assert parse_costs(" pizza>bread=0.2, cat > dog = 3e0 ,dog>dog=0", CLASSES) == [
        [0, 3, 1, 1],
        [1, 0, 1, 1],
        [1, 1, 0, 0.2],
        [1, 1, 1, 0],
    ]


@given(costs=st.lists(st.floats(0, 1e6, allow_subnormal=False), min_size=12, max_size=12), data=st.data())
def test_a_file_is_read_in_any_order_of_its_classes(tmp_path_factory, costs, data):
    places = [(true, predicted) for true in CLASSES for predicted in CLASSES if true != predicted]
    cost = dict(zip(places, [1, *costs[1:]], strict=True)) | {(name, name): 0 for name in CLASSES}
    rows, columns = data.draw(st.permutations(CLASSES)), data.draw(st.permutations(CLASSES))
    table = [["true", *columns], *([true, *(cost[true, predicted] for predicted in columns)] for true in rows)]
    path = write(tmp_path_factory.mktemp("costs") / "costs.csv", table)
    assert parse_costs(path, CLASSES) == [[cost[true, predicted] for predicted in CLASSES] for true in CLASSES]


def test_a_file_takes_class_names_of_any_form(tmp_path):
    classes = ("a>b", "c=d, e", "é")
    rows = [["true, predicted", *classes], ["a>b", 0, 2, 3], [], ["c=d, e", 4, 0, 5], ["é", 6, 7, 0]]
    path = tmp_path / "with a mark.csv"
    write(path, rows)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert parse_costs(str(path), classes) == [[0, 2, 3], [4, 0, 5], [6, 7, 0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat>dgo=2", "no class named 'dgo'; did you mean 'dog'"),
        ("kat>dog=2", "no class named 'kat'; did you mean 'cat'"),
        ("cat>dog=-1", "the cost of cat>dog must be finite and 0 or more, got -1"),
        ("cat>dog=inf", "must be finite and 0 or more, got inf"),
        ("cat>dog=nan", "must be finite and 0 or more, got nan"),
        ("cat>dog=two", "the cost of cat>dog must be a number, got 'two'"),
        ("cat>cat=1", "the cost of cat>cat must be 0, for it is the right answer; got 1"),
        ("cat>dog=1, cat>dog=1", "the cost of cat>dog is given twice"),
        ("cat>dog", "cannot read the costs 'cat>dog', and no file has that name: write \"true>predicted=2"),
        ("cat>dog>pizza=1", "cannot read the costs"),
        ("cat>dog=1,", "cannot read the costs ''"),
        ("", "cannot read the costs ''"),
        ("costs.csv", "cannot read the costs 'costs.csv', and no file has that name"),
        ("x" * 5000, "cannot read the costs"),
    ],
)
def test_text_that_makes_no_costs_is_refused(text, message):
    with pytest.raises(UsageError, match=message):
        parse_costs(text, CLASSES)


def test_costs_of_nothing_but_0_are_refused():
    with pytest.raises(UsageError, match="every cost is 0"):
        parse_costs("a>b=0, b>a=0", ("a", "b"))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "is empty; its header must name the classes"),
        ([["", "a", "b", "k"], ["a", 0, 1, 1], ["b", 1, 0, 1]], "header: no class named 'k'"),
        ([["", "alpha", "b"]], "header: no class named 'alpha'"),
        ([["", "a"], ["a", 0], ["b", 1]], "header: b is missing"),
        ([["", "a", "b", "a"], ["a", 0, 1, 1], ["b", 1, 0, 1]], "header: a is there more than once"),
        ([["", "a", "b"], ["a", 0, 1]], "first column: b is missing"),
        ([["", "a", "b"], ["a", 0, 1], ["a", 0, 1], ["b", 1, 0]], "first column: a is there more than once"),
        ([["", "a", "b"], ["a", 0, 1], ["c", 1, 0]], "first column: no class named 'c'"),
        ([["", "a", "b"], ["a", 0], ["b", 1, 0]], "the row of a has 1 costs, the header names 2 classes"),
        ([["", "a", "b"], ["a", 0, ""], ["b", 1, 0]], r"costs.csv: the cost of a>b must be a number, got ''"),
        ([["", "a", "b"], ["a", 0, -2], ["b", 1, 0]], "the cost of a>b must be finite and 0 or more, got -2"),
        ([["", "a", "b"], ["a", 0, 1], ["b", 1, 5]], "the cost of b>b must be 0"),
    ],
)
def test_a_file_that_makes_no_costs_is_refused(tmp_path, rows, message):
    with pytest.raises(UsageError, match=message):
        parse_costs(write(tmp_path / "costs.csv", rows), ("a", "b"))


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "costs.csv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"costs.csv cannot be read as a CSV file"):
        parse_costs(str(path), CLASSES)


def test_a_prediction_costs_what_its_confusion_costs():
    costs = parse_costs("pizza>bread=0.2, cat>dog=3", CLASSES)
    target, predicted = np.array([0, 0, 1, 2, 3]), np.array([0, 1, 0, 3, 2])
    found = expected_cost(costs, target, predicted)
    assert found.tolist() == [0, 3, 1, 0.2, 1]
    assert found.dtype == np.float64
    assert expected_cost(np.array(costs), target[:0], predicted[:0]).shape == (0,)


def test_costs_of_predictions_that_are_no_classes_are_refused():
    costs = [[0, 1], [1, 0]]
    with pytest.raises(UsageError, match=r"as many targets as predictions, got \(2,\) and \(3,\)"):
        expected_cost(costs, np.zeros(2, int), np.zeros(3, int))
    for wrong in (-1, 2):  # -1 would count from the end
        with pytest.raises(UsageError, match="class numbers must be 0 to 1"):
            expected_cost(costs, np.array([0]), np.array([wrong]))


def test_costs_are_read_without_torch():
    code = "import sys, tame.data.costs; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
