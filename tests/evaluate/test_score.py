"""Samples of the answers, typical ones and mistakes of each class, and answers that are better not given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tame.core.rng import stream
from tame.evaluate.refusal import refusal
from tame.evaluate.score import MOST_SAMPLED, Judged, judged_from, samples

CLASSES = ("ants", "bees", "wasps")


@pytest.mark.parametrize("seed", range(5))
def test_samples_are_the_usual_right_answers_and_the_surest_mistakes_of_each_class(seed: int) -> None:
    rng = stream(seed, "samples")
    target = rng.integers(0, 3, 90)
    logits = rng.normal(size=(90, 3))
    logits[np.arange(90), target] += 1.0
    ids = [f"{i}.jpg" for i in range(90)]
    judged = judged_from("multiclass", ids, target, logits)
    found = samples(judged, CLASSES)
    sure = {name: float(judged.probabilities[i].max()) for i, name in enumerate(ids)}
    for label, name in enumerate(CLASSES):
        own = [each for each in found if each.true == name]
        right = [sure[ids[i]] for i in range(90) if target[i] == label and judged.predicted[i] == label]
        wrong = [sure[ids[i]] for i in range(90) if target[i] == label and judged.predicted[i] != label]
        usual = float(np.median(right))
        distances = sorted(abs(value - usual) for value in right)
        taken = [each.probability for each in own if each.is_right]
        assert sorted(abs(value - usual) for value in taken) == pytest.approx(distances[:4], abs=1e-12)  # float64
        assert [each.probability for each in own if not each.is_right] == sorted(wrong, reverse=True)[:2]
        assert [each.is_right for each in own] == sorted((each.is_right for each in own), reverse=True)


def test_a_class_without_right_answers_has_only_mistakes_and_many_classes_have_no_samples() -> None:
    judged = judged_from("binary", ["a", "b"], np.array([0, 0]), np.array([[0.0, 2.0], [0.0, 1.0]]))
    assert [(each.id, each.predicted) for each in samples(judged, CLASSES[:2])] == [("a", "bees"), ("b", "bees")]
    many = MOST_SAMPLED + 1
    judged = judged_from("multiclass", [str(i) for i in range(many)], np.arange(many), np.eye(many))
    assert samples(judged, [str(i) for i in range(many)]) == ()


def drawn(rng: np.random.Generator, n: int, groups: np.ndarray | None = None) -> Judged:
    logit = rng.normal(0, 2, size=n)
    target = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(int)
    return judged_from("binary", list(map(str, range(n))), target, np.stack([0 * logit, logit], axis=1), groups=groups)


def test_refusing_the_least_certain_halves_the_mistakes_on_other_examples_too() -> None:
    rng = stream(0, "refusal")
    chosen_on, judged = drawn(rng, 3000), drawn(rng, 3000)
    found = refusal(chosen_on, judged)
    assert found is not None
    sure = chosen_on.probabilities.max(axis=1)
    own = sure >= found.threshold
    assert (~chosen_on.right)[own].mean() <= (~chosen_on.right).mean() / 2
    for lower in sure[sure < found.threshold]:  # a plain search: every lower threshold leaves more
        assert (~chosen_on.right)[sure >= lower].mean() > (~chosen_on.right).mean() / 2
    given = judged.probabilities.max(axis=1) >= found.threshold
    assert (found.n, found.answered) == (3000, given.sum())
    assert found.coverage == given.mean()
    assert found.risk == pytest.approx((~judged.right)[given].mean(), rel=1e-12)
    assert found.risk_of_all == pytest.approx((~judged.right).mean(), rel=1e-12)
    assert found.risk_low < found.risk < found.risk_high < 0.75 * found.risk_of_all
    grouped = refusal(chosen_on, replace(judged, groups=np.arange(3000) // 10))
    assert grouped is not None
    assert grouped.risk == found.risk


def test_without_mistakes_to_choose_by_nothing_is_refused() -> None:
    rng = stream(1, "refusal")
    few = drawn(rng, 40)
    right = replace(few, target=few.predicted)
    assert refusal(right, few) is None
    blind = replace(few, outputs=np.tile([0.4, 0.6], (40, 1)), target=np.arange(40) % 2)
    assert refusal(blind, few) is None  # no probability is higher than another
