"""The time that finalists take, and the time that a search leaves for them."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence

from tame.core.records import Trial
from tame.study.clock_shares import FINALISTS_SHARE
from tame.study.plan import Plan
from tame.study.session import Study

FIELDS = ((4, 1), (3, 1), (2, 1), (1, 1), (1, 0))  # finalists besides the default, and first fresh seeds of each


ROOMY = 1.35  # required time over forecast for more than the best and the default; the rest is for more seeds


MOST_FINALISTS = 8  # besides the default, if there is time


MOST_SEEDS, CLOCKLESS_SEEDS = 6, 3  # fresh seeds of each, if there is time, and without a clock


SURE = 1.15  # factor on the required time, which the search reserves


RESERVED = (0.12, 0.4)  # smallest and largest share of the time after the start of the search reserved for finalists


LEFT_SHARE = 0.05  # of the clock, that a search leaves however fast it was


WANTED = ((4, 3), (4, 2), *FIELDS[:-1])  # finalists and seeds that the search reserves time for, the best first


def roomy(count: int) -> float:
    """Required time over forecast for this many finalists and the default."""
    return ROOMY if count > 1 else 1.0


def cost_s(study: Study, plan: Plan, count: int, num_seeds: int) -> float:
    """Forecast seconds for this many finalists, from the time that the search took per epoch of a trial."""
    epoch_s, epochs = study.state.epoch_s, _most_epochs(study)
    if not num_seeds:  # winner and default still have to be trained on all examples
        return epoch_s * plan.share_of_all * plan.pair * epochs
    return finalists_s(plan, epoch_s, epochs=epochs, count=count, num_seeds=num_seeds)


def _most_epochs(study: Study) -> float:
    """The epochs of the longest recipe. One that is solved at once counts as many as it takes as long as, where it is
    among the best: only then will it be trained again."""
    begun = [t for t in study.history.trials.values() if t.curve.points]
    best = heapq.nsmallest(MOST_FINALISTS, begun, key=lambda t: t.loss) if study.state.singles else []
    own = [study.state.in_epochs(t.recipe, t.recipe.epochs) for t in best]
    return max((*own, *(t.recipe.epochs for t in begun)), default=0)


def finalists_s(plan: Plan, epoch_s: float, *, epochs: float, count: int = FIELDS[0][0], num_seeds: int) -> float:
    """Seconds for this many finalists and the default. epoch_s: of a trial with its folds."""
    return epoch_s * (1 + plan.share_of_all) * (count + 1) * num_seeds * epochs


def reserved_s(study: Study, plan: Plan) -> float:
    """Seconds that a search leaves for its finalists; 0 if its own end leaves them time, or without a clock."""
    if study.config.clock_s is None or (plan.sizes and not plan.to_the_end):
        return 0.0
    return reserve_s(plan, study.state.epoch_s, epochs=_most_epochs(study), clock_s=study.config.clock_s)


def reserve_s(plan: Plan, epoch_s: float, *, epochs: float, clock_s: float) -> float:
    """Seconds reserved for the finalists: for as many as there will be time for, and no more than they need.

    epoch_s: of a trial with its folds.
    """
    wanted = [
        SURE * roomy(count) * finalists_s(plan, epoch_s, epochs=epochs, count=count, num_seeds=num_seeds)
        for count, num_seeds in WANTED
    ]
    least, most = (share * max(clock_s - plan.end_s, 0.0) for share in RESERVED)
    need = next((need for need in wanted if need <= most), most)
    return need if plan.sizes else max(need, least)  # heads on a backbone take little time, so there is no minimum


def room_s(study: Study, plan: Plan, finalists: Sequence[Trial] = ()) -> float:
    """Seconds that finalists may take. finalists: the chosen ones, if known."""
    clock, left = study.config.clock_s, study.left_s - plan.end_s
    if clock is None:
        return math.inf
    if is_capped(plan):
        return min(FINALISTS_SHARE * clock, left)
    one_size = len({trial.recipe.input.size for trial in finalists}) == 1
    return left + one_size * plan.other_size_s


def limit_s(study: Study, plan: Plan, *, final: bool) -> float:
    """Seconds of the budget after which training ends wherever it is; infinite without a clock.

    What no forecast could know, such as other programs, must not take the time that is kept for the end. final: whether
    it is training after the search; of a search what the delivery of its best needs is kept as well.
    """
    clock = study.config.clock_s
    if clock is None:
        return math.inf
    return clock - plan.end_s - (0.0 if final else max(LEFT_SHARE * clock, cost_s(study, plan, 1, 0)))


def is_capped(plan: Plan) -> bool:
    """Whether finalists may take only a share of the clock, because fine-tuning takes the rest.

    Without features to compute, what fine-tuning takes is kept apart.
    """
    return plan.tunes and not plan.to_the_end and not plan.tuning_s
