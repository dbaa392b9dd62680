"""The routes of the lessons: texts with the numbers of a study, questions and answers, what is computed for them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tame.core.errors import TameError, UsageError
from tame.core.plain import from_plain, to_plain
from tame.learn.lesson import TABLE, Lesson, as_html, lesson, lessons
from tame.learn.numbers import numbers
from tame.learn.progress import Progress, forget_progress, keep_progress, read_progress
from tame.learn.question import Question, judge
from tame.learn.questions import questions
from tame.learn.seen import LEAST_TRIALS, Seen, SeenTrial, seen_of
from tame.pages.helper import Helper
from tame.pages.library import Library, Shelf
from tame.report import formats

if TYPE_CHECKING:
    from tame.pages.server import Settings

Plain = dict[str, object]
WAIT_S = 60.0  # for an answer that somebody else waits for
DEMO = Path("demo")  # what the process is told without a study: all studies have whole paths
MOST_ROUNDS = 16  # of questions, whose study is kept as it was when they were asked
CHANGED = "the study has gone on since this was asked; ask for other questions"
ANY = Path()  # the one process answers for all studies, so that it stays warm from one to the next


class BusyError(TameError):
    """Another question is being answered."""


@dataclass(frozen=True, slots=True)
class About:
    """What a lesson is about. shelf: a study, None where the demo stands in; why: why it does."""

    shelf: Shelf | None
    why: str = ""

    @property
    def place(self) -> Path:
        """What the process that computes is told."""
        return DEMO if self.shelf is None else self.shelf.folder


class Learning:
    """The handlers, each for one route."""

    def __init__(self, library: Library, settings: Settings) -> None:
        self._library, self._folder = library, settings.progress
        self._is_open = settings.progress is not None and not settings.is_read_only
        self._helper = Helper(settings.lessons) if settings.lessons else None
        self._seen: dict[Path, Seen] = {}  # of what the process was asked about
        self._rounds: OrderedDict[tuple[str, str, int], Seen] = OrderedDict()  # by lesson, study and seed
        self._lock = threading.Lock()  # of the progress

    @property
    def routes(self) -> list[Route]:
        """The routes for scripts; the pages themselves are in `server.Pages`."""
        return [
            Route("/api/learn/{name}/questions", self.api_questions),
            Route("/api/learn/{name}/answer", self.api_answer, methods=["POST"]),
            Route("/api/learn/{name}/ask/{what}", self.api_ask, methods=["POST"]),
            Route("/api/learn/cards", self.api_cards), Route("/api/learn/card", self.api_card, methods=["POST"]),
            Route("/api/learn/forget", self.api_forget, methods=["POST"]),
        ]  # fmt: skip

    def close(self) -> None:
        """Ends the process that computes."""
        if self._helper is not None:
            self._helper.close()

    def begin(self) -> None:
        """Begins the process that computes before anybody opens a lesson: to load what it needs takes seconds."""
        if self._helper is not None:
            self._begin(self._about("", None))

    def overview(self, study: str) -> Plain:
        """All lessons with what was answered in them, and the studies that they can be about."""
        progress = self._progress()
        about = self._about(study, None)
        self._begin(about)
        rows = [
            {"name": each.name, "number": each.number, "title": each.title, "about": each.about,
             "minutes": each.minutes, "done": _done(progress, each)}
            for each in lessons()
        ]  # fmt: skip
        return {"lessons": rows, "studies": self._studies(), **self._told(about, TABLE), "file": self._file}

    def page(self, name: str, study: str) -> Plain:
        """A lesson with the numbers of a study, or of none where the demo stands in."""
        own = _lesson(name)
        about = self._about(study, own)
        self._begin(about)
        seen = self._of(about)
        every = lessons()
        place = every.index(own)
        return {
            "lesson": own, "lead": as_html(own.lead), "rest": as_html(own.rest),
            "sentences": own.sentences({} if seen is None else numbers(seen)),
            "before": every[place - 1] if place else None,
            "after": every[place + 1] if place + 1 < len(every) else None,
            "done": _done(self._progress(), own), "studies": self._studies(), **self._told(about, own.stands_in),
        }  # fmt: skip

    async def api_questions(self, request: Request) -> Response:
        own, seed = _lesson(request.path_params["name"]), _seed(request.query_params.get("seed", ""))
        asked = await asyncio.to_thread(self._questions, own, request.query_params.get("study", ""), seed)
        rows = [
            {"text": each.text, "options": each.options, "curve": curve, "mark": _mark(each)} for each, curve in asked
        ]
        return JSONResponse({"seed": str(seed), "questions": rows})

    async def api_answer(self, request: Request) -> Response:
        """Judges an answer by a key that is computed again."""
        given, own = await _read(request), _lesson(request.path_params["name"])
        seed, number = _seed(str(given.get("seed", ""))), given.get("number")
        asked = await asyncio.to_thread(self._questions, own, str(given.get("study", "")), seed)
        if type(number) is not int or number < 0:
            raise HTTPException(400, "there is no such question")
        if number >= len(asked) or given.get("mark") != _mark(asked[number][0]):
            raise UsageError(CHANGED)
        found = judge(asked[number][0], given.get("answer"))
        await asyncio.to_thread(self._keep, partial(_answered, lesson=own.name, right=found.right))
        return JSONResponse({**to_plain(found), "curve": asked[number][1]})

    async def api_ask(self, request: Request) -> Response:
        """What the process computes on the examples; a judged trial of the learner's counts as an answer."""
        given, own = await _read(request), _lesson(request.path_params["name"])
        asked = given.get("asked")
        if self._helper is None or not isinstance(asked, dict):
            raise HTTPException(400, "what is asked for cannot be read")
        about = await asyncio.to_thread(self._asked_about, str(given.get("study", "")), own)
        question = {"what": request.path_params["what"], "asked": asked}
        found = await asyncio.to_thread(self._ask, about, question)
        if isinstance(found.get("right"), bool):
            await asyncio.to_thread(self._keep, partial(_answered, lesson=own.name, right=bool(found["right"])))
        return JSONResponse(found)

    async def api_cards(self, _: Request) -> Response:
        due = (await asyncio.to_thread(self._progress)).due(_today())
        rows = [{"anchor": each.anchor, "name": each.name, "meaning": each.meaning} for each in due]
        return JSONResponse({"cards": rows})

    async def api_card(self, request: Request) -> Response:
        given = await _read(request)
        anchor, known = given.get("anchor"), given.get("known")
        due = [each.anchor for each in Progress().due(_today())]  # what is sent may be of any type
        if anchor not in due or not isinstance(known, bool):
            raise HTTPException(400, "there is no such card")
        turn = partial(_turned, anchor=str(anchor), known=known)
        await asyncio.to_thread(self._keep, turn)
        return JSONResponse({"kept": self._is_open})

    async def api_forget(self, _: Request) -> Response:
        if not self._is_open or self._folder is None:
            raise HTTPException(403, "these pages only show; they were started so that nothing can be changed")
        return JSONResponse({"forgot": await asyncio.to_thread(forget_progress, self._folder)})

    def _questions(self, own: Lesson, study: str, seed: int) -> list[tuple[Question, Plain | None]]:
        """The questions of a round, each with the curve that it is about: of the study as it was when it began."""
        place = (own.name, study, seed)
        seen = self._rounds.get(place)
        if seen is None:
            seen = self._rounds[place] = self._to_ask_about(self._asked_about(study, own))
            while len(self._rounds) > MOST_ROUNDS:
                self._rounds.popitem(last=False)
        by_number = {each.number: each for each in seen.trials}
        asked = questions(own.name, seen, seed=seed)
        return [(each, None if each.trial is None else _curve(by_number[each.trial])) for each in asked]

    def _to_ask_about(self, about: About) -> Seen:
        """The study, or what the process sees where its curves cannot be read."""
        seen = self._of(about)
        if seen is None or len(seen.readable) < LEAST_TRIALS:
            seen = self._computed(about) or seen
        if seen is None:
            raise UsageError("no study can be asked about, and no process that could train one")
        return seen

    def _asked_about(self, study: str, own: Lesson) -> About:
        """The same for what a page asks that is open already: nothing may take the place of its study unseen."""
        found = self._about(study, own)
        if study not in ("", "demo") and found.shelf is None:
            raise UsageError(f"{found.why} Load this page again, and the demo stands in")
        return found

    def _about(self, study: str, own: Lesson | None) -> About:
        """What a lesson is about: the study that was named, or else the newest one that can be used."""
        if study == "demo":
            return About(None, "You chose it.")
        chosen = self._library.shelf(study) if study else None
        if study and chosen is None:
            raise UsageError("the study of this address is gone; choose another one")
        found = [chosen] if chosen is not None else [each for each in self._library.shelves() if _has_trials(each)]
        if not found:
            return About(None, "No study with trials is here yet; begin one with tame fit or tame demo.")
        shelf = found[0]
        shelf.look()
        if shelf.problem:
            return About(None, formats.sentence(formats.inert(shelf.problem)))
        seen = seen_of(shelf.followed, shelf.folder.name)
        if own is not None and own.classes and seen.classes < 2:
            return About(
                None, f"This lesson needs classes, and {formats.inert(shelf.folder.name)} has none to tell apart."
            )
        return About(shelf)

    def _of(self, about: About) -> Seen | None:
        if about.shelf is not None:
            return seen_of(about.shelf.followed, about.shelf.folder.name)
        return self._seen.get(about.place)

    def _computed(self, about: About) -> Seen | None:
        """What the process sees, which trains networks where a study has no curves."""
        if self._helper is None:
            return None
        if about.place not in self._seen:
            found = self._ask(about, {"what": "seen", "asked": {}})
            self._seen[about.place] = from_plain(Seen, found, what="what a lesson is about")
        return self._seen[about.place]

    def _begin(self, about: About) -> None:
        """Begins the process before the first question, and opens the study in it; nobody waits for it."""
        if self._helper is not None and not self._helper.lock.locked():
            threading.Thread(target=self._ask_ahead, args=(about,), daemon=True).start()

    def _ask_ahead(self, about: About) -> None:
        with suppress(TameError):  # whoever asks next is told
            self._ask(about, {"what": "about", "asked": {}})

    def _ask(self, about: About, question: Mapping[str, object]) -> Plain:
        assert self._helper is not None
        if not self._helper.lock.acquire(timeout=WAIT_S):
            raise BusyError("another question is being answered; try again in a moment")
        try:
            return self._helper.ask(ANY, {**question, "study": str(about.place)})[0]
        finally:
            self._helper.lock.release()

    def _told(self, about: About, stands_in: str) -> Plain:
        shelf = about.shelf
        name = "the demo" if shelf is None else formats.inert(shelf.folder.name)
        return {"study": "demo" if shelf is None else shelf.id, "study_name": name, "why": about.why,
                "stands_in": stands_in}  # fmt: skip

    def _studies(self) -> list[Plain]:
        return [{"id": each.id, "name": formats.inert(each.folder.name)} for each in self._library.shelves()[:50]]

    @property
    def _file(self) -> str:
        return "" if self._folder is None else str(self._folder / "learn.json")

    def _progress(self) -> Progress:
        if self._folder is None:
            return Progress()
        try:
            return read_progress(self._folder)
        except TameError:
            return Progress()  # the command says what is wrong with the file, and how to fix it

    def _keep(self, change: partial[Progress]) -> None:
        if self._is_open and self._folder is not None:
            with self._lock:
                keep_progress(self._folder, change(read_progress(self._folder)))


