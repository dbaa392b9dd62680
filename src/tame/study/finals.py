"""Evaluate: finalists with fresh seeds, a winner chosen on validation, the test part opened once, the delivery."""

from __future__ import annotations

import math
import os
import platform
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np

from tame.adjust.searcher import searched
from tame.core.config import ARRAYS, METRIC_MODES
from tame.core.errors import BudgetError, NothingTrainedError, StorageError
from tame.core.records import Decision, Event, Finding, Trial, decision_event
from tame.core.rng import stream_seed
from tame.data.costs import parse_costs
from tame.evaluate.calibration import calibration, expected_cost
from tame.evaluate.compare import Difference
from tame.evaluate.relations import what_mattered
from tame.evaluate.score import (
    METRICS_OF,
    Judged,
    confusion,
    difference,
    dummy,
    errors,
    guesses,
    judged_from,
    measure,
    mistakes,
    open_test,
    per_class,
    residuals,
    score,
)
from tame.monitor.advice import CHANGES
from tame.study.checked import with_outcomes, worth_json
from tame.study.finalist import Finalist, best_of, fold_error, rates_of, together
from tame.study.plan import CHECKED, FINALISTS_SHARE, Plan, searched_json
from tame.study.prepare import Data
from tame.study.record import Study, findings_events
from tame.study.test import test
from tame.study.widening import space_json, space_of

FINALIST = "finalist"
MANY = 2000  # validated examples
FIELDS = ((4, 1), (3, 1), (2, 1), (1, 1), (1, 0))  # finalists beside the default, and fresh seeds of each at first
ROOMY = 1.35  # times the forecast that more than the best and the default must fit in; what is left is for more seeds
MOST_FINALISTS = 8  # beside the default, where there is time for more
MOST_SEEDS, CLOCKLESS_SEEDS = 6, 3  # fresh seeds of each, where there is time for more, and where no clock holds
LEAST_STAGE_S = 0.05
SURE = 1.15  # times what a field must fit in, that the search leaves for it
RESERVED = (0.12, 0.4)  # of the time after the search has begun, that is kept for finalists: at least and at most
WANTED = ((4, 3), (4, 2), *FIELDS[:-1])  # finalists and seeds that the search leaves time for, the best first
CUT_SHORT = "cut_short"
PACKAGES = ("tame-ml", "torch", "timm", "numpy", "scikit-learn", "pillow")
TOLERANCE = 1e-3  # of a probability; the same weights on the same machine differ by less


def finalists(study: Study, data: Data, plan: Plan) -> list[Finalist]:
    """The best few of the search and the default recipe, each trained again with fresh seeds.

    Raises NothingTrainedError or BudgetError where no recipe was trained at all.
    """
    _require_trained(study)
    study.watcher.phase("training the finalists again with fresh seeds")
    wanted = _wanted(study, plan)
    more, each_s = _further_seeds(study, plan, wanted)
    wanted = _more_finalists(study, plan, wanted, each_s=each_s * (1 + len(more)))
    found = _again(study, data, plan, [(trial, [*first, *more]) for trial, first in wanted])
    good = [each for each in found if each is not None]
    if not good:
        raise NothingTrainedError("every finalist diverged when it was trained again")
    return good


def evaluate(study: Study, data: Data, plan: Plan, frozen: Sequence[Finalist]) -> dict[str, Any]:
    """The result of a study: the winner chosen on validation, the test part opened once, the model delivered."""
    default = next((f for f in frozen if study.history.trials[f.from_trial].origin == "default"), None)
    own = [*frozen, *_tuned(study, data, plan)]
    winner = _winner(study, data, own)
    study.keep(*findings_events(_cut_short(study, winner, default)))
    study.watcher.phase("opening the test part, once")
    tested = _open(study, data, winner, default)
    delivered = _deliver(study, data, plan, winner)
    return _result(study, data, plan, own, winner, default, tested, delivered)


