"""The routes of the page on which the data of a study is looked at and edited."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import cast, get_args

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tame.core.config import StudyConfig, command_of
from tame.core.edits import EDITS
from tame.pages.gallery import (
    MOST_ROWS,
    SIDES,
    VIEWS,
    Gallery,
    Known,
    View,
    is_hidden,
    made_edit,
    nouns_of,
    row_of,
    spots_of,
)
from tame.pages.library import Shelf
from tame.pages.views import OFFERED, life_of
from tame.report import formats
from tame.report.formats import inert
from tame.study.events import Asked
from tame.study.inbox import Seal, ask, is_anything_waiting, wish_of
from tame.study.state import State

Plain = dict[str, object]
Shelves = Callable[[Request], Awaitable[Shelf]]
TAKE_UP_S = 300.0  # that a study on which no process works may take to note an edit
KEPT = ("train", "val", "test")  # parts in which examples are counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the page may do. shows: the command that reads the data of a study; edits: the one that takes up edits where
    no process works on a study, both without the study; key: the user's own, None where nothing may be edited."""

    shows: tuple[str, ...]
    edits: tuple[str, ...]
    key: bytes | None


class DataPage:
    """The handlers, each for one route; the page itself is one of `server.Pages`."""

    def __init__(self, desk: Desk, shelf_of: Shelves) -> None:
        self._desk, self._shelf_of = desk, shelf_of
        self._gallery = Gallery(desk.shows)
        self._noting = threading.Lock()
        self._problems: dict[str, str] = {}  # why edits of a study could not be noted, by its id

    @property
    def routes(self) -> list[Route]:
        """The routes for scripts."""
        return [
            Route("/api/s/{id}/data", self.state), Route("/api/s/{id}/examples", self.examples),
            Route("/api/s/{id}/columns", self.columns), Route("/api/s/{id}/edit", self.edit, methods=["POST"]),
            Route("/api/s/{id}/edit/{wish}", self.edited), Route("/api/s/{id}/picture/{row:int}/{size}", self.picture),
        ]  # fmt: skip

    def close(self) -> None:
        """Ends the process that reads the data."""
        self._gallery.close()

    async def state(self, request: Request) -> Response:
        shelf = await self._shelf_of(request)
        known = await self._known(shelf)
        return JSONResponse(await asyncio.to_thread(self._about, shelf, known))

    async def examples(self, request: Request) -> Response:
        """The examples of a view from one place on."""
        shelf = await self._shelf_of(request)
        known, state, given = await self._known(shelf), shelf.followed.state, request.query_params
        view = given.get("view", "classes")
        if view not in get_args(View):
            raise HTTPException(400, f"view must be one of {', '.join(VIEWS)}")
        classes, of = _classes(state), _number(given.get("of", ""))
        label = classes[of - 1] if 0 < of <= len(classes) else ""  # counted from 1; 0: all
        find = partial(spots_of, state, known, cast(View, view), part=given.get("part", "test"), label=label)
        spots = await asyncio.to_thread(find)
        first, most = _number(given.get("first", "")), min(_number(given.get("most", "")) or 60, MOST_ROWS)
        shown = spots[first : first + most]
        rows = [row_of(state, known, each, cast(View, view)) for each in shown]
        if not known.pictured and shown:
            cells = await asyncio.to_thread(self._gallery.cells, shelf, [each.row for each in shown])
            rows = [
                {**row, "cells": {inert(k): inert(v) for k, v in own.items()}}
                for row, own in zip(rows, cells, strict=True)
            ]
        return JSONResponse({"count": len(spots), "first": first, "rows": rows, "words": _words(state, view, given)})

    async def columns(self, request: Request) -> Response:
        """How the columns of a table are spread, over the examples that are not hidden."""
        shelf = await self._shelf_of(request)
        known, state = await self._known(shelf), shelf.followed.state
        rows = [
            row for row, part in enumerate(known.parts) if part in KEPT and not is_hidden(state, known, row)
        ]  # fmt: skip
        found = await asyncio.to_thread(self._gallery.columns, shelf, rows, _classes(state))
        return JSONResponse({"columns": found, "n": len(rows)})

    async def picture(self, request: Request) -> Response:
        """A small picture, drawn again, of an example that is not hidden."""
        shelf = await self._shelf_of(request)
        known, row, size = await self._known(shelf), request.path_params["row"], request.path_params["size"]
        if row >= len(known.ids) or size not in SIDES or is_hidden(shelf.followed.state, known, row):
            raise HTTPException(404, "there is no such picture")
        drawn = await asyncio.to_thread(self._gallery.picture, shelf, row, SIDES[size])
        if not drawn:
            raise HTTPException(404, "this picture is gone, or another one than the study has seen")
        return Response(drawn, headers={"content-type": "image/jpeg"})

    async def edit(self, request: Request) -> Response:
        """Asks the study to note an edit. Where no process works on it, one begins that notes all that waits.

        Answered at once: whoever goes through many examples does not wait for each.
        """
        shelf, body = await self._shelf_of(request), await request.body()
        opened, key = shelf.followed.state.opened, self._desk.key
        if key is None or opened is None or opened.id is None:
            raise HTTPException(403, "these pages only show; they were started so that nothing can be edited")
        try:
            given = json.loads(body)
        except (ValueError, RecursionError):
            given = None
        if not isinstance(given, dict):
            raise HTTPException(400, "what is to be edited cannot be read")
        known = await self._known(shelf)
        wish = await asyncio.to_thread(self._wish, shelf, known, given)
        await asyncio.to_thread(ask, shelf.folder, wish, Seal(key=key, study=opened.id))
        self._have_noted(shelf)
        return JSONResponse({"id": wish.id}, status_code=202)

    async def edited(self, request: Request) -> Response:
        """What became of an edit that was asked for: `answer` is None while it waits."""
        shelf, wish = await self._shelf_of(request), str(request.path_params["wish"])
        found, problem = shelf.followed.answers.get(wish), self._problems.get(shelf.id, "")
        if found is None:
            if not problem and not self._noting.locked():
                self._have_noted(shelf)  # the process that was to take it up may have died, or never have come
            return JSONResponse({"answer": None, "problem": problem})
        about = await asyncio.to_thread(self._about, shelf, await self._known(shelf))
        return JSONResponse({"answer": {"done": found.done, "reason": inert(found.reason)}, "about": about})

    def _wish(self, shelf: Shelf, known: Known, given: Mapping[str, object]) -> Asked:
        when = datetime.now(UTC).isoformat(timespec="seconds")
        edit = made_edit(shelf.followed.state, known, given, digest="", when=when)
        if edit.action != "undo":
            edit = replace(edit, digest=self._gallery.digest(shelf, known.place[edit.id]))
        return wish_of("edit", edit=edit)

    def _have_noted(self, shelf: Shelf) -> None:
        """Begins to note what waits, where no process works on the study."""
        if life_of(shelf) not in (*OFFERED, "starting"):
            threading.Thread(target=self._note, args=(shelf,), daemon=True).start()

    def _note(self, shelf: Shelf) -> None:
        """Has the edits noted that wait, all of them by one process; says in `_problems` why that failed."""
        with self._noting:
            if not is_anything_waiting(shelf.folder):
                return
            try:
                done = subprocess.run(
                    [*self._desk.edits, str(shelf.folder)], stdin=subprocess.DEVNULL, capture_output=True,
                    timeout=TAKE_UP_S, check=False, text=True,
                )  # fmt: skip
                lines = done.stderr.strip().splitlines()
                failed = inert(lines[-1]) if lines else "the edit could not be noted"
                self._problems[shelf.id] = failed if done.returncode else ""
            except subprocess.TimeoutExpired:
                self._problems[shelf.id] = "the edit waits: noting it takes too long now"

    async def _known(self, shelf: Shelf) -> Known:
        if not self._desk.shows:
            raise HTTPException(409, "these pages were started so that no data is read")
        if shelf.followed.state.data is None:
            raise HTTPException(409, "the data of this study has not been read yet")
        return await asyncio.to_thread(self._gallery.known, shelf)

    def _about(self, shelf: Shelf, known: Known) -> Plain:
        state = shelf.followed.state
        counts = {view: len({own.pair if own.pair is not None else own.row for own in spots_of(state, known, view)})
                  for view in get_args(View)}  # fmt: skip
        if state.judgements is not None:  # the right answers beside them are none
            counts["mistakes"] = len(state.judgements.test.mistakes)
        return {
            "views": [{"name": view, "title": VIEWS[view], "count": counts[view]} for view in VIEWS],
            "classes": [{"name": name, "words": inert(name)} for name in _classes(state)],
            "nouns": nouns_of(state), "pictured": known.pictured, "counted": known.counted,
            "is_open": state.test_opened is not None, "can_edit": self._can_edit(state),
            "command": _command(shelf) if state.edits else "",
            "hidden": sum(is_hidden(state, known, row) for row in range(len(known.ids))),
        }  # fmt: skip

    def _can_edit(self, state: State) -> bool:
        return self._desk.key is not None and state.opened is not None and state.opened.id is not None


