"""The model card: what the network does, for every task, without control characters."""

from __future__ import annotations

import pytest

from made_results import made
from tame.report import formats, words
from tame.report.model_card import model_card


@pytest.mark.parametrize(
    ("case", "task", "said"),
    [
        ("two_classes", "image-classification", "Predicts one of 2 classes of pictures, with a frozen mobilenetv2_100"),
        ("table", "tabular-classification", "Predicts bought: one of 2 classes of rows, with a network of type mlp"),
        ("numbers", "tabular-regression", "Predicts price with a network of type mlp, tuned by TAME."),
        ("arrays", "tabular-classification", "Predicts one of 3 classes of examples, with a network of type mlp"),
    ],
)
def test_the_model_card_says_what_the_network_does(case: str, task: str, said: str) -> None:
    result, _ = made(case)
    card = model_card(result)
    assert f"tags: [{task}]" in card
    assert said in card
    assert formats.shown(result.metric, result.score.value) in card
    assert words.span(result.score, result.metric) in card
    assert formats.sentence(words.verdict(result)) in card, "names keep their capitals"
    front = card.split("---")[1]
    assert f"value: {result.score.value:.6g}}}" in front


@pytest.mark.parametrize("case", ["hostile", "hostile_table", "hostile_numbers"])
def test_the_model_card_holds_no_control_characters(case: str) -> None:
    result, _ = made(case)
    assert all(char.isprintable() or char in "\n\u200c\u200d" for char in model_card(result))
