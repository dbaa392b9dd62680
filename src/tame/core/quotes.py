"""Texts of the test part as a report quotes them: what decided about them, and what they are most like."""

from __future__ import annotations

from dataclasses import dataclass

from tame.core.records import Score


@dataclass(frozen=True, slots=True)
class Weighed:
    """Words of a text, and how much lower the probability of the answer is without them; of a regression how much
    lower the number is. texts: in which they were, of which the weight is the mean."""

    words: str
    weight: float
    texts: int = 1


@dataclass(frozen=True, slots=True)
class Likest:
    """The text of the training data that is most like another. label: its class or number; likeness: cosine, 1 of the
    same text; text: its beginning."""

    id: str
    label: str
    likeness: float
    text: str


@dataclass(frozen=True, slots=True)
class Quote:
    """A text that was answered wrongly. text: its beginning; words: that decided, the weightiest first."""

    id: str
    text: str
    words: tuple[Weighed, ...] = ()
    likest: Likest | None = None


@dataclass(frozen=True, slots=True)
class ClassWords:
    """Words that spoke for a class in texts of it that were answered rightly, those first that did most in all of them.
    texts: that were looked at."""

    label: str
    texts: int
    words: tuple[Weighed, ...]


@dataclass(frozen=True, slots=True)
class CutTexts:
    """Texts of the test part that are longer than what is read of them, in tokens of the encoder or in characters.

    cut, whole: the score on these and on the others; None where there are none. trained: how many of the of_trained
    texts that the model was trained on are longer, too; of_trained: 0 where that was not counted.
    """

    read: int
    unit: str
    count: int
    of: int
    cut: Score | None
    whole: Score | None
    trained: int = 0
    of_trained: int = 0


@dataclass(frozen=True, slots=True)
class Quotes:
    """What a report tells of texts. by: what likeness is measured by; cut: None where all texts are read whole."""

    quotes: tuple[Quote, ...]
    by_class: tuple[ClassWords, ...]
    by: str
    cut: CutTexts | None = None
