"""What a model may take: amounts with units, refused without, and written back so that they can be read again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tame.core.config import StudyConfig, read_toml
from tame.core.errors import UsageError
from tame.core.objectives import LATENCY, OBJECTIVES, SIZE, Price, amount, amounts, looser, parse_limits, shown

amounts_of = st.floats(1e-7, 1e12)


@pytest.mark.parametrize(("name", "text", "value"), [
    (LATENCY, "20ms", 0.02), (LATENCY, " 1.5 s ", 1.5), (LATENCY, "300us", 3e-4), (SIZE, "5MB", 5e6),
    (SIZE, "100 B", 100.0), (SIZE, "2KiB", 2048.0), (SIZE, "1e3kB", 1e6),
])  # fmt: skip
def test_an_amount_is_a_number_with_a_unit(name, text, value):
    assert amount(name, text) == pytest.approx(value)


@pytest.mark.parametrize(("name", "text", "said"), [
    (LATENCY, "20", "needs a number and a unit (us, ms, s), got '20'; write it as latency=20ms"),
    (LATENCY, "", "needs a number and a unit"), (LATENCY, "ms", "needs a number and a unit"),
    (LATENCY, 0.02, "needs a number and a unit"), (SIZE, "nanMB", "needs a number and a unit"),
    (LATENCY, "-3ms", "must be above 0"), (SIZE, "0MB", "must be above 0"), (SIZE, "1e999GB", "must be finite"),
    (SIZE, "5mb", "no unit of size named 'mb'; did you mean 'MB'?"), (LATENCY, "5MB", "no unit of latency named 'MB'"),
])  # fmt: skip
def test_anything_else_is_refused_with_what_would_be_right(name, text, said):
    with pytest.raises(UsageError) as problem:
        amount(name, text)
    assert said in str(problem.value)


@pytest.mark.parametrize("name", OBJECTIVES)
@given(value=amounts_of)
def test_a_looser_limit_can_be_read_and_is_kept(name, value):
    assert amount(name, looser(name, value)) >= value


@pytest.mark.parametrize(("name", "value", "words"), [
    (LATENCY, 1.234e-3, "1.23 ms"), (LATENCY, 9.07e-4, "907 us"), (LATENCY, 1e-9, "0.00 us"), (LATENCY, 75.0, "75.0 s"),
    (SIZE, 12, "12 B"), (SIZE, 149_608, "150 kB"), (SIZE, 5_100_000, "5.10 MB"),
])  # fmt: skip
def test_an_amount_is_shown_in_three_digits(name, value, words):
    assert shown(name, value) == words


def test_a_price_keeps_within_all_limits_or_says_by_how_much_not():
    price, limits = Price(0.03, 4_000_000), amounts({"latency": "20ms", "size": "5MB"})
    assert not price.within(limits)
    assert price.excess(limits) == pytest.approx(1.5)
    assert price.within({})
    assert Price(0.02, 5_000_000).within(limits), "as much as the limit is within it"


@pytest.mark.parametrize(("given", "said"), [
    ({"objective": "latencyy"}, "did you mean 'latency'?"), ({"objective": "accuracy"}, "is set with --metric"),
    ({"objective": 3}, "objective must be a text, got 3"), ({"limit": {"speed": "2ms"}}, "no limit named 'speed'"),
    ({"limit": "latency=20ms"}, "limit must give an amount by name"),
    ({"objective": "size", "ensemble": True}, "give only one of ensemble and objective"),
    ({"objective": "size", "task": "language-model"}, "not for language models"),
])  # fmt: skip
def test_settings_that_cannot_be_are_refused(given, said):
    with pytest.raises(UsageError) as problem:
        StudyConfig(data="x.csv", **given)
    assert said in str(problem.value)


def test_a_limit_that_is_given_twice_is_refused():
    with pytest.raises(UsageError, match="given twice"):
        parse_limits(["latency=1ms", "latency = 2ms"])


@pytest.mark.parametrize("written", ['limit = "size=5MB"', 'limit = ["size=5MB"]', '[limit]\nsize = "5MB"'])
def test_a_file_has_limits_as_a_table_or_as_texts(written, tmp_path):
    path = tmp_path / "tame.toml"
    path.write_text(written + "\n")
    assert read_toml(path) == {"limit": {"size": "5MB"}}
