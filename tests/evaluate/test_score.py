"""Samples of the answers: typical ones and mistakes of each class."""

from __future__ import annotations

import numpy as np
import pytest

from tame.core.rng import stream
from tame.evaluate.score import MOST_SAMPLED, judged_from, samples

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
