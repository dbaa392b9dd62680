"""The pages as an ASGI application. A request names a study by its id, never a path."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.responses import StreamingResponse as Stream
from starlette.routing import Route

from tame.core.errors import TameError
from tame.core.files import read_bytes
from tame.kinds.known import FIRST
from tame.pages.access import Access
from tame.pages.compare import compared
from tame.pages.curves import FIELDS, chart
from tame.pages.data import DataPage, Desk, counts_of
from tame.pages.guard import FRAMED, Guard
from tame.pages.learning import Learning
from tame.pages.library import Library, Shelf
from tame.pages.space import wider_text
from tame.pages.stream import Watches
from tame.pages.study_routes import StudyRoutes, number_of
from tame.pages.tables import table, trial_detail
from tame.pages.teaching import Teaching
from tame.pages.trying import Trier
from tame.pages.views import OFFERED, findings, life_of, lines, overview
from tame.pages.workshop import Workshop
from tame.study.events import Asked
from tame.study.inbox import Seal, ask, wish_of

REPORT_BYTES = 64 * 1024 * 1024
KINDS = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
FOLDERS = ("static", "vendor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the pages show and may do. key: the user's own, with which requests are proved; store_of: the address of a
    study's server; is_read_only: whether nothing can be asked for."""

    folders: tuple[Path, ...]
    key: bytes | None
    store_of: Callable[[Path], str | None] = field(default=lambda folder: None)
    is_read_only: bool = False
    answers: tuple[str, ...] = ()  # the command that answers what a model says, without its study
    shows: tuple[str, ...] = ()  # the command that reads the data of a study, without it
    edits: tuple[str, ...] = ()  # the command that notes edits where no process works on a study, without it
    fit: tuple[str, ...] = ()  # the command that begins a study, without its data; none: nothing can be taught
    lessons: tuple[str, ...] = ()  # the command that computes for lessons, without what they are about
    progress: Path | None = None  # the folder of the learner's progress; none: nothing is kept


def application(settings: Settings, access: Access, *, port: int) -> Guard:
    """The guarded pages."""
    pages = Pages(settings, access)
    routes = [
        Route("/enter", pages.enter), Route("/", pages.studies), Route("/compare", pages.compare),
        Route("/s/{id}", pages.watch), Route("/s/{id}/trials", pages.trials), Route("/s/{id}/report", pages.report),
        Route("/s/{id}/report.html", pages.framed), Route("/file/{name}", pages.file),
        Route("/api/studies", pages.api_studies), Route("/api/s/{id}/state", pages.api_state),
        Route("/api/s/{id}/events", pages.api_events), Route("/api/s/{id}/curves", pages.api_curves),
        Route("/api/s/{id}/trials", pages.api_trials), Route("/api/s/{id}/trial/{number:int}", pages.api_trial),
        Route("/api/s/{id}/ask", pages.api_ask, methods=["POST"]), Route("/teach", pages.teach),
        Route("/s/{id}/try", pages.try_), Route("/api/s/{id}/try", pages.api_try, methods=["PUT"]),
        Route("/s/{id}/space", pages.space), Route("/s/{id}/data", pages.data), *pages.of_study.routes,
        *pages.teaching.routes, *pages.looking.routes,
        Route("/learn", pages.learn), Route("/learn/{name}", pages.lesson), *pages.learning.routes,
    ]  # fmt: skip

    @asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        if settings.fit:  # who only watches one study seldom goes on to a lesson, and its training needs the cores
            threading.Thread(target=pages.learning.begin, daemon=True).start()
        yield
        pages.library.close()
        pages.trier.close()
        pages.learning.close()
        pages.looking.close()

    handlers: Mapping[Any, Any] = {HTTPException: _failed, TameError: _refused}
    return Guard(Starlette(routes=routes, lifespan=life, exception_handlers=handlers), access, port=port)


