"""The report's section on the data: its parts, its columns, what was left out and what was found while reading it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from markupsafe import Markup

from tame.core.result import Result
from tame.core.result_parts import ColumnFacts, SkippedFile
from tame.kinds.known import KINDS
from tame.report import formats, words
from tame.report.charts import shares
from tame.report.svg import both

PARTS = {
    "train": "training",
    "val": "validation",
    "test": "sealed test",
    "aside": "put aside",
    "excluded": "left out by you",
}
COLUMN_KINDS = {  # of columns that can be trained on
    "number": ("number", "numbers"), "category": ("category", "categories"), "boolean": ("yes or no", "yes or no"),
    "date": ("date", "dates"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ClassRow:
    """How many examples of a class are in each part."""

    name: str
    counts: list[int]
    total: int


@dataclass(frozen=True, slots=True)
class ColumnRow:
    """A column of the table, formatted for print."""

    name: str
    kind: str
    why: str
    missing: str
    categories: str


@dataclass(frozen=True, slots=True)
class TargetWords:
    """What is predicted, and why it was read as that task."""

    name: str
    task: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSection:
    """Sentences, counts by class and part, and the bar of the parts."""

    about: str
    target: TargetWords | None
    columns: list[ColumnRow]
    left_out: list[ColumnRow]
    part_names: list[str]
    part_sums: list[int]
    class_counts: list[ClassRow]
    parts_chart: Markup
    notes: tuple[str, ...]
    skipped: int
    skipped_first: tuple[SkippedFile, ...]


def of_data(result: Result) -> DataSection:
    """The section on the data and its split."""
    facts, counts = result.data_facts, result.data_facts.counts
    parts = [part for part in PARTS if part in counts]
    names = [PARTS[part] for part in parts]
    if facts.folds > 1 and "val" not in parts:
        names = ["training and validation" if part == "train" else PARTS[part] for part in parts]
    sums = [words.part_size(counts[part]) for part in parts]
    bar = [(name, amount, part) for name, amount, part in zip(names, sums, parts, strict=True)]
    desc = "; ".join(f"{name} {amount}" for name, amount, _ in bar)
    inputs, total = _inputs(result), sum(sums)
    return DataSection(
        about=_about(result, total),
        target=_target(result),
        columns=[_column(each, total) for each in inputs if each.learnt],
        left_out=[_column(each, total) for each in inputs if not each.learnt],
        part_names=names,
        part_sums=sums,
        class_counts=[] if result.is_regression or result.is_language_model else _class_counts(result, parts),
        parts_chart=both(
            "parts", partial(shares, bar, title=f"How the {words.noun(result.kind)} are split", desc=desc)
        ),
        notes=facts.notes,
        skipped=facts.skipped or 0,
        skipped_first=facts.skipped_first or (),
    )


def _class_counts(result: Result, parts: Sequence[str]) -> list[ClassRow]:
    counts = result.data_facts.counts
    return [
        ClassRow(name, own, sum(own))
        for name in result.classes
        for own in [[counts[part].get(name, 0) for part in parts]]
    ]


def _about(result: Result, total: int) -> str:
    """How much data there is, in a few sentences."""
    facts = result.data_facts
    said = words.examples(result, total if facts.pictures is None else facts.pictures)
    if not (result.is_regression or result.is_language_model):
        said += f" in {formats.count(len(result.classes), 'class')}"
    if facts.side is not None:
        said += f"; median shorter side {facts.side} pixels"
    if _inputs(result):
        said += f". {_kinds(result)}"
    found = [f"{said}."]
    if (texts := facts.language) is not None:
        held = ", ".join(f"{number:,} {PARTS.get(part, part)}" for part, number in texts.texts.items())
        found.append(
            f"The passages are of {formats.count(sum(texts.texts.values()), 'text')} ({held}) with {texts.tokens:,} "
            f"tokens and {texts.characters:,} characters; texts are split as a whole, near copies together. An epoch "
            f"takes {texts.slots:,} blocks of {texts.block:,} tokens, the next ones each time."
        )
    own = KINDS.get(result.kind).words
    if own.is_file:
        pairs, skipped = facts.pairs, facts.skipped or 0
        kept = " and kept on one side of the split" if pairs else ""
        same = f"{formats.count(pairs, 'pair')} of the same or nearly the same {own.noun}"
        found.append(
            f"{same} {words.were(pairs)} found{kept}; {formats.count(skipped, 'file')} {words.were(skipped)} skipped."
        )
    if twins := facts.twins:
        found.append(f"{words.examples(result, twins)} {'has' if twins == 1 else 'have'} an identical copy.")
    if without := facts.unlabelled:
        found.append(f"{words.examples(result, without)} without a target {words.were(without)} left out.")
    return " ".join(found)


def _kinds(result: Result) -> str:
    """Trained on 12 columns: 7 numbers, 4 categories and 1 date; 2 columns were left out."""
    columns = _inputs(result)
    kinds = Counter(column.kind for column in columns if column.learnt)
    used = [
        f"{kinds[kind]:,} {many if kinds[kind] > 1 else one}"
        for kind, (one, many) in COLUMN_KINDS.items()
        if kinds[kind]
    ]
    out = len(columns) - kinds.total()
    of = formats.count(kinds.total(), "column")
    left = f"; {formats.count(out, 'column')} {words.were(out)} left out" if out else ""
    return f"Trained on {of}{f': {formats.listed(used)}' if used else ''}{left}"


def _inputs(result: Result) -> list[ColumnFacts]:
    """The columns of a table, except the target."""
    return [column for column in result.data_facts.columns or () if column.name != result.target]


def _column(column: ColumnFacts, total: int) -> ColumnRow:
    missing = f"{column.missing:,} ({100 * column.missing / max(total, 1):.1f} %)" if column.missing else ""
    return ColumnRow(
        column.name, column.kind, column.why, missing, f"{column.categories:,}" if column.categories else ""
    )


def _target(result: Result) -> TargetWords | None:
    """What is predicted; None if it has neither a name nor a reason."""
    about = result.data_facts.target
    if about is None:
        return None
    names = {"binary": "one of two classes", "multiclass": "one of several classes", "regression": "a number"}
    return TargetWords(about.name or "the target", names[result.task], about.why)
