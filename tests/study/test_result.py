"""What is told first of a finished study."""

from __future__ import annotations

from tame.core.recipe import Recipe
from tame.core.records import Finding, Fold, History, Trial
from tame.study.result import OTHER_SEED, headline_of
from tame.study.state import State


def test_what_only_another_seed_shows_is_not_said_of_the_delivered_network() -> None:
    trials = {number: Trial(number, Recipe(), "default", "", "complete", 4) for number in range(5)}
    state = State(Fold(History(trials)))

    def finding(code: str, number: int | None) -> Finding:
        return Finding(code, f"{code} {number}", "warning", {}, trial=number)

    state.findings += [
        finding("few_rows", None), finding("overfitting", 2), finding("overfitting", 3),
        finding("noisy_validation", 3), finding("still_improving", 1), finding("periodic", 4),
    ]  # fmt: skip
    told = [each.title for each in headline_of(state, [2, 3], from_trial=1)]
    assert told[:2] == ["few_rows None", "overfitting 2"]
    assert f"noisy_validation 3{OTHER_SEED}" in told
    assert all("periodic" not in title for title in told), "trial 4 is not the winner's"
