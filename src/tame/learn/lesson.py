"""The lessons: short texts in Markdown, each with what the learner does and what is checked.

A file begins with its facts as TOML between two lines of +++. Its prose holds no digits: every number that a learner
reads is in a sentence of `own`, whose places are filled from a study, or is computed by the page.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from markdown_it import MarkdownIt

from tame.core.errors import UsageError, unknown
from tame.core.plain import from_plain

_FILE = re.compile(r"\+\+\+\n(.*?)\n\+\+\+\n(.*)", re.DOTALL)
TABLE = "a table of measured insects"  # stands in for a study in most lessons
HEADING = "\n## "
_PLACE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A topic of a lesson: what the learner does about it on the page, and what is then checked."""

    topic: str
    action: str
    check: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """A lesson. name: in its address; number: its place in the course; minutes: that it takes; about: in one sentence;
    classes: whether it needs a task with classes; stands_in: what does without a study; own: sentences
    with places for the numbers of a study; text: Markdown."""

    name: str
    number: int
    title: str
    minutes: int
    about: str
    rows: tuple[Row, ...]
    own: tuple[str, ...] = ()
    classes: bool = False
    stands_in: str = TABLE
    text: str

    @property
    def lead(self) -> str:
        """What is read before anything is tried: the text up to its first heading."""
        return self.text.partition(HEADING)[0]

    @property
    def rest(self) -> str:
        """The text from its first heading on."""
        return "".join(self.text.partition(HEADING)[1:])

    def sentences(self, numbers: Mapping[str, str]) -> tuple[str, ...]:
        """The sentences of `own` of which the study knows every number."""
        known = [own for own in self.own if all(name in numbers for name in places(own))]
        return tuple(_PLACE.sub(lambda place: numbers[place[1]], own) for own in known)


def places(sentence: str) -> tuple[str, ...]:
    """The names of the numbers that a sentence has places for.

    >>> places("The rate was {rate} in {trials} trials.")
    ('rate', 'trials')
    """
    return tuple(_PLACE.findall(sentence))


@cache
def lessons() -> tuple[Lesson, ...]:
    """All lessons, in the order of the course."""
    found = [
        read(path.name.removesuffix(".md"), path.read_text(encoding="utf-8"))
        for path in files("tame.learn").joinpath("lessons").iterdir()
        if path.name.endswith(".md")
    ]
    return tuple(sorted(found, key=lambda each: each.number))


def lesson(name: str) -> Lesson:
    """The lesson of that name or number. Raises UsageError for an unknown one, with a near name."""
    asked = name.strip().lower()
    found = next((each for each in lessons() if asked in (each.name, str(each.number))), None)
    if found is None:
        raise UsageError(f"{unknown('lesson', name, [each.name for each in lessons()])} `tame learn` lists all")
    return found


def read(name: str, content: str) -> Lesson:
    """The lesson of a file. Raises UsageError for one that is not made like the others."""
    parts = _FILE.fullmatch(content)
    if parts is None:
        raise UsageError(f"the lesson {name} does not begin with its facts between two lines of +++")
    facts = tomllib.loads(parts[1])
    return from_plain(Lesson, {"name": name, "text": parts[2].strip(), **facts}, what=f"the lesson {name}")


@cache
def as_html(text: str) -> str:
    """Markdown as HTML. Raw HTML in it is shown as text."""
    return str(MarkdownIt("commonmark", {"html": False}).enable("table").render(text))


def table() -> str:
    """The table of the course in Markdown: topic, lesson, what the learner does, what is checked."""
    head = "| topic | lesson | what you do | what is checked |\n|---|---|---|---|"
    rows = [
        f"| {row.topic} | {each.number} {each.title} | {row.action} | {row.check} |"
        for each in lessons()
        for row in each.rows
    ]
    return "\n".join([head, *rows])