def _require_trained(study: Study) -> None:
    trials = list(study.history.trials.values())
    if any(t.state in ("complete", "paused") and t.curve.points for t in trials):
        return
    if any(t.state == "diverged" for t in trials):
        raise NothingTrainedError(
            f"all {len(trials)} trials diverged; try a lower learning rate: --set optimizer.lr=1e-3"
        )
    raise BudgetError("the time ended before a first recipe was trained; begin again with a longer --time")


def _wanted(study: Study, plan: Plan) -> list[tuple[Trial, list[int]]]:
    """Which trials are finalists, and the seed that each is trained again with: fewer where the clock leaves no room.

    Kept as an event, so that a study that is resumed has the same finalists.
    """
    known = study.state.last.get("finalists")
    if known is None:
        best, num_seeds = _field(study, plan)
        known = {"trials": [t.number for t in best], "seeds": _seeds(study, 0, num_seeds)}
        study.keep(Event("finalists", known))
    return [(study.history.trials[number], known["seeds"]) for number in known["trials"]]


def _field(study: Study, plan: Plan) -> tuple[list[Trial], int]:
    """The trials that are trained again, and with how many seeds at first: the largest field that there is room for."""
    room = _room_s(study, plan)
    fields = [(best_trials(study, plan, count), num_seeds) for count, num_seeds in FIELDS]
    for best, num_seeds in fields:
        count = len(best) - 1
        if _roomy(count) * cost_s(study, plan, count, num_seeds) <= room:
            return best, num_seeds
    return fields[-1]


def _roomy(count: int) -> float:
    """How many times its forecast the room for so many finalists and the default must be."""
    return ROOMY if count > 1 else 1.0


def _further_seeds(study: Study, plan: Plan, wanted: Sequence[tuple[Trial, list[int]]]) -> tuple[list[int], float]:
    """Trains the finalists, then with further seeds as long as there is time for them; returns those, and the seconds
    that one seed of all finalists takes.

    What a seed took is looked at after each stage, since finalists may be cheaper than what was searched.
    """
    # After a kill a part of the stage lies before it, and what was measured says too little.
    least = cost_s(study, plan, len(wanted) - 1, 1) / 2 if "more_seeds" in study.state.last else LEAST_STAGE_S
    more: list[int] = []
    spent, num = 0.0, 1
    while True:
        began = study.state.trained_s
        _train_again(study, plan, [(trial, [*first, *more]) for trial, first in wanted])
        stage_s = study.state.trained_s - began
        spent += stage_s
        each_s = max(stage_s / num, least)
        found = _more_seeds(study, plan, wanted, more, each_s=each_s, spent=spent)
        if found == more:
            return more, each_s
        more, num = found, len(found) - len(more)


def _more_seeds(
    study: Study, plan: Plan, wanted: Sequence[tuple[Trial, list[int]]], have: Sequence[int], *, each_s: float,
    spent: float,
) -> list[int]:  # fmt: skip
    """The seeds in `have` and as many more as the time that is left allows; the same ones where there are enough.

    Kept as an event, so that a study that is resumed trains the same ones. Without a clock three seeds in all.
    each_s: what a seed of all finalists takes; spent: seconds of all stages.
    """
    known = study.state.last.get("more_seeds")
    if known is not None and (known.get("over", True) or len(known["seeds"]) > len(have)):
        return list(known["seeds"])
    num, count = len(have), 0
    if all(seeds for _, seeds in wanted):
        # Of the share of the clock that finalists may take, what they have spent is gone.
        room = _room_s(study, plan, [trial for trial, _ in wanted]) - spent * _is_capped(study)
        most = (CLOCKLESS_SEEDS if math.isinf(room) else MOST_SEEDS) - 1 - num
        count = int(min(max(room / each_s, 0), most))
    found = [*have, *_seeds(study, 1 + num, 1 + num + count)]
    study.keep(Event("more_seeds", {"seeds": found, "over": not count}))
    return found


