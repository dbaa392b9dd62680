"""`tame learn`: the lessons in the terminal, with the numbers of a study and questions about it."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from rich.console import Group, RenderableType
from rich.markdown import Markdown
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tame.app.own_stores import store_of
from tame.app.own_studies import own_list
from tame.core.errors import TameError, UsageError, require
from tame.core.plain import to_plain
from tame.learn.lesson import Lesson, lesson, lessons
from tame.learn.numbers import numbers
from tame.learn.progress import Progress, Tally, forget_progress, keep_progress, read_progress
from tame.learn.question import Question, judge
from tame.learn.questions import questions
from tame.learn.seen import LEAST_TRIALS, Seen, seen_of
from tame.report import formats
from tame.study.following import Followed, Follower
from tame.study.record import is_study, require_study

RUNS = Path("runs")
Say = Callable[[str], None]


def progress_folder() -> Path:
    """Where a learner's progress is kept, beside the list of own studies."""
    return own_list("learn")


@dataclass(frozen=True, slots=True)
class Read:
    """A lesson as it is read in the terminal. seen: the study that it is about; None where there is none."""

    lesson: Lesson
    seen: Seen | None
    tally: Tally

    def to_json(self) -> dict[str, object]:
        """The document of `tame learn LESSON --json`."""
        own = self.lesson
        return {
            "schema": "tame/1", "lesson": own.name, "number": own.number, "title": own.title, "about": own.about,
            "study": None if self.seen is None else self.seen.name, "sentences": list(self._sentences),
            "text": own.text, "rows": to_plain(own.rows), "answers": to_plain(self.tally),
        }  # fmt: skip

    def lines(self) -> RenderableType:
        """For people."""
        own = self.lesson
        seen = "No study was begun here yet, so no numbers of yours can be told: tame demo makes one in a minute."
        told = [Text(each) for each in self._sentences] if self.seen is not None else [Text(seen)]
        more = f"Try it on your examples: tame ui, then Learn. Be asked: tame learn {own.name} --test"
        return Group(
            Text(f"Lesson {own.number}: {own.title}", "bold"), Text(f"{own.about}\n"), Markdown(own.text), Text(""),
            Text("On your run", "bold"), Padding(Group(*told), (0, 0, 0, 2)), Text(f"\n{more}"),
        )  # fmt: skip

    @property
    def _sentences(self) -> tuple[str, ...]:
        return () if self.seen is None else self.lesson.sentences(numbers(self.seen))


def read_lesson(name: str, study: Path | None) -> Read:
    """A lesson with the numbers of a study, or of the newest one here. Raises UsageError for an unknown lesson."""
    own = lesson(name)
    return Read(own, seen_here(study, own), read_progress(progress_folder()).lessons.get(own.name, Tally()))


def list_lessons() -> RenderableType:
    """All lessons, with what was answered in them."""
    progress = read_progress(progress_folder())
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    for name in ("number", "name", "about", "answers"):
        table.add_column(name, overflow="fold", justify="right" if name == "number" else "left")
    for each in lessons():
        tally = progress.lessons.get(each.name)
        said = "" if tally is None else f"{tally.right} of {tally.asked} right"
        table.add_row(str(each.number), Text(each.name, "bold"), Text(f"{each.title}: {each.about}"), Text(said, "dim"))
    more = "Read one: tame learn descent. Be asked: tame learn descent --test. Words: tame learn --cards."
    return Group(table, Text(f"\n{more} In the browser, on your own examples: tame ui, then Learn."))


def lessons_json() -> dict[str, object]:
    """The document of `tame learn --json`."""
    answers = read_progress(progress_folder()).lessons
    rows = [
        {"name": each.name, "number": each.number, "title": each.title, "about": each.about, "minutes": each.minutes,
         "rows": to_plain(each.rows), "answers": to_plain(answers.get(each.name, Tally()))}
        for each in lessons()
    ]  # fmt: skip
    return {"schema": "tame/1", "lessons": rows}


