"""The model card: what the network does, for every task, without control characters."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest

from made_results import made
from tame.report import formats, words
from tame.report.model_card import OnHub, model_card


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
    assert f"tags: [tame, {task}]" in card
    assert f"pipeline_tag: {task}\n" in card
    assert said in card
    assert formats.shown(result.metric, result.score.value) in card
    assert words.span(result.score, result.metric) in card
    assert formats.sentence(words.verdict(result)) in card, "names keep their capitals"
    front = card.split("---")[1]
    assert f"value: {result.score.value:.6g}, name: " in front


@pytest.mark.parametrize("case", ["two_classes", "table", "numbers", "arrays", "hostile", "hostile_table"])
def test_the_hub_s_own_reader_takes_the_card_and_finds_the_interval(case: str) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    result, _ = made(case)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        about = hub.ModelCard(model_card(result, hub=OnHub(base="me/net", dataset="me/data"))).data
    assert about.base_model == "me/net"
    assert about.datasets == ["me/data"]
    own = [each for each in about.eval_results if each.metric_args]
    assert [each.metric_value for each in own] == [pytest.approx(result.score.value, rel=1e-5)]
    assert own[0].metric_args["interval"] == pytest.approx([result.score.low, result.score.high], rel=1e-5)


def test_a_task_that_the_hub_has_no_name_for_gets_no_pipeline() -> None:
    result, _ = made("two_classes")
    card = model_card(replace(result, task="regression"))
    assert "tags: [tame, image-regression]" in card
    assert "pipeline_tag" not in card
    assert "base_model" not in card
    assert "datasets" not in card


@pytest.mark.parametrize("case", ["hostile", "hostile_table", "hostile_numbers"])
def test_the_model_card_holds_no_control_characters(case: str) -> None:
    result, _ = made(case)
    assert all(char.isprintable() or char in "\n\u200c\u200d" for char in model_card(result))
