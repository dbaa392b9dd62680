"""The answer to any question of a lesson, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from tame.core.errors import UsageError, unknown
from tame.core.plain import from_plain, to_plain
from tame.learn.tutor import ASKS, Plain, Tutor

# Each registers the answers of a lesson or two, and is loaded when one of them is asked for. The last ones load what
# takes seconds: the optimizers of torch, scikit-learn.
MODULES = (
    "of_descent", "of_fit", "of_batches", "of_losses", "of_optimizers", "of_backprop", "of_luck", "of_search",
    "of_texts", "of_transfer", "of_bees", "of_augment",
)  # fmt: skip


def load(what: str = "") -> None:
    """Loads the modules up to the one that answers a question; all of them where there is none such."""
    for name in MODULES:
        if what in ASKS:
            return
        import_module(f"tame.learn.{name}")


def answer(tutor: Tutor, what: str, given: Mapping[str, object]) -> Plain:
    """The answer to a question. Raises UsageError for one that cannot be asked, or whose details do not fit."""
    load(what)
    if what not in ASKS:
        raise UsageError(unknown("question of a lesson", what, ASKS))
    kind, reply = ASKS[what]
    found: Plain = to_plain(reply(tutor, from_plain(kind, given, what="what is asked", error=UsageError)))
    return found
