"""The examples of a study as the page on the data shows them: which there are in each view, and which stay hidden.

Nothing is told of an example of the sealed test part before it was opened, nor of the copies that were put aside
because they are also in it. Examples are named by their rows; a path is never taken from a request.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

from tame.core.edits import Edit
from tame.core.errors import StorageError, UsageError, require
from tame.core.files import read_bytes
from tame.kinds.known import KINDS
from tame.pages.helper import Helper
from tame.pages.library import Shelf
from tame.report.formats import inert
from tame.study.events import Answer
from tame.study.state import State

Plain = dict[str, object]
View = Literal["mistakes", "labels", "copies", "odd", "classes", "edits"]
VIEWS: Mapping[View, str] = {
    "mistakes": "Mistakes", "labels": "Likely wrong labels", "copies": "Copies", "odd": "Odd ones",
    "classes": "Each class", "edits": "Your edits",
}  # fmt: skip
PAIRED = ("label_conflict", "near_duplicates")
SIDES = {"small": 160, "large": 640}
SPLIT, SPLIT_BYTES = "split.csv", 2**28
MOST_ROWS = 120  # that are answered at once
HIDDEN = ("test", "aside")


@dataclass(frozen=True, slots=True)
class Spot:
    """An example in a view. probability: of what is predicted or likely; note: what else there is to say of it; pair:
    the same number for those that are shown side by side."""

    row: int
    predicted: str = ""
    probability: float | None = None
    note: str = ""
    pair: int | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """All examples of a study. parts: as `split.csv` has them; place: their rows, by id."""

    ids: Sequence[str]
    labels: Sequence[str]
    parts: Sequence[str]
    place: Mapping[str, int]
    pictured: bool
    counted: bool


class Gallery:
    """Examples of one study after the other. command: begins the process that reads them, without its study."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self._helper = Helper(command)
        self._known: dict[str, Known] = {}

    def known(self, shelf: Shelf) -> Known:
        """All examples of a study. Raises UsageError where they cannot be shown, with the reason."""
        with self._helper.lock:
            if not self._helper.is_of(shelf.folder) or shelf.id not in self._known:
                self._known.clear()
                found, _ = self._helper.ask(shelf.folder, {"ask": "all"})
                ids, labels = (cast(list[str], found[name]) for name in ("ids", "labels"))
                parts = read_parts(shelf, len(ids))
                place = {name: row for row, name in enumerate(ids)}
                known = Known(ids, labels, parts, place, bool(found["pictured"]), bool(found["counted"]))
                self._known[shelf.id] = known
            return self._known[shelf.id]

    def cells(self, shelf: Shelf, rows: Sequence[int]) -> list[Mapping[str, str]]:
        """The columns of these rows as text."""
        return cast(list[Mapping[str, str]], self._ask(shelf, ask="rows", rows=list(rows))[0]["cells"])

    def digest(self, shelf: Shelf, row: int) -> str:
        """By which an edit knows an example again."""
        return str(self._ask(shelf, ask="digest", rows=[row])[0]["digest"])

    def picture(self, shelf: Shelf, row: int, side: int) -> bytes:
        """A small JPEG; b"" where the picture is gone or another one now."""
        return self._ask(shelf, ask="picture", rows=[row], side=side)[1]

    def columns(self, shelf: Shelf, rows: Sequence[int], classes: Sequence[str]) -> object:
        """The histograms of all columns over these rows."""
        return self._ask(shelf, ask="columns", rows=list(rows), classes=list(classes))[0]["columns"]

    def close(self) -> None:
        """Ends the process."""
        self._helper.close()

    def _ask(self, shelf: Shelf, **question: object) -> tuple[Plain, bytes]:
        with self._helper.lock:
            return self._helper.ask(shelf.folder, question)


def read_parts(shelf: Shelf, num: int) -> list[str]:
    """The part of each example, in the order of the rows. Raises StorageError where they are not of this data."""
    try:
        text = read_bytes(shelf.folder, SPLIT, most=SPLIT_BYTES).decode("utf-8", "replace")
        rows = list(csv.reader(io.StringIO(text, newline="")))[1:]
        parts = [row[1] for row in rows]
    except (OSError, IndexError, csv.Error) as problem:
        raise StorageError(f"{SPLIT} of this study cannot be read: {problem}") from None
    require(len(parts) == num, f"{SPLIT} has {len(parts)} rows, but there are {num} examples", error=StorageError)
    return parts


def is_hidden(state: State, known: Known, row: int) -> bool:
    """Whether nothing may be told of an example: the test part is sealed until it is opened."""
    if state.test_opened is not None:
        return False
    part, edited = known.parts[row], state.edited
    was_sealed = part == "excluded" and edited is not None and known.ids[row] in edited.sealed
    return part in HIDDEN or was_sealed


