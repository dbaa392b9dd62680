"""What every store of events can do, and the one text form in which all of them keep an event's data."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

from tame.core.errors import require
from tame.core.plain import parse_object
from tame.core.records import Event


class Store(Protocol):
    """Keeps the events of studies. Nothing that was appended is ever changed or taken away."""

    def append(self, study: str, events: Sequence[Event]) -> list[Event]:
        """The events as they are now stored: all of them or, if this raises, none.

        Ids go on from the study's last one without a gap; `at` is the time of storing. A study begins with its first
        event. Raises StorageError, and ValueError for data that JSON cannot hold (NaN, Infinity).
        """
        ...

    def events(self, study: str, after: int = 0) -> list[Event]:
        """The events with an id above `after`, in order; none for a study that has not begun. Raises StorageError."""
        ...

    def studies(self) -> list[str]:
        """Names of all studies, in the order in which they began. Raises StorageError."""
        ...

    def close(self) -> None:
        """Lets go of files and connections."""
        ...


def check_study(name: str) -> None:
    """Raises UsageError unless `name` can name a study: 1 to 200 characters, none of them a control character."""
    require(0 < len(name) <= 200, f"the name of a study must have 1 to 200 characters, got {len(name)}")
    good = all(unicodedata.category(char) not in ("Cc", "Cs") for char in name)
    require(good, f"the name of a study must not hold control characters, got {name!r}")


def to_text(event: Event) -> str:
    """The event's data as ASCII JSON. What `from_text` makes of it is what a store gives back: tuples become lists.

    Raises ValueError for NaN, Infinity, an event that is stored already, or a kind that is not a printable word.
    """
    if event.id:
        raise ValueError(f"event {event.id} of kind {event.kind!r} is stored already")
    if not (event.kind.isprintable() and event.kind):
        raise ValueError(f"the kind of an event must be a printable word, got {event.kind!r}")
    return json.dumps(event.data, allow_nan=False, separators=(",", ":"))


def from_text(text: str) -> dict[str, object]:
    """The data that `to_text` wrote. Raises ValueError for anything else: no object, NaN, numbers without bounds."""
    return parse_object(text)


def check_after(after: int) -> None:
    """Raises ValueError unless `after` is 0 or the id of an event."""
    if after < 0:
        raise ValueError(f"after must be 0 or the id of an event, got {after}")


def now() -> str:
    """The time in UTC, ISO 8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
