"""From a folder of pictures to examples: reading, judging the data, splitting; the test part is sealed from here on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from tame.adjust.portfolio import input_sizes
from tame.core.config import StudyConfig
from tame.core.errors import DataError
from tame.core.plain import from_plain
from tame.core.records import Finding
from tame.core.result_parts import BackboneFacts
from tame.data.images import Listing, Picture, Skipped, scan
from tame.data.split import Split, groups_of, make_split, seal
from tame.kinds.costs import Speed
from tame.kinds.findings import count, finding, metric_for
from tame.kinds.kind import Data, Known, Opened, Phase, Port
from tame.kinds.pictures import commands
from tame.kinds.pictures.commands import Features, Look
from tame.kinds.pictures.costs import crop_for, first_size

MOST_NAMED = 20  # pairs that a finding names; the rest is counted
LOST_SHARE = 0.5  # of a class's pictures that may be unreadable


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureFacts:
    """What a study keeps of its pictures. counts: of each class, by part; side: the median shorter one, in pixels.

    pairs: rows that are the same or nearly; digests: "id:digest" of each picture.
    """

    kind: str = "images"
    classes: tuple[str, ...] = ()
    pictures: int = 0
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    skipped: int = 0
    skipped_first: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    split: str = ""
    folds: int = 1
    side: int = 0
    pairs: tuple[tuple[int, int], ...]
    digests: tuple[str, ...]


def look(config: StudyConfig) -> None:
    """Raises DataError for a folder that contains nothing to learn from; decodes nothing."""
    scan(Path(config.data), val=config.val, test=config.test)


def read(config: StudyConfig, known: Known, port: Port, *, phase: Phase, folder: Path) -> Opened:
    """Reads the pictures, finds duplicates, splits. Raises DataError where they cannot be trained on."""
    phase("reading the pictures")
    listing = scan(Path(config.data), val=config.val, test=config.test)
    backbone = None if config.backbone in (None, "none") else config.backbone
    opened = commands.open_pictures(port, commands.Given(tuple(listing.pictures), backbone))
    skipped = (*listing.skipped, *opened.skipped)
    kept = set(opened.kept)
    pictures = [p for p in listing.pictures if p.id in kept]
    _require_enough(listing, pictures)
    side = int(np.median(opened.sides))
    seen = _first_look(opened.backbone, side)
    if opened.backbone is not None:
        speed = commands.speed(port, seen, known.speed)
        seen = replace(seen, size=_affordable(config, opened.backbone, side, seen, speed, port, range(len(pictures))))
    known.require_same(_digests(pictures), "pictures")
    if known.data is not None:
        pairs = from_plain(PictureFacts, known.data, what="what is known of the pictures").pairs
    else:
        phase("looking for pictures that are the same")
        pairs = commands.duplicates(port, seen)
    labels = [p.label for p in pictures]
    groups = groups_of(len(pictures), pairs)
    given = [p.part for p in pictures]
    split = make_split(labels, given, groups, classes=listing.classes, folds=config.folds, seed=config.seed)
    hidden = np.array([-1 if part == "test" else label for label, part in zip(labels, split.part, strict=True)])
    task = "binary" if len(listing.classes) == 2 else "multiclass"
    ids = tuple(p.id for p in pictures)
    data = Data(
        "images", task, metric_for(config, task), listing.classes, ids, hidden, split, seal(split, labels), side,
        opened.backbone,
    )  # fmt: skip
    facts = _facts(listing, pictures, skipped, split, pairs, side)
    found = _findings(pictures, skipped, split, pairs, listing.classes)
    return Opened(data=data, facts=facts, groups=groups, findings=tuple(found), skipped=skipped)


def _first_look(backbone: BackboneFacts | None, side: int) -> Look:
    """Size and crop of the features that duplicates are found by: those that the default recipe will need as well."""
    if backbone is None:
        return Look(size=0, crop=1.0)
    sizes = input_sizes(backbone.size, side, fixed=backbone.fixed_size)
    return Look(size=sizes[0], crop=crop_for(backbone, side))


def _affordable(
    config: StudyConfig, backbone: BackboneFacts, side: int, seen: Look, speed: Speed, port: Port, rows: Sequence[int]
) -> int:
    """The size at which there is time to look at all pictures, and at their mirror images later."""

    def passes(size: int) -> int:
        return commands.missing(port, Features(size, 2, seen.crop, list(rows)))

    return first_size(config.clock_s, backbone, side, speed, passes)


def _digests(pictures: Sequence[Picture]) -> list[str]:
    return [f"{p.id}:{p.digest}" for p in pictures]


def _facts(
    listing: Listing,
    pictures: Sequence[Picture],
    skipped: Sequence[Skipped],
    split: Split,
    pairs: Sequence[tuple[int, int]],
    side: int,
) -> PictureFacts:
    counts = {
        part: dict(
            Counter(listing.classes[p.label] for p, own in zip(pictures, split.part, strict=True) if own == part)
        )
        for part in ("train", "val", "test", "aside")
    }
    return PictureFacts(
        classes=listing.classes, pictures=len(pictures), counts={k: v for k, v in counts.items() if v},
        skipped=len(skipped), skipped_first=tuple(skipped[:3]), notes=listing.notes, split=split.how,
        folds=split.folds, side=side, pairs=tuple(pairs), digests=tuple(_digests(pictures)),
    )  # fmt: skip


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
        first = [f"{each.id}: {each.reason}" for each in skipped[:3]]
        evidence: dict[str, object] = {"count": len(skipped), "first": first}
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
                f"{unread} of the {before[number]} pictures of class {name!r} cannot be read; repair or remove them"
            )
