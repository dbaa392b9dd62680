"""`tame explain`: what a word means, with the numbers of a study."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from tame.core.errors import UsageError
from tame.core.plain import to_plain
from tame.core.result import Result
from tame.report.explain import Explained, Past, explain
from tame.report.formats import inert
from tame.study.state import read_state, readable, unfinished


@dataclass(frozen=True, slots=True)
class Found:
    """What was asked, and what it means."""

    word: str
    found: tuple[Explained, ...]

    def to_json(self) -> dict[str, object]:
        """The document of `tame explain --json`."""
        return {"schema": "tame/1", "word": self.word, "found": to_plain(self.found)}


def explained(word: str, study: Path | None) -> Found:
    """What the word means. study: a finished study. Raises UsageError for an unknown word or an unfinished study."""
    if study is None:
        return Found(word, tuple(explain(word)))
    _, state = read_state(study)
    if state.result is None:
        raise UsageError(unfinished(study, state))
    with readable(study):
        return Found(word, tuple(explain(word, Past(Result.from_json(state.result), state.history))))


def explained_lines(found: Found) -> RenderableType:
    """For people: each name with its meaning below."""
    parts: list[RenderableType] = []
    for each in found.found:
        texts = [each.meaning, each.own] if each.own else [each.meaning]
        body = [Padding(Text(inert(text), overflow="fold"), (0, 0, 0, 2)) for text in texts]
        parts += [Text(inert(each.name), "bold"), *body]
    return Group(*parts)
