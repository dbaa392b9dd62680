"""The result of a study: everything that terminal, JSON and report show."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from typing import Any

from tame.core.config import METRIC_MODES, command_of
from tame.core.plain import to_plain
from tame.core.records import Trial
from tame.data.costs import parse_costs
from tame.evaluate.best_of import what_mattered
from tame.evaluate.calibration import calibration, expected_cost
from tame.evaluate.compare import Difference
from tame.evaluate.score import (
    METRICS_OF,
    Judged,
    confusion,
    difference,
    dummy,
    errors,
    guesses,
    measure,
    mistakes,
    per_class,
    residuals,
    score,
)
from tame.kinds.kind import Data
from tame.study.delivery import Tested
from tame.study.doctor import with_outcomes, worth_json
from tame.study.draft import searched_json
from tame.study.events import StudyEvent, event_of
from tame.study.finalist import Finalist, fold_error
from tame.study.plan import Plan
from tame.study.session import Study
from tame.study.space import planned, space_json, space_of
from tame.study.state import State

PACKAGES = ("tame-ml", "torch", "timm", "numpy", "scikit-learn", "pillow")


def loss_of(task: str) -> str:
    """The metric that recipes are compared by while searching: steadier than counting what is right."""
    return "rmse" if task == "regression" else "log_loss"


def make_result(
    study: Study,
    data: Data,
    plan: Plan,
    finalists: Sequence[Finalist],
    winner: Finalist,
    default: Finalist | None,
    tested: Tested,
    delivered: dict[str, Any],
) -> dict[str, Any]:
    """Everything that terminal, JSON and report show."""
    config, seed, metric = study.config, study.config.seed, data.metric
    how = "the sealed test part, judged by the delivered model"
    own = score(metric, tested.winner, how=how, seed=seed)
    learnt = data.learnt()
    lowest = dummy(metric, learnt, tested.winner, seed=seed)
    beside = None
    if tested.default is not None:
        base = score(metric, tested.default, how="the default recipe on the same examples", seed=seed)
        over = difference(metric, tested.winner, tested.default, seed=seed)
        beside = {**base.to_json(), "difference": over.to_json(), "is_winner": winner is default}
    over_dummy = difference(metric, tested.winner, guesses(metric, learnt, tested.winner), seed=seed)
    optimism = winner.value - own.value if METRIC_MODES[metric] == "max" else own.value - winner.value
    about = {k: v for k, v in (study.state.data or {}).items() if k not in ("digests", "pairs")}
    about["pairs"] = len((study.state.data or {})["pairs"])
    trials = study.history.trials
    return {
        "schema": "tame/1",
        "study": str(study.folder),
        "data": config.data,
        "kind": data.kind,
        "task": data.task,
        "classes": list(data.classes),
        "metric": metric,
        "score": own.to_json(),
        "metrics": {name: measure(name, tested.winner) for name in METRICS_OF[data.task]},
        "test_openings": study.state.openings,
        "validation": {
            "value": winner.value,
            "n": len(winner.judged.ids),
            "how": _how(data, winner),
            "stderr": fold_error(data, winner),
        },
        "optimism": optimism,
        "baselines": {
            "dummy": {**lowest.to_json(), "difference": over_dummy.to_json()},
            "default": beside,
        },
        "winner": {
            "recipe": {**winner.recipe.flat(), "seed": winner.trials[0].recipe.seed},
            "from_trial": winner.from_trial,
            "trial": winner.trials[0].number,
            "seeds": [t.recipe.seed for t in winner.trials],
            "epochs": winner.trials[0].best_epoch,
        },
        "finalists": [
            {
                "from_trial": each.from_trial,
                "origin": trials[each.from_trial].origin,
                "value": each.value,
                "values": list(each.values),
                "recipe": each.recipe.flat(),
                "is_winner": each is winner,
                "loss": measure(loss_of(data.task), each.judged),
                "behind": _behind(metric, winner, each, seed),
            }
            for each in finalists
        ],
        "findings": [finding.to_json() for finding in headline(study, winner)],
        "rest": worth_json(study.state),
        "searched": searched_json(planned(study.state)),
        "forecast": _forecasts(study.state),
        "all_findings": len(study.state.findings),
        **_details(study, data, tested.winner),
        "trials": sum(not t.is_finalist for t in trials.values()),
        "trial_states": _states(list(trials.values())),
        "whole": sum(t.state == "complete" for t in trials.values()),
        "epochs": sum(t.trained for t in trials.values()),
        "fine_tuning": _as_kept(study.state.tuning_judged),
        "space": space_json(study.state),
        "mattered": what_mattered(study.history, space_of(study.state)).to_json(),
        "sizes": list(plan.sizes),
        "speed": to_plain(plan.speed),
        "data_facts": about,
        "backbone": None if data.backbone is None else asdict(data.backbone),
        "engines": [] if study.state.engines is None else list(study.state.engines.used),
        "delivered": delivered,
        "wall_s": study.used_s,
        "model": delivered["folder"],
        "report": str(study.folder / "report.html"),
        "command": command(study),
        "machine": {"system": platform.platform(), "python": platform.python_version(), "cores": os.cpu_count()},
        "versions": {name: metadata.version(name) for name in PACKAGES},
    }


def _as_kept(value: StudyEvent | None) -> Mapping[str, object] | None:
    return None if value is None else event_of(value).data


def _forecasts(state: State) -> dict[str, Mapping[str, object] | None]:
    return {"forecast": _as_kept(state.forecast), "forecast_corrected": _as_kept(state.forecast_corrected)}


def _details(study: Study, data: Data, judged: Judged) -> dict[str, Any]:
    """What a task has to show besides its score: confusions and mistakes, or the errors of a regression."""
    if data.task == "regression":
        return {"errors": errors(judged), "residuals": residuals(judged)}
    found: dict[str, Any] = {
        "confusion": confusion(judged, data.classes),
        "per_class": per_class(judged, data.classes),
        "mistakes": mistakes(judged, data.classes),
        "calibration": calibration(judged),
    }
    text = str(study.config.set.get("loss.costs", ""))
    if text:
        matrix = parse_costs(text, data.classes)
        found["costs"] = {**expected_cost(judged, matrix, seed=study.config.seed), "matrix": matrix}
    return found


def command(study: Study) -> str:
    """The command that makes the study again."""
    return command_of(study.config)


def headline(study: Study, winner: Finalist) -> list[Any]:
    """The findings for the first page: about the data, the search and the winner; those of other trials are counted."""
    own = {winner.from_trial, *(t.number for t in winner.trials)}
    first = [f for f in with_outcomes(study.state) if f.trial is None or f.trial in own or f.code == "fine_tuning"]
    order = {"problem": 0, "warning": 1, "info": 2}
    return sorted(first, key=lambda f: order[f.severity])


def _behind(metric: str, winner: Finalist, other: Finalist, seed: int) -> dict[str, Any] | None:
    if winner is other:
        return None
    found: Difference = difference(metric, winner.judged, other.judged, seed=seed)
    return found.to_json()


def _how(data: Data, winner: Finalist) -> str:
    seeds = f"mean of {len(winner.trials)} fresh seed{'s' if len(winner.trials) > 1 else ''}"
    if winner.trials[0].number == winner.from_trial:
        seeds = "one seed, which the search had seen: there was no time for fresh ones"
    if data.split.folds > 1:
        return f"{data.split.folds}-fold cross-validation, {seeds}"
    after = "; what is delivered then learnt from it too" if data.refits else ""
    return f"the validation part, {seeds}{after}"


def _states(trials: Sequence[Trial]) -> dict[str, int]:
    found: dict[str, int] = {}
    for trial in trials:
        found[trial.state] = found.get(trial.state, 0) + 1
    return found
