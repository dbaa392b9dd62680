"""From a folder of pictures to examples: reading, judging the data, splitting; the test part is sealed from here on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tame.adjust.portfolio import input_sizes
from tame.core.errors import DataError, require
from tame.core.records import Event, Finding
from tame.data.images import Listing, Picture, Skipped, scan, write_skipped
from tame.data.split import Split, groups_of, make_split, seal, write_split
from tame.kinds.costs import Speed
from tame.kinds.kind import BackboneFacts, Data, answer, count, finding, learn, metric_for
from tame.kinds.pictures import commands
from tame.kinds.pictures.commands import Look
from tame.kinds.pictures.costs import crop_for
from tame.study.session import Study
from tame.study.state import findings_events

MOST_NAMED = 20  # pairs that a finding names; the rest is counted
LOST_SHARE = 0.5  # of a class's pictures that may be unreadable


def open_pictures(study: Study) -> Data:
    """Reads the pictures, finds duplicates, splits, and hands the worker what is not sealed.

    A resumed study must find the same pictures. Raises DataError where they cannot be learnt from.
    """
    config = study.config
    study.watcher.phase("reading the pictures")
    listing = scan(Path(config.data), val=config.val, test=config.test)
    backbone = None if config.backbone in (None, "none") else config.backbone
    opened = commands.open_pictures(study.worker, commands.Given(tuple(listing.pictures), backbone))
    skipped = [*listing.skipped, *opened.skipped]
    kept = set(opened.kept)
    pictures = [p for p in listing.pictures if p.id in kept]
    _require_enough(listing, pictures)
    side = int(np.median(opened.sides))
    facts = None if opened.backbone is None else answer(BackboneFacts, opened.backbone)
    look = _first_look(facts, side)
    if backbone:
        known_speed = None if study.state.plan is None else study.state.plan.speed
        commands.speed(study.worker, look, None if known_speed is None else Speed.from_json(known_speed))
    known = study.state.data
    if known is not None:
        require(known["digests"] == _digests(pictures), "the pictures changed since the study began", error=DataError)
        pairs = known["pairs"]
    else:
        study.watcher.phase("looking for pictures that are the same")
        pairs = commands.duplicates(study.worker, look)
    labels = [p.label for p in pictures]
    groups = groups_of(len(pictures), [(a, b) for a, b in pairs])
    given = [p.part for p in pictures]
    split = make_split(labels, given, groups, classes=listing.classes, folds=config.folds, seed=config.seed)
    hidden = np.array([-1 if part == "test" else label for label, part in zip(labels, split.part, strict=True)])
    task = "binary" if len(listing.classes) == 2 else "multiclass"
    ids = tuple(p.id for p in pictures)
    data = Data(
        "images", task, metric_for(config, task), listing.classes, ids, hidden, split, seal(split, labels), side,
        facts,
    )  # fmt: skip
    learn(study, data)
    if known is None:
        about = _describe(listing, pictures, skipped, split, pairs, side)
        events = findings_events(_findings(pictures, skipped, split, pairs, listing.classes))
        study.keep(Event("data", about), *events)
    # After the event, so that a study with these files knows its pictures again, whenever it was killed.
    if skipped and not (study.folder / "skipped.csv").exists():
        write_skipped(study.folder / "skipped.csv", skipped)
    if not (study.folder / "split.csv").exists():
        write_split(study.folder / "split.csv", split, data.ids, groups)
    return data


def _first_look(backbone: BackboneFacts | None, side: int) -> Look:
    """Size and crop of the features that duplicates are found by: those that the default recipe will need as well."""
    if backbone is None:
        return Look(size=0, crop=1.0)
    sizes = input_sizes(backbone.size, side, fixed=backbone.fixed_size)
    return Look(size=sizes[0], crop=crop_for(backbone, side))


def _digests(pictures: Sequence[Picture]) -> list[str]:
    return [f"{p.id}:{p.digest}" for p in pictures]


def _describe(
    listing: Listing,
    pictures: Sequence[Picture],
    skipped: Sequence[Skipped],
    split: Split,
    pairs: Sequence[tuple[int, int]],
    side: int,
) -> dict[str, Any]:
    counts = {
        part: dict(
            Counter(listing.classes[p.label] for p, own in zip(pictures, split.part, strict=True) if own == part)
        )
        for part in ("train", "val", "test", "aside")
    }
    return {
        "kind": "images",
        "classes": list(listing.classes),
        "pictures": len(pictures),
        "counts": {k: v for k, v in counts.items() if v},
        "skipped": len(skipped),
        "skipped_first": [asdict(each) for each in skipped[:3]],
        "notes": list(listing.notes),
        "split": split.how,
        "folds": split.folds,
        "side": side,
        "pairs": [list(pair) for pair in pairs],
        "digests": _digests(pictures),
    }


def _findings(
    pictures: Sequence[Picture],
    skipped: Sequence[Skipped],
    split: Split,
    pairs: Sequence[tuple[int, int]],
    classes: Sequence[str],
) -> list[Finding]:
    """What the doctor has to say about the data."""
    found = []
    named = [[pictures[a].id, pictures[b].id] for a, b in pairs]
    conflicts = [pair for pair, (a, b) in zip(named, pairs, strict=True) if pictures[a].label != pictures[b].label]
    aside = [pictures[row].id for row in split.rows("aside")]
    if skipped:
        evidence = {"count": len(skipped), "first": [f"{each.id}: {each.reason}" for each in skipped[:3]]}
        found.append(finding("skipped_files", f"{count(len(skipped), 'file')} could not be read", "warning", evidence))
    if conflicts:
        evidence = {"count": len(conflicts), "pairs": conflicts[:MOST_NAMED]}
        title = f"{count(len(conflicts), 'picture')} found under two labels"
        found.append(finding("label_conflict", title, "problem", evidence))
    if aside:
        evidence = {"count": len(aside), "pictures": aside[:MOST_NAMED]}
        title = f"{count(len(aside), 'picture')} outside the test part also found inside it, or across given parts"
        found.append(finding("leak", title, "problem", evidence))
    if pairs:
        evidence = {"count": len(pairs), "pairs": named[:MOST_NAMED]}
        title = f"{count(len(pairs), 'pair')} of pictures that are the same or nearly"
        found.append(finding("near_duplicates", title, "warning", evidence))
    sizes = Counter(classes[p.label] for p, part in zip(pictures, split.part, strict=True) if part in ("train", "val"))
    common, rare = max(sizes.values()), min(sizes.values())
    if common > 3 * rare:
        title = f"the commonest class has {common / rare:.1f} times as many pictures as the rarest"
        found.append(finding("imbalance", title, "warning", dict(sizes)))
    num_test = len(split.rows("test"))
    if num_test < 100:
        title = f"the test part holds only {num_test} pictures: its score is uncertain"
        found.append(finding("small_test", title, "info", {"n": num_test}))
    return found


def _require_enough(listing: Listing, pictures: Sequence[Picture]) -> None:
    """Raises DataError where reading has left too little of a class."""
    before, after = Counter(p.label for p in listing.pictures), Counter(p.label for p in pictures)
    for number, name in enumerate(listing.classes):
        if after[number] < LOST_SHARE * before[number] or not after[number]:
            unread = before[number] - after[number]
            raise DataError(
                f"{unread} of the {before[number]} pictures of class {name!r} cannot be read; mend or remove them"
            )
