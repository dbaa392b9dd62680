"""Executes the commands in the coordinator's own process."""

from __future__ import annotations

import json
import os

from tame.core.errors import StoppedError
from tame.parts.network import Build
from tame.trial.commands import Commands, Doing, Message, Note
from tame.worker.client import Client
from tame.worker.executor import Hear, Place
from tame.worker.trainer import Trainer
from tame.worker.watch import Patience, Watch
from tame.worker.wire import Call, carry_out, handlers_of


class InlineExecutor:
    """For debugging, and for modules that another process cannot import. Values are converted as for a pipe."""

    def __init__(self, place: Place, *, hear: Hear, build: Build | None = None) -> None:
        self.commands: Commands = Client(self.carry_out)
        self._hear = hear
        self._watch: Watch | None = None
        self._stopped = self._interrupted = False
        self._handlers = handlers_of(
            Trainer(
                cache=place.cache,
                study=place.study,
                under=place.under,
                measured=place.measured,
                emit=self._emit,
                build=build,
            )
        )

    @property
    def pid(self) -> int:
        return os.getpid()

    def stop(self) -> None:
        self._stopped = True

    def interrupt(self) -> None:
        self._interrupted = True

    def close(self) -> None:
        """Nothing to end."""

    def carry_out(self, call: Call) -> object:
        self._interrupted = False
        with Watch(None, Patience(), lambda text: self._hear(Note(text))) as self._watch:
            answer = carry_out(self._handlers, call)
        return json.loads(json.dumps(answer, allow_nan=False))

    def _emit(self, message: Message) -> None:
        if self._watch is not None:
            self._watch.heard(message)
        if not isinstance(message, Doing):
            self._hear(message)
        if self._stopped or self._interrupted:
            raise StoppedError("stopped by the user")
