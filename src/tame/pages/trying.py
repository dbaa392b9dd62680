"""What a delivered model says of a picture: asked of a process of its own that begins at the first question.

One question at a time: a camera gives more than can be answered, and what is not answered at once is old.
"""

from __future__ import annotations

from pathlib import Path

from tame.core.errors import TameError
from tame.pages.helper import Helper
from tame.pages.picture_files import ending_of


class BusyError(TameError):
    """Another picture is being looked at."""


class Trier:
    """Answers for one study after the other. command: begins the process that answers, without its study."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self._helper = Helper(command)

    def answer(self, study: Path, content: bytes) -> dict[str, object]:
        """What the model of a study says of a picture: the probability of each class, or its number.

        Raises UsageError for what is not a picture or a study without a model, BusyError while it looks at another one,
        WorkerError where its process has ended.
        """
        ending = ending_of(content)
        if not self._helper.lock.acquire(blocking=False):
            raise BusyError("another picture is being looked at")
        try:
            return self._helper.ask(study, {"ending": ending}, content)[0]
        finally:
            self._helper.lock.release()

    def close(self) -> None:
        """Ends the process."""
        self._helper.close()