def _more_finalists(
    study: Study, plan: Plan, wanted: list[tuple[Trial, list[int]]], *, each_s: float
) -> list[tuple[Trial, list[int]]]:
    """The finalists and as many of the next best trials as there is still time for.

    Where a further seed of all does not fit any more. They are trained with the same seeds, so that nobody is judged by
    more of them than others. Kept as an event. each_s: what all seeds of all finalists have taken.
    """
    known, (_, seeds) = study.state.last["finalists"], wanted[0]
    if study.config.clock_s is None or _is_capped(study) or not seeds or known.get("over"):
        return wanted
    have = [trial for trial, _ in wanted]
    num = int(_room_s(study, plan, have) / (ROOMY * each_s / len(have)))
    every = best_trials(study, plan, min(len(have) + num, MOST_FINALISTS))
    have += [trial for trial in every if trial not in have][: max(num, 0)]
    study.keep(Event("finalists", {**known, "trials": [trial.number for trial in have], "over": True}))
    return [(trial, seeds) for trial in have]


def _seeds(study: Study, first: int, last: int) -> list[int]:
    return [stream_seed(study.config.seed, "finalist", i) % 2**31 for i in range(first, last)]


def cost_s(study: Study, plan: Plan, count: int, num_seeds: int) -> float:
    """A forecast of the seconds that so many finalists take, from what the search took for an epoch of a trial."""
    epoch_s, epochs = study.state.epoch_s, _most_epochs(study)
    if not num_seeds:  # winner and default, which nobody has trained on all examples
        return epoch_s * plan.share_of_all * float(study.state.last["plan"].get("pair", 2.0)) * epochs
    return finalists_s(plan, epoch_s, epochs=epochs, count=count, num_seeds=num_seeds)


def _most_epochs(study: Study) -> int:
    return max((t.recipe.epochs for t in study.history.trials.values() if t.curve.points), default=0)


def finalists_s(plan: Plan, epoch_s: float, *, epochs: int, count: int = FIELDS[0][0], num_seeds: int) -> float:
    """Seconds that so many finalists and the default take. epoch_s: of a trial with its folds."""
    return epoch_s * (1 + plan.share_of_all) * (count + 1) * num_seeds * epochs


def reserved_s(study: Study, plan: Plan) -> float:
    """Seconds that a search leaves for its finalists; 0 where its own end leaves them room, or there is no clock."""
    about = study.state.last["plan"]
    if study.config.clock_s is None or (plan.sizes and not about["to_the_end"]):
        return 0.0
    return reserve_s(plan, study.state.epoch_s, epochs=_most_epochs(study), clock_s=study.config.clock_s)


def reserve_s(plan: Plan, epoch_s: float, *, epochs: int, clock_s: float) -> float:
    """Seconds that are kept for the finalists: for as many as there will be time for, and no more than they need.

    epoch_s: of a trial with its folds.
    """
    wanted = [
        SURE * _roomy(count) * finalists_s(plan, epoch_s, epochs=epochs, count=count, num_seeds=num_seeds)
        for count, num_seeds in WANTED
    ]
    least, most = (share * max(clock_s - plan.end_s, 0.0) for share in RESERVED)
    need = next((need for need in wanted if need <= most), most)
    return need if plan.sizes else max(need, least)  # heads on a backbone take little, and may be kept no more


def _room_s(study: Study, plan: Plan, finalists: Sequence[Trial] = ()) -> float:
    """Seconds that finalists may take; of these ones, if they are known."""
    clock, left = study.config.clock_s, study.left_s - plan.end_s
    if clock is None:
        return math.inf
    if _is_capped(study):
        return min(FINALISTS_SHARE * clock, left)
    one_size = len({trial.recipe.input.size for trial in finalists}) == 1
    return left + one_size * float(study.state.last["plan"].get("other_size_s", 0.0))


