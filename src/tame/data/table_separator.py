"""By what a file of text separates its cells: found from its first records, and said."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
# Taken only where no usual one fits, and where every record has as many fields as the header.
RARE = {"^": "caret", "~": "tilde", "#": "number sign", "&": "ampersand", ":": "colon"}
IN_TEXTS = (":", "&", "#", "\t")  # the last of runs of blanks
MOSTLY = 0.9  # of the cells of a column are numbers
BLANKS = r"[ \t\xa0]+"
SAMPLE_RECORDS, SAMPLE_CHARACTERS = 200, 4_000_000  # what the separator is found from
POOR = 0.5  # of the records have as many fields as the header; a separator of fewer is none
NUMBER = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]+)?(?:[eE][+-]?[0-9]+)?")


def records(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The line that each record starts on, and its fields; [] for an empty line."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    start = 1
    for record in reader:
        yield start, record
        start = reader.line_num + 1


def separated(text: str) -> tuple[str, str, str]:
    """The text, the separator of its cells, and how that was found.

    It is the usual one by which most records have as many fields as the header. Cells that runs of blanks separate, as
    in tables that are lined up, are separated by tabs in the text that comes back.
    """
    fits = {}
    for separator in SEPARATORS:
        counts, sound = _field_counts(text, separator)
        if counts and counts[0] > 1:
            fits[separator] = (sound, counts.count(counts[0]) / len(counts), counts[0])
    if not fits or max(share for _, share, _ in fits.values()) < POOR:
        for separator, name in RARE.items():
            if _is_table(text, separator):
                return text, separator, f"separator: {name}"
        plain = _with_tabs(text)
        if plain is not None:
            return plain, "\t", "separator: blanks"
    if not fits:
        return text, ",", "separator: none found, so the table has one column"
    best = max(fits, key=lambda separator: fits[separator])
    others = [SEPARATORS[other] for other in fits if other != best and fits[other][:2] == fits[best][:2]]
    doubt = f"; {' and '.join(others)} would fit as well" if others else ""
    return text, best, f"separator: {SEPARATORS[best]}{doubt}"


def advice(text: str, separator: str, got: int, expected: int) -> str:
    """What may be wrong with a table that has a record of other fields than the header. got, expected: how many."""
    counts, _ = _field_counts(text, separator)
    if len(counts) < 2:
        return "is the row cut off?"
    usual, times = Counter(counts[1:]).most_common(1)[0]
    most = times > POOR * (len(counts) - 1) and usual == got
    if most and got > expected == 1:
        return "delete what stands before the line with the names of the columns, or separate these as the cells are"
    if most and got == expected + 1:
        last = [record[-1] for _, record in islice(records(text, separator), 1, SAMPLE_RECORDS) if record]
        lacking = "name every column in the first line (does it lack that of the first?)"
        return f"{lacking}, or quote cells that hold the separator" if any(last) else "end no line with a separator"
    if most and got == 1:
        others = [name for other, name in SEPARATORS.items() if _agree(text, other, expected)]
        others += ["blanks"] if _agree(re.sub(BLANKS, "\t", text), "\t", expected) else []
        if others:
            return f"the rows are separated by {others[0]} and the names by {_name(separator)}; use the same for both"
    return "quote cells that hold the separator" if got > expected else "is the row cut off?"


def _name(separator: str) -> str:
    return {**SEPARATORS, **RARE}[separator]


def _agree(text: str, separator: str, expected: int) -> bool:
    """Whether all records but the header have so many fields."""
    counts, sound = _field_counts(text, separator)
    return sound and len(counts) > 1 and set(counts[1:]) == {expected}


def _is_table(text: str, separator: str) -> bool:
    """Whether all records have as many fields, two or more; of marks that texts hold too, some must be numbers."""
    counts, sound = _field_counts(text, separator)
    if not sound or len(counts) < 2 or set(counts) != {counts[0]} or counts[0] < 2:
        return False
    rows = [record for _, record in records(text[:SAMPLE_CHARACTERS], separator) if record][1 : len(counts)]
    names = next(record for _, record in records(text, separator) if record)
    if any(NUMBER.fullmatch(name.strip()) for name in names):
        return False
    if separator not in IN_TEXTS:
        return True
    numbers = [sum(NUMBER.fullmatch(cell.strip()) is not None for cell in own) for own in zip(*rows, strict=True)]
    return max(numbers) >= MOSTLY * len(rows)


def _with_tabs(text: str) -> str | None:
    """The text with a tab for each run of blanks, where these separate the cells of a table; None where they do not."""
    if '"' in text:
        return None
    sample = _tabbed(text[:SAMPLE_CHARACTERS])
    return _tabbed(text) if _is_table(sample, "\t") else None


def _tabbed(text: str) -> str:
    bare = re.sub(rf"(?m)^{BLANKS}|{BLANKS}(?=[\r\n]|\Z)", "", text)
    return re.sub(BLANKS, "\t", bare)


def _field_counts(text: str, separator: str) -> tuple[list[int], bool]:
    """The number of fields of each of the first records, and whether their quotes are right with this separator."""
    sample = text[:SAMPLE_CHARACTERS]
    reader = csv.reader(io.StringIO(sample, newline=""), delimiter=separator, strict=True)
    counts = []
    try:
        for record in reader:
            counts += [len(record)] if record else []
            if len(counts) == SAMPLE_RECORDS:
                return counts, True
    except csv.Error:
        return counts, len(sample) < len(text)  # of a sample the end may be cut
    return counts[: len(counts) - (len(sample) < len(text) and len(counts) > 1)], True
