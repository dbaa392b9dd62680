"""What is wrong with how pictures are laid out in folders, and what would be right."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from tame.core.text import printable

FORM = "lay the pictures out as ants/1.jpg, bees/2.jpg: one folder for each class"
LISTS = (".csv", ".tsv", ".parquet")  # that TAME reads
TABLES = (*LISTS, ".xlsx", ".json", ".jsonl", ".txt")  # in which labels often come
MOST_NAMED = 5


def some(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    return ", ".join(names[:MOST_NAMED]) + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")


def without_folders(pictures: Sequence[str], others: Sequence[str], *, beside: Sequence[str], parent: str) -> str:
    """What to do with pictures that lie in no class folders.

    pictures, others: names of files in the folder; beside: folders next to it that hold pictures, and itself; parent:
    the folder that all of these lie in.
    """
    begins = Counter(match[0].lower() for name in pictures if (match := re.match(r"[^\W\d_]{2,}", name)))
    classes = sorted(begins)
    enough = 2 <= len(classes) <= len(pictures) / 2 and begins.total() == len(pictures)
    if enough:
        first = classes[0]
        put = f"put those of each into a folder of its name, as {first}/1.jpg"
        return f"their names begin with {some(classes)}: {put}, or give --label-pattern '([A-Za-z]+).*'"
    tables = [name for name in others if name.lower().endswith(TABLES)]
    if tables:
        give = f"give {tables[0]} as the data, with --target"
        put = "put the pictures into a folder for each class, as ants/1.jpg"
        return f"if {tables[0]} says what each shows, {give if tables[0].lower().endswith(LISTS) else put}"
    if len(beside) > 1:
        return f"did you mean {parent}, which holds the class folders {some(beside)}?"
    return FORM


def same_inside(inside: Mapping[str, Sequence[str]], like_parts: Mapping[str, str]) -> str:
    """Why folders cannot be classes that all hold the same folders and no pictures, and what would be right; or "".

    inside: the folders in each of them; like_parts: part names, by the words that are taken for them.
    """
    tops = sorted(inside)
    inner = set(inside[tops[0]]) if tops else set()
    if len(tops) < 2 or len(inner) < 2 or any(set(own) != inner for own in inside.values()):
        return ""
    shown, within = some([printable(name) for name in tops]), sorted(inner)
    if all(name.casefold() in like_parts for name in inner):
        part = like_parts[within[0].casefold()]
        return f"the parts {some(within)} lie inside the classes {shown}; put them outside, as {part}/{tops[0]}/1.jpg"
    said = f"{shown} all hold the folders {some([printable(name) for name in within])}: which of them are the classes?"
    parts = {_part_in(name, like_parts): name for name in tops}
    if "" not in parts and len(parts) == len(tops):
        renamed = ", ".join(f"{printable(name)} to {part}" for part, name in sorted(parts.items()))
        return f"{said} If {shown} are parts, rename {renamed}"
    return (
        f"{said} Put the pictures of {printable(within[0])} into one folder {printable(within[0])}, and so on; "
        f"or give one of {shown} as the data"
    )


def missing_in_train(part: str, only: Sequence[str], train: Sequence[str]) -> str:
    """What to do about classes that a part holds and train does not."""
    near = [(name, close[0]) for name in only if (close := difflib.get_close_matches(name, train, 1, cutoff=0.7))]
    said = f"classes that lie in {part} but not in train: {some(only)}"
    if near:
        return f"{said}; did you mean {', '.join(f'{old} to be {new}' for old, new in near[:MOST_NAMED])}?"
    return f"{said}; put pictures of them into train, or take them out of {part}"


def no_pictures(others: Mapping[str, int], *, unreadable: int) -> str:
    """What to do where a folder holds no pictures. others: files that are none, by extension; unreadable: pictures."""
    if unreadable:
        return ""  # what was said of the first of them is the cure
    tables = [kind for kind in others if kind in (".csv", ".parquet", ".tsv")]
    if tables:
        return f"; if the data is a table, give the {tables[0]} file itself, with --target"
    if others.get(""):
        return "; give the files the ending of what they are, such as .jpg"
    return f"; {FORM}"


def _part_in(name: str, like_parts: Mapping[str, str]) -> str:
    """The part that a word in a folder's name stands for, or ""."""
    return next((like_parts[word] for word in re.split(r"[^a-z]+", name.casefold()) if word in like_parts), "")
