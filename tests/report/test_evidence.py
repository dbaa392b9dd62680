"""The numbers behind a finding, in a sentence."""

from __future__ import annotations

from tame.core.records import Finding
from tame.report.evidence import evidence


def test_a_finding_names_examples_as_the_data_has_them() -> None:
    small = Finding("small_test", "", "info", {"n": 40})
    assert [evidence(small, kind) for kind in ("images", "table", "arrays")] == [
        "40 test pictures", "40 test rows", "40 test examples",
    ]  # fmt: skip
    old = Finding("no_better_than_dummy", "", "problem", {"valid_metric": 0.5, "dummy": 0.5, "n": 9})
    assert "always predicting the most common class has 0.5" in evidence(old)
    many = Finding("constant_columns", "", "info", {"columns": ["a", "b", "c"]})
    assert evidence(many, "table") == "columns: a, b and c"
    leaks = [{"column": "price", "evidence": "equals the target in all rows"}, {"column": "id", "evidence": "so too"}]
    said = evidence(Finding("target_leak", "", "problem", {"columns": leaks}), "table")
    assert said == "price: equals the target in all rows; id: so too"
    unknown = Finding("of_tomorrow", "", "info", {"columns": ["a", "b"], "some_count": 2})
    assert evidence(unknown) == "columns: a and b; some count: 2"
