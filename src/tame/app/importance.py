"""What mattered in a study that has no result yet. Apart from what shows it, since it loads scipy."""

from __future__ import annotations

from tame.core.importance import Mattered
from tame.evaluate.best_of import what_mattered
from tame.study.state import State, absent_of, explored_space, objective_of


def what_mattered_in(state: State) -> Mattered:
    """Importance, isolation and the worth of more trials, of a study in any state."""
    return what_mattered(state.history, explored_space(state), objective=objective_of(state), absent=absent_of(state))
