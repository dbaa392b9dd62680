"""One glossary: every word that the report explains can be asked for, with and without a study."""

from __future__ import annotations

import pytest

from made_results import CASES, made
from tame.core.codes import CODES
from tame.core.errors import UsageError
from tame.report.explain import ALSO, LISTS, Past, explain
from tame.report.fields import FIELDS
from tame.report.glossary import MEANINGS, METRICS, PAGE, general_terms, terms


@pytest.mark.parametrize("case", CASES)
def test_every_word_of_the_page_can_be_asked_for_and_says_the_same(case: str) -> None:
    result, past = made(case)
    found = terms(result, past)
    assert [each.anchor for each in found] == [each for each in PAGE if each in {term.anchor for term in found}]
    for term in found:
        assert explain(term.anchor, Past(result, past))[0].own == term.own
        assert "{" not in f"{term.meaning}{term.own}".replace(result.data, "") or case.startswith("hostile")


@pytest.mark.parametrize("word", [*MEANINGS, *ALSO, *FIELDS, *METRICS, *CODES, "TAME301", *LISTS])
def test_every_known_word_is_explained(word: str) -> None:
    result, past = made("two_classes")
    for each in (*explain(word), *explain(word.upper().replace("_", "-"), Past(result, past))):
        assert each.name
        assert each.meaning.endswith(".")
        assert not set("{}") & set(f"{each.meaning}{each.own}")


def test_words_are_told_with_the_numbers_of_the_study() -> None:
    result, past = made("two_classes")
    own = Past(result, past)
    assert "In the last epoch the winner's training loss is" in explain("overfitting", own)[0].own
    assert explain("weight decay", own)[0].own == "The winner's is 5.81e-5."
    smoothing = explain("loss.label_smoothing", own)[0]
    assert smoothing.name == "Label smoothing (loss.label_smoothing)"
    assert smoothing.own == "The winner has 0.05, the default recipe 0; searched: one of 0, 0.05, 0.1."
    assert explain("near-duplicates", own)[0].own.startswith("3 pairs of pictures that are the same or nearly.")
    assert explain("imbalance", own)[0].own == "This was not found in this study."
    assert explain("overfitting")[0].own == ""


def test_aliases_lead_to_words_of_the_glossary() -> None:
    assert set(ALSO.values()) <= {term.anchor for term in general_terms()}


def test_an_unknown_word_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no word named 'ovrfiting'; did you mean 'overfitting'\?"):
        explain("ovrfiting")