class Pages:
    """The handlers, each for one route."""

    def __init__(self, settings: Settings, access: Access) -> None:
        self.settings, self._access = settings, access
        self.library = Library(settings.folders, store_of=settings.store_of)
        self._watches = Watches(self.library)
        self.trier = Trier(settings.answers)
        self.of_study = StudyRoutes(self._shelf)
        is_open = not settings.is_read_only and bool(settings.fit)
        key = None if settings.is_read_only else settings.key
        self.looking = DataPage(Desk(shows=settings.shows, edits=settings.edits, key=key), self._shelf)
        self.teaching = Teaching(Workshop(settings.folders[0], fit=settings.fit), is_open=is_open)
        self.learning = Learning(self.library, settings)

    async def enter(self, request: Request) -> Response:
        if not self._access.enter(request.query_params.get("token", "")):
            return _page("refused.html", status=403)
        # Not a redirect: who comes from another page, as from our file, is not sent the cookie along one (SameSite).
        return HTMLResponse(onward("/"), headers={"set-cookie": self._access.cookie})

    async def studies(self, request: Request) -> Response:
        return _page("studies.html", studies=await self._overviews(), folders=[str(f) for f in self.settings.folders])

    async def watch(self, request: Request) -> Response:
        shelf = await self._shelf(request)
        view, told, found, rows = await asyncio.to_thread(shelf.read, lambda own: (
            overview(own), lines(own.followed, after=0, most=30)[::-1], findings(own),
            table(own, sort="loss", most=20)["rows"],
        ))  # fmt: skip
        return _page("watch.html", view=view, lines=told, findings=found, rows=rows)

    async def trials(self, request: Request) -> Response:
        shelf = await self._shelf(request)
        rows = await asyncio.to_thread(shelf.read, lambda own: table(own, sort="loss", most=100)["rows"])
        return await _of_study("trials.html", shelf, rows=rows)

    async def space(self, request: Request) -> Response:
        shelf = await self._shelf(request)
        return await _of_study("space.html", shelf, space=await self.of_study.view(shelf))

    async def report(self, request: Request) -> Response:
        return await _of_study("report.html", await self._shelf(request))

    async def framed(self, request: Request) -> Response:
        """The report as it lies in the study's folder, which may be a stranger's: it can neither run nor fetch."""
        shelf = await self._shelf(request)
        read = partial(read_bytes, shelf.folder, "report.html", most=REPORT_BYTES)
        try:
            content = await asyncio.to_thread(read)
        except OSError:
            raise HTTPException(404, "this study has no report yet") from None
        headers = {"content-security-policy": FRAMED, "content-type": "text/html; charset=utf-8"}
        return Response(content, headers=headers)

    async def compare(self, request: Request) -> Response:
        own = [self.library.shelf(request.query_params.get(name, "")) for name in ("a", "b")]
        if own[0] is None or own[1] is None:
            raise HTTPException(404, "choose two studies of the list")
        for shelf in own:
            await asyncio.to_thread(shelf.look)  # type: ignore[union-attr]
        a, b = [await asyncio.to_thread(shelf.read, overview) for shelf in own]  # type: ignore[union-attr]
        found = await asyncio.to_thread(compared, own[0], own[1])  # of finished studies, which do not change
        return _page("compare.html", a=a, b=b, found=found)

    async def try_(self, request: Request) -> Response:
        shelf = await self._shelf(request)
        return await _of_study("try.html", shelf, can_try=self._can_try(shelf))

    async def api_try(self, request: Request) -> Response:
        """What the delivered model says of a picture, as `tame predict` says it."""
        shelf, body = await self._shelf(request), await request.body()
        if not self._can_try(shelf):
            raise HTTPException(409, "pictures can be tried on a finished study of pictures")
        return JSONResponse(await asyncio.to_thread(self.trier.answer, shelf.folder, body))

    def _can_try(self, shelf: Shelf) -> bool:
        state = shelf.followed.state
        return state.result is not None and state.kind == FIRST and bool(self.settings.answers)

    async def data(self, request: Request) -> Response:
        shelf = await self._shelf(request)
        counts = counts_of(shelf.followed.state)
        own = [each for each in findings(shelf) if each["trial"] is None]
        return await _of_study("data.html", shelf, counts=counts, findings=own)

    async def teach(self, request: Request) -> Response:
        return _page("teach.html", shop=await asyncio.to_thread(self.teaching.view))

    async def learn(self, request: Request) -> Response:
        study = request.query_params.get("study", "")
        return _page("learn.html", own=await asyncio.to_thread(self.learning.overview, study))

    async def lesson(self, request: Request) -> Response:
        name, study = request.path_params["name"], request.query_params.get("study", "")
        return _page("lesson.html", own=await asyncio.to_thread(self.learning.page, name, study))

    async def file(self, request: Request) -> Response:
        own = _files().get(request.path_params["name"])
        if own is None:
            raise HTTPException(404, "no such file")
        return Response(own[1], headers={"content-type": own[0]})

    async def api_studies(self, request: Request) -> Response:
        return JSONResponse({"studies": await self._overviews()})

    async def api_state(self, request: Request) -> Response:
        shelf = await self._shelf(request)

        def seen(shelf: Shelf) -> dict[str, object]:
            return {"view": overview(shelf), "lines": lines(shelf.followed, after=0), "findings": findings(shelf)}

        return JSONResponse({**await asyncio.to_thread(shelf.read, seen), "can_ask": self._can_ask})

    async def api_events(self, request: Request) -> Response:
        shelf = await self._shelf(request)
        after = request.headers.get("last-event-id") or request.query_params.get("after", "0")
        number = int(after) if after.isdecimal() and len(after) < 16 else 0
        return Stream(self._watches.told(shelf, number), media_type="text/event-stream")

    async def api_curves(self, request: Request) -> Response:
        shelf = await self._shelf(request)
        name = request.query_params.get("field", "loss")
        if name not in FIELDS:
            raise HTTPException(400, f"field must be one of {', '.join(FIELDS)}")
        asked = [int(each) for each in request.query_params.get("ids", "").split(",")[:20] if each.isdecimal()]
        found = await asyncio.to_thread(shelf.read, lambda own: chart(own.followed.columns, name, asked=asked))
        return JSONResponse(found)

    async def api_trials(self, request: Request) -> Response:
        shelf = await self._shelf(request)
        given = request.query_params
        first, most = (_number(given.get(name, standard)) for name, standard in (("first", "0"), ("most", "60")))
        sort, down = given.get("sort", "loss"), given.get("down", "0") == "1"
        asked = partial(table, sort=sort, down=down, first=first, most=min(most, 500))
        found = await asyncio.to_thread(shelf.read, asked)
        return JSONResponse(found)

    async def api_trial(self, request: Request) -> Response:
        shelf = await self._shelf(request)
        asked = partial(trial_detail, number=request.path_params["number"])
        found = await asyncio.to_thread(shelf.read, asked)
        if found is None:
            raise HTTPException(404, "no such trial")
        return JSONResponse(found)

    async def api_ask(self, request: Request) -> Response:
        """Puts a request into the inbox of a study, whose own process answers it."""
        shelf, body = await self._shelf(request), await request.body()
        if not self._can_ask or self.settings.key is None:
            raise HTTPException(403, "these pages only show; they were started so that nothing can be asked for")
        opened = shelf.followed.state.opened
        if opened is None or opened.id is None or life_of(shelf) not in OFFERED:
            raise HTTPException(409, "no process works on this study, so nobody would answer")
        try:
            given = json.loads(body)
            wish = _wish(shelf, given)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise HTTPException(400, "what is asked for cannot be read") from None
        seal = Seal(key=self.settings.key, study=opened.id)
        fresh = await asyncio.to_thread(ask, shelf.folder, wish, seal)
        said = "asked" if fresh else "asked already; the study has not answered yet"
        return JSONResponse({"id": wish.id, "words": said}, status_code=202)

    @property
    def _can_ask(self) -> bool:
        return self.settings.key is not None and not self.settings.is_read_only

    async def _overviews(self) -> list[dict[str, object]]:
        found = await asyncio.to_thread(self.library.shelves)
        for shelf in found:
            await asyncio.to_thread(shelf.look)
        return [await asyncio.to_thread(shelf.read, overview) for shelf in found]

    async def _shelf(self, request: Request) -> Shelf:
        shelf = await asyncio.to_thread(self.library.shelf, request.path_params["id"])
        if shelf is None:
            raise HTTPException(404, "no such study")
        await asyncio.to_thread(shelf.look)
        return shelf


