"""The training process: reads commands from stdin and answers on stdout, one JSON document per line.

It ends with its coordinator: stdin closes, and a thread that waits for that ends the process at once. On Linux the
system ends it too, which works even while it is stopped and no thread of it runs.
"""

from __future__ import annotations

import faulthandler
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from tame.core.errors import StoppedError, TameError, WorkerError
from tame.store.disk import disk_failure
from tame.trial.commands import Message
from tame.worker.environment import die_with_coordinator, tune_allocator
from tame.worker.wire import (
    Answer,
    Bug,
    Call,
    Failed,
    Request,
    Said,
    Start,
    Stop,
    Stopped,
    carry_out,
    handlers_of,
    read_request,
    said_line,
)

NUM_COMMANDS_AHEAD = 16
Requests = queue.Queue[tuple[Request | WorkerError, int]]


def main() -> None:
    """Serves one coordinator until its stdin closes."""
    die_with_coordinator()
    faulthandler.enable()  # a crash in native code leaves its stack in worker.log
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the coordinator handles Ctrl-C
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a library that prints must not break the protocol
    given = os.fdopen(os.dup(sys.stdin.fileno()), encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, sys.stdin.fileno())  # nor one that reads from stdin or closes it
    os.close(nothing)
    requests: Requests = queue.Queue(NUM_COMMANDS_AHEAD)
    stop = threading.Event()
    threading.Thread(target=_listen, args=(given, requests, stop), daemon=True).start()
    tune_allocator()

    number = 0  # of the command that is carried out

    def send(said: Said) -> None:
        answers.write(said_line(said, number))
        answers.flush()

    def emit(message: Message) -> None:
        send(message)
        if stop.is_set():
            raise StoppedError("stopped by the user")

    from tame.worker.trainer import Trainer  # loads torch while the coordinator reads the folder

    _load(sys.argv[1:])

    def start(place: Start) -> Mapping[str, Callable[..., object]]:
        study, under = (Path(each) if each else None for each in (place.study, place.under))
        return handlers_of(
            Trainer(
                cache=Path(place.cache),
                study=study,
                under=under,
                share=place.share,
                gpu=place.gpu,
                measured=place.measured,
                emit=emit,
            )
        )

    handlers: Mapping[str, Callable[..., object]] = {}
    while True:
        request, number = requests.get()
        try:
            if isinstance(request, WorkerError):
                raise request
            if isinstance(request, Start):
                handlers = start(request)
                send(Answer(None))
            elif isinstance(request, Call):
                send(Answer(carry_out(handlers, request)))
        except BaseException as problem:  # a bug in TAME must reach the user as one, whatever it is
            if isinstance(problem, StoppedError):
                stop.clear()
            send(_end(problem, request))


def _load(kinds: Sequence[str]) -> None:
    """Loads the training half of a kind of data ahead; what fails here fails again, and is told, where it is opened."""
    from tame.kinds.materials import opener

    for kind in kinds:
        with suppress(Exception):
            opener(kind)


def _end(problem: BaseException, request: Request | WorkerError) -> Said:
    """The message about a command that ended without an answer."""
    from tame.trial.own_module import is_out_of_memory  # torch is loaded by now

    if isinstance(problem, StoppedError):
        return Stopped()
    if isinstance(problem, TameError):
        return Failed(type(problem).__name__, str(problem))
    if isinstance(problem, KeyboardInterrupt):  # not from the keyboard, which SIGINT cannot reach
        return Failed("UsageError", "the model raised KeyboardInterrupt")
    if is_out_of_memory(problem):
        name = request.name if isinstance(request, Call) else "start"
        return Failed("StorageError", f"memory ran out on {name!r}: {problem}")
    if (what := disk_failure(problem)) is not None:
        return Failed("StorageError", f"a file cannot be read or written: {what} ({problem})")
    return Bug("".join(traceback.format_exception(problem)))


def _listen(source: TextIO, requests: Requests, stop: threading.Event) -> None:
    try:
        for line in source:
            try:
                request, number = read_request(line)
            except WorkerError as problem:
                requests.put((problem, 0))
                continue
            if isinstance(request, Stop):
                stop.set()
            else:
                stop.clear()  # what asked for the end of the last command came too late for it
                requests.put((request, number))
    finally:
        os._exit(0)  # whatever happened: a process without a coordinator must not live on


if __name__ == "__main__":
    main()
