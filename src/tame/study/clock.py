"""A clock that is too short to train anything: the study says so early, and a resume may give it more time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tame.core.errors import BudgetError, require
from tame.core.options import write_time
from tame.kinds.known import kind_of
from tame.study.events import Clock, Forecast
from tame.study.plan import LEAST_RUN, Plan
from tame.study.session import Study, reopen
from tame.study.state import Silent, State, how_to_resume
from tame.worker.environment import usable_cores
from tame.worker.machine import slowdown

SETTING_UP = 3.0  # times what opening took, that a study needs which did not come further
LOADED_FROM = 2.0  # times as long as alone: less is noise, or the process that trains, which starts
BEFORE_SHARE = 0.85  # of the clock: a study that has not begun to train by then has nothing to show at its end
ROOMY, ROUND_S = 1.3, 10  # times what was forecast, and seconds to which it is rounded up


def require_time(study: Study, plan: Plan) -> None:
    """Raises BudgetError, with the command that gives more time, if there is no time for one epoch of one recipe. What
    is solved at once is trained all the same: it ends late where others load the machine, but with a model."""
    epoch_s, left = foretold(study.state).mean_s, study.left_s
    if left > epoch_s + plan.end_s or plan.search.base.is_single:
        return
    raise too_short(study, needs_s=study.used_s + LEAST_RUN * epoch_s + plan.end_s)


def require_room(study: Study, plan: Plan) -> None:
    """Nothing, if by the forecast something is trained before the clock ends. Raises BudgetError, which says what would
    be enough: a study that goes on would end long after its clock, with nothing to show."""
    own = foretold(study.state)
    if study.config.clock_s is None or study.history.trials or own.search_until_s is None:
        return
    epochs = min(LEAST_RUN, plan.search.base.epochs)
    needs_s = study.used_s + sum(own.features_s.values()) + epochs * own.mean_s + plan.end_s
    if needs_s > study.config.clock_s:
        raise too_short(study, needs_s=needs_s)


def require_hope(study: Study, *, least_s: float, slower: float) -> None:
    """Raises BudgetError before anything is read if other programs load the machine so much that even the smallest
    study would end long after the clock. least_s: what it takes alone; slower: how many times as long work takes now.
    """
    needs_s = study.used_s + slower * least_s
    if slower > LOADED_FROM and study.config.clock_s is not None and needs_s > study.config.clock_s:
        raise too_short(study, needs_s=needs_s)


@contextmanager
def in_time(study: Study) -> Iterator[None]:
    """Within it, what comes before training ends with the clock: raises BudgetError, which says what is enough."""
    clock = study.config.clock_s
    if clock is None or study.history.trials:
        yield
        return
    if study.left_s <= 0:
        raise too_short(study, needs_s=SETTING_UP * study.used_s)
    require_hope(study, least_s=kind_of(study.config).least_s, slower=slowdown(usable_cores()))
    with study.until(BEFORE_SHARE * clock, foreseeing=True) as cut:
        yield
    if cut.is_made or study.left_s <= 0:
        raise too_short(study, needs_s=SETTING_UP * max(study.used_s, cut.ends_s or 0.0))


def too_short(study: Study, *, needs_s: float) -> BudgetError:
    """The error of a clock that ends before something usable is trained. needs_s: of the whole study, at the least."""
    enough = write_time(float(math.ceil(ROOMY * needs_s / ROUND_S) * ROUND_S))[0]
    passed = f"{study.used_s:.0f} s of {round(study.config.clock_s or 0.0, 1):g} s had passed"
    if study.state.plan is None:
        mend = f"about {enough} would be enough on this machine, as busy as it is: start again with --time {enough}"
    else:
        again = how_to_resume(study.folder, model=study.config.model, time=enough)
        mend = f"about {enough} would be enough on this machine, as busy as it is: {again}"
    return BudgetError(f"time ran out before any recipe could be trained: {passed}; {mend}")


def give_time(folder: Path, seconds: float, *, store: str | None = None) -> None:
    """Gives a study this many seconds from now. store: as in `open_record`.

    Raises UsageError if its first recipe has already started.
    """
    require(seconds > 0, f"the time must be above 0 seconds, got {seconds:g}")
    with reopen(folder, Silent(), store=store) as study:
        instead = "start another study with more time, with tame fit"
        require(not study.history.trials, f"training in {folder} has started, so its clock cannot change; {instead}")
        require(study.config.clock_s is not None, f"{folder} has no clock: it ends with its trials")
        study.keep(Clock(time_s=study.used_s + seconds))


def foretold(state: State) -> Forecast:
    """The stored forecast of the study; call this only once there is one."""
    assert state.forecast is not None, "a study is forecast before it trains"
    return state.forecast
