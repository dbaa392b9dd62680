"""The answer to any question of a lesson, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from tame.core.errors import UsageError, require, unknown
from tame.core.plain import from_plain, to_plain
from tame.learn import (
    of_backprop,
    of_batches,
    of_descent,
    of_fit,
    of_losses,
    of_luck,
    of_optimizers,
    of_search,
    of_texts,
    of_transfer,
)
from tame.learn.tutor import ASKS, Plain, Tutor

MODULES = (
    of_backprop,
    of_batches,
    of_descent,
    of_fit,
    of_losses,
    of_luck,
    of_optimizers,
    of_search,
    of_texts,
    of_transfer,
)  # that register answers

LATER = "tame.learn.of_bees"  # registers too, but loads scikit-learn and timm, which takes seconds


def answer(tutor: Tutor, what: str, given: Mapping[str, object]) -> Plain:
    """The answer to a question. Raises UsageError for one that cannot be asked, or whose details do not fit."""
    if what not in ASKS:
        import_module(LATER)
    require(what in ASKS, unknown("question of a lesson", what, ASKS))
    kind, reply = ASKS[what]
    found: Plain = to_plain(reply(tutor, from_plain(kind, given, what="what is asked", error=UsageError)))
    return found
