"""Small trainings side by side: one on each core, with one thread of torch each.

Sharing one small operation among several torch threads costs more than it gains: with threads that sleep while they
wait, a step of 15 members of a table took 24 ms on two cores, 15 ms on one core, and 9 ms for two such groups on a core
each.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from threading import Event

import torch

from tame.core.errors import StoppedError
from tame.parts.products import by_onednn
from tame.trial.commands import Doing, Message

Emit = Callable[[Message], None]
PULSE_S = 0.5  # between two signs of life within an epoch


class Pulse:
    """Lets whoever waits for a long epoch know that it goes on, and end it: called between its steps."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._last = time.monotonic()

    def __call__(self) -> None:
        now = time.monotonic()
        if now - self._last >= PULSE_S:
            self._last = now
            self._emit(Doing("", None))


class threads:
    """Sets the number of torch's threads, then restores it."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __enter__(self) -> None:
        self._before = torch.get_num_threads()
        torch.set_num_threads(self._count)

    def __exit__(self, *problem: object) -> None:
        torch.set_num_threads(self._before)


def side_by_side(
    jobs: Sequence[Callable[[Emit], bool]], *, cores: int, emit: Emit, onednn: Sequence[bool] = ()
) -> list[int]:
    """Runs all jobs, `cores` at once, and returns the indices of those that returned False.

    emit: called only in this thread, whichever thread a message comes from. If it raises, each job ends at its next
    message; what a job raises is raised here once the others have ended.
    onednn: the jobs for which oneDNN multiplies. They run before or after all others, as the first job does, since
    torch uses one library for all threads.
    """
    failed: list[int] = []
    first = bool(onednn) and onednn[0]
    for wanted in (first, not first):
        places = [place for place, _ in enumerate(jobs) if (bool(onednn) and onednn[place]) == wanted]
        with by_onednn(wanted):
            failed += [places[i] for i in _at_once([jobs[place] for place in places], cores=cores, emit=emit)]
    return sorted(failed)


def _at_once(jobs: Sequence[Callable[[Emit], bool]], *, cores: int, emit: Emit) -> list[int]:
    if cores == 1 or len(jobs) < 2:
        return [place for place, job in enumerate(jobs) if not job(emit)]
    messages: SimpleQueue[Message | None] = SimpleQueue()
    stopped, problem = Event(), None

    def send(message: Message) -> None:
        messages.put(message)  # in any case: what was measured, and is kept, is told
        if stopped.is_set():
            raise StoppedError("stopped by the user")

    with ThreadPoolExecutor(cores) as pool:
        futures = [pool.submit(job, send) for job in jobs]
        for future in futures:
            future.add_done_callback(lambda _: messages.put(None))
        waiting = len(futures)
        while waiting:
            message = messages.get()
            waiting -= message is None
            failed = any(_raised(future) for future in futures)
            try:
                if message is not None and (problem is None or isinstance(problem, StoppedError)):
                    emit(message)
            except BaseException as raised:  # it is raised again below, when nobody writes any more
                problem = problem if isinstance(raised, StoppedError) and problem is not None else raised
            if (problem is not None or failed) and not stopped.is_set():
                stopped.set()
                for future in futures:
                    future.cancel()
    if problem is not None:
        raise problem
    for future in sorted(futures, key=_raised, reverse=True):
        if not future.cancelled():
            future.result()
    return [place for place, future in enumerate(futures) if not future.result()]


def _raised(future: Future[bool]) -> bool:
    """Whether a job ended with an exception of its own."""
    ended = future.done() and not future.cancelled()
    return ended and future.exception() is not None and not isinstance(future.exception(), StoppedError)
