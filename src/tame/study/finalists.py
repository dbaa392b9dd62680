"""The finalists: the best of the search and the default recipe, each trained again with fresh seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from tame.adjust.searcher import searched
from tame.core.errors import NothingTrainedError
from tame.core.records import FINALIST, Decision, Trial, decision_event
from tame.core.rng import stream_seed
from tame.kinds.kind import Data
from tame.study.clock import too_short
from tame.study.events import FinalistsChosen, MoreSeeds
from tame.study.finalist import MANY, Finalist, together
from tame.study.plan import Plan
from tame.study.pricing import measure_best, preferred
from tame.study.reserve import (
    CLOCKLESS_SEEDS,
    FIELDS,
    MOST_FINALISTS,
    MOST_SEEDS,
    ROOMY,
    cost_s,
    is_capped,
    room_s,
    roomy,
)
from tame.study.session import Study
from tame.study.test import ended, test

LEAST_STAGE_S = 0.05

Wanted = tuple[Trial, Sequence[int]]  # a trial whose recipe is trained again, and the seeds


def finalists(study: Study, data: Data, plan: Plan) -> list[Finalist]:
    """The best recipes of the search and the default recipe, each trained again with fresh seeds.

    Raises NothingTrainedError or BudgetError if no recipe was trained at all.
    """
    _require_trained(study)
    measure_best(study, data, _ranked(study, plan))
    study.stage(4, "training the finalists again with fresh seeds")
    wanted = _wanted(study, plan)
    more, each_s = _further_seeds(study, plan, wanted)
    wanted = _more_finalists(study, plan, wanted, each_s=each_s * (1 + len(more)))
    found = trained_again(study, data, plan, [(trial, [*first, *more]) for trial, first in wanted])
    good = [each for each in found if each is not None]
    if not good:
        raise NothingTrainedError("every finalist diverged when trained again")
    return good


def _require_trained(study: Study) -> None:
    trials = list(study.history.trials.values())
    if any(t.state in ("complete", "paused") and t.curve.points for t in trials):
        return
    if any(t.state == "diverged" for t in trials):
        raise NothingTrainedError(
            f"all {len(trials)} trials diverged; try a lower learning rate: --set optimizer.lr=1e-3"
        )
    raise too_short(study, needs_s=2 * study.used_s)


def _wanted(study: Study, plan: Plan) -> list[Wanted]:
    """The trials that are finalists, and the seeds to train them with; fewer if the clock leaves no room.

    Stored as an event, so that a resumed study has the same finalists.
    """
    known = study.state.finalists
    if known is None:
        best, num_seeds = _field(study, plan)
        known = FinalistsChosen(trials=tuple(t.number for t in best), seeds=tuple(_seeds(study, 0, num_seeds)))
        study.keep(known)
    return [(study.history.trials[number], list(known.seeds)) for number in known.trials]


def _field(study: Study, plan: Plan) -> tuple[list[Trial], int]:
    """The trials to train again, and the number of first seeds: the largest field that there is time for."""
    room = room_s(study, plan)
    fields = [(best_trials(study, plan, count), num_seeds) for count, num_seeds in FIELDS]
    for best, num_seeds in fields:
        count = len(best) - 1
        if roomy(count) * cost_s(study, plan, count, num_seeds) <= room:
            return best, num_seeds
    return fields[-1]


def _further_seeds(study: Study, plan: Plan, wanted: Sequence[Wanted]) -> tuple[list[int], float]:
    """Trains the finalists, then further seeds as long as there is time. Returns those seeds, and the seconds that one
    seed of all finalists takes.

    The cost of a seed is measured after each stage, because finalists may be cheaper than the recipes of the search.
    """
    # After a kill, part of the stage was trained before it, so the measured time is too short.
    least = cost_s(study, plan, len(wanted) - 1, 1) / 2 if study.state.more_seeds is not None else LEAST_STAGE_S
    more: list[int] = []
    spent, num = 0.0, 1
    while True:
        began = study.state.trained_s
        _train_again(study, plan, [(trial, [*first, *more]) for trial, first in wanted])
        stage_s = study.state.trained_s - began
        spent += stage_s
        each_s = max(stage_s / num, least)
        if _is_cut(study):
            return more, each_s
        found = _more_seeds(study, plan, wanted, more, each_s=each_s, spent=spent)
        if found == more:
            return more, each_s
        more, num = found, len(found) - len(more)


def _more_seeds(
    study: Study, plan: Plan, wanted: Sequence[Wanted], have: Sequence[int], *, each_s: float,
    spent: float,
) -> list[int]:  # fmt: skip
    """The seeds in `have` and as many more as the remaining time allows; unchanged if there are enough.

    Stored as an event, so that a resumed study trains the same ones. Without a clock, three seeds in total.
    each_s: seconds for one seed of all finalists; spent: seconds of all stages.
    """
    known = study.state.more_seeds
    if known is not None and (known.over or len(known.seeds) > len(have)):
        return list(known.seeds)
    num, count = len(have), 0
    if all(seeds for _, seeds in wanted):
        # Finalists may take a share of the clock, minus what they have spent.
        room = room_s(study, plan, [trial for trial, _ in wanted]) - spent * is_capped(plan)
        most = (CLOCKLESS_SEEDS if math.isinf(room) else MOST_SEEDS) - 1 - num
        count = 0 if study.state.stop_asked else int(min(max(room / each_s, 0), most))
    found = [*have, *_seeds(study, 1 + num, 1 + num + count)]
    study.keep(MoreSeeds(seeds=tuple(found), over=not count))
    return found


def _more_finalists(study: Study, plan: Plan, wanted: list[Wanted], *, each_s: float) -> list[Wanted]:
    """The finalists and as many of the next best trials as there is still time for.

    Used when there is no time for a further seed of all finalists. They get the same seeds, so that all finalists are
    judged by equally many. Stored as an event. each_s: seconds for all seeds of all finalists.
    """
    known, (_, seeds) = study.state.finalists, wanted[0]
    is_brief = study.config.clock_s is None or is_capped(plan) or study.state.stop_asked
    if is_brief or not seeds or known is None or known.over or _is_cut(study):
        return wanted
    have = [trial for trial, _ in wanted]
    num = int(room_s(study, plan, have) / (ROOMY * each_s / len(have)))
    every = best_trials(study, plan, min(len(have) + num, MOST_FINALISTS))
    have += [trial for trial in every if trial not in have][: max(num, 0)]
    study.keep(replace(known, trials=tuple(trial.number for trial in have), over=True))
    return [(trial, seeds) for trial in have]


def _seeds(study: Study, first: int, last: int) -> list[int]:
    return [stream_seed(study.config.seed, "finalist", i) % 2**31 for i in range(first, last)]


def trained_again(study: Study, data: Data, plan: Plan, wanted: Sequence[Wanted]) -> list[Finalist | None]:
    """The recipes of trials trained with these seeds, all at once; None if all trainings of a recipe diverged.

    Without a seed, for lack of time, the trial itself is used, and the report says so. Where the clock ended their
    training, those count that reached their end; if none did, all as far as they came.
    """
    _train_again(study, plan, wanted)
    every = [(trial, seeds_of(study, trial) if seeds else [trial]) for trial, seeds in wanted]
    whole = [(trial, [t for t in own if t.state == "complete" or t is trial]) for trial, own in every]
    if _is_cut(study) and not any(own for _, own in whole):
        begun = [(trial, [t for t in own if t.curve.points and t.state == "paused"]) for trial, own in every]
        whole = begun if any(own for _, own in begun) else [(trial, [trial]) for trial, _ in every]
    return [together(study, data, plan, trial, own) if own else None for trial, own in whole]


def _is_cut(study: Study) -> bool:
    """Whether the clock has ended the training of finalists."""
    return any(trial.is_finalist and trial.state == "paused" for trial in study.history.trials.values())


def _train_again(study: Study, plan: Plan, wanted: Sequence[Wanted]) -> None:
    """Trains the recipes of trials with these seeds, all at once, unless that is already done.

    All begin in one transaction: after a kill between two of them some would be trained without the others.
    """
    fresh: list[Decision] = []
    for trial, seeds in wanted:
        have = {t.recipe.seed for t in seeds_of(study, trial)}
        number = max(study.history.trials) + 1 + len(fresh)
        missing = [trial.recipe.but({"seed": seed}) for seed in seeds if seed not in have]
        reason = again(trial)
        fresh += [Decision("start", number + i, reason, r.epochs, r, FINALIST) for i, r in enumerate(missing)]
    study.keep(*map(decision_event, fresh))
    running = [t for trial, _ in wanted for t in seeds_of(study, trial) if t.state == "running"]
    test(study, plan, running)
    done = [study.history.trials[t.number] for t in running]
    going = [t for t in done if t.state == "running"]
    study.keep(*(decision_event(ended(t)) for t in going))


def seeds_of(study: Study, trial: Trial) -> list[Trial]:
    """The trials that train a finalist's recipe with fresh seeds."""
    return [t for _, t in sorted(study.history.trials.items()) if t.reason == again(trial)]


