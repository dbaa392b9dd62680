"""The clock of a study that is too short to train anything: it is told in time, and a resume may give it more."""

from __future__ import annotations

from pathlib import Path

from tame.core.errors import BudgetError, require
from tame.study.events import Clock, Forecast
from tame.study.plan import Plan
from tame.study.session import Study, reopen
from tame.study.state import Silent, State, how_to_resume


def require_time(study: Study, plan: Plan) -> None:
    """Nothing, if there is time for an epoch of a first recipe. Raises BudgetError with how to give the study more."""
    epoch_s, left = foretold(study.state).mean_s, study.left_s
    if left > max(epoch_s, plan.end_s):
        return
    mend = how_to_resume(study.folder, model=study.config.model, time="5m")
    passed = f"{study.used_s:.0f} s of {study.config.clock_s:g} s had passed"
    raise BudgetError(f"the time ended before a first recipe could be trained: {passed}; go on with more: {mend}")


def give_time(folder: Path, seconds: float) -> None:
    """Gives a study so many seconds from now on. Raises UsageError for one whose first recipe has begun."""
    require(seconds > 0, f"the time must be above 0 seconds, got {seconds:g}")
    with reopen(folder, Silent()) as study:
        mend = "begin another study with more time, with tame fit"
        require(not study.history.trials, f"{folder} has begun to train by its clock, which stays as it is; {mend}")
        require(study.config.clock_s is not None, f"no clock holds in {folder}: it ends with its trials")
        study.keep(Clock(time_s=study.used_s + seconds))


def foretold(state: State) -> Forecast:
    """The forecast that the study has kept; to be called once there is one."""
    assert state.forecast is not None, "a study is forecast before it trains"
    return state.forecast
