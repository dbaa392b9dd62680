"""The routes of the page on which a machine is taught."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tame.core.plain import from_plain, to_plain
from tame.pages.library import id_of
from tame.pages.picture_files import DIGEST
from tame.pages.workshop import LEAST, Knobs, Workshop, proposed_s
from tame.report import formats

Plain = Mapping[str, object]


class Teaching:
    """The handlers, each for one route. is_open: whether anything may be changed."""

    def __init__(self, workshop: Workshop, *, is_open: bool) -> None:
        self._workshop, self._is_open = workshop, is_open

    @property
    def routes(self) -> list[Route]:
        """The routes for scripts; the page itself is one of `server.Pages`."""
        return [
            Route("/api/teach", self.state), Route("/api/teach/class", self.add, methods=["POST"]),
            Route("/api/teach/class/{key}", self.remove, methods=["DELETE"]),
            Route("/api/teach/class/{key}/have", self.have),
            Route("/api/teach/class/{key}/{digest}", self.put, methods=["PUT"]),
            Route("/api/teach/class/{key}/{digest}/thumbnail", self.thumbnail),
            Route("/api/teach/train", self.train, methods=["POST"]),
        ]  # fmt: skip

    def view(self) -> dict[str, object]:
        """The project as it lies on the disk."""
        shop = self._workshop
        study, rows = shop.study, shop.classes()
        seconds = proposed_s(rows)
        return {
            "classes": [to_plain(row) for row in rows], "refusal": shop.refusal(rows), "least": LEAST,
            "is_training": shop.is_training, "study": None if study is None else id_of(study.resolve()),
            "problem": shop.problem(), "folder": str(shop.folder), "is_open": self._is_open,
            "proposed_s": seconds, "command": command_of(shop.data(rows), seconds),
        }  # fmt: skip

    async def state(self, request: Request) -> Response:
        return JSONResponse(await asyncio.to_thread(self.view))

    async def add(self, request: Request) -> Response:
        given = await self._given(request)
        return await self._done(partial(self._workshop.add, str(given.get("name", ""))))

    async def remove(self, request: Request) -> Response:
        self._require_open()
        return await self._done(partial(self._workshop.remove, request.path_params["key"]))

    async def have(self, request: Request) -> Response:
        """The digests of a class: all of them, or as many as a page shows."""
        found = await asyncio.to_thread(self._workshop.have, request.path_params["key"])
        most = request.query_params.get("most", "")
        return JSONResponse({"have": found[: int(most)] if most.isdecimal() and len(most) < 6 else found})

    async def put(self, request: Request) -> Response:
        self._require_open()
        key, digest, body = request.path_params["key"], _digest(request), await request.body()
        step = partial(self._workshop.put, recording=request.query_params.get("recording", ""))
        there = await asyncio.to_thread(step, key, digest, body)
        own = await asyncio.to_thread(self._workshop.name_of, key)
        return JSONResponse({"there": there, "class": own}, status_code=200 if there else 201)

    async def thumbnail(self, request: Request) -> Response:
        drawn = await asyncio.to_thread(self._workshop.thumbnail, request.path_params["key"], _digest(request))
        return Response(drawn, headers={"content-type": "image/jpeg"})

    async def train(self, request: Request) -> Response:
        given = await self._given(request)
        seconds = given.get("seconds")
        if not isinstance(seconds, int | float):
            raise HTTPException(400, "for how long should it be trained?")
        knobs = from_plain(Knobs, given.get("knobs") or {}, what="the knobs")
        return await self._done(partial(self._workshop.train, float(seconds), knobs))

    async def _given(self, request: Request) -> Plain:
        self._require_open()
        try:
            given = json.loads(await request.body())
        except (ValueError, RecursionError):
            given = None
        if not isinstance(given, dict):
            raise HTTPException(400, "what is asked for cannot be read")
        return given

    async def _done(self, step: Callable[[], None]) -> Response:
        await asyncio.to_thread(step)
        return JSONResponse(await asyncio.to_thread(self.view))

    def _require_open(self) -> None:
        if not self._is_open:
            raise HTTPException(403, "these pages only show; they were started so that nothing can be changed")


def command_of(data: Sequence[str], seconds: int) -> str:
    """The command that trains on the same pictures without these pages."""
    return formats.inert(shlex.join(["tame", "fit", *data, "--time", f"{seconds}s"]))


def _digest(request: Request) -> str:
    found = str(request.path_params["digest"])
    if not DIGEST.fullmatch(found):
        raise HTTPException(400, "a picture is named by its SHA-256")
    return found