def _is_capped(study: Study) -> bool:
    """Whether finalists may take a share of the clock only, since fine-tuning takes the rest."""
    about = study.state.last["plan"]
    return bool(about["tunes"] and not about["to_the_end"])


def _again(
    study: Study, data: Data, plan: Plan, wanted: Sequence[tuple[Trial, Sequence[int]]]
) -> list[Finalist | None]:
    """The recipes of trials trained with these seeds, all at once; None where all of a recipe diverged.

    Without a seed, for want of time, it is the trial itself, and the report says so.
    """
    _train_again(study, plan, wanted)
    found: list[Finalist | None] = []
    for trial, seeds in wanted:
        own = [t for t in _seeds_of(study, trial) if t.state == "complete"] if seeds else [trial]
        found.append(together(study, data, plan, trial, own) if own else None)
    return found


def _train_again(study: Study, plan: Plan, wanted: Sequence[tuple[Trial, Sequence[int]]]) -> None:
    """Trains the recipes of trials with these seeds, all at once, as far as that has not been done."""
    for trial, seeds in wanted:
        have = {t.recipe.seed for t in _seeds_of(study, trial)}
        number = max(study.history.trials) + 1
        missing = [trial.recipe.but({"seed": seed}) for seed in seeds if seed not in have]
        reason = _reason(trial)
        fresh = [Decision("start", number + i, reason, r.epochs, r, FINALIST) for i, r in enumerate(missing)]
        study.keep(*map(decision_event, fresh))
    running = [t for trial, _ in wanted for t in _seeds_of(study, trial) if t.state == "running"]
    test(study, plan, running)
    done = [study.history.trials[t.number] for t in running]
    ended = [t for t in done if t.state == "running"]
    study.keep(*(decision_event(Decision("complete", t.number, "all epochs are trained", t.until)) for t in ended))


def _seeds_of(study: Study, trial: Trial) -> list[Trial]:
    """The trials that train a finalist's recipe with fresh seeds."""
    return [t for _, t in sorted(study.history.trials.items()) if t.reason == _reason(trial)]


def _reason(trial: Trial) -> str:
    again = f"the recipe of trial {trial.number} again, with a fresh seed"
    if trial.parent is None:
        return again
    return f"{again}; from the first epoch on, while trial {trial.number} changed its rates as it trained"


def _tuned(study: Study, data: Data, plan: Plan) -> list[Finalist]:
    """The fine-tuned trial, if it was kept: under cross-validation trained once more, on all examples too."""
    judged = study.state.last.get("tuning_judged", {})
    if not judged.get("kept"):
        return []
    trial = study.history.trials[judged["trial"]]
    if len(plan.folds) == 1:
        return [together(study, data, plan, trial, [trial])]
    (found,) = _again(study, data, plan, [(trial, [stream_seed(study.config.seed, "finalist", 0) % 2**31])])
    return [found] if found else []


def best_trials(study: Study, plan: Plan, count: int) -> list[Trial]:
    """The best trials and the default recipe; those trained to their end go first.

    By validation loss; where there are enough examples for it, every other one by the metric, the first of them too: a
    network may grow too sure of itself while it still gets better.
    """
    trials = searched(study.history)
    ended = [t for t in trials if t.state == "complete"]
    by_loss = sorted(ended, key=_loss) or sorted(
        (t for t in trials if t.curve.points), key=lambda t: (-t.epochs, _loss(t))
    )
    ranked = [t for t in by_loss if t.state != "diverged"]
    if ended and plan.facts.num_valid >= MANY:
        by_metric = sorted(ranked, key=lambda t: _metric(t, plan))
        pairs = zip(by_metric, ranked, strict=True)
        ranked = list({trial.number: trial for pair in pairs for trial in pair}.values())
    best = ranked[:count]
    default = next((t for t in trials if t.origin == "default"), None)
    out = default is None or default in best or default.state == "diverged"
    return best if out or default is None else [*best, default]


