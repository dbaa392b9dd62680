"""The section on texts: what the mistakes say, which words decided, and whether texts were cut."""

from __future__ import annotations

from dataclasses import dataclass

from tame.core.evaluation import ClassAnswers, NumberAnswers
from tame.core.quotes import ClassWords, CutTexts, Quote, Weighed
from tame.core.result import Result
from tame.report import formats, words

MOST_SHOWN = 3  # words of a text
LIKE = 0.3  # cosine, from there on a text is quoted as like another


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteRow:
    """A mistake and its text. said: what was answered and what is true; words: that decided."""

    id: str
    text: str
    said: str
    words: str
    likest: str
    likest_text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WordsRow:
    """A class, and the words that spoke for it."""

    label: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotesSection:
    """What the templates print about texts. cut: "" where all were read whole; how: the words were found; looked_at:
    texts in which words of classes were."""

    quotes: list[QuoteRow]
    by_class: list[WordsRow]
    cut: str
    how: str
    looked_at: int

    @property
    def is_section(self) -> bool:
        """Whether there is more to tell than the texts of the mistakes."""
        return bool(self.by_class or self.cut)


def of_texts(result: Result) -> QuotesSection | None:
    """The section on texts; None of a result without any."""
    own = result.quotes
    if own is None:
        return None
    answers = result.answers
    said: dict[str, str] = {}
    if isinstance(answers, ClassAnswers):
        said = {
            each.id: f"predicted as {each.predicted} with {100 * each.probability:.1f} %; true: {each.true}"
            for each in answers.mistakes
        }
    elif isinstance(answers, NumberAnswers):
        size = formats.significant
        said = {each.id: f"predicted {size(each.predicted)}; true: {size(each.true)}" for each in answers.errors}
    number = result.is_regression
    what = "the prediction" if number else "the probability of the predicted class"
    found = f"beside words stands by how much {what} changes without them"
    if not any(each.words for each in own.quotes):
        found = "no word alone decided, or there was no time to look for it"
    return QuotesSection(
        quotes=[_row(each, said.get(each.id, ""), number=number) for each in own.quotes],
        by_class=[
            WordsRow(label=each.label, words=_of_class(each)) for each in own.by_class
        ],
        cut="" if own.cut is None else cut(result, own.cut),
        how=f"{found}; likeness is measured by {own.by}",
        looked_at=sum(each.texts for each in own.by_class),
    )  # fmt: skip


def cut(result: Result, about: CutTexts) -> str:
    """How many texts were cut, of the test and of training, and the score on these and on the others."""
    read = f"only the first {about.read:,} {about.unit} are read"
    learnt = f"of {about.trained:,} of the {about.of_trained:,} texts that it was trained on"
    if not about.count:
        return f"{learnt} {read}; the {about.of:,} test texts are read whole"
    most = f"of {about.count:,} of the {about.of:,} test texts {read}"
    scores = [
        f"{formats.metric_name(result.metric)} {formats.shown(result.metric, own.value)} "
        f"({words.span(own, result.metric)}) on {what}"
        for own, what in ((about.cut, "these"), (about.whole, "the others"))
        if own is not None
    ]
    also = f"; the same holds {learnt}" if about.trained else ""
    if about.of_trained and not about.trained:
        also = f"; the {about.of_trained:,} texts that it was trained on are read whole"
    return f"{most}: {', '.join(scores)}{also}"


def _row(each: Quote, said: str, *, number: bool) -> QuoteRow:
    likest, about = each.likest, ""
    if likest is not None:
        near = "most like" if likest.likeness >= LIKE else "like none of the training texts; least unlike"
        about = f"{near} {likest.id} ({likest.label}, likeness {likest.likeness:.2f})"
    return QuoteRow(
        id=each.id, text=each.text, said=said, words=_weighed(each.words, number=number), likest=about,
        likest_text="" if likest is None else likest.text,
    )  # fmt: skip


def _weighed(some: tuple[Weighed, ...], *, number: bool) -> str:
    """The weightiest words, those for the answer first."""
    shown = some[:MOST_SHOWN]
    parts = [
        f"{side} {', '.join(_one(each, number=number) for each in own)}"
        for side, own in (
            ("for it", [each for each in shown if each.weight > 0]),
            ("against it", [each for each in shown if each.weight <= 0]),
        )
        if own
    ]
    return "; ".join(parts)


def _of_class(own: ClassWords) -> str:
    return ", ".join(
        f"{_one(each, number=False)}{f' in {each.texts} texts' if each.texts > 1 else ''}" for each in own.words
    )


def _one(each: Weighed, *, number: bool) -> str:
    size = formats.significant(abs(each.weight)) if number else f"{100 * abs(each.weight):.0f} %"
    return f"“{formats.short(each.words, 60)}” {size}"
