"""What a study tells of texts: its mistakes quoted, words that decided, and the score on those that are read whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from tame.core.errors import WorkerError
from tame.core.evaluation import Answers, ClassAnswers, NumberAnswers
from tame.core.plain import from_plain, to_plain
from tame.core.quotes import ClassWords, CutTexts, Likest, Quote, Quotes, Weighed
from tame.core.records import Score
from tame.evaluate.score import Judged, score
from tame.kinds.kind import Data
from tame.kinds.tables.commands import QUOTES, Quoted, QuotesAsked, QuotesTold
from tame.study.clock_shares import quotes_s
from tame.study.delivered import MODEL
from tame.study.session import Study

MOST_CLASSES = 12  # whose words are told
EACH = 8  # texts of each that are looked at
MOST_WORDS = 6  # told of a class


def quotes_of(study: Study, data: Data, judged: Judged, answers: Answers) -> Quotes | None:
    """What is told of the texts of a study; None where it has none, or no mistakes and no texts that decide."""
    if not data.texts[0] or not isinstance(answers, ClassAnswers | NumberAnswers):
        return None
    rows = dict(zip(data.ids, range(len(data.ids)), strict=True))
    wrong = [rows[each.id] for each in (answers.mistakes if isinstance(answers, ClassAnswers) else answers.errors)]
    place = {rows[name]: number for number, name in enumerate(judged.ids)}
    right = _typical(data, judged, rows) if isinstance(answers, ClassAnswers) else []
    every = [*wrong, *right]
    clock = study.config.clock_s
    asked = QuotesAsked(
        model=str(study.folder / MODEL), rows=tuple(every),
        answers=tuple(int(judged.predicted[place[row]]) if data.classes else -1 for row in every),
        among=tuple(data.rows), judged=tuple(data.sealed.rows),
        limit_s=None if clock is None else max(0.0, min(quotes_s(clock), study.left_s - 1)),
    )  # fmt: skip
    answer = study.worker.ask(QUOTES, to_plain(asked))
    told = from_plain(QuotesTold, answer, what="the answer to 'quotes'", error=WorkerError)
    return Quotes(
        quotes=tuple(_quote(data, each) for each in told.quotes[: len(wrong)]),
        by_class=_by_class(data, judged, place, told.quotes[len(wrong) :]), by=told.by,
        cut=_cut(study, data, judged, told),
    )  # fmt: skip


def _typical(data: Data, judged: Judged, rows: dict[str, int]) -> list[int]:
    """Texts that were answered rightly, evenly over the classes, one of each in turn."""
    if len(data.classes) > MOST_CLASSES:
        return []
    of_class = [
        [rows[judged.ids[place]] for place in np.flatnonzero(judged.right & (judged.predicted == number))[:EACH]]
        for number in range(len(data.classes))
    ]
    return [own[turn] for turn in range(EACH) for own in of_class if turn < len(own)]


def _quote(data: Data, each: Quoted) -> Quote:
    label = data.classes[int(data.targets[each.likest])] if data.classes else f"{data.targets[each.likest]:.6g}"
    likest = Likest(data.ids[each.likest], label, each.likeness, each.likest_text)
    return Quote(data.ids[each.row], each.text, _weighed(each.words), likest)


def _weighed(words: Sequence[tuple[str, float]]) -> tuple[Weighed, ...]:
    return tuple(Weighed(own, weight) for own, weight in words)


def _by_class(data: Data, judged: Judged, place: dict[int, int], quotes: Sequence[Quoted]) -> tuple[ClassWords, ...]:
    """The words that spoke for each class, by the sum of their weights in all texts that were looked at."""
    if not data.classes or len(data.classes) > MOST_CLASSES:
        return ()
    found: list[ClassWords] = []
    for number, label in enumerate(data.classes):
        own = [each for each in quotes if each.was_weighed and judged.predicted[place[each.row]] == number]
        weights: dict[str, list[float]] = defaultdict(list)
        for each in own:
            for words, weight in each.words:
                weights[words].append(weight)
        heavy = sorted(weights, key=lambda words: (-sum(weights[words]), words))[:MOST_WORDS]
        told = [Weighed(words, float(np.mean(weights[words])), len(weights[words])) for words in heavy]
        found.append(ClassWords(label, len(own), tuple(each for each in told if each.weight > 0)))
    found = [each for each in found if each.words]
    return tuple(found)


def _cut(study: Study, data: Data, judged: Judged, told: QuotesTold) -> CutTexts | None:
    """The score on texts that were cut, and on the others."""
    if not told.cut and not told.trained:
        return None
    names = {data.ids[row] for row in told.cut}
    was_cut = np.array([name in names for name in judged.ids])
    cut = _part(study, data, judged.only(was_cut), "cut")
    whole = _part(study, data, judged.only(~was_cut), "whole") if told.cut else None
    number = int(was_cut.sum())
    return CutTexts(
        told.read, told.unit, number, len(was_cut), cut, whole, trained=told.trained, of_trained=len(data.rows)
    )


def _part(study: Study, data: Data, judged: Judged, how: str) -> Score | None:
    if not len(judged.ids):
        return None
    return score(data.metric, judged, how=f"test examples whose texts are {how}", seed=study.config.seed)