def spots_of(state: State, known: Known, view: View, *, part: str = "test", label: str = "") -> list[Spot]:
    """The examples of a view, without those that are hidden. part: of the mistakes, test or val; label: of a class."""
    match view:
        case "mistakes":
            found: Iterable[Spot] = _mistakes(state, part)
        case "labels":
            found = _suspects(state, known)
        case "copies":
            found = _copies(state, known)
        case "odd":
            odd = () if state.judgements is None else state.judgements.odd
            found = [Spot(each.row, note=f"{each.distance:.2f} times the usual limit") for each in odd]
        case "edits":
            found = [Spot(known.place[each.id], note=each.why) for each in state.edits if each.id in known.place]
        case "classes":
            now = {each.id: each.label for each in state.edits if each.action == "label"}
            every = range(len(known.ids))
            found = [Spot(row) for row in every if not label or now.get(known.ids[row], known.labels[row]) == label]
    spots = [each for each in found if 0 <= each.row < len(known.ids) and not is_hidden(state, known, each.row)]
    if view != "copies":
        return spots
    seen = Counter(each.pair for each in spots)
    return [each for each in spots if seen[each.pair] == 2]


def row_of(state: State, known: Known, spot: Spot, view: View) -> Plain:
    """An example in words."""
    row, edit = spot.row, edit_of(state, known.ids[spot.row])
    label = known.labels[row]
    now = edit.label if edit is not None and edit.action == "label" else label
    return {
        "row": row, "id": inert(known.ids[row]), "label": inert(label), "now": inert(now), "part": known.parts[row],
        "excluded": edit is not None and edit.action == "exclude", "edited": edit is not None,
        "verb": "looks like" if view == "labels" else "predicted as", "predicted": inert(spot.predicted),
        "probability": spot.probability, "note": inert(spot.note), "pair": spot.pair,
    }  # fmt: skip


def edit_of(state: State, name: str) -> Edit | None:
    """What is done with an example."""
    return next((each for each in state.edits if each.id == name), None)


def made_edit(state: State, known: Known, asked: Mapping[str, object], *, digest: str, when: str) -> Edit:
    """The edit that a page asks for. Raises UsageError for one that cannot be."""
    row, action, label = asked.get("row"), asked.get("action"), asked.get("label", "")
    view = cast(View, str(asked.get("view", "classes")))
    is_known = isinstance(row, int) and not isinstance(row, bool) and 0 <= row < len(known.ids)
    require(is_known and isinstance(label, str) and view in get_args(View), "what is to be edited cannot be read")
    assert isinstance(row, int)
    assert isinstance(label, str)
    require(not is_hidden(state, known, row), "there is no such example to be seen")
    if action not in ("exclude", "label", "undo"):
        raise UsageError(f"no action named {str(action)[:40]!r}")
    require(action != "label" or label != known.labels[row], "it has that label already")
    return Edit(
        id=known.ids[row], action=action, label=label if action == "label" else "", part=known.parts[row],
        why=f"seen under {VIEWS[view]}", when=when, digest=digest,
    )  # fmt: skip


def _mistakes(state: State, part: str) -> list[Spot]:
    """Mistakes and as many right answers in the order of their rows, so that neither comes first."""
    own = state.judgements
    if own is None:
        return []
    found = own.test if part == "test" else own.valid
    return sorted(map(_spot, (*found.mistakes, *found.right)), key=lambda each: each.row)


def _spot(answer: Answer) -> Spot:
    share = answer.probability
    return Spot(answer.row, answer.predicted, None if share is None else float(share))


def _suspects(state: State, known: Known) -> list[Spot]:
    """Examples whose label a model that has not seen them contradicts; none is of the test part."""
    found = []
    for finding in state.findings:
        if finding.code != "suspect_labels":
            continue
        for each in _dicts(finding.evidence.get("pictures") or finding.evidence.get("rows")):
            row = known.place.get(str(each.get("picture", each.get("row"))))
            share = each.get("probability")
            if row is not None:
                likely = str(each.get("looks_like", ""))
                found.append(Spot(row, likely, float(share) if isinstance(share, int | float) else None))
    return found


def _copies(state: State, known: Known) -> list[Spot]:
    """Pairs of examples that are the same or nearly, those under two labels first."""
    pairs: dict[tuple[int, int], str] = {}
    for code in PAIRED:
        for finding in state.findings:
            named = finding.evidence.get("pairs") if finding.code == code else None
            for a, b in _pairs(named):
                one, other = known.place.get(str(a)), known.place.get(str(b))
                if one is not None and other is not None:
                    note = "under two labels" if code == "label_conflict" else ""
                    pairs.setdefault((min(one, other), max(one, other)), note)
    for a, b in _pairs((state.data or {}).get("pairs")):
        if isinstance(a, int) and isinstance(b, int):
            pairs.setdefault((a, b), "")
    return [
        Spot(row, note=note, pair=number) for number, (pair, note) in enumerate(pairs.items()) for row in pair
    ]  # fmt: skip


def _pairs(value: object) -> list[Sequence[object]]:
    return [each for each in _listed(value) if isinstance(each, list | tuple) and len(each) == 2]


def _dicts(value: object) -> list[Mapping[str, object]]:
    return [each for each in _listed(value) if isinstance(each, Mapping)]


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else ()


def nouns_of(state: State) -> str:
    """What examples are called."""
    return KINDS.get(state.kind).words.nouns if state.kind in KINDS.names() else "examples"
