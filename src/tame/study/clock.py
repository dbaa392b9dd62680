"""A clock that is too short to train anything: the study says so early, and a resume may give it more time."""

from __future__ import annotations

from pathlib import Path

from tame.core.errors import BudgetError, require
from tame.study.events import Clock, Forecast
from tame.study.plan import Plan
from tame.study.session import Study, reopen
from tame.study.state import Silent, State, how_to_resume


def require_time(study: Study, plan: Plan) -> None:
    """Raises BudgetError, with the command that gives more time, if there is no time for one epoch of one recipe."""
    epoch_s, left = foretold(study.state).mean_s, study.left_s
    if left > max(epoch_s, plan.end_s):
        return
    command = how_to_resume(study.folder, model=study.config.model, time="5m")
    passed = f"{study.used_s:.0f} s of {study.config.clock_s:g} s had passed"
    raise BudgetError(f"time ran out before any recipe could be trained: {passed}; give it more time: {command}")


def give_time(folder: Path, seconds: float) -> None:
    """Gives a study this many seconds from now. Raises UsageError if its first recipe has already started."""
    require(seconds > 0, f"the time must be above 0 seconds, got {seconds:g}")
    with reopen(folder, Silent()) as study:
        instead = "start another study with more time, with tame fit"
        require(not study.history.trials, f"training in {folder} has started, so its clock cannot change; {instead}")
        require(study.config.clock_s is not None, f"{folder} has no clock: it ends with its trials")
        study.keep(Clock(time_s=study.used_s + seconds))


def foretold(state: State) -> Forecast:
    """The stored forecast of the study; call this only once there is one."""
    assert state.forecast is not None, "a study is forecast before it trains"
    return state.forecast
