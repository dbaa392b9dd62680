"""Rows that were read, from a table or from arrays given from Python: splitting them, and what there is to say of them.

The test part is sealed from here on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import cast

import numpy as np

from tame.core.config import StudyConfig
from tame.core.edits import Edit
from tame.core.errors import require
from tame.core.records import Finding
from tame.core.result_parts import ColumnFacts, TargetFacts, Task
from tame.data.edits import Examples, apply_edits, digest_of_cells
from tame.data.row_copies import RowCopies, copies_of
from tame.data.row_shifts import NONE
from tame.data.sources import take_rows
from tame.data.split import Split, class_sizes, groups_of, make_split, seal, split_by_order, strata
from tame.data.table_order import order_values
from tame.data.tables import LEARNT, MISSING, Table
from tame.data.targets import Leak, Target, leaks
from tame.data.text_copies import RUN, words_of
from tame.data.text_leaks import telling_words
from tame.data.text_twins import near_texts
from tame.data.tfidf import MOST_CHARACTERS
from tame.data.unseen import Values
from tame.kinds.findings import MOST_NAMED, count, finding, metric_for, of_classes
from tame.kinds.groups import joined, named_groups
from tame.kinds.kind import PARTS, Data, Opened
from tame.kinds.tables.doubts import columns_of, doubts_of
from tame.kinds.tables.kind import TABLES

FOLDS_BELOW = 10_000  # rows; a table is cheap to train on, and folds use all of it
FEW = 200
MOST_TOLD = 3  # classes whose words are told
SCALES_APART = 1000  # times: a rate that suits one of two inputs is then useless for the other


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFacts:
    """What a study keeps of its rows. counts: of each class, by part; or "rows", of a regression.

    unlabelled: rows without a target; twins: rows that equal another; digests: of the files;
    encoder: of its texts, as `--backbone` has it; lengths: tokens that it reads; encoder_blocks: that it has.
    """

    kind: str
    classes: tuple[str, ...]
    examples: int
    counts: Mapping[str, Mapping[str, int]]
    columns: tuple[ColumnFacts, ...]
    notes: tuple[str, ...]
    target: TargetFacts
    unlabelled: int
    split: str
    folds: int
    digests: tuple[str, ...]
    pairs: tuple[tuple[int, int], ...] = ()
    twins: int
    encoder: str = ""
    lengths: tuple[int, ...] = ()
    encoder_blocks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A table with its target and the part that each row came in.

    classes: () of a regression; given: "" where a row came in no part; beside: groups and order, where columns were
    named for them; shares: (N, C) of classes, where rows come with probabilities; unlabelled: rows that were left out
    for want of a target; keep_rare: whether classes too small to be judged are trained on nevertheless; weights: (N,)
    above 0, what each row counts as; encoder: that its texts pass, "" for none; lengths: tokens of
    each that it reads, the one to begin with first; encoder_blocks: that it has.
    """

    table: Table
    task: str
    classes: tuple[str, ...]
    values: np.ndarray
    given: tuple[str, ...]
    ids: tuple[str, ...]
    target: TargetFacts
    notes: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    beside: Mapping[str, np.ndarray] = field(default_factory=dict)
    shares: np.ndarray | None = None
    unlabelled: int = 0
    keep_rare: bool = False
    weights: np.ndarray | None = None
    encoder: str = ""
    lengths: tuple[int, ...] = ()
    encoder_blocks: int = 0


