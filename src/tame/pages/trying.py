"""What a delivered model says of a picture: asked of a process of its own that begins at the first question.

One question at a time: a camera gives more than can be answered, and what is not answered at once is old.
"""

from __future__ import annotations

from pathlib import Path

from tame.pages.helper import BusyError, Helper
from tame.pages.workshop import ending_of

__all__ = ["BusyError", "Trier"]


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
        return self._helper.ask((str(study),), {"size": len(content), "ending": ending}, content)

    def close(self) -> None:
        """Ends the process."""
        self._helper.close()
