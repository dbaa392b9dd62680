"""How long blocks, epochs and judging are: by the texts, and by how fast the model is on this machine."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tame.core.config import StudyConfig
from tame.core.errors import StorageError, require
from tame.core.plain import from_plain
from tame.data.split import Split
from tame.kinds.language.commands import Opened, Speed

BLOCK, SLOW_BLOCK = 256, 128  # tokens; the second where the model is slow
SLOW = 1500  # tokens a second in training
TRAINED_SHARE = 0.6  # of the clock
EPOCHS = 48  # that the clock is divided into, for recipes to be compared early
STEPS = 96  # that one training should have at least
RUNS = 6  # whole trainings that the clock is for; of a slow model as few as have enough steps, or a single one
TRAINED_TIMES = 3  # as long as judging takes: so long an epoch trains
BATCHES = (1, 2, 4, 8, 16)
LEAST_JUDGED, MOST_JUDGED = 8, 400  # passages of a part
LEAST_WATCHED = 4  # of the validation part, where it chooses nothing
JUDGED_SHARE = 0.015  # of the clock, to judge one part once
WITHOUT_CLOCK = 64  # blocks in an epoch, where no clock says how many


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """block: tokens of context; slots: blocks in an epoch; batch: blocks in a step; epochs: of a recipe, at most;
    judged: passages of each part; runs: whole trainings that the clock is for."""

    block: int
    slots: int
    batch: int
    epochs: int
    judged: Mapping[str, int]
    runs: int = RUNS

    @classmethod
    def from_json(cls, values: object) -> Lengths:
        """Those that a study began with. Raises StorageError."""
        return from_plain(cls, values, what="how the texts are laid out", error=StorageError)


def lengths(config: StudyConfig, opened: Opened, split: Split, measure: Callable[[int], Speed]) -> Lengths:
    """How the texts are laid out. measure: how fast the model is, asked only where a clock says how much it may do.

    Raises UsageError for a length that the model cannot see.
    """
    given = config.set.get("input.length")
    said = f"input.length {given} is more than the {opened.context:,} tokens that the model sees at once"
    require(given is None or int(given) <= opened.context, said)
    block = int(given) if given is not None else min(BLOCK, opened.context)
    clock = config.clock_s
    found = None if clock is None else measure(min(block, SLOW_BLOCK))  # of a slow model longer ones take a while
    if found is not None and given is None and found.training < SLOW:
        block = min(SLOW_BLOCK, opened.context)
    in_train = sum(opened.tokens[row] + 2 for row in split.rows("train"))
    every = max(1, -(-in_train // block))
    asked = config.set.get("batch_size")
    if found is None or clock is None:
        slots = min(every, WITHOUT_CLOCK)
        batch = int(asked) if isinstance(asked, int) else min(4, slots)
        epochs = config.epochs or 8
        judged, runs = 4 * LEAST_JUDGED, RUNS
    else:
        total = max(1.0, TRAINED_SHARE * clock * found.training / block)  # blocks that the clock allows in all
        most = max(size for size in BATCHES if size <= max(1.0, total / 2 / STEPS))
        batch = int(asked) if isinstance(asked, int) else most
        slots = max(1, min(every, batch * max(4, round(total / EPOCHS / batch))))
        epochs = config.epochs or EPOCHS
        judged, runs = int(JUDGED_SHARE * clock * found.judging / block), RUNS
        if found.training < SLOW:
            runs = min(max(round(total / batch / STEPS), 1), RUNS)
        # Where there is one training, nothing is chosen: the validation part only watches it.
        watched = LEAST_WATCHED if runs == 1 else max(judged, LEAST_JUDGED)
        passes = math.ceil(TRAINED_TIMES * watched * found.training / found.judging)
        slots = min(every, max(slots, passes))
    own = min(max(judged, LEAST_JUDGED), MOST_JUDGED)
    val = LEAST_WATCHED if runs == 1 else own
    return Lengths(block=block, slots=slots, batch=batch, epochs=epochs, judged={"val": val, "test": own}, runs=runs)
