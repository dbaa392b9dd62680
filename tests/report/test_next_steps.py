"""What to do next: few commands, each of which the command line takes, and none that a stranger wrote."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

import pytest

from made_results import CASES, HOSTILE, OLD_RESULTS, made, old_result
from tame.app.cli import app
from tame.core.config import ARRAYS, StudyConfig, command_of
from tame.core.evaluation import Difference
from tame.core.importance import BestOf
from tame.core.records import Finding
from tame.core.result import Result
from tame.evaluate.best_of import what_mattered
from tame.monitor.remedies import CHANGES
from tame.report.next_steps import MOST, STEPS, document, next_steps

OF_COMMANDS = {
    command.name or command.callback.__name__: command for command in app.registered_commands if command.callback
}
LEAK = {"columns": [{"column": "price", "evidence": "equal in all rows"}, {"column": "a b", "evidence": "so too"}]}


def found(code: str, evidence: dict[str, Any] | None = None, outcome: str = "") -> Finding:
    return Finding(code, f"a title of {code}", "warning", evidence or {}, CHANGES[code], outcome)


def with_findings(*findings: Finding, command: str = "", case: str = "two_classes", **changes: Any) -> Result:
    result, _ = made(case)
    return replace(result, findings=findings, command=command or result.command, mattered=None, **changes)


def commands(result: Result) -> list[str]:
    return [each.command for each in next_steps(result)]


@pytest.mark.parametrize("case", CASES)
def test_there_are_at_most_three_steps_and_each_is_a_command_of_tame_or_a_call(case: str) -> None:
    result, _ = made(case)
    every = [Finding(code, HOSTILE[i % len(HOSTILE)], "warning", LEAK, HOSTILE[0]) for i, code in enumerate(STEPS)]
    for own in (result, replace(result, findings=tuple(every))):
        steps = next_steps(own)
        assert 1 <= len(steps) <= MOST
        assert all(each.why for each in steps)
        for each in steps:
            words = shlex.split(each.command)
            assert words[0].startswith("tame.") or (words[0] == "tame" and words[1] in OF_COMMANDS)


@pytest.mark.parametrize("name", OLD_RESULTS)
def test_results_of_earlier_versions_have_steps_too(name: str) -> None:
    result = Result.from_json(old_result(name))
    assert document(result)["next"] == [{"command": each.command, "why": each.why} for each in next_steps(result)]


@pytest.mark.parametrize("code", STEPS)
def test_a_finding_that_the_study_has_dealt_with_asks_for_nothing(code: str) -> None:
    evidence = LEAK if code == "target_leak" else {}
    asked, dealt = with_findings(found(code, evidence)), with_findings(found(code, evidence, "helped"))
    assert len(commands(asked)) == 2
    assert commands(dealt) == commands(asked)[1:] == ["tame predict runs/ants_bees-0001 photo.jpg"]


@pytest.mark.parametrize(
    ("code", "command", "asked"),
    [
        ("cut_short", "tame fit d --time 60s --seed 1", "tame fit shared/data/ants_bees --seed 1 --time 4m --start"),
        ("cut_short", "tame fit d", "tame fit shared/data/ants_bees --time 20m --start-from runs/ants_bees-0001"),
        ("still_improving", "tame fit d --time 45s", "tame fit shared/data/ants_bees --time 90s --start-from"),
        ("imbalance", "tame fit d --metric accuracy --time 9s",
         "tame fit shared/data/ants_bees --time 9s --metric balanced_accuracy"),
        ("target_leak", "tame fit d --column id=ignore",
         "tame fit shared/data/ants_bees --column id=ignore --column price=ignore --column 'a b=ignore'"),
        ("label_conflict", "tame fit d --test val --time 9s --no-widen", "tame check shared/data/ants_bees --test val"),
    ],
)  # fmt: skip
def test_a_finding_has_its_command(code: str, command: str, asked: str) -> None:
    evidence = LEAK if code == "target_leak" else {}
    assert commands(with_findings(found(code, evidence), command=command))[0].startswith(asked)


@pytest.mark.parametrize("flag", ["--trials", "--epochs"])
def test_a_study_without_a_clock_is_not_asked_to_run_longer(flag: str) -> None:
    plain = commands(with_findings(found("cut_short"), command=f"tame fit d {flag} 9"))
    assert plain == ["tame predict runs/ants_bees-0001 photo.jpg"]


def test_a_study_from_python_gets_a_call() -> None:
    command = command_of(StudyConfig(data=ARRAYS, time_s=60.0, seed=3))
    steps = commands(with_findings(found("cut_short"), command=command, case="arrays"))
    assert steps[0] == "tame.fit((X, y), seed=3, time='4m')"
    assert commands(with_findings(found("label_conflict"), command=command, case="arrays"))[0].startswith("tame.load(")


@pytest.mark.parametrize("command", ["rm -rf /", "tame fit 'x", "sh -c 'tame fit x'", "tame.fit(X); import os", ""])
def test_what_a_stranger_wrote_as_the_command_is_never_a_step(command: str) -> None:
    result = replace(with_findings(found("cut_short"), found("label_conflict")), command=command)
    assert commands(result) == ["tame predict runs/ants_bees-0001 photo.jpg"]


def test_a_model_that_is_not_better_than_guessing_is_not_offered_for_use() -> None:
    result, _ = made("two_classes")
    dummy = replace(result.baselines.dummy, difference=Difference(0.01, -0.02, 0.04, 153))
    own = with_findings(found("no_better_than_dummy"), baselines=replace(result.baselines, dummy=dummy))
    assert commands(own) == ["tame check shared/data/ants_bees --test val"]


@pytest.mark.parametrize(("gain", "is_told"), [(0.02, True), (0.001, False), (None, False)])
def test_searching_longer_is_named_with_its_gain_where_it_exceeds_the_noise(gain: float | None, is_told: bool) -> None:
    result, past = made("two_classes")
    mattered = what_mattered(past, result.space)
    assert isinstance(mattered.best_of, BestOf)
    best = replace(mattered.best_of, gain=gain, noise=0.01)
    steps = next_steps(replace(result, findings=(), mattered=replace(mattered, best_of=best)))
    assert len(steps) == 1 + is_told
    assert ("expected to lower the best validation loss by about 0.020; another seed changes it by 0.010" in
            steps[0].why) is is_told  # fmt: skip