def counts_of(state: State) -> list[tuple[str, list[tuple[str, int]]]]:
    """How many examples of each class there are, part by part; of the sealed test part only how many in all."""
    counts = cast(Mapping[str, Mapping[str, int]], (state.data or {}).get("counts", {}))
    found = []
    for part, own in counts.items():
        sealed = part in ("test", "aside") and state.test_opened is None
        rows = [("all", sum(own.values()))] if sealed else [(inert(str(name)), number) for name, number in own.items()]
        found.append((part, rows))
    return found


def _classes(state: State) -> list[str]:
    return [str(name) for name in cast(list[object], (state.data or {}).get("classes") or [])]


def _words(state: State, view: str, given: Mapping[str, str]) -> str:
    """What is to be known before a view is looked at."""
    if view == "mistakes":
        own = state.judgements
        if own is None:
            return _no_answers(state)
        part = own.test if given.get("part", "test") == "test" else own.valid
        shown = len(part.mistakes)
        many = "" if shown == part.wrong else f"; the {shown} surest are here"
        among = formats.count(len(part.right), "right answer")
        said = f"{part.wrong:,} of {part.n:,} answers are wrong{many}. {among}, drawn at random, are shown among them"
        return f"{said}: who sees mistakes alone fixes only what spoils the score."
    if view == "labels":
        return "A model that has not seen them contradicts these labels. None is of the test part."
    if view == "copies":
        return "Copies are kept on one side of the split. Where two labels contradict each other, one is wrong."
    if view == "odd":
        return (
            "Far from all training examples, as the delivered model sees them."
            if state.judgements
            else _no_answers(state)
        )
    return ""


def _no_answers(state: State) -> str:
    if state.test_opened is not None:
        return "This study was made by an older TAME, which kept no answers of single examples."
    return "The test part is sealed: mistakes are shown once it was opened, at the end of the study."


def _command(shelf: Shelf) -> str:
    """The command that begins a new study on the same data with the edits."""
    opened = shelf.followed.state.opened
    assert opened is not None
    config = StudyConfig.from_json(opened.config)
    return inert(command_of(replace(config, edits=str(shelf.folder / EDITS))))


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 10 else 0
