"""From pictures to examples: reading, judging the data, splitting; the test part is sealed from here on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from tame.core.config import PICTURES, StudyConfig
from tame.core.errors import DataError
from tame.core.plain import from_plain
from tame.core.records import Finding
from tame.core.result_parts import BackboneFacts, TargetFacts
from tame.data.edits import Examples, apply_edits
from tame.data.images import Listing, Picture, Skipped
from tame.data.split import Split, class_sizes, groups_of, make_split, seal, split_by_order, strata
from tame.data.table_order import order_values
from tame.kinds.costs import Speed
from tame.kinds.findings import MOST_NAMED, count, finding, metric_for, of_classes
from tame.kinds.groups import joined, named_groups
from tame.kinds.kind import PARTS, Data, Known, Opened, Phase, Port
from tame.kinds.pictures import commands
from tame.kinds.pictures.choice import Choice, chosen, first_backbone
from tame.kinds.pictures.commands import Features, Given, Look
from tame.kinds.pictures.costs import crop_for, first_size, given_size, wanted_sizes
from tame.kinds.pictures.doubts import doubts_of, suspects
from tame.kinds.pictures.listing import listing_of

LOST_SHARE = 0.5  # of a class's pictures that may be unreadable


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureFacts:
    """What a study keeps of its pictures. counts: of each class, by part; side: the median shorter one, in pixels.

    counts are of "rows" and target is known where numbers are predicted; backbone: what `--backbone auto` was found to
    be; pairs: rows that are the same or nearly; digests: "id:digest" of
    each picture, then those of their lists.
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
    backbone: str = ""
    target: TargetFacts | None = None
    pairs: tuple[tuple[int, int], ...]
    digests: tuple[str, ...]


def look(config: StudyConfig) -> None:
    """Raises DataError for a folder or list that contains nothing to learn from; decodes nothing."""
    if config.data != PICTURES:
        listing_of(config, None)


def read(config: StudyConfig, known: Known, port: Port, *, phase: Phase, folder: Path) -> Opened:
    """Reads the pictures, finds duplicates, splits. Raises DataError where they cannot be trained on."""
    phase("reading the pictures")
    listing = listing_of(config, folder)
    backbone = first_backbone(config, known)
    opened = commands.open_pictures(port, Given(tuple(listing.pictures), backbone))
    skipped = (*listing.skipped, *opened.skipped)
    kept = set(opened.kept)
    pictures = [p for p in listing.pictures if p.id in kept]
    _require_enough(listing, pictures)
    side = int(np.median(opened.sides))
    seen = _first_look(config, opened.backbone, side)
    if opened.backbone is not None:
        speed = commands.speed(port, seen, known.speed)
        seen = replace(seen, size=_affordable(config, opened.backbone, side, seen, speed, port, range(len(pictures))))
    known.require_same(_digests(listing, pictures), "pictures")
    if known.data is not None:
        pairs = from_plain(PictureFacts, known.data, what="what is known of the pictures").pairs
    else:
        phase("looking for pictures that are the same")
        same = commands.duplicates(port, seen)
        pairs = same.pairs
        if same.crowd:
            said = "look alike and are not kept together: they would be too many in one group"
            listing = replace(listing, notes=(*listing.notes, f"{count(same.crowd, 'picture')} {said}"))
    truth = _truth(listing, pictures)
    listing, groups, split = _split(config, listing, pictures, truth, pairs)
    ids = tuple(p.id for p in pictures)
    own = Examples(
        ids=ids, values=truth, classes=listing.classes, split=split, digest_of=lambda row: pictures[row].digest,
        nouns="pictures",
    )  # fmt: skip
    applied = apply_edits(known.edits, own)
    truth, split = applied.values, applied.split
    hidden = np.where(np.isin(split.part, ("test", "excluded")), -1 if listing.classes else np.nan, truth)
    task = "regression" if not listing.classes else "binary" if len(listing.classes) == 2 else "multiclass"
    sizes, unjudged = class_sizes(split, truth, len(listing.classes))
    data = Data(
        "images", task, metric_for(config, task, sizes), listing.classes, ids, hidden.astype(truth.dtype), split,
        seal(split, truth), side, opened.backbone,
    )  # fmt: skip

    doubts: list[Finding] = []
    if known.data is None:
        doubts += _of_classes(data, config, [listing.classes[number] for number in unjudged])
        doubts += suspects(data, port, seen) if backbone and data.classes else []
        doubts += doubts_of(pictures, data, groups, port, seen, config)

    def without() -> None:
        commands.open_pictures(port, Given(listing.pictures, None))

    data, choice = chosen(config, known, data, port, seen, phase=phase, without=without)
    facts = _facts(listing, pictures, truth, skipped, split, pairs, side, choice)
    found = [*_findings(pictures, truth, skipped, split, pairs, listing.classes), *doubts]
    return Opened(data=data, facts=facts, groups=groups, findings=tuple(found), skipped=skipped, edited=applied.edited)


