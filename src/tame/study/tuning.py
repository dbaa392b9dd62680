"""Fine-tuning: what is left of the time goes into the best head, from the last stages of the backbone upward.

It is kept only where it beats the frozen network on the same validation examples by more than the noise.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tame.adjust.portfolio import fine_tuning
from tame.core.config import METRIC_MODES
from tame.core.recipe import Recipe
from tame.core.records import Decision, Event, Finding, Trial, decision_event
from tame.evaluate.score import Judged, difference, softmax
from tame.study.plan import TUNE_EPOCHS, TUNE_SLOWER, Plan, forward_s
from tame.study.prepare import Data
from tame.study.record import Study, findings_events
from tame.study.test import folds_of, test

ORIGIN = "fine-tune"
LEAST_TRIALS = 8  # with fewer recipes to try, all are heads


def fine_tune(study: Study, data: Data, plan: Plan) -> None:
    """Starts, trains and judges the fine-tuned trial, if there is a backbone and time for one."""
    about = study.state.last["plan"]
    if not about["tunes"] or "tuning_judged" in study.state.last:
        return
    trial = next((t for t in study.history.trials.values() if t.origin == ORIGIN), None)
    if trial is None:
        recipe, why = _recipe(study, data, plan, about)
        if recipe is None:
            study.keep(Event("tuning_judged", {"kept": False, "why": why}))
            return
        number = max(study.history.trials) + 1
        study.keep(decision_event(Decision("start", number, why, recipe.epochs, recipe, ORIGIN)))
        trial = study.history.trials[number]
    study.watcher.phase(f"fine-tuning the backbone for {trial.until} epochs at {trial.recipe.input.size} pixels")
    test(study, plan, [trial])
    trial = study.history.trials[trial.number]
    if trial.state == "diverged":
        study.keep(Event("tuning_judged", {"kept": False, "why": "fine-tuning diverged"}))
        return
    if trial.state == "running":
        study.keep(decision_event(Decision("complete", trial.number, "all epochs are trained", trial.until)))
    _judge(study, data, plan, study.history.trials[trial.number])


def best_head(study: Study) -> Trial | None:
    """The best of the trials that were trained to their end on frozen features, by validation loss."""
    ended = [t for t in study.history.having("complete") if t.origin not in (ORIGIN, "finalist")]
    return min(ended, key=lambda t: (_loss(t), t.number), default=None)


def validation(study: Study, data: Data, plan: Plan, trial: Trial) -> Judged:
    """What a trial says of the validation examples, each judged by the member that has not seen it."""
    asked = [{"trial": trial.number, "recipe": trial.recipe.flat()}]
    folds = [fold for fold in folds_of(plan, trial) if fold is not None]
    found = study.ask("validation", trials=asked, folds=folds)["validation"][str(trial.number)]
    rows = found["rows"]
    target = np.array([data.labels[row] for row in rows])
    return Judged(tuple(data.ids[row] for row in rows), target, softmax(np.array(found["logits"])))


def _recipe(study: Study, data: Data, plan: Plan, about: Any) -> tuple[Recipe | None, str]:
    """The recipe to fine-tune with, as long as the time allows, and why it is tried or not."""
    head = best_head(study)
    assert data.backbone is not None
    if head is None:
        return None, "no head was trained to its end"
    stages, seed = data.backbone["stages"], plan.search.base.seed
    if study.config.clock_s is None:
        if study.config.trials is not None and study.config.trials < LEAST_TRIALS:
            return None, f"with fewer than {LEAST_TRIALS} trials, all of them are heads"
        epochs = min(TUNE_EPOCHS[1], study.config.epochs or TUNE_EPOCHS[1])
        size = min(head.recipe.input.size, data.backbone["size"])
        return fine_tuning(head.recipe, size=size, epochs=epochs, stages=stages, seed=seed), _words(head)
    left = study.left_s - plan.end_s
    runs = data.split.folds + 1 if data.split.folds > 1 else 1
    for size in sorted(plan.sizes, reverse=True):
        recipe = fine_tuning(head.recipe, size=size, epochs=TUNE_EPOCHS[1], stages=stages, seed=seed)
        if TUNE_EPOCHS[0] * runs * TUNE_SLOWER * forward_s(about["speed"], len(data.rows), size) > left:
            continue
        if (
            size > min(plan.sizes)
            and TUNE_EPOCHS[1] * runs * TUNE_SLOWER * forward_s(about["speed"], len(data.rows), size) > left
        ):
            continue  # a smaller input leaves time for more epochs, which help more than pixels do
        epoch_s = study.ask("rehearse", recipe=recipe.flat(), folds=folds_of(plan, head))["epoch_s"]
        epochs = math.floor((study.left_s - plan.end_s) / (epoch_s * runs))
        if epochs >= TUNE_EPOCHS[0]:
            return recipe.but({"epochs": min(epochs, TUNE_EPOCHS[1])}), _words(head)
    return None, f"no time for {TUNE_EPOCHS[0]} epochs of fine-tuning: {max(left, 0):.0f} s were left for it"


def _words(head: Trial) -> str:
    return f"takes trial {head.number}, the best on frozen features, further by training the last stages as well"


def _judge(study: Study, data: Data, plan: Plan, trial: Trial) -> None:
    """Keeps whether fine-tuning was worth it: a paired comparison with the best head on the validation examples."""
    head = best_head(study)
    assert head is not None
    metric = study.config.metric
    mode = METRIC_MODES[metric]
    frozen, tuned = validation(study, data, plan, head), validation(study, data, plan, trial)
    better = difference(metric, tuned, frozen, seed=study.config.seed)
    gain = better.value if mode == "max" else -better.value
    kept = better.is_real and gain > 0
    verdict = "kept: it beats the frozen network by more than the noise" if kept else "not kept: no real gain was shown"
    span = f"{better.value:+.3f} ({better.low:+.3f} to {better.high:+.3f})"
    title = f"fine-tuning changed the validation {metric} by {span}"
    evidence = {"trial": trial.number, "frozen_trial": head.number, **better.to_json()}
    change = f"train the last {trial.recipe.model.unfrozen} stages of the backbone as well"
    finding = Finding("fine_tuning", title, "info", evidence, change, verdict, trial.number)
    judged = {"kept": kept, "why": verdict, "difference": better.to_json(), "trial": trial.number}
    study.keep(Event("tuning_judged", judged), *findings_events([finding]))


def _loss(trial: Trial) -> float:
    last = trial.curve.last
    return math.inf if last is None or last.valid_loss is None else last.valid_loss
