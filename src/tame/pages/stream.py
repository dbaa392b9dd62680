"""What changes in a study, as server-sent events. An id is the number of the last event that was told, so that a page
which was away goes on from there: no line is missing and none comes twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from tame.pages.library import Library, Shelf
from tame.pages.views import lines, overview

LOOK_S = 0.3  # between two looks at a study that somebody watches
ALIVE_S = 10.0  # after which a comment shows that the connection stands
MOST_POINTS = 200  # of one message


Told = tuple[list[list[float | None]], list[str]]  # points of trials, and notes


class Watch:
    """One task that looks at a study for all who watch it."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.watchers: set[asyncio.Queue[Told]] = set()
        self._task: asyncio.Task[None] | None = None

    def join(self, watcher: asyncio.Queue[Told]) -> None:
        """Adds somebody who is told; the first one sets the looking going."""
        self.watchers.add(watcher)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look())

    def leave(self, watcher: asyncio.Queue[Told]) -> None:
        """Takes him away; the last one ends the looking."""
        self.watchers.discard(watcher)
        if not self.watchers and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _look(self) -> None:
        version, told = -1, self.shelf.told
        while True:
            await asyncio.to_thread(self.shelf.look)
            if self.shelf.version != version:
                fresh = [moment for number, moment in self.shelf.recent if number > told]
                version, told = self.shelf.version, self.shelf.told
                points = [[trial, *point] for moment in fresh for trial, point in moment.points]
                notes = [note for moment in fresh for note in moment.notes]
                for watcher in self.watchers:
                    if watcher.full():  # a page that does not listen gets the state later, not all that it missed
                        watcher.get_nowait()
                    watcher.put_nowait((points[-MOST_POINTS:], notes))
            await asyncio.sleep(LOOK_S)


class Watches:
    """The studies that are watched."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._watches: dict[str, Watch] = {}

    async def told(self, shelf: Shelf, after: int) -> AsyncIterator[str]:
        """The messages for a page: the state when it has changed, lines after that event, points as they come."""
        watch = self._watches.setdefault(shelf.id, Watch(shelf))
        queue: asyncio.Queue[Told] = asyncio.Queue(maxsize=8)
        watch.join(queue)
        before = ""
        try:
            yield "retry: 1000\n\n"
            while True:
                view = await asyncio.to_thread(shelf.read, overview)
                if (text := json.dumps(view)) != before:
                    before = text
                    yield _message("state", text)
                fresh = lines(shelf.followed, after=after)
                if fresh or shelf.followed.seq > after:
                    after = shelf.followed.seq
                    yield _message("lines", json.dumps(fresh), after)
                try:
                    points, notes = await asyncio.wait_for(queue.get(), ALIVE_S)
                except TimeoutError:
                    yield ": alive\n\n"
                    continue
                if points or notes:
                    yield _message("live", json.dumps({"points": points, "notes": notes}))
        finally:
            watch.leave(queue)


def _message(kind: str, text: str, number: int | None = None) -> str:
    head = "" if number is None else f"id: {number}\n"
    return f"{head}event: {kind}\ndata: {text}\n\n"