def _wish(shelf: Shelf, given: Mapping[str, Any]) -> Asked:
    """What is asked for: a wider range by the name of its dimension and its new ends."""
    texts = None
    if given["what"] == "space":
        low, high = (number_of(given.get(end)) for end in ("low", "high"))
        texts = (wider_text(shelf.followed.state, str(given["name"]), low=low, high=high),)
    return wish_of(given["what"], seconds=given.get("seconds"), code=given.get("code"), texts=texts)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 10 else 0


async def _failed(request: Request, problem: HTTPException) -> Response:
    return _said(request, problem.status_code, problem.detail)


async def _refused(request: Request, problem: TameError) -> Response:
    return _said(request, 409, str(problem))


def _said(request: Request, status: int, text: str) -> Response:
    if request.url.path.startswith("/api/"):
        return JSONResponse({"problem": text}, status_code=status)
    if request.method == "GET" and not request.url.path.startswith("/file/"):
        return _page("problem.html", status=status, words=text)
    return PlainTextResponse(text, status_code=status)


async def _of_study(name: str, shelf: Shelf, **values: Any) -> HTMLResponse:
    """A page of a study; of one of which nothing can be read, why that is so."""
    view = await asyncio.to_thread(shelf.read, overview)
    if view["life"] == "unreadable" and view["seq"] == 0:
        return _page("unreadable.html", here=name.removesuffix(".html").capitalize(), view=view)
    return _page(name, view=view, **values)


def onward(address: str) -> str:
    """A page that goes on to an address by itself, without scripts."""
    return _environment().get_template("onward.html").render(address=address)


def _page(name: str, *, status: int = 200, **values: object) -> HTMLResponse:
    return HTMLResponse(_environment().get_template(name).render(values), status_code=status)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("tame.pages", "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip


@cache
def _files() -> Mapping[str, tuple[str, bytes]]:
    """All files that a page may ask for, by name: nothing else is ever opened."""
    shared = files("tame.report").joinpath("templates", "tokens.css").read_bytes()  # the same colours as the report's
    found: dict[str, tuple[str, bytes]] = {"tokens.css": (KINDS[".css"], shared)}
    for folder in FOLDERS:
        for each in files("tame.pages").joinpath(folder).iterdir():
            suffix = Path(each.name).suffix
            if suffix in KINDS:
                found[each.name] = (KINDS[suffix], each.read_bytes())
    return found