def split_rows(
    own: Rows, config: StudyConfig, *, kind: str, copies: RowCopies | None = None, inputs: Sequence[Values] = (),
    is_new: bool = True, edits: Sequence[Edit] | None = None, digest_of: Callable[[int], str] | None = None,
) -> Opened:  # fmt: skip
    """The rows, split as the config says, with what there is to say of them. Raises DataError and UsageError.

    copies: which rows are copies of others; found in the table where they are not given. inputs: the columns of rows
    that are no table. is_new: whether the data is judged; a study that goes on has its findings. edits: that are to be
    applied; digest_of: by which a row is known again, that of its cells where it is not given.
    """
    has_trees = own.shares is None and any(c.kind in LEARNT and c.kind != "text" for c in own.table.columns)
    only = "trees are a baseline for tables with other columns than texts, and one target for each row"
    require(not config.baseline or has_trees, f"{only}; leave out --baseline")
    found = copies_of(list(own.table.values.values())) if copies is None else copies
    alike = _alike(own.table)
    alike = {(a, b) for a, b in alike if found.equal[a] != found.equal[b]}  # whole copies are told as such
    found = replace(found, near=tuple(sorted({*found.near, *alike}))) if alike else found
    groups, notes = groups_of(len(own.values), found.pairs()), own.notes + _on_crowds(found) + _on_long(own.table)
    if config.groups:
        named, said = named_groups(
            own.beside[config.groups], config.groups, given=own.given, values=own.values, classes=own.classes,
            nouns="rows",
        )  # fmt: skip
        # Rows that are nearly equal, or overlap, are left to the groups that the user has named.
        groups, notes = joined(named, replace(found, near=(), windows=NONE).pairs()), notes + said
    applied = apply_edits(edits, examples_of(own, _split(own, groups, config), digest_of))
    own, split, found = replace(own, values=applied.values), applied.split, found.without(applied.is_left_out)
    sealed = seal(split, own.values if own.shares is None else own.shares)
    is_test = np.array(split.part) == "test"
    is_hidden = is_test | applied.is_left_out
    hidden = np.where(is_hidden, -1 if own.classes else np.nan, own.values)
    trained_on = np.isin(found.equal, found.equal[np.isin(split.part, ("train", "val"))])
    learnt = split.rows("train", "val")
    sizes, unjudged = class_sizes(split, own.values, len(own.classes))
    data = Data(
        kind, own.task, metric_for(config, own.task, sizes), own.classes, own.ids,
        hidden.astype(np.int64) if own.classes else hidden, split, sealed,
        columns=sum(column.kind in LEARNT for column in own.table.columns), refits=config.val is None,
        shares=None if own.shares is None else np.where(is_hidden[:, None], np.nan, own.shares),
        twins=tuple(np.flatnonzero(is_test & trained_on).tolist()), weights=own.weights,
        texts=(len(own.table.texts), bool(own.encoder)), lengths=own.lengths, encoder_blocks=own.encoder_blocks,
    )  # fmt: skip
    findings = [*_of_copies(own, data, found), *_of_split(own, data, config, [own.classes[n] for n in unjudged])]
    if is_new:
        read_off = _leaks(own, learnt)
        columns, dates = columns_of(own.table) if own.table.values else (list(inputs), frozenset())
        doubts = doubts_of(
            columns, dates, data, groups, config, leaks=[each.column for each in read_off],
            given=bool({"val", "test"}.intersection(own.given)), nouns="rows" if own.table.values else "examples",
        )  # fmt: skip
        notes += doubts.notes
        findings = [*_of_columns(own, notes, read_off), *findings, *doubts.findings]
        findings += _scales(inputs) if kind != TABLES.name else []
    facts = _facts(own, data, notes, int(found.has_twin.sum()))
    return Opened(data=data, facts=facts, groups=groups, findings=tuple(findings), edited=applied.edited)


def examples_of(own: Rows, split: Split, digest_of: Callable[[int], str] | None = None) -> Examples:
    """The rows as edits see them."""

    return Examples(
        ids=own.ids, values=own.values, classes=own.classes, split=split,
        digest_of=digest_of or partial(digest_of_row, own), nouns="rows" if own.table.values else "examples",
        named_by_place=True, are_shared=own.shares is not None,
    )  # fmt: skip


