"""A store that forgets everything with its process: for tests, and for studies that nobody wants to keep."""

from __future__ import annotations

from collections.abc import Sequence

from tame.core.records import Event
from tame.store.protocol import check_after, check_study, from_text, now, to_text


class MemoryStore:
    """Events in a dict. Their data is kept as text, so that nobody can change what is stored."""

    def __init__(self) -> None:
        self._rows: dict[str, list[tuple[str, str, str]]] = {}  # kind, text, at

    def append(self, study: str, events: Sequence[Event]) -> list[Event]:
        check_study(study)
        at = now()
        new = [(event.kind, to_text(event), at) for event in events]
        if not new:
            return []
        rows = self._rows.setdefault(study, [])
        rows.extend(new)
        return self.events(study, len(rows) - len(new))

    def events(self, study: str, after: int = 0) -> list[Event]:
        check_study(study)
        check_after(after)
        rows = self._rows.get(study, [])[after:]
        return [Event(kind, from_text(text), number, at) for number, (kind, text, at) in enumerate(rows, after + 1)]

    def studies(self) -> list[str]:
        return list(self._rows)

    def close(self) -> None:
        """Nothing to let go of."""
