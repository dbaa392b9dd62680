"""A study's result comes back from its plain values as it was, whichever version wrote them."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_results import CASES, OLD_RESULTS, old_result, plain_case, text_of
from tame.core.errors import StorageError
from tame.core.evaluation import ClassAnswers, Difference, NumberAnswers
from tame.core.plain import to_plain
from tame.core.result import Result


def written(result: Result) -> str:
    """As a study writes its report.json."""
    return json.dumps(result.to_json(), indent=1, ensure_ascii=True) + "\n"


@pytest.mark.parametrize("name", OLD_RESULTS)
def test_what_was_written_before_there_were_types_is_written_back_byte_for_byte(name: str) -> None:
    result = Result.from_json(old_result(name))
    assert written(result) == text_of(name)
    assert Result.from_json(result.to_json()) == result


@pytest.mark.parametrize("name", OLD_RESULTS)
def test_the_answers_are_those_of_the_task(name: str) -> None:
    result = Result.from_json(old_result(name))
    assert isinstance(result.answers, NumberAnswers if result.task == "regression" else ClassAnswers)
    assert result.is_regression == (name == "numbers")
    if isinstance(result.answers, ClassAnswers):
        assert (result.answers.costs is not None) == (name == "table-with-costs")
    assert (result.backbone is not None) == (name == "backbone")


@pytest.mark.parametrize("case", CASES)
def test_a_result_of_the_first_versions_is_read_with_what_it_lacks_and_comes_back(case: str) -> None:
    plain, _ = plain_case(case)
    result = Result.from_json(plain)
    assert result.kind == plain.get("kind", "images")
    assert result.task == ("regression" if case in ("numbers", "small_numbers", "explained", "hostile_numbers")
                           else "binary" if len(result.classes) == 2 else "multiclass")  # fmt: skip
    assert [each.loss for each in result.finalists] == [
        each["loss"] if "loss" in each else each["log_loss"] for each in plain["finalists"]
    ]
    assert Result.from_json(json.loads(written(result))) == result


def test_what_older_versions_did_not_write_has_its_default() -> None:
    plain = old_result("pictures")
    for name in ("kind", "metrics", "whole", "mattered", "rest", "searched", "engines", "versions", "forecast", "speed",
                 "sizes", "backbone", "fine_tuning", "calibration"):  # fmt: skip
        del plain[name]
    plain["task"] = "images"
    del plain["validation"]["stderr"]
    for name in ("folds", "notes", "kind"):
        del plain["data_facts"][name]
    plain["finalists"] = [{("log_loss" if k == "loss" else k): v for k, v in f.items()} for f in plain["finalists"]]
    result = Result.from_json(plain)
    assert (result.kind, result.task, result.metrics, result.whole) == ("images", "binary", {}, 1)
    assert (result.mattered, result.rest, result.searched, result.engines) == (None, None, None, ())
    assert (result.versions, result.speed, result.sizes, result.backbone) == ({}, None, (), None)
    assert (result.forecast.forecast, result.fine_tuning, result.validation.stderr) == (None, None, None)
    assert (result.data_facts.folds, result.data_facts.notes) == (1, ())
    assert isinstance(result.answers, ClassAnswers)
    assert result.answers.calibration is None
    assert "calibration" not in result.to_json()


def test_older_columns_say_by_their_kind_whether_they_are_inputs_and_list_their_categories() -> None:
    plain = old_result("table-with-costs")
    plain["data_facts"]["columns"] = [
        {"name": "a", "kind": "number", "why": "", "categories": []},
        {"name": "b", "kind": "identifier", "why": "", "missing": 3, "categories": ["x", "y"]},
    ]
    columns = Result.from_json(plain).data_facts.columns or ()
    assert [(each.learnt, each.missing, each.categories) for each in columns] == [(True, 0, 0), (False, 3, 2)]


def test_a_part_that_has_no_classes_was_a_number() -> None:
    plain = old_result("numbers")
    plain["data_facts"]["counts"] = {"train": 12, "test": 3}
    assert Result.from_json(plain).data_facts.counts == {"train": {"rows": 12}, "test": {"rows": 3}}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"score": {"value": "high"}}, "score"),
        ({"winner": None}, "winner"),
        ({"trials": 1.5}, "trials"),
        ({"task": "clustering"}, "task"),
    ],
)
def test_a_damaged_result_is_named_with_the_place(change: dict[str, Any], place: str) -> None:
    with pytest.raises(StorageError, match=rf"the result \({place}\) is damaged"):
        Result.from_json({**old_result("pictures"), **change})


@pytest.mark.parametrize("name", ["task", "finalists", "score", "per_class", "model"])
def test_a_result_that_lacks_what_every_version_wrote_is_refused(name: str) -> None:
    plain = old_result("pictures")
    del plain[name]
    with pytest.raises(StorageError, match=name):
        Result.from_json(plain)


def test_reading_changes_nothing_of_what_is_read() -> None:
    plain = old_result("table-with-costs")
    before = deepcopy(plain)
    Result.from_json(plain).to_json()["winner"]["recipe"]["optimizer.lr"] = 7.0  # type: ignore[index]
    assert plain == before


@given(
    value=st.floats(-1e6, 1e6), low=st.floats(-1e6, 1e6), high=st.floats(-1e6, 1e6), n=st.integers(0, 10**9),
)  # fmt: skip
def test_the_verdict_of_a_difference_follows_from_its_interval(value: float, low: float, high: float, n: int) -> None:
    found = Difference(value, low, high, n, "")
    assert found.is_real == (low > 0 or high < 0)
    assert found.verdict == ("real" if found.is_real else "no real difference")
    assert list(to_plain(found)) == ["value", "low", "high", "n", "how", "verdict"]