def cells_of(table: Table, row: int) -> dict[str, str]:
    """What a row has in each column that is trained on, as text; "" where that is missing."""
    found = {}
    for column in table.columns:
        if column.kind in LEARNT and column.name in table.values:
            value = table.values[column.name][row]
            if column.kind in ("category", "boolean", "text"):
                names = table.texts[column.name] if column.kind == "text" else column.categories
                found[column.name] = names[int(value)] if value >= 0 else ""
            else:
                found[column.name] = "" if np.isnan(value) else repr(float(value))
    return found


def digest_of_row(own: Rows, row: int) -> str:
    """By which a row is known again: of its cells and its target."""
    return digest_of_cells([*cells_of(own.table, row).values(), target_of(own, row)])


def target_of(own: Rows, row: int) -> str:
    """The target of a row as text."""
    if own.shares is not None:
        return ",".join(map(repr, own.shares[row].tolist()))
    return own.classes[int(own.values[row])] if own.classes else repr(float(own.values[row]))


def _alike(table: Table) -> set[tuple[int, int]]:
    """Pairs of rows with nearly the same text in a column, equal ones aside."""
    found = set()
    for name, texts in table.texts.items():
        first: dict[int, int] = {}
        for row, code in enumerate(table.values[name].tolist()):
            first.setdefault(code, row)
        near = near_texts(texts)
        found |= {(min(first[a], first[b]), max(first[a], first[b])) for a, b in near if a in first and b in first}
        if len(table.values) > 1:  # texts that are equal, in rows that differ elsewhere
            long = {code for code, text in enumerate(texts) if len(words_of(text)) >= RUN}
            codes = table.values[name].tolist()
            found |= {(first[code], row) for row, code in enumerate(codes) if code in long and first[code] != row}
    return found


def _on_crowds(copies: RowCopies) -> tuple[str, ...]:
    if not copies.crowded:
        return ()
    rows = count(copies.crowded, "row")
    return (f"{rows} nearly equal to others and not kept together: they would be too much of the data",)


def _on_long(table: Table) -> tuple[str, ...]:
    """How many texts of each column are longer than what is read of them by their words."""
    found = []
    for name, texts in table.texts.items():
        is_long = np.array([*(len(text) > MOST_CHARACTERS for text in texts), False])
        codes = table.values[name][table.values[name] != MISSING]
        long = int(is_long[codes].sum())
        if long:
            are = "is" if long == 1 else "are"
            some = f"{name}: {long:,} of {count(len(codes), 'text')} {are} longer"
            found.append(f"{some} than the {MOST_CHARACTERS:,} characters that words are counted in")
    return tuple(found)


def _split(own: Rows, groups: np.ndarray, config: StudyConfig) -> Split:
    if config.order:
        return split_by_order(order_values(own.beside[config.order], config.order), own.given, groups)
    labels = own.values if own.classes else strata(own.values)
    return make_split(
        labels, own.given, groups, classes=own.classes, folds=config.folds, seed=config.seed, folds_below=FOLDS_BELOW,
        lenient=own.keep_rare or own.shares is not None,  # a class may be nobody's likeliest
    )  # fmt: skip


def _facts(own: Rows, data: Data, notes: tuple[str, ...], twins: int) -> RowFacts:
    parts = data.split.part
    counts: dict[str, dict[str, int]] = {}
    for part in PARTS:
        rows = [row for row, each in enumerate(parts) if each == part]
        if rows and own.classes:
            counts[part] = dict(Counter(own.classes[int(own.values[row])] for row in rows))
        elif rows:
            counts[part] = {"rows": len(rows)}
    columns = tuple(
        ColumnFacts(
            name=c.name, kind=c.kind, why=c.why, missing=c.missing, categories=len(c.categories),
            learnt=c.kind in LEARNT,
        )
        for c in own.table.columns
    )  # fmt: skip
    return RowFacts(
        kind=data.kind, classes=own.classes, examples=len(own.values), counts=counts, columns=columns, notes=notes,
        target=own.target, unlabelled=own.unlabelled, split=data.split.how, folds=data.split.folds,
        digests=own.digests, twins=twins, encoder=own.encoder, lengths=own.lengths,
        encoder_blocks=own.encoder_blocks,
    )  # fmt: skip


