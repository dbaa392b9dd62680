"""What the delivered model says of single examples: its mistakes with as many right answers, and the odd ones out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tame.core.rng import stream
from tame.evaluate.score import Judged, losses
from tame.kinds.kind import Data
from tame.study.events import Answer, Judgements, Odd, OfPart

MOST = 200  # mistakes of a part
MOST_ODD = 60
LARGE = 0.1  # share of the predictions of a number that are listed as its largest errors


def judgements(data: Data, *, valid: Judged, test: Judged, distances: Mapping[int, float], seed: int) -> Judgements:
    """The event that keeps them. valid, test: what is said of each part; distances: by row, above 1 where one is
    unlike the training examples."""
    rows = {name: row for row, name in enumerate(data.ids)}
    most = sorted((row for row, own in distances.items() if own > 1), key=lambda row: (-distances[row], row))
    return Judgements(
        valid=_of_part(data, valid, rows, stream(seed, "judgements", "val")),
        test=_of_part(data, test, rows, stream(seed, "judgements", "test")),
        odd=tuple(Odd(row, round(distances[row], 3)) for row in most[:MOST_ODD]),
        also_wrong=also_wrong(test, rows) if data.classes else None,
    )


def also_wrong(judged: Judged, rows: Mapping[str, int]) -> tuple[int, ...] | None:
    """The rows of the mistakes beyond those that are listed, so that two studies can be compared example by example."""
    order = _surest_wrong(judged)[MOST:]
    return tuple(rows[judged.ids[place]] for place in np.sort(order)) or None


def _surest_wrong(judged: Judged) -> np.ndarray:
    """The places of the mistakes, the surest first."""
    wrong = np.flatnonzero(~judged.right)
    return wrong[np.argsort(-judged.probabilities[wrong, judged.predicted[wrong]], kind="stable")]


def _of_part(data: Data, judged: Judged, rows: Mapping[str, int], chance: np.random.Generator) -> OfPart:
    """The surest mistakes, or the largest errors, and as many of the other answers, drawn without looking at them.

    Who sees mistakes alone fixes only what spoils the score.
    """
    places = np.arange(len(judged.ids))
    if data.classes:
        order, right = _surest_wrong(judged), places[judged.right]
    else:
        every = places[np.argsort(-losses(data.metric, judged), kind="stable")]
        large = max(1, round(LARGE * len(every)))
        order, right = every[:large], np.sort(every[large:])
    shown = order[:MOST]
    drawn = chance.choice(right, min(len(shown), len(right)), replace=False)
    return OfPart(
        n=len(places), wrong=len(order), mistakes=_answers(data, judged, rows, shown),
        right=_answers(data, judged, rows, np.sort(drawn)),
    )  # fmt: skip


def _answers(
    data: Data, judged: Judged, rows: Mapping[str, int], places: Sequence[int] | np.ndarray
) -> tuple[Answer, ...]:
    found = []
    for place in places:
        predicted, row = judged.predicted[place], rows[judged.ids[place]]
        if data.classes:
            share = float(judged.probabilities[place, predicted])
            found.append(Answer(row, data.classes[int(predicted)], round(share, 4)))
        else:
            found.append(Answer(row, f"{float(predicted):.6g}", None))
    return tuple(found)