def _first_look(config: StudyConfig, backbone: BackboneFacts | None, side: int) -> Look:
    """Size and crop of the features that duplicates are found by: those that the default recipe will need as well."""
    if backbone is None:
        return Look(size=0, crop=1.0)
    return Look(size=wanted_sizes(config, backbone, side)[0], crop=crop_for(backbone, side))


def _truth(listing: Listing, pictures: Sequence[Picture]) -> np.ndarray:
    """(N,) class numbers int64, or the numbers of a regression."""
    if listing.classes:
        return np.array([p.label for p in pictures], dtype=np.int64)
    return np.array([p.value for p in pictures], dtype=np.float64)


def _split(
    config: StudyConfig, listing: Listing, pictures: Sequence[Picture], truth: np.ndarray,
    pairs: Sequence[tuple[int, int]],
) -> tuple[Listing, np.ndarray, Split]:  # fmt: skip
    """The listing with a note on its groups, the groups (N,) of pictures that may not be parted, and the split."""
    given = [p.part for p in pictures]
    ids = {p.id for p in pictures}
    kept = np.array([p.id in ids for p in listing.pictures])
    groups = groups_of(len(pictures), pairs)
    if config.groups:
        own, said = named_groups(
            listing.beside[config.groups][kept], config.groups, given=given, values=truth, classes=listing.classes,
            nouns="pictures",
        )  # fmt: skip
        listing, groups = replace(listing, notes=(*listing.notes, *said)), joined(own, pairs)
    if config.order:
        told = config.columns.get(config.order, "")
        order = order_values(listing.beside[config.order][kept], config.order, told=told)
        return listing, groups, split_by_order(order, given, groups)
    labels = truth if listing.classes else strata(truth)
    split = make_split(labels, given, groups, classes=listing.classes, folds=config.folds, seed=config.seed)
    return listing, groups, split


def _digests(listing: Listing, pictures: Sequence[Picture]) -> list[str]:
    return [*(f"{p.id}:{p.digest}" for p in pictures), *listing.digests]


def _affordable(
    config: StudyConfig, backbone: BackboneFacts, side: int, seen: Look, speed: Speed, port: Port, rows: Sequence[int]
) -> int:
    """The size at which there is time to look at all pictures, and at their mirror images later, or the one given."""
    if given_size(config) is not None:
        return seen.size

    def passes(size: int) -> int:
        return commands.missing(port, Features(size, 2, seen.crop, list(rows)))

    return first_size(config.clock_s, backbone, side, speed, passes)


