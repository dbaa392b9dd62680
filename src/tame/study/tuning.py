"""Fine-tuning: the remaining time goes into the best head and the last stages of the backbone.

The result is kept only if it beats the frozen network on the same validation examples by more than the noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tame.adjust.portfolio import fine_tuning
from tame.core.config import METRIC_MODES
from tame.core.plain import to_plain
from tame.core.recipe import Recipe
from tame.core.records import FINE_TUNED, Decision, Finding, Trial, decision_event
from tame.evaluate.score import difference
from tame.kinds.kind import Data
from tame.study.events import TuningJudged
from tame.study.finalist import Finalist, best_of, validation
from tame.study.plan import TUNE_EPOCHS, Plan
from tame.study.session import Study
from tame.study.state import findings_events
from tame.study.test import ended, folds_of, test

ENOUGH = 6  # epochs after which more gain little


def fine_tune(study: Study, data: Data, plan: Plan, frozen: Sequence[Finalist]) -> None:
    """Starts, trains and judges the fine-tuned trial, if there is a backbone and time for it."""
    best = best_of(data.metric, frozen)
    if not plan.tunes or study.state.tuning_judged is not None:
        return
    trial = next((t for t in study.history.trials.values() if t.is_fine_tuned), None)
    if trial is None:
        recipe, why = _recipe(study, data, plan, best)
        if recipe is None:
            study.keep(TuningJudged(kept=False, why=why))
            return
        number = max(study.history.trials) + 1
        study.keep(decision_event(Decision("start", number, why, recipe.epochs, recipe, FINE_TUNED)))
        trial = study.history.trials[number]
    study.stage(4, f"fine-tuning the backbone for {trial.until} epochs at {trial.recipe.input.size} pixels")
    test(study, plan, [trial])
    trial = study.history.trials[trial.number]
    if trial.state == "diverged":
        study.keep(TuningJudged(kept=False, why="fine-tuning diverged"))
        return
    if trial.state == "running":
        study.keep(decision_event(ended(trial)))
    if not trial.epochs:
        study.keep(TuningJudged(kept=False, why="the time ended before its first epoch"))
        return
    _judge(study, data, plan, study.history.trials[trial.number], best)


def _recipe(study: Study, data: Data, plan: Plan, best: Finalist) -> tuple[Recipe | None, str]:
    """The recipe for fine-tuning, as long as the time allows, and why it is tried or not."""
    assert data.backbone is not None
    head = best.trials[0]
    stages, seed = data.backbone.stages, plan.search.base.seed
    if study.state.stop_asked:
        return None, "you stopped the search, so nothing more is trained than the finalists"
    if study.config.clock_s is None:
        return None, "fine-tuning uses the time that is left; without --time, a study ends with its trials"
    left = study.left_s - plan.end_s
    runs = data.num_runs
    if plan.to_the_end:
        return None, f"{TUNE_EPOCHS[0]} epochs of fine-tuning would take most of the time or more"
    assert plan.epoch_s is not None
    assert plan.smallest is not None
    for size in sorted(plan.sizes, reverse=True):
        recipe = fine_tuning(head.recipe, size=size, epochs=TUNE_EPOCHS[1], stages=stages, seed=seed, task=data.task)
        last = size == min(plan.sizes)  # a smaller input leaves time for more epochs, which help more than pixels
        least = TUNE_EPOCHS[0] if last else ENOUGH
        guess = plan.epoch_s * (size / plan.smallest) ** 2
        if not last and least * runs * guess > left:
            continue
        epoch_s = study.worker.rehearse(recipe, folds=folds_of(plan, head)).epoch_s
        epochs = math.floor((study.left_s - plan.end_s) / (epoch_s * runs))
        if epochs >= least:
            return recipe.but({"epochs": min(epochs, TUNE_EPOCHS[1])}), _words(best)
    return None, f"no time for {TUNE_EPOCHS[0]} epochs of fine-tuning: {max(left, 0):.0f} s were left for it"


def _words(best: Finalist) -> str:
    return (
        f"fine-tunes the backbone's last stages with the recipe of trial {best.from_trial}, the best on frozen features"
    )


def _judge(study: Study, data: Data, plan: Plan, trial: Trial, best: Finalist) -> None:
    """Stores whether fine-tuning helped: a paired comparison with the best head on the validation examples."""
    metric = data.metric
    mode = METRIC_MODES[metric]
    tuned = validation(study, data, plan, trial)
    better = difference(metric, tuned, best.judged, seed=study.config.seed)
    gain = better.value if mode == "max" else -better.value
    kept = better.is_real and gain > 0
    verdict = "kept: it beats the frozen network by more than the noise" if kept else "not kept: no real gain was shown"
    span = f"{better.value:+.3f} ({better.low:+.3f} to {better.high:+.3f})"
    title = f"fine-tuning changed the validation {metric} by {span}"
    evidence = {"trial": trial.number, "frozen_trial": best.from_trial, **to_plain(better)}
    change = f"train the last {trial.recipe.model.unfrozen} stages of the backbone as well"
    finding = Finding("fine_tuning", title, "info", evidence, change, verdict, trial.number)
    judged = TuningJudged(kept=kept, why=verdict, difference=better, trial=trial.number)
    study.keep(judged, *findings_events([finding]))
