"""What is wrong with rows, as far as models and statistics see it: before anything is trained, and without the labels
of the test part."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from tame.core.config import StudyConfig
from tame.core.records import Finding
from tame.data.column_leaks import Telling, telling_columns
from tame.data.group_columns import GroupColumn, group_columns
from tame.data.row_order import order_tells
from tame.data.sentinels import Sentinel, sentinel_in
from tame.data.shift import shift_between
from tame.data.split import strata
from tame.data.tables import LEARNT, Table
from tame.data.unseen import Aim, Values, folds_of, predictions_of_all
from tame.data.wrong_labels import OF_COLUMNS, wrong_labels
from tame.kinds.findings import MOST_NAMED, count, finding
from tame.kinds.kind import Data
from tame.kinds.looks import Look, look_at

MOST_GROUP_COLUMNS = 3  # that are told


@dataclass(frozen=True, slots=True)
class Doubts:
    """Findings, and notes on what was not looked at."""

    findings: tuple[Finding, ...]
    notes: tuple[str, ...]


def doubts_of(
    columns: Sequence[Values], dates: frozenset[str], data: Data, groups: np.ndarray, config: StudyConfig,
    *, leaks: Sequence[str], given: bool, nouns: str,
) -> Doubts:  # fmt: skip
    """What there is to doubt about rows.

    columns: all that is trained on, of all rows; dates: the names of those that are days since 1970; groups: (N,) as of
    `Opened`; leaks: columns that are known to give the target away; given: whether the later part came as one, so that
    it may differ; nouns: what rows are called.
    """
    known = np.array(data.rows)
    look = look_at(known, len(columns), clock_s=config.clock_s, seed=config.seed)
    found = [*_sentinels(columns, dates)]
    if not columns:
        return Doubts(tuple(found), ())
    seen = [Values(each.name, each.values[look.rows]) for each in columns if each.name not in leaks]
    truth = data.targets[look.rows]
    is_sure = data.shares is None
    num_classes = len(data.classes)
    aim = Aim(
        truth, num_classes, folds_of(groups[look.rows], truth if num_classes else strata(truth), seed=config.seed)
    )
    by = group_columns(seen, seen, truth, seed=config.seed) if is_sure and not config.groups else []
    found += _groups(by, nouns)
    # A patient tells the diagnosis of the same patient: that is no leak, but a reason to keep patients together.
    named = {each.column for each in by}
    seen = [each for each in seen if each.name not in named]
    telling = telling_columns(seen, aim, seed=config.seed) if is_sure and seen else []
    found += _telling(telling)
    if is_sure and not (given or config.order or config.groups):
        found += _order(aim, look, data, nouns)
    if look.trees and is_sure and num_classes and seen and not telling:
        found += _wrong_labels(seen, aim, look, data, nouns, seed=config.seed)
    if look.trees and (given or config.order):
        found += _shift(columns, data, groups, config)
    return Doubts(tuple(found), (look.skipped,) if look.skipped else ())


def columns_of(table: Table) -> tuple[list[Values], frozenset[str]]:
    """The columns of a table that are trained on, and the names of those that are dates."""
    learnt = [
        each for each in table.columns if each.kind in LEARNT and each.kind != "text" and each.name in table.values
    ]
    return [Values(c.name, table.values[c.name]) for c in learnt], frozenset(
        each.name for each in learnt if each.kind == "date"
    )


def _telling(found: Sequence[Telling]) -> list[Finding]:
    if not found:
        return []
    named = []
    for each in found:
        right = "" if each.right is None else f", and gives it in {each.right:.0%} of the rows"
        said = (
            f"tells {each.own:.0%} of what is to be known of the target{right}; all other columns together tell "
            f"{each.others:.0%}"
        )
        named.append({"column": each.column, "evidence": said})
    names = ", ".join(each.column for each in found)
    title = f"the target can nearly be read off: {names}"
    # It may as well be the column that the answer truly depends on, which only the user knows.
    return [finding("target_leak", title, "warning", {"columns": named}, confidence="medium")]


def _sentinels(columns: Sequence[Values], dates: frozenset[str]) -> list[Finding]:
    """Of all rows: inputs are not sealed."""
    found = [each for c in columns if c.is_number and (each := sentinel_in(c.name, c.values)) is not None]
    if not found:
        return []

    def shown(each: Sentinel, value: float) -> str:
        if each.column in dates:
            return str(date(1970, 1, 1) + timedelta(days=int(value)))
        return f"{value:.10g}"

    named = [
        {"column": each.column, "value": shown(each, each.value), "rows": each.rows, "low": shown(each, each.low),
         "high": shown(each, each.high)}
        for each in found
    ]  # fmt: skip
    first = found[0]
    title = f"{first.column} is {shown(first, first.value)} in {count(first.rows, 'row')}, far from all other values"
    if len(found) > 1:
        title += f"; {count(len(found) - 1, 'other column')} alike"
    return [finding("sentinel_values", title, "warning", {"columns": named[:MOST_NAMED]}, confidence="medium")]


def _groups(found: Sequence[GroupColumn], nouns: str) -> list[Finding]:
    if not found:
        return []
    named = []
    for each in found[:MOST_GROUP_COLUMNS]:
        by = each.by or "the target"
        said = f"{each.groups:,} values in {each.rows:,} {nouns}; {each.alike:.0%} of the variance of {by} lies between"
        named.append({"column": each.column, "evidence": f"{said} them"})
    first = found[0].column
    title = f"{nouns} of one {first} are alike, and lie on both sides of the split"
    change = f"add --groups {shlex.quote(first)} if the network will meet new ones"
    return [finding("group_column", title, "warning", {"columns": named}, change=change, confidence="medium")]


def _order(aim: Aim, look: Look, data: Data, nouns: str) -> list[Finding]:
    told = order_tells(aim)
    if told is None:
        return []
    evidence: dict[str, object] = {"told": f"{told.told:.0%}"}
    if told.number is not None:
        evidence["name"] = data.classes[told.number]
    for side, (first, last, value) in (("low", told.low), ("high", told.high)):
        evidence[f"rows_{side}"] = f"{nouns} {' to '.join(data.ids[int(look.rows[each])] for each in (first, last))}"
        own = {f"mean_{side}": value} if told.number is None else {f"share_{side}": f"{value:.0%}"}
        evidence |= own
    title = f"the order of the {nouns} tells {told.told:.0%} of what is to be known of the target"
    return [finding("row_order", title, "warning", evidence, confidence="medium")]


def _wrong_labels(seen: Sequence[Values], aim: Aim, look: Look, data: Data, nouns: str, *, seed: int) -> list[Finding]:
    found = wrong_labels(predictions_of_all(seen, aim, seed=seed), aim.values, OF_COLUMNS)
    if found is None or not len(found.rows):
        return []
    named = [
        {
            "row": data.ids[int(look.rows[row])], "label": data.classes[int(aim.values[row])],
            "looks_like": data.classes[int(likely)], "probability": round(float(probability), 3),
        }
        for row, likely, probability in zip(found.rows, found.likely, found.probability, strict=True)
    ][:MOST_NAMED]  # fmt: skip
    evidence: dict[str, object] = {
        "count": len(found.rows), "of": len(aim.values), "share": round(found.share, 3), "sure": found.sure,
        "rows": named,
    }  # fmt: skip
    title = f"about {found.share:.0%} of the labels may be wrong, among them those of {len(found.rows):,} {nouns}"
    return [finding("suspect_labels", title, "warning", evidence, confidence="medium")]


def _shift(columns: Sequence[Values], data: Data, groups: np.ndarray, config: StudyConfig) -> list[Finding]:
    part = np.array(data.split.part)
    later = "test" if (part == "test").any() and (config.order or config.test is not None) else "val"
    rows = np.flatnonzero(np.isin(part, (later, "train") if later == "val" else ("train", "val", "test")))
    look = look_at(rows, len(columns), clock_s=config.clock_s, seed=config.seed)
    seen = [Values(each.name, each.values[look.rows]) for each in columns]
    found = shift_between(seen, part[look.rows] == later, groups[look.rows], seed=config.seed)
    if found is None:
        return []
    return [shift_finding(found.area, found.error, found.columns, later, ordered=bool(config.order))]


def shift_finding(
    area: float, error: float, columns: Sequence[tuple[str, float]], later: str, *, ordered: bool
) -> Finding:
    """That a part differs from what is trained on. columns: by which it shows, each with its own area."""
    word = {"test": "test", "val": "validation"}[later]
    by = f", most clearly by {columns[0][0]}" if columns else ""
    title = f"the {word} part can be told from the training data by its inputs{by}"
    evidence: dict[str, object] = {
        "area": round(area, 3), "error": round(error, 3), "part": word,
        "columns": [{name: round(own, 3)} for name, own in columns],
    }  # fmt: skip
    # Where rows were split by time, later ones may well differ: that is what such a split is for.
    return finding("parts_differ", title, "info" if ordered else "warning", evidence)
