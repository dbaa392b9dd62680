"""Which examples train, choose and are sealed: copies stay together, classes in proportion."""

from __future__ import annotations

import csv
import io
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from tame.core.errors import DataError, require
from tame.core.files import write_text
from tame.core.rng import stream_seed
from tame.data.tables import safe_cell

Part = Literal["train", "val", "test", "aside", "excluded"]
TEST_PARTS = 5  # the test part is one fifth where none is given
FOLDS_BELOW = 1000  # training examples; a single validation part is too noisy then
DEFAULT_FOLDS = 5
LEAST_JUDGED = 3  # different examples of a class: one to train on, one to choose by, one to test on
MANY = 2000  # examples
MOST_NAMED = 3  # classes


@dataclass(frozen=True, slots=True)
class Split:
    """part: (N,) train, val, test, aside (in no part: it stands in the test part already) or excluded (by the user).

    fold: (N,) the fold an example is validated in; -1 for never. folds: how many there are (1: one validation part).
    """

    part: tuple[Part, ...]
    fold: tuple[int, ...]
    folds: int
    how: str

    def rows(self, *parts: Part) -> list[int]:
        """The numbers of the examples in these parts, in order."""
        return [row for row, part in enumerate(self.part) if part in parts]


@dataclass(frozen=True, slots=True)
class Sealed:
    """The labels of the test part. Only `evaluate/score.py` opens it, and the opening is kept as an event."""

    rows: tuple[int, ...]
    _labels: tuple[object, ...]

    def open(self, record: Callable[[int], None]) -> np.ndarray:
        """The labels (n,) or (n, C) of the rows, once `record` has kept the opening of so many examples."""
        record(len(self.rows))
        return np.array(self._labels)


def seal(split: Split, labels: Sequence[float] | np.ndarray) -> Sealed:
    """The handle on the test part of a split. labels: (N,) class numbers, or numbers of a regression, or (N, C)."""
    rows = split.rows("test")
    return Sealed(tuple(rows), tuple(np.asarray(labels)[rows].tolist()))


def groups_of(num_examples: int, pairs: Sequence[tuple[int, int]]) -> np.ndarray:
    """(N,) group numbers: examples that are joined by pairs, directly or through others, share one."""
    parent = list(range(num_examples))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for a, b in pairs:
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    return np.array([root(i) for i in range(num_examples)])


