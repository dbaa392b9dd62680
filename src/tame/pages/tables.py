"""The trials of a study as a table of which a page holds the rows that are seen, and one trial in detail."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable

from tame.core.records import DEFAULT
from tame.pages.library import Shelf
from tame.pages.views import finding_of, finite, row_words
from tame.report import formats
from tame.report.search_section import recipe_rows
from tame.study.columns import EPOCH, METRIC, TRAIN, VALID, Columns, TrialRow
from tame.study.state import unmuted

SORTS: dict[str, Callable[[Columns, TrialRow], float | str]] = {
    "number": lambda columns, row: row.number,
    "loss": lambda columns, row: row.loss,
    "metric": lambda columns, row: _metric(columns, row),
    "epochs": lambda columns, row: row.epochs,
    "state": lambda columns, row: row.state,
    "origin": lambda columns, row: row.origin,
}


def table(shelf: Shelf, *, sort: str, down: bool = False, first: int = 0, most: int) -> dict[str, object]:
    """The trials from one place of their order on. sort: a key of SORTS, others as by number."""
    columns = shelf.followed.columns
    by = SORTS.get(sort, SORTS["number"])
    ordered = sorted(columns.rows.values(), key=lambda row: row.number)
    ordered.sort(key=lambda row: by(columns, row), reverse=down)
    rows = [row_words(shelf, row) for row in ordered[first : first + most]]
    return {"count": len(ordered), "first": first, "rows": rows, "seq": shelf.followed.seq}


def _metric(columns: Columns, row: TrialRow) -> float:
    point = columns.judged(row.number)
    return -math.inf if point is None or math.isnan(point[METRIC]) else float(point[METRIC])


def trial_detail(shelf: Shelf, number: int) -> dict[str, object] | None:
    """A trial: its curve, its recipe beside the default one, both reasons, its findings; None where none is."""
    columns, state = shelf.followed.columns, shelf.followed.state
    row = columns.rows.get(number)
    if row is None:
        return None
    default = next((each for each in columns.rows.values() if each.origin == DEFAULT), None)
    beside = columns.recipe(default.number) if default is not None else dict(columns.base)
    own = columns.recipe(number)
    points = columns.points(number)
    fields = [
        {"name": each.name, "field": each.field, "value": formats.inert(each.own),
         "default": formats.inert(each.default), "differs": each.differs}
        for each in recipe_rows(own, beside)
    ]  # fmt: skip
    differing = [name for name, value in own.items() if value != beside.get(name) and name != "seed"]
    command = shlex.join([word for name in differing for word in ("--set", f"{name}={_text(own[name])}")])
    return {
        **row_words(shelf, row), "begun": formats.inert(row.reason),
        "last": formats.inert(row.last_reason), "parent": row.parent, "against": row.against,
        "recipe": sorted(fields, key=lambda each: not each["differs"]),
        "command": formats.inert(command),
        "findings": [finding_of(each, state.kind) for each in unmuted(state) if each.trial == number],
        "points": [[int(p[EPOCH]), finite(p[TRAIN]), finite(p[VALID]), finite(p[METRIC])] for p in points],
    }  # fmt: skip


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