def again(trial: Trial) -> str:
    """Why the recipe of a trial is trained again, by which its fresh seeds are known."""
    # Stored reasons are compared with this text: to change it would lose the finalists of earlier studies.
    said = f"the recipe of trial {trial.number} again, with a fresh seed"
    if trial.parent is None:
        return said
    return f"{said}; from the first epoch on, while trial {trial.number} changed its rates as it trained"


def best_trials(study: Study, plan: Plan, count: int) -> list[Trial]:
    """The best trials and the default recipe; those trained to the end come first.

    Ranked by validation loss; with enough examples, every other one by the metric, starting with the first: a network
    may become overconfident while its metric still improves.
    """
    ranked = preferred(study, _ranked(study, plan))
    best = ranked[:count]
    default = next((t for t in _candidates(study) if t.is_default), None)
    out = default is None or default in best or default.state == "diverged" or not default.curve.points
    return best if out or default is None else [*best, default]


def _candidates(study: Study) -> list[Trial]:
    return [*searched(study.history), *study.state.kept_remedies]


def _ranked(study: Study, plan: Plan) -> list[Trial]:
    """The trials of the search that may be delivered, the best first."""
    trials = _candidates(study)
    ended = [t for t in trials if t.state == "complete"]
    by_loss = sorted(ended, key=_loss) or sorted(
        (t for t in trials if t.curve.points), key=lambda t: (-t.epochs, _loss(t))
    )
    ranked = [t for t in by_loss if t.state != "diverged"]
    if ended and plan.facts.num_valid >= MANY:
        by_metric = sorted(ranked, key=lambda t: _metric(t, plan))
        pairs = zip(by_metric, ranked, strict=True)
        ranked = list({trial.number: trial for pair in pairs for trial in pair}.values())
    return ranked


def _loss(trial: Trial) -> float:
    return trial.loss


def _metric(trial: Trial, plan: Plan) -> float:
    """The metric of the weights that are evaluated, with the sign chosen so that lower is better."""
    found = None if trial.judged is None else trial.judged.valid_metric
    return math.inf if found is None else -found if plan.facts.higher_is_better else found
