"""From files to passages: texts are read, near copies kept together, split by files; the test part is sealed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tame.core.config import LANGUAGE, StudyConfig
from tame.core.errors import DataError, require
from tame.core.plain import from_plain
from tame.core.records import Finding
from tame.core.result_parts import TextFacts
from tame.core.rng import stream, stream_seed
from tame.data.images import Skipped
from tame.data.sources import table_of_texts, write_columns
from tame.data.split import Part, Split, groups_of, make_split, seal
from tame.data.text_copies import near_copies
from tame.kinds.findings import MOST_NAMED, count, finding, metric_for
from tame.kinds.kind import Blocks, Data, Known, Opened, Phase, Port
from tame.kinds.language import commands
from tame.kinds.language.commands import LANGUAGE_MODEL, Given, Layout
from tame.kinds.language.plan import Lengths, lengths
from tame.kinds.language.reading import LEAST_TEXTS, ReadTexts, look_at, read_texts

PARTS = ("train", "val", "test")
KEPT = "texts.npz"  # in the study's folder: the texts of a table, for the process that trains


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageFacts:
    """What a study keeps of its texts. counts: passages by part; language: of the texts and of the model."""

    kind: str = LANGUAGE_MODEL
    classes: tuple[str, ...] = ()
    examples: int = 0
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    skipped: int = 0
    skipped_first: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    split: str = ""
    folds: int = 1
    language: TextFacts
    pairs: tuple[tuple[int, int], ...]
    digests: tuple[str, ...]


def look(config: StudyConfig) -> None:
    """As `look_at`."""
    look_at(config)


def read(config: StudyConfig, known: Known, port: Port, *, phase: Phase, folder: Path) -> Opened:
    """Reads the texts, keeps near copies together, splits by files. Raises DataError where they cannot be used."""
    phase("reading the texts")
    own = read_texts(config)
    pairs = near_copies(own.texts)
    groups = groups_of(len(own.texts), pairs)
    split = _split(own, groups, seed=config.seed)
    phase("opening the model")
    kept = folder / KEPT
    if not own.paths:
        write_columns(kept, table_of_texts(own.texts))
    given = Given(
        str(Path(str(config.backbone)).expanduser()), tuple(own.paths), split.part, "" if own.paths else str(kept)
    )
    opened = commands.open_texts(port, given)
    model = f"model:{opened.digest}"
    digests = (*(f"{name}:{each}" for name, each in zip(own.names, own.digests, strict=True)), model)
    if known.data is not None:
        same = model in from_plain(list[str], known.data["digests"], what="the digests of a study")
        require(same, f"the model changed since the study began: {config.backbone} holds another", error=DataError)
    known.require_same(digests, "texts")
    if known.data is None:
        phase("measuring how fast the model is here")
        chosen = lengths(config, opened, split, lambda length: commands.speed(port, length))
    else:
        chosen = Lengths.from_json(known.data["language"])
    passages = _passages(split, opened.tokens, chosen, seed=config.seed)
    layout = Layout(block=chosen.block, slots=chosen.slots, passages=passages, seed=stream_seed(config.seed, "texts"))
    phase("judging the texts by the model as it is")
    made = commands.lay_out(port, layout)
    blocks = Blocks(
        block=chosen.block, batch=chosen.batch, epochs=chosen.epochs, parameters=opened.parameters, runs=chosen.runs
    )  # fmt: skip
    data = _data(config, own, split, layout, made, blocks)
    about = TextFacts(
        model=opened.name, parameters=opened.parameters, context=opened.context, block=chosen.block,
        slots=chosen.slots, batch=chosen.batch, epochs=chosen.epochs, judged=chosen.judged,
        texts={part: split.part.count(part) for part in ("train", "val", "test", "aside") if part in split.part},
        tokens=sum(opened.tokens), characters=sum(opened.characters), unknown=opened.unknown,
    )  # fmt: skip
    facts = LanguageFacts(
        examples=len(data.ids), counts={part: {"rows": data.split.part.count(part)} for part in PARTS},
        skipped=len(own.skipped), skipped_first=tuple(own.skipped[:MOST_NAMED]), notes=tuple(own.notes),
        split=split.how, language=about, pairs=tuple(pairs), digests=digests,
    )  # fmt: skip
    found = _findings(own, pairs, split, opened.unknown)
    return Opened(data=data, facts=facts, groups=_groups(split, groups, layout), findings=tuple(found),
                  skipped=tuple(own.skipped))  # fmt: skip


def _split(own: ReadTexts, groups: np.ndarray, *, seed: int) -> Split:
    """The split by files, near copies on one side; parts that exist are honoured. Raises DataError."""
    different = len(np.unique(groups))
    said = f"only {different} of the {len(groups)} texts differ enough; at least {LEAST_TEXTS} are needed"
    require(different >= LEAST_TEXTS, said, error=DataError)
    split = make_split(
        np.zeros(len(groups), dtype=np.int64), own.parts, groups, classes=(), folds=None, seed=seed, folds_below=0
    )
    for part in PARTS:
        require(part in split.part, f"no text is left for the {part} part: {split.how}", error=DataError)
    return split


def _passages(split: Split, tokens: Sequence[int], chosen: Lengths, *, seed: int) -> tuple[tuple[int, int], ...]:
    """Passages that are judged, those of validation first: as many of each part, evenly over its files and in each.

    From a random place on, so that each passage of a file is as likely: its first and last ones are unlike the rest.
    """
    found: list[tuple[int, int]] = []
    judged: tuple[Part, ...] = ("val", "test")
    for part in judged:
        rows = split.rows(part)
        chance = stream(seed, "passages", part)
        order, begin = chance.permutation(len(rows)), chance.random(len(rows))
        blocks = {row: max(1, -(-(tokens[row] + 1) // chosen.block)) for row in rows}
        wanted = dict.fromkeys(rows, 0)
        left = min(chosen.judged[part], sum(blocks.values()))
        while left:  # one more of each file in turn, so that each counts about alike
            for place in order:
                row = rows[place]
                if left and wanted[row] < blocks[row]:
                    wanted[row] += 1
                    left -= 1
        for row, first in zip(rows, begin.tolist(), strict=True):
            own = (np.arange(wanted[row]) + first) * (blocks[row] / max(wanted[row], 1))
            found += [(row, int(number)) for number in own]
    return tuple(found)


def _data(
    config: StudyConfig, own: ReadTexts, split: Split, layout: Layout, made: commands.Passages, size: Blocks
) -> Data:
    """The examples: blocks that are trained on, then passages, each with the bits that the model gives it as it is."""
    part = ["train"] * layout.slots + [split.part[text] for text, _ in layout.passages]
    ids = [f"block {slot + 1}" for slot in range(layout.slots)]
    ids += [f"{own.names[text]}#{number + 1}" for text, number in layout.passages]
    fold = tuple(0 if name == "val" else -1 for name in part)
    blocks = Split(tuple(part), fold, 1, split.how)  # type: ignore[arg-type]  # parts of texts that are in one
    truth = np.array(made.bits)
    hidden = np.where(np.array(part) == "test", np.nan, truth)
    return Data(
        LANGUAGE_MODEL, LANGUAGE, metric_for(config, LANGUAGE), (), tuple(ids), hidden, blocks, seal(blocks, truth),
        weights=np.maximum(np.array(made.characters, dtype=np.float64), 1.0),
        blocks=size,
    )  # fmt: skip


def _groups(split: Split, groups: np.ndarray, layout: Layout) -> np.ndarray:
    """(N,) groups of the examples: passages of one file, or of near copies, belong together."""
    slots = len(groups) + np.arange(layout.slots)
    return np.concatenate([slots, groups[[text for text, _ in layout.passages]]]).astype(np.int64)


def _findings(own: ReadTexts, pairs: Sequence[tuple[int, int]], split: Split, unknown: float) -> list[Finding]:
    found = []
    if pairs:
        title = f"{count(len(pairs), 'pair')} of texts are near copies; they are kept on one side of the split"
        named = [[own.names[a], own.names[b]] for a, b in pairs[:MOST_NAMED]]
        found.append(finding("near_duplicates", title, "warning", {"count": len(pairs), "pairs": named}))
    if own.skipped:
        title = f"{count(len(own.skipped), 'file')} could not be read as texts"
        first_few = [f"{each.id}: {each.reason}" for each in own.skipped[:MOST_NAMED]]
        found.append(finding("skipped_files", title, "warning", {"count": len(own.skipped), "first": first_few}))
    return found
