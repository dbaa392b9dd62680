"""Fine-tuning: the remaining time goes into the best head and the last parts of what was pretrained below it.

The result is kept only if it beats the best network without it by more than the noise, on the same validation examples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tame.core.config import METRIC_MODES
from tame.core.plain import to_plain
from tame.core.recipe import Recipe, Value
from tame.core.records import FINE_TUNED, Decision, Finding, Trial, decision_event
from tame.evaluate.score import difference
from tame.kinds.kind import Data, Tuning
from tame.kinds.known import KINDS
from tame.study.events import TuningJudged
from tame.study.finalist import Finalist, best_of, validation
from tame.study.plan import TUNE_EPOCHS, Plan
from tame.study.pricing import is_within
from tame.study.session import Study
from tame.study.state import findings_events
from tame.study.test import ended, folds_of, test

ENOUGH = 6  # epochs after which more gain little
JUDGED = 500  # training examples that a fine-tuned network passes again once it is chosen, at most
ROOM = 1.2  # times the forecast of a further training, that must be left for it


@dataclass(frozen=True, slots=True)
class Begun:
    """What is fine-tuned, or why nothing is. later_s: seconds that it needs after it is judged, if it is kept."""

    recipe: Recipe | None
    why: str
    later_s: float = 0.0


def fine_tune(study: Study, data: Data, plan: Plan, frozen: Sequence[Finalist]) -> None:
    """Starts, trains and judges the fine-tuned trial, if there is something to fine-tune and time for it."""
    affordable = [each for each in frozen if is_within(study, data, each.recipe)]
    best, tuning = best_of(data.metric, affordable or frozen), KINDS.get(data.kind).tuning
    if not plan.tunes or tuning is None or study.state.tuning_judged is not None:
        return
    plan = replace(plan, end_s=plan.end_s - plan.tuning_s)  # what was kept for it is its own now
    begun = Begun(None, "") if _tuned(study) else _begun(study, data, plan, best, tuning)
    if not _tuned(study):
        if begun.recipe is None:
            study.keep(TuningJudged(kept=False, why=begun.why))
            study.watcher.note(f"no fine-tuning: {begun.why}")
            return
        _start(study, begun.recipe, begun.why)
    plan = replace(plan, end_s=plan.end_s + begun.later_s)
    _train(study, plan, _tuned(study)[0], tuning)
    for place, (changes, why) in enumerate(varied(_tuned(study)[0].recipe), start=1):
        if len(_tuned(study)) == place:
            first = _tuned(study)[0]
            if not _has_room(study, data, plan, first):
                break
            _start(study, first.recipe.but(changes), why)
        _train(study, plan, _tuned(study)[place], tuning)
    usable = [trial for trial in _tuned(study) if trial.state != "diverged" and trial.epochs]
    if not usable:
        diverged = _tuned(study)[0].state == "diverged"
        why = "fine-tuning diverged" if diverged else "the time ended before its first epoch"
        study.keep(TuningJudged(kept=False, why=why))
        return
    _judge(study, data, plan, min(usable, key=lambda trial: trial.loss), best, tuning)


def varied(first: Recipe) -> Sequence[tuple[Mapping[str, Value], str]]:
    """What further trainings change of the first one, where there is time for them, and why.

    Source: Howard and Ruder, Universal Language Model Fine-tuning for Text Classification (2018).
    """
    return (
        ({"model.stage_rate": 0.6}, "earlier stages change more slowly, since what they say is more general"),
        ({"model.thaw": 0.5}, "stages begin to be trained one after another, the last one first"),
        ({"model.stage_rate": 0.6, "model.thaw": 0.5}, "later stages begin first, and change more"),
        ({"optimizer.lr": first.optimizer.lr / 2}, "half the rate"),
    )


def _tuned(study: Study) -> list[Trial]:
    return [trial for trial in study.history.trials.values() if trial.is_fine_tuned]


def _start(study: Study, recipe: Recipe, why: str) -> None:
    number = max(study.history.trials) + 1
    study.keep(decision_event(Decision("start", number, why, recipe.epochs, recipe, FINE_TUNED)))


def _train(study: Study, plan: Plan, trial: Trial, tuning: Tuning) -> None:
    """Trains one to its end, or as far as the clock allows."""
    if trial.state != "running":
        return
    what = f"fine-tuning {tuning.trained(trial.recipe)} for {trial.until} epochs"
    study.stage(4, f"{what} at {trial.recipe.input.size} pixels" if plan.sizes else what)
    test(study, plan, [trial])
    trial = study.history.trials[trial.number]
    if trial.state == "running":
        study.keep(decision_event(ended(trial)))


def _has_room(study: Study, data: Data, plan: Plan, first: Trial) -> bool:
    """Whether there is time for another training like the first, which had all the epochs that are worth it."""
    recipe = first.recipe
    if recipe.model.unfrozen < 2 or recipe.epochs < TUNE_EPOCHS[1] or study.state.stop_asked:
        return False
    if first.state == "diverged" or first.epochs < recipe.epochs:
        return False
    epoch_s = study.worker.rehearse(recipe, folds=folds_of(plan, first)).epoch_s
    return ROOM * epoch_s * recipe.epochs * data.num_runs <= study.left_s - plan.end_s


def _begun(study: Study, data: Data, plan: Plan, best: Finalist, tuning: Tuning) -> Begun:
    """The recipe for fine-tuning, as long as the time allows, and why it is tried or not."""
    if study.state.stop_asked:
        return Begun(None, "you stopped the search, so nothing more is trained than the finalists")
    if study.config.clock_s is None:
        return Begun(None, "fine-tuning uses the time that is left; without --time, a study ends with its trials")
    if plan.to_the_end:
        return Begun(None, f"{TUNE_EPOCHS[0]} epochs of fine-tuning would take most of the time or more")
    assert plan.epoch_s is not None
    head, seed = best.trials[0], plan.search.base.seed
    found = tuning.recipes(data, head.recipe, plan.sizes, epochs=TUNE_EPOCHS[1], seed=seed)
    for place, (recipe, cost) in enumerate(found):
        # What costs less leaves time for more epochs, which help more than pixels or blocks.
        least = TUNE_EPOCHS[0] if place == len(found) - 1 else ENOUGH
        left, runs = study.left_s - plan.end_s, data.num_runs
        if least > TUNE_EPOCHS[0] and least * runs * cost * plan.epoch_s > left:
            continue
        if not is_within(study, data, recipe):
            continue
        epoch_s = study.worker.rehearse(recipe, folds=folds_of(plan, head)).epoch_s
        # Judging is less work than training; where there are sizes, the end of the study has time for it.
        judging_s = 0.0 if plan.sizes else epoch_s * (len(data.sealed.rows) + JUDGED) / max(len(data.rows), 1)
        epochs = min(math.floor((study.left_s - plan.end_s - judging_s) / (epoch_s * runs)), TUNE_EPOCHS[1])
        if epochs >= least:
            later_s = judging_s + epoch_s * epochs * (runs - data.split.folds)
            return Begun(recipe.but({"epochs": epochs}), _words(best, recipe, tuning), later_s)
    left = study.left_s - plan.end_s
    return Begun(None, f"no time for {TUNE_EPOCHS[0]} epochs of fine-tuning: {max(left, 0):.0f} s were left for it")


def _words(best: Finalist, recipe: Recipe, tuning: Tuning) -> str:
    return f"fine-tunes {tuning.trained(recipe)}; the best without it is trial {best.from_trial}"


def _judge(study: Study, data: Data, plan: Plan, trial: Trial, best: Finalist, tuning: Tuning) -> None:
    """Stores whether fine-tuning helped: a paired comparison with the best without it on the validation examples."""
    metric = data.metric
    mode = METRIC_MODES[metric]
    tuned = validation(study, data, plan, trial)
    better = difference(metric, tuned, best.judged, seed=study.config.seed)
    gain = better.value if mode == "max" else -better.value
    kept = better.is_real and gain > 0
    said = "kept: it beats the best network without it by more than the noise"
    verdict = said if kept else "not kept: no real gain was shown"
    span = f"{better.value:+.3f} ({better.low:+.3f} to {better.high:+.3f})"
    title = f"fine-tuning changed the validation {metric} by {span}"
    evidence = {"trial": trial.number, "frozen_trial": best.from_trial, **to_plain(better)}
    change = f"train {tuning.trained(trial.recipe)} as well"
    finding = Finding("fine_tuning", title, "info", evidence, change, verdict, trial.number)
    judged = TuningJudged(kept=kept, why=verdict, difference=better, trial=trial.number)
    study.keep(judged, *findings_events([finding]))
