"""Routes of one study beside watching it: its space, the cost of a wider one, its verdict, its model to take away."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tame.core.plain import to_plain
from tame.core.result import Result
from tame.pages.download import names_of, zipped
from tame.pages.library import Shelf
from tame.pages.space import Measured, cost_words, space_view
from tame.pages.verdict import verdict_of


class StudyRoutes:
    """The handlers, each for one route. shelf_of: the study that a request names."""

    def __init__(self, shelf_of: Callable[[Request], Awaitable[Shelf]]) -> None:
        self._shelf, self._measured = shelf_of, Measured()

    @property
    def routes(self) -> list[Route]:
        """All of them are for scripts, and change nothing."""
        return [
            Route("/api/s/{id}/space", self.space), Route("/api/s/{id}/space/cost", self.cost),
            Route("/api/s/{id}/verdict", self.verdict), Route("/s/{id}/model.zip", self.model),
        ]  # fmt: skip

    async def space(self, request: Request) -> Response:
        """The space, or only the number of the last event where that is known already."""
        shelf = await self._shelf(request)
        seq = shelf.followed.seq
        is_known = request.query_params.get("after") == str(seq)
        return JSONResponse({"seq": seq} if is_known else await self.view(shelf))

    async def view(self, shelf: Shelf) -> dict[str, object]:
        """The space of a study as plain values."""
        return await asyncio.to_thread(shelf.read, lambda own: space_view(own, self._measured))

    async def cost(self, request: Request) -> Response:
        """What a wider range would cost, before it is asked for."""
        shelf, given = await self._shelf(request), request.query_params
        low, high = (number_of(given.get(name)) for name in ("low", "high"))
        return JSONResponse({"words": cost_words(shelf, given.get("name", ""), low=low, high=high)})

    async def verdict(self, request: Request) -> Response:
        result = (await self._shelf(request)).followed.state.result
        if result is None:
            raise HTTPException(404, "this study has no result yet")
        return JSONResponse(to_plain(verdict_of(Result.from_json(result))))

    async def model(self, request: Request) -> Response:
        """The delivered model as a zip, made while it is sent."""
        shelf = await self._shelf(request)
        names = await asyncio.to_thread(names_of, shelf.folder, shelf.followed.state)
        headers = {"content-disposition": 'attachment; filename="model.zip"'}
        return StreamingResponse(zipped(shelf.folder, names), media_type="application/zip", headers=headers)


def number_of(given: object) -> float | None:
    """A number that was given as one or as text; None where none was. Raises HTTPException for what is not one."""
    if given is None or given == "":
        return None
    try:
        own = float(given)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        own = math.nan
    if not math.isfinite(own):
        raise HTTPException(400, "an edge of a range is a number")
    return own
