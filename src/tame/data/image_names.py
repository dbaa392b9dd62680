"""Labels in the names of pictures: ant_001.jpg shows an ant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tame.core.config import StudyConfig
from tame.core.errors import DataError, UsageError, require
from tame.core.text import printable
from tame.data.image_layout import some
from tame.data.image_lists import (
    MOST_LOST,
    Labelled,
    file_of,
    first_folder,
    listing_of,
    parts_of_folders,
    target_facts,
    task_asked,
)
from tame.data.images import File, Listing, Skipped, below, entries, given_parts, real_folder
from tame.data.tables import RawTable
from tame.data.targets import Target, read_target


def labels_in(names: Sequence[str], pattern: str) -> list[str]:
    """What the one group of a regular expression holds of each whole name; "" where a name does not fit.

    Matched by RE2, in a time that grows with the length of the name only, whatever the pattern (Cox, Regular Expression
    Matching Can Be Simple And Fast, 2007). Raises UsageError for a pattern that is none, or has not one group.

    >>> labels_in(["ant_1.jpg", "house_ant_22.jpg", "notes.jpg"], r"(.+)_\\d+[.]jpg")
    ['ant', 'house_ant', '']
    """
    whole, texts = f"^(?:{pattern})$", pa.array([printable(name) for name in names], pa.large_string())
    try:
        fits = pc.match_substring_regex(texts, pattern=whole)
    except pa.ArrowInvalid as problem:
        raise UsageError(f"{named(pattern)} is not a regular expression: {problem}") from None
    require(_num_groups(whole) == 1, f"{named(pattern)} must have one group (...), the label; {OTHERS}")
    labels = pc.replace_substring_regex(texts, pattern=whole, replacement=r"\1").to_pylist()
    return [label if fit else "" for label, fit in zip(labels, fits.to_pylist(), strict=True)]


def named(pattern: str) -> str:
    """The option with its pattern, as it can be copied."""
    return f"--label-pattern {pattern if pattern.isprintable() else repr(pattern)}"


OTHERS = "write (?:...) for what only belongs together"


def _num_groups(pattern: str) -> int:
    """How many groups a sound pattern has, 2 for several: RE2 refuses to put in a group that is not there."""
    found = 0
    for group in (1, 2):
        try:
            pc.replace_substring_regex(pa.array([""], pa.large_string()), pattern=pattern, replacement=rf"\{group}")
        except pa.ArrowInvalid:
            break
        found = group
    return found


def read_names(config: StudyConfig) -> Listing:
    """The pictures of a folder and of those inside it, labelled by their names; nothing is decoded.

    train/, val/ and test/ are parts where all pictures lie in such folders. Raises DataError and UsageError.
    """
    assert config.label_pattern is not None
    top = real_folder(Path(config.data))
    found = below(top)
    given = given_parts(top, entries(top)[0], val=config.val, test=config.test)
    parts = parts_of_folders([first_folder(file.id) for file in found.files], given)
    files = [
        File(file.id, file.path, "", part) for file, part in zip(found.files, parts, strict=True) if part is not None
    ]
    require(bool(files), f"no pictures in {printable(top)}", error=DataError)
    missing = set(given) - {file.part for file in files}
    require(not missing, f"no pictures in {some([given[part] for part in missing])}", error=DataError)
    labels = labels_in([file.id.rpartition("/")[2] for file in files], config.label_pattern)
    names = [file.id for file in files]
    target, labelled = target_of(labels, names, named(config.label_pattern), task=task_asked(config))
    left = [
        Skipped(file.id, "its name does not fit --label-pattern")
        for file, own in zip(files, labels, strict=True)
        if not own
    ]
    own = [
        Labelled(file_of(file.id, file.path, target, value, file.part), row)
        for row, (file, value) in enumerate(zip(files, target.values, strict=True))
        if labelled[row]
    ]
    notes = [f"labels: from the names of the files; {target.why}"]
    if len(files) < len(found.files):
        notes.append(f"{len(found.files) - len(files)} pictures in folders that play no part are not used")
    listing = listing_of(top, own, [*found.skipped, *left], target.classes, beside={}, notes=notes)
    return replace(listing, target=target_facts(target))


def target_of(
    labels: Sequence[str], names: Sequence[str], where: str, *, task: str, told: str = "", column: str = "label"
) -> tuple[Target, np.ndarray]:
    """Classes or numbers of labels ("" for none), and (N,) which have one, as `read_target` has those of a column.

    Raises DataError where more than a few have none.
    """
    missing = [name for name, label in zip(names, labels, strict=True) if not label]
    if len(missing) > MOST_LOST * len(labels):
        raise DataError(f"{where} gives no label to {len(missing)} of the {len(labels)} pictures: {some(missing)}")
    cells = np.empty(len(labels), dtype=object)
    cells[:] = list(labels)
    raw = RawTable((column,), {column: cells}, (), len(labels), "")
    return read_target(raw, column, task=task, told=told)
