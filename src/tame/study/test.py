"""Test: trains running trials to the epoch they were given, together where possible."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tame.core.plain import to_plain
from tame.core.records import Decision, Trial
from tame.study.events import EnginesUsed, Trained
from tame.study.heed import heed
from tame.study.plan import Plan
from tame.study.reserve import limit_s
from tame.study.session import Study
from tame.trial.commands import Asked, AskedCopy, Fold


def test(study: Study, plan: Plan, trials: Sequence[Trial]) -> None:
    """Trains these trials and stores their curves.

    Trials of one kind with the same first and last epoch are trained by one command, so that a resumed study trains the
    same populations again.
    """
    _copy(study, plan, trials)
    kinds: dict[tuple[bool, bool, bool, int, int], list[Trial]] = {}
    for trial in trials:
        if trial.epochs < trial.until and trial.state == "running":
            start = study.state.left_from.get(trial.number, 0)
            # Those that are solved at once are timed apart from others.
            kind = trial.may_be_delivered, trial.is_remedy, not trial.recipe.is_single, start, trial.until
            kinds.setdefault(kind, []).append(trial)
    for (final, _, _, _, until), own in sorted(kinds.items(), key=lambda item: item[0]):
        while going := _going(study, own):
            if _train(study, plan, going, final=final, until=until):
                break
            heed(study, urgent=True)
    study.watcher.history(study.history)


def _going(study: Study, own: Sequence[Trial]) -> list[Trial]:
    """Which of these trials still train: after a pause as after a kill, those that have not come to their end. Of a
    search that the user has ended, none."""
    now = [study.history.trials[trial.number] for trial in own]
    over = study.state.stop_asked
    return [t for t in now if t.epochs < t.until and t.state == "running" and (t.may_be_delivered or not over)]


def _train(study: Study, plan: Plan, own: Sequence[Trial], *, final: bool, until: int) -> bool:
    """Trains trials of one kind together until their end or that of the clock; False where the user has asked for
    something meanwhile."""
    begun = time.monotonic()
    with study.until(limit_s(study, plan, final=final)) as cut, study.attentive() as call:
        if not cut.is_made and not call.is_made:
            _advance(study, plan, own, until=until)
    if cut.is_made or call.is_made:
        study.keep(Trained(trained_s=time.monotonic() - begun, used_s=study.used_s))
    if cut.is_made:
        study.is_over = True
    return cut.is_made or not call.is_made


def ended(trial: Trial) -> Decision:
    """What becomes of a trial after the search: it is complete, or the clock ended its training."""
    if trial.epochs < trial.until:
        return Decision("pause", trial.number, "the time is over", trial.epochs)
    return Decision("complete", trial.number, "all epochs are trained", trial.until)


def _advance(study: Study, plan: Plan, own: Sequence[Trial], *, until: int) -> None:
    """Trains trials of one kind together, and stores the time and the engines.

    The weights of those that are judged afterwards, for delivery or as remedies, are kept: after a kill the same ones
    are judged.
    """
    final = own[0].may_be_delivered or own[0].is_remedy
    begun = time.monotonic()
    answer = study.worker.advance(
        [
            Asked(trial=t.number, recipe=t.recipe, inherited=t.inherited, how=study.state.hows.get(t.number))
            for t in own
        ],
        folds=folds_of(plan, own[0]), until=until, metric=plan.facts.metric, final=final,
    )  # fmt: skip
    used = tuple(to_plain(engine) for engine in answer.engines)
    if study.state.engines is None or used != study.state.engines.used:
        study.keep(EnginesUsed(used=used))
    # Measurements and inputs are reused, so their time says nothing about further epochs.
    trained_s = time.monotonic() - begun - answer.preparing_s
    study.keep(Trained(trained_s=trained_s, used_s=study.used_s))


def _copy(study: Study, plan: Plan, trials: Sequence[Trial]) -> None:
    """Gives new copies the weights of their parents, before the parents continue training.

    After a kill this is asked again; the worker skips copies that it already has.
    """
    fresh = [
        AskedCopy(trial=t.number, recipe=t.recipe, source=t.parent, epoch=t.inherited)
        for t in trials
        if t.parent is not None and not t.trained and t.state == "running"
    ]
    if fresh:
        study.worker.copy(fresh, folds=plan.folds)


def folds_of(plan: Plan, trial: Trial) -> list[Fold]:
    """The members of a trial: one per fold, and for a finalist one on all examples, if that one is delivered."""
    folds: list[Fold] = list(plan.folds)
    return [*folds, None] if trial.is_finalist and plan.whole else folds
