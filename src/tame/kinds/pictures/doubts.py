"""What is wrong with pictures, as far as models and statistics see it, without the labels of the test part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tame.core.config import StudyConfig
from tame.core.records import Finding
from tame.core.rng import stream
from tame.data.images import Picture
from tame.data.picture_traits import OF_CONTENT, WORDS, Shortcut, columns_of, head_of, shortcuts_in
from tame.data.shift import LEAST_AREA, LEAST_ROWS, shift_between
from tame.data.unseen import Aim, Values, beyond, folds_of
from tame.kinds.findings import MOST_NAMED, count, finding
from tame.kinds.kind import Data, Port
from tame.kinds.pictures import commands
from tame.kinds.pictures.commands import Look
from tame.kinds.tables.doubts import shift_finding

MOST_LOOKED_AT = 4000  # pictures whose traits are measured: about three seconds


def suspects(data: Data, port: Port, seen: Look) -> list[Finding]:
    """The pictures outside the test part whose label is probably wrong."""
    asked = commands.Labelled(seen, data.rows, data.learnt().tolist(), len(data.classes))
    answer = commands.suspects(port, asked)
    found = answer.pictures
    if not found:
        return []
    named: list[dict[str, object]] = [
        {
            "picture": data.ids[each.row], "label": data.classes[int(data.targets[each.row])],
            "looks_like": data.classes[each.likely], "probability": round(each.probability, 3),
        }
        for each in found[:MOST_NAMED]
    ]  # fmt: skip
    evidence: dict[str, object] = {"count": len(found), "pictures": named}
    title = f"the {'label' if len(found) == 1 else 'labels'} of {count(len(found), 'picture')} may be wrong"
    if answer.sure:
        title = f"about {answer.share:.0%} of the labels may be wrong, among them those of {len(found):,} pictures"
        evidence |= {"share": round(answer.share, 3), "sure": answer.sure}
    return [finding("suspect_labels", title, "warning", evidence, confidence="medium" if answer.sure else None)]


def doubts_of(
    pictures: Sequence[Picture], data: Data, groups: np.ndarray, port: Port, seen: Look, config: StudyConfig
) -> list[Finding]:
    """Shortcuts to the classes, and parts that differ. groups: (N,) as of `Opened`."""
    part = np.array(data.split.part)
    given = [later for later in ("test", "val") if any(p.part == later for p in pictures)]
    later = next(iter(given), "test" if config.order else "")
    wanted = np.isin(part, ("train", "val", "test")) if later else np.isin(part, ("train", "val"))
    rows = np.flatnonzero(wanted)
    if len(rows) > MOST_LOOKED_AT:
        rows = np.sort(stream(config.seed, "look").choice(rows, MOST_LOOKED_AT, replace=False))
    lights = commands.lights(port, rows.tolist())
    picked = [pictures[row] for row in rows.tolist()]
    heads = [head_of(each) for each in picked]
    columns = columns_of(lights, heads, [each.id for each in picked], (*data.classes, *PART_WORDS))
    found = []
    if data.classes:
        own = np.flatnonzero(part[rows] != "test")
        labels = data.targets[rows[own]].astype(np.int64)
        aim = Aim(labels, len(data.classes), folds_of(groups[rows[own]], labels, seed=config.seed))
        found += _shortcuts(shortcuts_in([Values(c.name, c.values[own]) for c in columns], aim), data.classes)
    if later:
        found += _shift(columns, rows, data, groups, port, seen, config, later)
    return found


PART_WORDS = ("training", "train", "validation", "valid", "val", "testing", "test")  # of folders


def _shortcuts(found: Sequence[Shortcut], classes: Sequence[str]) -> list[Finding]:
    if not found:
        return []
    named = []
    for each in found:
        sides = f" ({each.own} against {each.others} elsewhere)" if each.own else ""
        said = f"tells {each.told:.0%} of whether a picture is of class {classes[each.number]:.60}{sides}"
        named.append({"column": WORDS[each.trait], "evidence": said})
    first = found[0]
    title = f"{WORDS[first.trait]} gives the class {classes[first.number]!r:.60} away"
    if len(found) > 1:
        title += f", as {count(len(found) - 1, 'other trait')} do{'es' if len(found) == 2 else ''}"
    # A colour or a brightness may be what a class is; a file format never is.
    of_content = all(each.trait in OF_CONTENT for each in found)
    return [
        finding("shortcut", title, "warning", {"columns": named}, confidence="medium" if of_content else "high")
    ]  # fmt: skip


def _shift(
    columns: Sequence[Values], rows: np.ndarray, data: Data, groups: np.ndarray, port: Port, seen: Look,
    config: StudyConfig, later: str,
) -> list[Finding]:  # fmt: skip
    part = np.array(data.split.part)
    compared = np.isin(part[rows], ("train", "val", "test") if later == "test" else ("train", "val"))
    rows, is_later = rows[compared], part[rows[compared]] == later
    own = [Values(WORDS[c.name], c.values[compared]) for c in columns if c.name not in ("name", "folder")]
    found = shift_between(own, is_later, groups[rows], seed=config.seed)
    area, error = (found.area, found.error) if found is not None else (0.5, 0.0)
    if data.backbone is not None and min(is_later.sum(), (~is_later).sum()) >= LEAST_ROWS:
        by_features = commands.apart(port, commands.Parted(seen, rows.tolist(), is_later.tolist()))
        shown = by_features.area >= LEAST_AREA and by_features.area - beyond(2) * by_features.error > 0.5
        if shown and by_features.area > area:
            area, error = by_features.area, by_features.error
    if area < LEAST_AREA:
        return []
    return [shift_finding(area, error, found.columns if found else (), later, ordered=bool(config.order))]