def seen_here(study: Path | None, own: Lesson) -> Seen | None:
    """What a lesson is about: the named study, or else the newest one here that it can be about; None where none is.

    Raises UsageError for a named study without trials or, where the lesson needs them, without classes.
    """
    if study is not None:
        require_study(study)
        found = look_at(study)
        require(bool(found.trials), f"{study} has no trials yet, so there is nothing to learn from it")
        right = not own.classes or found.classes >= 2
        require(right, f"this lesson needs classes, and {study} has none to tell apart; leave it out for the demo")
        return found
    for each in _newest():
        try:
            found = look_at(each)
        except TameError:
            continue  # one that cannot be read is not what a lesson is about
        if found.trials and (not own.classes or found.classes >= 2):
            return found
    return None


def look_at(study: Path) -> Seen:
    """What the events of a study tell. Raises as `Follower.catch_up`."""
    follower = Follower(study, Followed(), store=store_of(study, None))
    try:
        follower.catch_up()
        return seen_of(follower.followed, study.name)
    finally:
        follower.close()


def _newest() -> list[Path]:
    found = [each for each in RUNS.iterdir() if is_study(each)] if RUNS.is_dir() else []
    return sorted(found, key=lambda each: each.stat().st_mtime, reverse=True)


def test_me(name: str, study: Path | None, *, seed: int | None, say: Say) -> Tally:
    """Asks questions of a lesson until stdin ends or all are answered, and keeps what was right."""
    own = lesson(name)
    seen = seen_here(study, own)
    if seen is None or len(seen.readable) < LEAST_TRIALS:
        from tame.app.lessons import NO_STUDY, open_tutor

        where = None if study is None else study
        why = NO_STUDY if seen is None else "its study has too few trials whose curves can be read"
        say(f"The questions are about networks that are trained now, in about ten seconds: {why}.")
        seen = open_tutor(where, why=why).seen
    seed = secrets.randbelow(10**6) if seed is None else seed
    asked = questions(own.name, seen, seed=seed)
    tally = Tally()
    for place, (question, answer) in enumerate(_answers(asked, say), start=1):
        tally = Tally(tally.asked + 1, tally.right + _told(question, answer, say))
        say("" if place < len(asked) else f"{tally.right} of {tally.asked} right. Others: tame learn {own.name} --test")
    folder = progress_folder()
    progress = read_progress(folder)
    before = progress.lessons.get(own.name, Tally())
    total = Tally(before.asked + tally.asked, before.right + tally.right)
    keep_progress(folder, Progress({**progress.lessons, own.name: total}, progress.cards))
    return tally


def _answers(asked: tuple[Question, ...], say: Say) -> Iterator[tuple[Question, str]]:
    """Each question with its answer, which is asked for again while it is none."""
    for place, question in enumerate(asked, start=1):
        say(f"{place}. {question.text}")
        for number, option in enumerate(question.options, start=1):
            say(f"   {number}) {option}")
        while line := sys.stdin.readline():
            given = line.strip()
            if question.options and given.isdecimal():
                given = str(int(given) - 1)  # people count from one
            try:
                judge(question, given)
            except UsageError as problem:
                say(f"   {problem}")
                continue
            yield question, given
            break
        else:
            return


def _told(question: Question, answer: str, say: Say) -> bool:
    found = judge(question, answer)
    say(f"   {'Right.' if found.right else 'Not yet.'} The answer: {found.answer}. {found.why}")
    return found.right


def turn_cards(say: Say, *, today: date | None = None) -> int:
    """Shows the words that are due, one after the other, until stdin ends; returns how many were known."""
    day = today or datetime.now(UTC).astimezone().date()
    folder, known = progress_folder(), 0
    for term in read_progress(folder).due(day):
        say(f"{term.name}? (Enter turns it over)")
        if not sys.stdin.readline():
            break
        say(f"   {formats.sentence(term.meaning)} Did you know it? (y/n)")
        if not (line := sys.stdin.readline()):
            break
        good = line.strip().lower() in ("y", "yes")
        known += good
        keep_progress(folder, read_progress(folder).turned(term.anchor, known=good, today=day))
    return known


def forget() -> str:
    """Deletes what is kept of the learner; returns what became of it."""
    there = forget_progress(progress_folder())
    return "Your progress is deleted." if there else "There was no progress to delete."