def _leaks(own: Rows, rows: Sequence[int]) -> list[Leak]:
    """Columns that give the target of these rows away."""
    if not own.table.values or own.shares is not None:
        return []
    picked, task = np.array(rows), cast(Task, own.task)  # which `read_target` has chosen
    target = Target(own.target.name, task, own.classes, own.values[picked], "")
    return [*leaks(take_rows(own.table, picked), target), *_told_by_words(own, picked)]


def _told_by_words(own: Rows, rows: np.ndarray) -> list[Leak]:
    """Columns of text in which words give classes away."""
    found = []
    for name, texts in own.table.texts.items() if own.classes else ():
        codes = own.table.values[name][rows]
        here = codes != MISSING
        some = [texts[code] for code in codes[here].tolist()]
        told = telling_words(some, own.values[rows][here], num_classes=len(own.classes))
        said = [
            f"{each.words!r} is in {each.holds:.0%} of the texts of {own.classes[each.number]!r} and in "
            f"{each.others:.1%} of all others"
            for each in told[:MOST_TOLD]
        ]
        found += [Leak(name, "; ".join(said))] if said else []
    return found


def _scales(inputs: Sequence[Values]) -> list[Finding]:
    """That a module of the user's own gets inputs on very different scales."""
    spreads = {each.name: float(np.std(each.values)) for each in inputs}
    spreads = {name: own for name, own in spreads.items() if own > 0 and np.isfinite(own)}
    if len(spreads) < 2:
        return []
    small, large = min(spreads, key=lambda name: spreads[name]), max(spreads, key=lambda name: spreads[name])
    if spreads[large] < SCALES_APART * spreads[small]:
        return []
    title = f"inputs of the module differ in scale: {large} varies {spreads[large] / spreads[small]:,.0f} times as much"
    evidence: dict[str, object] = {
        "smallest": small, "smallest_spread": spreads[small], "largest": large, "largest_spread": spreads[large],
    }  # fmt: skip
    return [finding("unscaled_inputs", f"{title} as {small}", "warning", evidence)]


def _of_columns(own: Rows, notes: tuple[str, ...], read_off: Sequence[Leak]) -> list[Finding]:
    """What the doctor has to say about columns and targets."""
    found = []
    if read_off:
        leaky = ", ".join(each.column for each in read_off)
        evidence: dict[str, object] = {
            "columns": [{"column": each.column, "evidence": each.evidence} for each in read_off]
        }
        found.append(finding("target_leak", f"the target can be read off: {leaky}", "problem", evidence))
    if own.unlabelled:
        number = own.unlabelled
        evidence = {"count": number}
        found.append(finding("skipped_rows", f"{count(number, 'row')} without a target left out", "warning", evidence))
    for code, kind, word in (
        ("identifier_columns", "identifier", "identifier"), ("constant_columns", "constant", "constant column")
    ):  # fmt: skip
        names = [column.name for column in own.table.columns if column.kind == kind]
        if names:
            evidence = {"columns": names[:20], "count": len(names)}
            found.append(finding(code, f"{count(len(names), word)} left out", "info", evidence))
    infinite = [note for note in notes if "infinite" in note]
    if infinite:
        title = "numbers that are infinite or too large count as missing"
        found.append(finding("infinite_values", title, "warning", {"notes": infinite}))
    return found


