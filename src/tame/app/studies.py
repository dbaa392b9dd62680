"""`tame studies`: the studies of a folder at a glance, and two of them beside each other.

What is shown is what the pages show. A list reads few events of each study, so that one of 10,000 trials costs little.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tame.app.own_stores import store_of
from tame.core.errors import TameError, UsageError, require
from tame.core.plain import to_plain
from tame.core.result import Result
from tame.pages.compare import compared
from tame.pages.library import MOST_STUDIES, Library, Shelf, id_of
from tame.pages.views import LIFE_WORDS, Life, life_in
from tame.report import formats, words
from tame.study.following import Followed, Follower
from tame.study.live import hear
from tame.study.record import DATABASE, open_record, require_study
from tame.study.state import unfinished

# Kinds of events that say how far a study is; none of them tells of single trials.
OF_LIFE = (
    "opened", "data", "imported", "asked", "answered", "search_ended", "result", "stopped", "ended",
)  # fmt: skip
UNITS = (("year", 365 * 86_400), ("month", 30 * 86_400), ("day", 86_400), ("hour", 3_600), ("minute", 60))


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The score of a study, with its 95 % interval."""

    metric: str
    value: float
    low: float
    high: float
    n: int
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A study in a list. kind, task: "" before its data was read; changed_at: UTC, when anything in it last changed;
    problem: why it cannot be read."""

    name: str
    folder: str
    state: Life
    kind: str = ""
    task: str = ""
    score: Measured | None = None
    size_bytes: int = 0
    changed_at: str = ""
    problem: str = ""


def list_studies(folder: Path) -> list[Listed]:
    """The studies in a folder, the newest first. Raises UsageError where there is no such folder."""
    require(folder.is_dir() or folder == Path("runs"), f"the folder {folder} does not exist")
    library = Library((folder,), store_of=lambda study: store_of(study, None))
    with closing(library):
        return [_listed(shelf) for shelf in library.shelves()]


def _listed(shelf: Shelf) -> Listed:
    folder = shelf.folder
    size, changed = _size_of(folder)
    at = datetime.fromtimestamp(changed, UTC).isoformat(timespec="seconds")
    state: Life = "unreadable"
    kind = task = ""
    score: Measured | None = None
    problem = shelf.problem
    try:
        if not problem:
            state = _life(shelf)
            own = shelf.followed.state
            kind, task = "" if own.data is None else own.kind, str((own.result or {}).get("task", ""))
            score = None if own.result is None else _measured(Result.from_json(own.result))
    except TameError as refused:
        state, problem = "unreadable", str(refused)
    return Listed(
        name=folder.name, folder=str(folder), state=state, kind=kind, task=task, score=score, size_bytes=size,
        changed_at=at, problem=problem,
    )  # fmt: skip


def _life(shelf: Shelf) -> Life:
    """How far a study is. Takes in the few events that tell it."""
    followed = shelf.followed
    with closing(open_record(shelf.folder, read_only=True, store=store_of(shelf.folder, None))) as record:
        for event in record.each(OF_LIFE):
            followed.after(event)
        has_trials = record.has(("decision",), after=0)
        with closing(record.since(followed.seq)) as later:
            is_last = next(later, None) is None
    with suppress(TameError, OSError):  # what goes on is told as far as it can be read
        heard = hear(shelf.folder)
        shelf.moment = heard.moments[-1] if heard is not None and heard.moments else None
    last = followed.last_kind if is_last else ""
    return life_in(followed.state, last, alive=shelf.is_alive, has_trials=has_trials)


def _measured(result: Result) -> Measured:
    score, metric = result.score, result.metric
    said = f"{formats.metric_name(metric)} {formats.shown(metric, score.value)} ({words.span(score, metric)})"
    return Measured(metric=metric, value=score.value, low=score.low, high=score.high, n=score.n, words=said)


def _size_of(folder: Path) -> tuple[int, float]:
    """Bytes of all files in a folder, and when its record last changed. Links are not followed."""
    size, changed = 0, 0.0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # it may have gone meanwhile
                status = os.lstat(os.path.join(place, name))
                size += status.st_size
                if Path(place) == folder and name.startswith(DATABASE):
                    changed = max(changed, status.st_mtime)
    with suppress(OSError):
        changed = changed or folder.stat().st_mtime
    return size, changed


def studies_json(folder: Path, found: list[Listed]) -> dict[str, object]:
    """The document that --json prints."""
    return {"schema": "tame/1", "folder": str(folder), "studies": [to_plain(each) for each in found]}


def studies_lines(folder: Path, found: list[Listed]) -> RenderableType:
    """A table of studies, and why some cannot be read."""
    if not found:
        return Text(f"no studies in {formats.inert(str(folder))}")
    table = Table(box=None, show_header=True, header_style="dim", padding=(0, 2, 0, 0), pad_edge=False)
    for name in ("study", "state", "score", "kind", "size", "age"):
        table.add_column(name, justify="right" if name in ("size", "age") else "left", overflow="fold")
    for each in found:
        score = "" if each.score is None else each.score.words
        cells = (
            each.name,
            LIFE_WORDS[each.state],
            score,
            each.kind,
            size_words(each.size_bytes),
            _age(each.changed_at),
        )
        table.add_row(*(Text(formats.inert(cell)) for cell in cells))
    more = [Text(f"and more: the {MOST_STUDIES:,} newest are shown")] if len(found) == MOST_STUDIES else []
    wrong = [
        Text(f"{formats.inert(each.name)}: {formats.inert(each.problem)}", "dim") for each in found if each.problem
    ]
    return Group(table, *more, *wrong)


def size_words(size_bytes: int) -> str:
    """A size for people: 4.2 MB."""
    for unit, bytes_of in (("GB", 1e9), ("MB", 1e6)):
        if size_bytes >= bytes_of:
            return f"{size_bytes / bytes_of:.1f} {unit}"
    return f"{size_bytes / 1e3:.0f} kB"


def _age(changed_at: str) -> str:
    seconds = time.time() - datetime.fromisoformat(changed_at).timestamp()
    for unit, of in UNITS:
        if seconds >= of:
            return formats.count(int(seconds // of), unit)
    return "now"


def compare_studies(a: Path, b: Path) -> dict[str, object]:
    """What the pages say of two finished studies. Raises UsageError for one that is not finished."""
    shelves = []
    for folder in (a, b):
        require_study(folder)
        follower = Follower(folder, Followed(), store=store_of(folder, None))
        with closing(follower):
            follower.catch_up()
        if follower.followed.state.result is None:
            raise UsageError(unfinished(folder, follower.followed.state))
        shelves.append(Shelf(id_of(folder), folder, follower))
    return {"schema": "tame/1", "a": str(a), "b": str(b), **compared(*shelves)}


def compared_lines(found: Mapping[str, object]) -> RenderableType:
    """The comparison of two studies: the verdict, whose answers differ, and how their winners do."""
    names = {each: formats.inert(Path(str(found[each])).name) for each in ("a", "b")}
    parts: list[RenderableType] = [Text(f"{names['a']} and {names['b']}", "bold"), Text(str(found["words"]))]
    alone = found["alone"]
    assert isinstance(alone, list)
    for name, own in zip(names.values(), alone, strict=False):
        listed = ", ".join(own["names"])
        shown = f": {listed}{', ...' if own['count'] > len(own['names']) else ''}" if listed else ""
        parts.append(Text(f"only {name} is right on {formats.count(own['count'], 'example')}{shown}", overflow="fold"))
    recipe = found["recipe"]
    assert isinstance(recipe, list)
    if recipe:
        table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0), pad_edge=False)
        for head in ("the winners differ in", names["a"], names["b"]):
            table.add_column(head, overflow="fold")
        for row in recipe:
            table.add_row(*(Text(str(row[key])) for key in ("name", "a", "b")))
        parts += [Text(), table]
    return Group(*parts)
