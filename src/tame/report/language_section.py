"""What an adapted language model does: what it forgot, what it writes, and how much of that is copied."""

from __future__ import annotations

from dataclasses import dataclass

from tame.core.evaluation import LanguageAnswers, Written
from tame.core.result import Result
from tame.report import formats

COPIED = 12  # words in a row that are also in a text it was trained on: from there on it is told as copying
MATTERS = 0.01  # bits for a character of one text: less is not told as a change
LOOPS = 0.3  # share of runs of four words that were written before: from there on the text goes in circles
NO_ADVICE = "what it writes sounds like the texts it was trained on; it is not advice, and it may be wrong or invented"


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRow:
    """One beginning, and what both models write after it."""

    prompt: str
    before: str
    after: str
    copied: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageSection:
    """What the templates print of a language model. said: in sentences."""

    said: list[str]
    samples: list[SampleRow]
    how: str
    warning: str


def of_language(result: Result, answers: LanguageAnswers) -> LanguageSection:
    """The section on what a language model does."""
    return LanguageSection(
        said=[formats.sentence(each) for each in (perplexity(answers), gap(result), forgetting(answers),
              copying(answers), trained(result, answers)) if each],
        samples=[_row(each) for each in answers.written],
        how=f"temperature {formats.compact(answers.temperature)}, the same seeds before and after",
        warning=formats.sentence(NO_ADVICE),
    )  # fmt: skip


def perplexity(answers: LanguageAnswers) -> str:
    """How surprising the sealed passages are, for each token."""
    own = answers.perplexity
    return (
        f"perplexity of the sealed passages {formats.significant(own.before)} before, {formats.significant(own.after)} "
        f"after ({answers.tokens:,} tokens, {answers.characters:,} characters)"
    )


def gap(result: Result) -> str:
    """Whether validation and sealed texts agree."""
    return (
        f"bits per character {formats.shown(result.metric, result.validation.value)} on the texts that chose the "
        f"recipe and {formats.shown(result.metric, result.score.value)} on the sealed ones"
    )


def forgetting(answers: LanguageAnswers) -> str:
    """What adapting cost on a text that has nothing to do with the data."""
    own = answers.other
    if own is None:
        return "there was no time to see what the model forgot"
    bits, perplexity = own.bits, own.perplexity
    change = f"{formats.number(bits.before)} to {formats.number(bits.after)} bits per character"
    also = f"perplexity {formats.significant(perplexity.before)} to {formats.significant(perplexity.after)}"
    lost = bits.after - bits.before
    said = "forgot" if lost > MATTERS else "gained there too" if lost < -MATTERS else "lost nothing to speak of"
    one = f"{own.characters:,} characters of one text, so without an interval"
    return f"on a fixed text about other things ({one}) it {said}: {change}, {also}"


def copying(answers: LanguageAnswers) -> str:
    """The longest run of words that what it wrote shares with a text that it was trained on."""
    if not answers.written:
        return ""
    longest = max(answers.written, key=lambda each: each.copied)
    known = sum(each.known for each in answers.written) / len(answers.written)
    said = (
        f"the longest run of words that what it wrote shares with its training texts has {longest.copied} words "
        f"({formats.short(longest.words, 120)!r}); {100 * known:.0f} % of its runs of eight words are in them"
    )
    if longest.copied < COPIED:
        return said
    return f"{said}: it repeats its training texts, names and figures among them, so look before you pass it on"


def trained(result: Result, answers: LanguageAnswers) -> str:
    """How much of the model was trained."""
    facts = result.data_facts.language
    if facts is None:
        return ""
    share = 100 * answers.trained / facts.parameters
    rate = "" if answers.rate is None else f"; it writes {answers.rate:,.0f} tokens a second here"
    return (
        f"adapters of {answers.trained:,} numbers ({share:.1f} % of the {facts.parameters:,} of {facts.model}) were "
        f"trained and are merged into what is delivered{rate}"
    )


def _row(each: Written) -> SampleRow:
    copied = f"longest copied run: {formats.count(each.copied, 'word')}"
    circles = "; it goes in circles" if each.repeated.after > LOOPS else ""
    return SampleRow(prompt=each.prompt, before=each.before, after=each.after, copied=copied + circles)
