"""A study in the terminal: 80 columns, inert texts, and the same as plain values."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from made_results import BASE, CASES, HOSTILE, OLD_RESULTS, made, old_result, printed, state
from tame.app.show import result_lines, state_json, study_table
from tame.core.config import StudyConfig
from tame.core.records import Finding, Fold, History, Trial
from tame.report import formats, words
from tame.study.state import State


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("case", CASES)
def test_the_terminal_keeps_to_its_width_and_sends_no_control_characters(case: str, width: int) -> None:
    result, _ = made(case)
    told = (result_lines(result), study_table(state(case), mattered=None))
    for text in (printed(each, width=width) for each in told):
        assert all(cell_len(line) <= width for line in text.splitlines())
        assert all(char.isprintable() or char in "\n\u200c\u200d" for char in text)
        assert text.strip()


@pytest.mark.parametrize("case", CASES)
def test_no_word_is_broken_by_a_narrow_terminal(case: str) -> None:
    """But one that is longer than a line."""
    result, _ = made(case)
    whole = set(printed(result_lines(result), width=5000).split())
    broken = set(printed(result_lines(result), width=60).split()) - whole
    long = "".join(word for word in whole if cell_len(word) > 40)
    assert {word for word in broken if word not in long} == set()


def test_the_summary_in_the_terminal_says_what_matters() -> None:
    result, _ = made("two_classes")
    text = " ".join(printed(result_lines(result)).split())
    score = result.score
    for needed in (
        formats.number(score.value), f"{formats.number(score.low)} to {formats.number(score.high)}",
        words.optimism(result)[1:], words.verdict(result)[1:], result.model, result.report,
        "tame predict runs/ants_bees-0001 photo.jpg", "verfitting since epoch 21", "58 s", "64 recipes",
    ):  # fmt: skip
        assert needed in text
    first = replace(result.findings[0], title=HOSTILE[7])
    hostile = replace(result, findings=(first, *result.findings[1:]))
    assert "[bold]markup[/bold] [link=http://evil.example]x[/link]" in printed(result_lines(hostile), width=2000)


def test_commands_name_the_data_from_the_current_folder_where_it_lies_below(tmp_path, monkeypatch) -> None:
    result, _ = made("two_classes")
    doubtful = replace(result.findings[0], code="label_conflict", outcome="", change="decide which label is right")
    for name, shown in (("my photos", "'my photos'"), ("-odd", "./-odd")):
        moved = replace(result, data=str(tmp_path / name), findings=(doubtful,))
        monkeypatch.chdir(tmp_path)
        assert f"tame check {shown}" in printed(result_lines(moved), width=500)
        monkeypatch.chdir("/")
        text = printed(result_lines(replace(moved, data="/photos")), width=500)
        assert "tame check photos" in text
        monkeypatch.chdir(Path(__file__).parent)
        assert f"tame check {shlex.quote(str(tmp_path / name))}" in printed(result_lines(moved), width=500)


def test_the_table_of_a_running_study_shows_trials_without_curves() -> None:
    running = State(Fold(History({0: Trial(0, BASE, "default", "the default recipe", "running", 4)})))
    text = printed(study_table(running, mattered=None))
    assert "1 training" in text
    assert "0/40" in text
    assert "no trials yet" in printed(study_table(State(), mattered=None))


def test_what_an_unfinished_study_found_in_many_trials_is_told_once() -> None:
    running = State(Fold(History({i: Trial(i, BASE, "default", "", "diverged", 4) for i in range(4)})))
    running.findings += [Finding("diverged", f"diverged in epoch {6 + i}", "problem", {}, trial=i) for i in range(4)]
    running.findings += [Finding("few_rows", "only 30 rows to learn from", "warning", {})]
    text = " ".join(printed(study_table(running, mattered=None)).split())
    assert "Diverged in epoch 6 (trial 0; 3 more trials alike)" in text
    assert "epoch 7" not in text
    assert "Only 30 rows" in text


@pytest.mark.parametrize("name", OLD_RESULTS)
def test_a_finished_study_is_shown_from_what_an_earlier_version_wrote(name: str) -> None:
    plain = old_result(name)
    done = State(Fold(History({0: Trial(0, BASE, "default", "the default recipe", "complete")})), result=plain)
    text = " ".join(printed(study_table(done, mattered=None), width=200).split())
    for needed in (
        formats.shown(plain["metric"], plain["score"]["value"]), plain["model"], f"{plain['epochs']:,} epoch",
        f"The winner is trial {plain['winner']['from_trial']}", plain["validation"]["how"],
    ):  # fmt: skip
        assert needed in text
    assert state_json(Path("runs/x"), StudyConfig(data="x"), done, mattered=None)["result"] == plain


def test_a_study_as_json_can_be_read_back_whole() -> None:
    config, own = StudyConfig(data="x"), state("hostile")
    found = json.loads(json.dumps(state_json(Path("runs/x"), config, own, mattered=None), allow_nan=False))
    assert found["schema"] == "tame/1"
    assert found["result"]["score"] == own.result["score"]
    assert len(found["trials"]) == len(own.history.trials)
    first = found["trials"][0]
    assert first["recipe"] == BASE.flat()
    assert first["points"][0]["epoch"] == 1
    assert first["reason"] == own.history.trials[0].reason
    assert len(found["findings"]) == 4
    assert json.loads(json.dumps(state_json(Path("runs/x"), config, State(), mattered=None)))["result"] is None
