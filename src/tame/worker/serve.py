"""The process that trains: reads commands from stdin, answers on stdout, one JSON document a line.

It ends when its coordinator does: then stdin closes, and a thread that waits for that ends the process at once.
"""

from __future__ import annotations

import faulthandler
import json
import os
import queue
import signal
import sys
import threading
import traceback
from typing import Any, TextIO

from tame.core.errors import StoppedError, TameError
from tame.worker.environment import tune_allocator

NUM_COMMANDS_AHEAD = 16


def main() -> None:
    """Serves one coordinator until its stdin closes."""
    faulthandler.enable()  # a crash in native code leaves its stack in worker.log
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the coordinator's to handle
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a library that prints must not break the conversation
    given = os.fdopen(os.dup(sys.stdin.fileno()), encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, sys.stdin.fileno())  # nor one that reads, or closes what it reads from
    os.close(nothing)
    commands: queue.Queue[dict[str, Any]] = queue.Queue(NUM_COMMANDS_AHEAD)
    stop = threading.Event()
    threading.Thread(target=_listen, args=(given, commands, stop), daemon=True).start()
    tune_allocator()

    def send(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message, allow_nan=False) + "\n")
        answers.flush()

    def emit(message: dict[str, Any]) -> None:
        send(message)
        if stop.is_set():
            raise StoppedError("stopped by the user")

    from tame.trial.own_module import is_out_of_memory  # torch is loaded while the coordinator reads the folder
    from tame.worker.trainer import Trainer

    trainer: Trainer | None = None
    while True:
        command = commands.get()
        try:
            name, values = command["do"], command["with"]
            if name == "start":
                trainer = Trainer(**values, emit=emit)
                send({"answer": {}})
            else:
                send({"answer": getattr(trainer, name)(**values)})
        except StoppedError:
            stop.clear()
            send({"stopped": True})
        except TameError as problem:
            send({"error": {"type": type(problem).__name__, "message": str(problem)}})
        except KeyboardInterrupt:  # which nobody at the keyboard can have sent
            send({"error": {"type": "UsageError", "message": "the model raised KeyboardInterrupt"}})
        except BaseException as problem:  # a bug of ours must reach the user as one, whatever it is
            if is_out_of_memory(problem):
                send({"error": {"type": "StorageError", "message": f"memory ran out on {command['do']!r}: {problem}"}})
                continue
            send({"bug": "".join(traceback.format_exception(problem))})


def _listen(source: TextIO, commands: queue.Queue[dict[str, Any]], stop: threading.Event) -> None:
    try:
        for line in source:
            message = json.loads(line)
            if message.get("do") == "stop":
                stop.set()
            else:
                commands.put(message)
    finally:
        os._exit(0)  # whatever happened: who cannot hear any more must not live on


if __name__ == "__main__":
    main()