def strata(values: np.ndarray) -> np.ndarray:
    """(N,) numbers of bins that a regression's target falls into, equally full, so that all parts look alike."""
    num = max(1, min(10, len(values) // 20))
    edges = np.unique(np.quantile(values, np.linspace(0, 1, num + 1)[1:-1]))
    return np.searchsorted(edges, values, side="right")


def split_by_order(order: np.ndarray, given: Sequence[str], groups: np.ndarray) -> Split:
    """The split of N examples by time: the last fifth is the test part, the fifth before it chooses.

    order: (N,) what they are ordered by; equal values stay in one part. Parts that were given are honoured. Examples
    that share a group with a later part are put aside. Raises DataError where nothing is left to train on.
    """
    part: np.ndarray = np.array([g if g in ("val", "test") else "train" for g in given], dtype=object)
    how = []
    for name, share in (("test", 1 / TEST_PARTS), ("val", 1 / (TEST_PARTS - 1))):
        if name in part:
            how.append(f"the {name} part was given ({(part == name).sum()})")
            continue
        own = (part == "train").nonzero()[0]
        edge = np.sort(order[own])[int(len(own) * (1 - share))]
        late = own[order[own] >= edge]
        require(0 < len(late) < len(own), "the order column does not tell early from late rows", error=DataError)
        part[late] = name
        how.append(f"the last {len(late)} of the rest by order are the {name} part")
    part[np.isin(groups, groups[part == "test"]) & (part != "test")] = "aside"
    part[np.isin(groups, groups[part == "val"]) & (part == "train")] = "aside"
    mend = "all rows before the test part are copies of later ones"
    require(bool((part == "train").any() and (part == "val").any()), mend, error=DataError)
    fold = np.where(part == "val", 0, -1)
    return Split(tuple(part), tuple(int(f) for f in fold), 1, "; ".join(how))


def make_split(
    labels: Sequence[int] | np.ndarray,
    given: Sequence[str],
    groups: np.ndarray,
    *,
    classes: Sequence[str],
    folds: int | None,
    seed: int,
    folds_below: int = FOLDS_BELOW,
    lenient: bool = False,
) -> Split:
    """The split of N examples. given: (N,) the part each came in ("", train, val, test); groups: (N,).

    Parts that exist are honoured: examples outside the test part that share a group with one inside are put aside.
    Missing parts are cut from the rest, stratified by class (of a regression: by `strata`, without class names) and
    whole groups at a time. Below `folds_below` examples validation is by folds. A class of one or two different
    examples is only trained on where a part must be cut. Raises DataError where another class is too small to be
    trained on and judged, or fewer than two can be judged; `lenient`: any class that is too small is only trained on,
    one alone may be judged, and none need have an example.
    """
    label = np.asarray(labels)
    part: np.ndarray = np.array([g if g in ("val", "test") else "train" for g in given], dtype=object)
    require(len(label) > 0, "there is nothing to split", error=DataError)
    how = []
    has_test, has_val = "test" in part, "val" in part
    if has_test:
        leaked = np.isin(groups, groups[part == "test"]) & (part != "test")
        part[leaked] = "aside"
        how.append(f"the test part was given ({(part == 'test').sum()})")
    counts = _counts(label, part == "train", groups, classes)
    rare = _rare(counts, folds, has_test=has_test, has_val=has_val, lenient=lenient)
    _require_judged(counts, rare, classes, least=1 if lenient else 2)
    held = (part == "train") & np.isin(groups, groups[(part == "train") & np.isin(label, rare)])

    def check(least: int) -> int:
        return _check_classes(label, (part == "train") & ~held, groups, classes, least=least, but=rare)

    if not has_test:
        check(3)
        rows = ((part == "train") & ~held).nonzero()[0]
        chosen = _fifth_of(label[rows], groups[rows], stream_seed(seed, "split", "test"))
        part[rows[chosen]] = "test"
        if has_val:  # a group that the cut put into the test part must not stay in a given val part
            part[np.isin(groups, groups[part == "test"]) & (part == "val")] = "aside"
        share = _share(chosen)
        how.append(f"{share} was cut as the test part ({(part == 'test').sum()})")
    fold = np.full(len(label), -1)
    own = ((part == "train") & ~held).nonzero()[0]
    if has_val:
        require(folds is None, "the data comes with a val part, which chooses; leave out --folds or name another --val")
        shared = np.isin(groups, groups[part == "val"]) & (part == "train")
        part[shared] = "aside"
        fold[part == "val"] = 0
        num_folds = 1
        how.append(f"the validation part was given ({(part == 'val').sum()})")
    elif folds is not None or len(own) < folds_below:
        smallest = check(folds or 2)
        num_folds = min(folds or DEFAULT_FOLDS, smallest)
        fold[own] = _folds_of(label[own], groups[own], num_folds, stream_seed(seed, "split", "folds"))
        how.append(f"validation is by {num_folds} folds of the other {len(own)}")
    else:
        check(2)
        chosen = _fifth_of(label[own], groups[own], stream_seed(seed, "split", "val"))
        part[own[chosen]] = "val"
        fold[own[chosen]] = 0
        num_folds = 1
        how.append(f"{_share(chosen)} of the rest was cut as the validation part ({chosen.sum()})")
    if not lenient:
        _check_classes(label, part == "train", groups, classes, least=1)
    if held.any():
        names = ", ".join(f"{classes[number]!r:.60}" for number in rare[:MOST_NAMED])
        names += ", ..." if len(rare) > MOST_NAMED else ""
        how.append(f"{held.sum()} of classes too rare for that ({names}) are trained on and not judged")
    return Split(tuple(part), tuple(int(f) for f in fold), num_folds, "; ".join(how))


def _rare(counts: Sequence[int], folds: int | None, *, has_test: bool, has_val: bool, lenient: bool) -> list[int]:
    """The classes that are only trained on, by how many different examples each has."""
    if lenient:
        return [n for n, count in enumerate(counts) if count - math.ceil(count / TEST_PARTS) < (folds or 2)]
    least = (1 if has_val else folds or 2) if has_test else 3
    return [number for number, count in enumerate(counts) if 0 < count < least and count < LEAST_JUDGED]


def _require_judged(counts: Sequence[int], rare: Sequence[int], classes: Sequence[str], *, least: int) -> None:
    """Raises DataError where too few classes can be judged for the rare ones to be only trained on."""
    left = [name for number, name in enumerate(classes) if number not in set(rare)]
    if not rare or len(left) >= least:
        return
    if not left:
        raise DataError("every class has too few different examples to train on and choose by")
    first = rare[0]
    raise DataError(
        f"class {classes[first]!r:.60} has {counts[first]} different example(s) to learn and choose from, and "
        f"{left[0]!r:.60} alone is no choice; two classes need at least {LEAST_JUDGED}, and 20 or more are advised"
    )


def class_sizes(split: Split, labels: np.ndarray, num_classes: int) -> tuple[list[int], list[int]]:
    """How many examples that are not sealed each class has that is judged, and the classes that are only trained on.

    labels: (N,) class numbers. Both are empty of a regression.
    """
    if not num_classes:
        return [], []
    is_test, is_judged = np.array(split.part) == "test", np.array(split.fold) >= 0
    known = np.isin(split.part, ("train", "val"))
    own, judged = (np.bincount(labels[rows], minlength=num_classes) for rows in (known, is_judged | is_test))
    unjudged = np.flatnonzero((own > 0) & (judged == 0))
    return np.delete(own, unjudged).tolist(), unjudged.tolist()


def write_split(path: Path, split: Split, ids: Sequence[str], groups: np.ndarray) -> None:
    """The split as a CSV file: id, part, fold, group; readable by the owner only."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["id", "part", "fold", "group"])
    for row, name in enumerate(ids):
        fold = split.fold[row] if split.fold[row] >= 0 else ""
        writer.writerow([safe_cell(name), split.part[row], fold, int(groups[row])])
    write_text(path.parent, path.name, text.getvalue())


def _fifth_of(labels: np.ndarray, groups: np.ndarray, seed: int) -> np.ndarray:
    """(n,) bool: about one fifth, as `_folds_of` cuts it; the first of its folds unless another comes nearer by more
    than one example. The first has the largest group, which may be most of the data.
    """
    fold = _folds_of(labels, groups, TEST_PARTS, seed)
    off = np.abs(np.bincount(fold) - len(fold) / TEST_PARTS)
    chosen: np.ndarray = fold == (0 if off[0] <= off.min() + 1 else int(off.argmin()))
    return chosen


def _share(chosen: np.ndarray) -> str:
    """What part of the examples (n,) bool is, in words: of few examples or large groups it is not one fifth."""
    aim = len(chosen) / TEST_PARTS
    return "one fifth" if abs(int(chosen.sum()) - aim) <= max(1.0, aim / 4) else "a part"


def _folds_of(labels: np.ndarray, groups: np.ndarray, num_folds: int, seed: int) -> np.ndarray:
    """(n,) fold numbers, stratified by label, whole groups at a time; fewer folds where every class is smaller, or
    there are fewer groups. Raises DataError where there are not two."""
    # Loaded here: it takes a second, and most who import this module split nothing.
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    found = np.zeros(len(labels), dtype=int)
    own = labels
    if len(labels) > MANY:  # one row for each group: scikit-learn's search over groups takes seconds for thousands
        _, first, place = np.unique(groups, return_index=True, return_inverse=True)
        own = labels[first]
    possible = min(num_folds, int(np.bincount(own).max()), len(np.unique(groups)))
    require(possible > 1, "too few different examples to train on some and judge by others", error=DataError)
    splitter = StratifiedGroupKFold if own is labels else StratifiedKFold
    parts = splitter(possible, shuffle=True, random_state=seed % 2**32)
    fold = np.zeros(len(own), dtype=int)
    with warnings.catch_warnings():
        # That a class has fewer examples than there are folds is known, and refused where it cannot be trained on.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        for number, (_, rows) in enumerate(parts.split(np.zeros(len(own)), own, groups if own is labels else None)):
            fold[rows] = number
    found[:] = fold if own is labels else fold[place]
    return found


def _counts(labels: np.ndarray, mask: np.ndarray, groups: np.ndarray, classes: Sequence[str]) -> list[int]:
    """How many different examples each class has under the mask."""
    return [len(np.unique(groups[mask & (labels == number)])) for number in range(len(classes))]


def _check_classes(
    labels: np.ndarray, mask: np.ndarray, groups: np.ndarray, classes: Sequence[str], *, least: int,
    but: Sequence[int] = (),
) -> int:  # fmt: skip
    """The smallest number of different examples that a class has under the mask. Raises DataError below `least`.

    but: classes that do not count.
    """
    if not classes:  # a regression
        return len(np.unique(groups[mask]))
    counts = _counts(labels, mask, groups, classes)
    smallest = min(set(range(len(classes))) - set(but), key=lambda number: (counts[number], number))
    require(
        counts[smallest] >= least,
        f"class {classes[smallest]!r} has {counts[smallest]} different example(s) to learn and choose from; "
        f"at least {least} are needed, and 20 or more are advised",
        error=DataError,
    )
    return counts[smallest]
