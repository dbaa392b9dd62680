"""All trials of a large study in one event, so that a table of them need not be made from every curve.

Whoever shows a study reads it; nothing is concluded from it, and `tame verify` holds it against the other events.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tame.core.config import StudyConfig
from tame.core.records import History, Trial
from tame.study.events import Row, Summary
from tame.study.record import open_record
from tame.study.state import OF_TRIALS, State, config_of, state_of

LEAST = 1_000  # trials; fewer are read as quickly from the other events
SHOWN = ("opened", "data", "imported", "finding", "stopped", "ended", "result", Summary.event_kind)


def summary_of(history: History) -> Summary:
    """All trials as they are now, by number; recipes as what they change in that of the first."""
    trials = [trial for _, trial in sorted(history.trials.items())]
    base = trials[0].recipe.flat() if trials else {}
    return Summary(base=base, trials=tuple(_row(trial, base) for trial in trials))


def _row(trial: Trial, base: Mapping[str, object]) -> Row:
    kept = trial.judged
    changes = {name: value for name, value in trial.recipe.flat().items() if base[name] != value}
    return Row(
        trial.number, trial.origin, trial.state, trial.epochs, None if kept is None else kept.valid_loss,
        None if kept is None else kept.valid_metric, changes,
    )  # fmt: skip


def read_shown(folder: Path, *, store: str | None = None) -> tuple[StudyConfig, State, Summary]:
    """Config, trials and what else a table of a study shows. Where they are summed up, the state holds no trials.

    store: as in `open_record`.
    """
    record = open_record(folder, read_only=True, store=store)
    try:
        last = record.last(Summary.event_kind)
        if last is None or record.has(OF_TRIALS, after=last.id):
            state = state_of(record)
            return config_of(state, folder), state, summary_of(state.history)
        state = State()
        for event in record.each(SHOWN):
            state.after(event)
    finally:
        record.close()
    assert state.summary is not None
    return config_of(state, folder), state, state.summary


def said_otherwise(summary: Summary, history: History) -> str:
    """Which trial a summary tells otherwise than the events before it; nothing where it is right."""
    right = summary_of(history)
    if len(summary.trials) != len(right.trials):
        return f"it sums up {len(summary.trials):,} trials, but {len(right.trials):,} have begun"
    pairs = zip(right.trials, summary.trials, strict=True)
    wrong = next((ours.number for ours, theirs in pairs if ours != theirs or summary.base != right.base), None)
    return "" if wrong is None else f"trial {wrong} is summed up otherwise than its events say"