def _winner(study: Study, data: Data, finalists: Sequence[Finalist]) -> Finalist:
    """The finalist with the best metric.

    On few examples the metric is too coarse to choose by: there it is the one of lowest loss among those whose metric
    does not really differ from the best.
    """
    best, seed = best_of(data.metric, finalists), study.config.seed
    if len(best.judged.ids) >= MANY:
        return best
    level = [f for f in finalists if not difference(data.metric, best.judged, f.judged, seed=seed).is_real]
    return min(level or [best], key=lambda f: (measure(loss_of(data.task), f.judged), f.from_trial))


def loss_of(task: str) -> str:
    """The metric that recipes are compared by while searching: steadier than counting what is right."""
    return "rmse" if task == "regression" else "log_loss"


def _cut_short(study: Study, winner: Finalist, default: Finalist | None) -> list[Finding]:
    """That the winner, or the default that it is compared with, did not come to the end of its training."""
    if any(finding.code == CUT_SHORT for finding in study.state.findings):
        return []  # a resumed study has found it before
    asked = {"the winner": winner.trials[0]}
    if default is not None and default is not winner:
        asked["the default recipe, with which the winner is compared,"] = default.trials[0]
    return [
        Finding(
            CUT_SHORT, f"{name} was trained for {trial.epochs} of {trial.recipe.epochs} epochs only", "warning",
            {"trial": trial.number, "epochs": trial.epochs, "of": trial.recipe.epochs}, CHANGES[CUT_SHORT],
        )
        for name, trial in asked.items()
        if trial.state in ("running", "paused") and trial.epochs < trial.recipe.epochs
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tested:
    winner: Judged
    default: Judged | None  # None where the default recipe diverged


def _open(study: Study, data: Data, winner: Finalist, default: Finalist | None) -> Tested:
    """The sealed part, judged by the winner and by the default recipe before its labels are looked at.

    A study that was killed after the opening judges the same weights again: the event says that it was opened before.
    """
    rows = list(data.sealed.rows)
    ids = [data.ids[row] for row in rows]
    beside = None if default is winner else default
    study.ask("train_again", members=[_member(data, each) for each in (winner, beside) if each is not None])
    other = None
    if beside is not None:
        _choose(study, data, beside)
        other = np.array(study.ask("judge", rows=rows)["outputs"])
    _choose(study, data, winner)
    outputs = np.array(study.ask("judge", rows=rows)["outputs"])

    def record(count: int) -> None:
        study.keep(Event("test_opened", {"n": count, "trial": winner.trials[0].number, "used_s": study.used_s}))

    own = open_test(data.sealed, ids, outputs, record, task=data.task)
    if default is winner:
        return Tested(own, own)
    return Tested(own, None if other is None else judged_from(data.task, ids, own.truth, other))


def _choose(study: Study, data: Data, finalist: Finalist) -> None:
    """Makes the first seed of a finalist the network that is judged and delivered: no seed is picked by its luck."""
    study.ask("network", **_member(data, finalist), labels=list(data.classes))


def _member(data: Data, finalist: Finalist) -> dict[str, Any]:
    """The network of a finalist that is judged and delivered: one on all examples, where there are folds."""
    trial = finalist.trials[0]
    return {
        "trial": trial.number,
        "recipe": trial.recipe.flat(),
        "epochs": trial.best_epoch,
        "fold": None if data.whole else 0,
        **rates_of(trial),
    }


def _deliver(study: Study, data: Data, plan: Plan, winner: Finalist) -> dict[str, Any]:
    """Writes the model, loads it again from its folder, and compares what both say of test pictures."""
    study.watcher.phase("writing the model and judging with it again")
    folder = study.folder / "model"
    files = study.ask("deliver", folder=str(folder))["files"]
    rows = list(data.sealed.rows)[:CHECKED]
    ids = [data.ids[row] for row in rows]
    blank = np.zeros(len(rows))
    before = judged_from(data.task, ids, blank, np.array(study.ask("judge", rows=rows)["outputs"]))
    again = study.ask("judge_again", folder=str(folder), rows=rows)["outputs"]
    after = judged_from(data.task, ids, blank, np.array(again))
    apart = float(np.abs(before.outputs - after.outputs).max())
    if data.task == "regression":
        apart /= max(float(np.std(data.learnt())), 1e-12)
    elif (before.predicted != after.predicted).any():
        apart = 1.0
    if apart > TOLERANCE:
        raise StorageError(
            f"the model in {folder} does not judge as the network that was scored (apart by {apart:.2g})"
        )
    study.keep(Event("delivered", {"files": files, "checked": len(rows), "largest_difference": apart}))
    return {"folder": str(folder), "files": files, "checked": len(rows), "largest_difference": apart}


def _result(
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
    about = {k: v for k, v in study.state.last["data"].items() if k not in ("digests", "pairs")}
    about["pairs"] = len(study.state.last["data"]["pairs"])
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
        "searched": searched_json(study.state.last["plan"]),
        "forecast": {name: study.state.last.get(name) for name in ("forecast", "forecast_corrected")},
        "all_findings": len(study.state.findings),
        **_details(study, data, tested.winner),
        "trials": sum(t.origin not in (FINALIST,) for t in trials.values()),
        "trial_states": _states(list(trials.values())),
        "whole": sum(t.state == "complete" for t in trials.values()),
        "epochs": sum(t.trained for t in trials.values()),
        "fine_tuning": study.state.last.get("tuning_judged"),
        "space": space_json(study.state),
        "mattered": what_mattered(study.history, space_of(study.state)).to_json(),
        "sizes": study.state.last["plan"]["sizes"],
        "speed": study.state.last["plan"]["speed"],
        "data_facts": about,
        "backbone": data.backbone,
        "engines": study.state.last.get("engines", {}).get("used", []),
        "delivered": delivered,
        "wall_s": study.used_s,
        "model": delivered["folder"],
        "report": str(study.folder / "report.html"),
        "command": command(study),
        "machine": {"system": platform.platform(), "python": platform.python_version(), "cores": os.cpu_count()},
        "versions": {name: metadata.version(name) for name in PACKAGES},
    }


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
    config = study.config
    if config.data == ARRAYS:
        return f"tame.fit((X, y), seed={config.seed}, ...)"
    parts = ["tame", "fit", config.data]
    for name, value in (
        ("target", config.target),
        ("groups", config.groups),
        ("order", config.order),
        ("task", None if config.task == "auto" else config.task),
        ("backbone", config.backbone),
        ("search", None if config.search == "auto" else config.search),
        ("val", config.val),
        ("test", config.test),
        ("folds", config.folds),
        ("trials", config.trials),
        ("epochs", config.epochs),
        ("seed", config.seed),
    ):
        if value is not None:
            parts += [f"--{name}", str(value)]
    if config.metric != "auto":
        parts += ["--metric", config.metric]
    if config.time_s is not None:
        parts += ["--time", f"{config.time_s:g}s"]
    for text in config.space:
        parts += ["--space", text]
    for folder in config.first:
        parts += ["--first", folder]
    parts += [] if config.widen else ["--no-widen"]
    parts += ["--until-worthless"] if config.until_worthless else []
    for name, value in config.set.items():
        parts += ["--set", f"{name}={value}"]
    return shlex.join(parts)


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


def _loss(trial: Trial) -> float:
    return trial.loss


def _metric(trial: Trial, plan: Plan) -> float:
    """The metric of the weights that are judged, so that lower is better."""
    found = None if trial.judged is None else trial.judged.valid_metric
    return math.inf if found is None else -found if plan.facts.higher_is_better else found
