"""From a file of sequences to examples; the test part is sealed from here on. Does not load torch."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from tame.core.config import StudyConfig
from tame.core.errors import DataError, require
from tame.core.plain import to_plain
from tame.data.split import groups_of, make_split, seal
from tame.data.tables import Column, Table
from tame.kinds.findings import count, finding, metric_for
from tame.kinds.kind import Data, Known, Opened, Phase, Port
from tame_sequences.kind import SEQUENCES

MOST = 2**53  # in size; above it, the floats that networks train on are not exact
NUMBERS = ("length", "first", "last", "smallest", "largest", "mean", "rises")  # inputs, from a sequence


@dataclass(frozen=True, slots=True)
class Given:
    """What the training process opens."""

    sequences: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceFacts:
    """What a study stores about its sequences."""

    kind: str = SEQUENCES.name
    classes: tuple[str, ...]
    examples: int
    counts: Mapping[str, Mapping[str, int]]
    notes: tuple[str, ...] = ()
    split: str
    folds: int
    pairs: tuple[tuple[int, int], ...]
    digests: tuple[str, ...]


def read(config: StudyConfig, known: Known, port: Port, *, phase: Phase, folder: Path) -> Opened:
    """Reads and splits a file of sequences; equal sequences stay on one side. Raises DataError."""
    phase("reading the sequences")
    path = Path(config.data)
    lines = read_lines(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    known.require_same([digest], "sequences")
    labelled = [(number, words[:-1], words[-1]) for number, words in lines]
    for number, words, label in labelled:
        require(bool(words), f"{path.name}:{number}: {label!r} is a class without a sequence", error=DataError)
    sequences = tuple(integers_of(path, number, words) for number, words, _ in labelled)
    classes = tuple(sorted({label for *_, label in labelled}))
    require(len(classes) > 1, f"{path.name}: {classes[0]!r} is the only class; two are needed", error=DataError)
    port.open(SEQUENCES.name, to_plain(Given(sequences)))
    labels = np.array([classes.index(label) for *_, label in labelled])
    pairs = twins(sequences)
    groups = groups_of(len(labels), pairs)
    split = make_split(labels, [""] * len(labels), groups, classes=classes, folds=config.folds, seed=config.seed)
    hidden = np.where(np.array(split.part) == "test", -1, labels)
    task = "binary" if len(classes) == 2 else "multiclass"
    wanted = config.task if config.task in ("binary", "multiclass") else task
    require(wanted == task, f"{path.name} has {len(classes)} classes, which are {task}, not {wanted}", error=DataError)
    ids = tuple(f"{path.name}:{number}" for number, *_ in labelled)
    data = Data(
        SEQUENCES.name, task, metric_for(config, task), classes, ids, hidden, split, seal(split, labels),
        columns=len(NUMBERS), refits=True,
    )  # fmt: skip
    counts: dict[str, dict[str, int]] = {}
    for part in dict.fromkeys(split.part):
        counts[part] = dict(Counter(classes[labels[row]] for row in split.rows(part)))
    facts = SequenceFacts(
        classes=classes, examples=len(labels), counts=counts, split=split.how, folds=split.folds, pairs=tuple(pairs),
        digests=(digest,),
    )  # fmt: skip
    named = [[ids[a], ids[b]] for a, b in pairs[:20]]
    title = f"{count(len(pairs), 'pair')} of identical sequences"
    found = [finding("near_duplicates", title, "warning", {"count": len(pairs), "pairs": named})] if pairs else []
    odd = [[ids[a], ids[b]] for a, b in pairs if labels[a] != labels[b]]
    if odd:
        title = f"{count(len(odd), 'sequence')} found under two labels"
        found.append(finding("label_conflict", title, "problem", {"count": len(odd), "pairs": odd[:20]}))
    return Opened(data=data, facts=facts, groups=groups, findings=tuple(found))


def read_lines(path: Path) -> list[tuple[int, list[str]]]:
    """The words of each non-empty line, with its number from 1. Raises DataError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise DataError(f"{path} cannot be read as text: {problem}") from None
    lines = [(number, line.split()) for number, line in enumerate(text.splitlines(), start=1) if line.split()]
    require(bool(lines), f"{path} contains no sequence", error=DataError)
    return lines


def integers_of(path: Path, number: int, words: Sequence[str]) -> tuple[int, ...]:
    """The integers of a line, up to MOST in size. Raises DataError with its number."""
    try:
        found = tuple(map(int, words))
    except ValueError:
        raise DataError(f"{path.name}:{number}: {' '.join(words)!r:.80} is not a sequence of integers") from None
    fits = all(-MOST <= each <= MOST for each in found)
    require(fits, f"{path.name}:{number}: an integer is beyond -2^53 to 2^53", error=DataError)
    return found


def twins(sequences: Sequence[tuple[int, ...]]) -> list[tuple[int, int]]:
    """Pairs of rows with the same sequence, the first occurrence first."""
    seen: dict[tuple[int, ...], int] = {}
    return [(seen[own], row) for row, own in enumerate(sequences) if seen.setdefault(own, row) != row]


def table_of(sequences: Sequence[tuple[int, ...]]) -> Table:
    """A few numbers of each sequence, as the columns of a table."""
    own = [
        (len(s), s[0], s[-1], min(s), max(s), sum(s) / len(s), sum(b > a for a, b in pairwise(s))) for s in sequences
    ]
    values = np.array(own, dtype=np.float64).reshape(-1, len(NUMBERS))
    columns = tuple(Column(name, "number", "a number of the sequence") for name in NUMBERS)
    return Table(columns, {name: values[:, i] for i, name in enumerate(NUMBERS)}, len(sequences))
