"""What a learner has answered and which cards are due, in one small file of their own that they can delete."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path

from tame.core.errors import StorageError
from tame.core.files import read_bytes, write_text
from tame.core.plain import from_plain, parse_object, to_plain
from tame.report.glossary import Term, general_terms

FILE = "learn.json"
DAYS = (0, 1, 3, 7, 21)  # until a card is due again, by its box. Source: Leitner, So lernt man lernen (1972)


@dataclass(frozen=True, slots=True)
class Tally:
    """Answers in a lesson: how many, and how many of them were right."""

    asked: int = 0
    right: int = 0


@dataclass(frozen=True, slots=True)
class Card:
    """A word of the glossary. box: places of DAYS, higher the better it is known; due: an ISO date."""

    box: int
    due: str


@dataclass(frozen=True, slots=True)
class Progress:
    """All that is kept of a learner. lessons, cards: by name."""

    lessons: Mapping[str, Tally] = field(default_factory=dict)
    cards: Mapping[str, Card] = field(default_factory=dict)

    def answered(self, lesson: str, *, right: bool) -> Progress:
        """With one more answer in a lesson."""
        own = self.lessons.get(lesson, Tally())
        return replace(self, lessons={**self.lessons, lesson: Tally(own.asked + 1, own.right + right)})

    def turned(self, anchor: str, *, known: bool, today: date) -> Progress:
        """After a card: one that was known moves up a box, one that was not goes back to the first."""
        box = max(0, min(self.cards[anchor].box + 1 if anchor in self.cards else 1, len(DAYS) - 1)) if known else 0
        due = (today + timedelta(days=DAYS[box])).isoformat()
        return replace(self, cards={**self.cards, anchor: Card(box, due)})

    def due(self, today: date) -> list[Term]:
        """The cards for today: those that are due, the longest overdue first, then those never seen.

        One that would be due later than any can be was turned while the clock was wrong: it is due now.
        """
        every, latest = general_terms(), (today + timedelta(days=DAYS[-1])).isoformat()
        known = [each for each in every if each.anchor in self.cards]
        old = [each for each in known if not today.isoformat() < self.cards[each.anchor].due <= latest]
        old.sort(key=lambda each: self.cards[each.anchor].due)
        return old + [each for each in every if each.anchor not in self.cards]


def read_progress(folder: Path) -> Progress:
    """What is kept in a folder; nothing where there is no file. Raises StorageError for a file that cannot be read."""
    try:
        text = read_bytes(folder, FILE).decode("utf-8")
    except FileNotFoundError:
        return Progress()
    except (OSError, UnicodeDecodeError) as problem:
        raise _damaged(folder) from problem
    try:
        return from_plain(Progress, parse_object(text), what="the progress", error=StorageError)
    except (ValueError, StorageError) as problem:
        raise _damaged(folder) from problem


def keep_progress(folder: Path, progress: Progress) -> None:
    """Keeps it, for this user only. Raises StorageError where the folder cannot be written."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_text(folder, FILE, json.dumps(to_plain(progress), sort_keys=True) + "\n")
    except OSError as problem:
        raise StorageError(f"{folder / FILE} cannot be written: {problem.strerror or problem}") from problem


def forget_progress(folder: Path) -> bool:
    """Deletes what is kept; returns whether there was anything."""
    there = (folder / FILE).is_file()
    (folder / FILE).unlink(missing_ok=True)
    return there


def _damaged(folder: Path) -> StorageError:
    return StorageError(f"{folder / FILE} cannot be read as progress; delete it with: tame learn --forget")