def _of_copies(own: Rows, data: Data, copies: RowCopies) -> list[Finding]:
    """What the doctor has to say about rows that are found twice."""
    found = []
    aside = data.split.rows("aside")
    if aside:
        title = f"{count(len(aside), 'row')} outside the test part also found inside it, or across given parts"
        evidence: dict[str, object] = {"count": len(aside), "pictures": [own.ids[row] for row in aside[:MOST_NAMED]]}
        found.append(finding("leak", title, "problem", evidence))
    conflicts = _conflicts(own, copies)
    if conflicts:
        rows = [row for each in conflicts for row in each]
        what = "under two labels" if own.classes else "with different targets"
        evidence = {
            "count": len(rows),
            "pairs": [[own.ids[row] for row in each[:2]] for each in conflicts[:MOST_NAMED]],
        }
        by_chance = bool(copies.chance[rows].all()) or not own.classes
        title = f"{count(len(rows), 'row')} found {what}"
        found.append(finding("label_conflict", title, "warning" if by_chance else "problem", evidence))
    twins = int((copies.has_twin & ~copies.chance).sum())
    if twins:
        evidence = {"rows": twins, "of": len(own.values), "by_chance": round(copies.expected)}
        title = f"{count(twins, 'row')} with a twin: {'its' if twins == 1 else 'their'} copies stay on one side"
        found.append(finding("duplicate_rows", title, "warning", evidence))
    near = sorted([*copies.near, *copies.shown])
    if near:
        evidence = {"count": len(near), "pairs": [[own.ids[a], own.ids[b]] for a, b in near[:MOST_NAMED]]}
        what = "rows that differ in one or two columns only"
        what = "pictures that are the same or nearly" if copies.shown else what
        what = "rows with nearly the same text" if own.table.texts else what
        title = f"{count(len(near), 'pair')} of {what}"
        found.append(finding("near_duplicates", title, "warning", evidence))
    windows = copies.windows
    if windows.rows:
        evidence = {"rows": windows.rows, "of": len(own.values), "cut": windows.cut}
        title = f"{count(windows.rows, 'row')} that overlap others: windows of one series, each shifted"
        found.append(finding("overlapping_windows", title, "warning", evidence))
    by_chance_rows = int(copies.chance.sum())
    if by_chance_rows:
        evidence = {
            "rows": by_chance_rows, "of": len(own.values), "by_chance": round(copies.expected),
            "in_test": len(data.twins),
        }  # fmt: skip
        title = f"{count(by_chance_rows, 'row')} equal to others, as expected by chance; they were not kept together"
        found.append(finding("equal_by_chance", title, "info", evidence))
    return found


def _conflicts(own: Rows, copies: RowCopies) -> list[list[int]]:
    """The rows of each group of equal rows that do not have one target, the first of two targets first."""
    truth = own.values
    if own.shares is not None:  # numpy 2.0 gave the places another shape
        truth = np.unique(own.shares, axis=0, return_inverse=True)[1].reshape(-1)
    odd = np.unique(copies.equal[truth != truth[copies.equal]])
    order = np.argsort(copies.equal, kind="stable")
    starts = np.searchsorted(copies.equal[order], odd)
    ends = np.searchsorted(copies.equal[order], odd, side="right")
    found = []
    for start, end in zip(starts, ends, strict=True):
        rows = order[start:end].tolist()
        other = next(row for row in rows if truth[row] != truth[rows[0]])
        found.append([rows[0], other, *(row for row in rows[1:] if row != other)])
    return found


def _of_split(own: Rows, data: Data, config: StudyConfig, unjudged: Sequence[str]) -> list[Finding]:
    """What the doctor has to say about rows and parts. unjudged: classes that are only trained on."""
    found = []
    if own.classes:
        sizes = Counter(own.classes[int(data.targets[row])] for row in data.rows)
        if own.shares is None:  # where rows are ordered, a class may have later ones only
            sizes.update(dict.fromkeys(own.classes, 0))
        found += of_classes(sizes, "rows", metric=data.metric, asked=config.metric != "auto", unjudged=unjudged)
    if len(data.rows) < FEW:
        evidence: dict[str, object] = {"rows": len(data.rows)}
        found.append(finding("few_rows", f"only {count(len(data.rows), 'row')} to learn from", "warning", evidence))
    num_test = len(data.sealed.rows)
    if num_test < 100:
        title = f"the test part holds only {count(num_test, 'row')}: its score is uncertain"
        found.append(finding("small_test", title, "info", {"n": num_test}))
    return found