def _facts(
    listing: Listing,
    pictures: Sequence[Picture],
    truth: np.ndarray,
    skipped: Sequence[Skipped],
    split: Split,
    pairs: Sequence[tuple[int, int]],
    side: int,
    choice: Choice,
) -> PictureFacts:
    names = [listing.classes[int(own)] if listing.classes else "rows" for own in truth]
    counts = {
        part: dict(Counter(name for name, own in zip(names, split.part, strict=True) if own == part)) for part in PARTS
    }
    notes = (*listing.notes, *([f"--backbone auto is {choice.why}"] if choice.why else []))
    return PictureFacts(
        classes=listing.classes, pictures=len(pictures), counts={k: v for k, v in counts.items() if v},
        skipped=len(skipped), skipped_first=tuple(skipped[:3]), notes=notes, split=split.how,
        folds=split.folds, side=side, backbone=choice.backbone, target=listing.target, pairs=tuple(pairs),
        digests=tuple(_digests(listing, pictures)),
    )  # fmt: skip


def _findings(
    pictures: Sequence[Picture],
    truth: np.ndarray,
    skipped: Sequence[Skipped],
    split: Split,
    pairs: Sequence[tuple[int, int]],
    classes: Sequence[str],
) -> list[Finding]:
    """What the doctor has to say about the data."""
    found = []
    pairs = [(a, b) for a, b in pairs if "excluded" not in (split.part[a], split.part[b])]
    named = [[pictures[a].id, pictures[b].id] for a, b in pairs]
    # Numbers of pictures that are nearly the same may well differ: of frames of a film, say.
    alike = [bool(classes) or pictures[a].digest == pictures[b].digest for a, b in pairs]
    conflicts = [pair for pair, same, (a, b) in zip(named, alike, pairs, strict=True) if same and truth[a] != truth[b]]
    aside = [pictures[row].id for row in split.rows("aside")]
    if skipped:
        first = [f"{each.id}: {each.reason}" for each in skipped[:3]]
        evidence: dict[str, object] = {"count": len(skipped), "first": first}
        found.append(finding("skipped_files", f"{count(len(skipped), 'file')} could not be read", "warning", evidence))
    if conflicts:
        evidence = {"count": len(conflicts), "pairs": conflicts[:MOST_NAMED]}
        title = f"{count(len(conflicts), 'picture')} found {'under two labels' if classes else 'with two numbers'}"
        found.append(finding("label_conflict", title, "problem", evidence))
    if aside:
        evidence = {"count": len(aside), "pictures": aside[:MOST_NAMED]}
        title = f"{count(len(aside), 'picture')} outside the test part also found inside it, or across given parts"
        found.append(finding("leak", title, "problem", evidence))
    if pairs:
        evidence = {"count": len(pairs), "pairs": named[:MOST_NAMED]}
        title = f"{count(len(pairs), 'pair')} of pictures that are the same or nearly"
        found.append(finding("near_duplicates", title, "warning", evidence))
    num_test = len(split.rows("test"))
    if num_test < 100:
        title = f"the test part holds only {num_test} pictures: its score is uncertain"
        found.append(finding("small_test", title, "info", {"n": num_test}))
    return found


def _of_classes(data: Data, config: StudyConfig, unjudged: Sequence[str]) -> list[Finding]:
    """What there is to say of how many pictures each class has. unjudged: classes that are only trained on."""
    if not data.classes:
        return []
    sizes = Counter(data.classes[int(data.targets[row])] for row in data.rows)
    return of_classes(sizes, "pictures", metric=data.metric, asked=config.metric != "auto", unjudged=unjudged)


def _require_enough(listing: Listing, pictures: Sequence[Picture]) -> None:
    """Raises DataError where reading has left too little of a class, or of all."""
    before, after = Counter(p.label for p in listing.pictures), Counter(p.label for p in pictures)
    for number, name in enumerate(listing.classes or ("",)):
        if after[number] < LOST_SHARE * before[number] or not after[number]:
            unread, of_class = before[number] - after[number], f" of class {name!r}" * bool(name)
            raise DataError(
                f"{unread} of the {before[number]} pictures{of_class} cannot be read; repair or remove them"
            )