def _answered(progress: Progress, *, lesson: str, right: bool) -> Progress:
    return progress.answered(lesson, right=right)


def _turned(progress: Progress, *, anchor: str, known: bool) -> Progress:
    return progress.turned(anchor, known=known, today=_today())


def _today() -> date:
    return datetime.now(UTC).astimezone().date()


def _done(progress: Progress, own: Lesson) -> str:
    found = progress.lessons.get(own.name)
    return "" if found is None else f"{found.right} of {formats.count(found.asked, 'answer')} right"


def _has_trials(shelf: Shelf) -> bool:
    shelf.look()
    return bool(shelf.followed.columns.rows) and not shelf.problem


def _lesson(name: str) -> Lesson:
    try:
        return lesson(name)
    except UsageError as problem:
        raise HTTPException(404, str(problem)) from None


def _mark(question: Question) -> str:
    """Differs wherever what is asked does."""
    said = json.dumps([question.text, question.options])
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _curve(trial: SeenTrial) -> Plain:
    return {"trial": trial.number, "points": [list(point[:3]) for point in trial.points]}


def _seed(text: str) -> int:
    """The seed of a round: as given, or a fresh one."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else secrets.randbelow(10**9)


async def _read(request: Request) -> Mapping[str, object]:
    try:
        given = json.loads(await request.body())
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise HTTPException(400, "what is asked for cannot be read")
    return given
