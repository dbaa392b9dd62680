"""A study with edits differs from the one before by these alone; edits are asked for, noted and replayed."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import numpy as np
import pytest

from made_insects import hashes, insects
from tame.app.own_key import own_key
from tame.app.run import fit_study, resume_study
from tame.core.config import StudyConfig, command_of, config_of
from tame.core.edits import EDITS, Edit, edits_of, read_edits, text_of
from tame.core.errors import DataError, StoppedError, UsageError
from tame.core.result import Result
from tame.kinds.examples import examples_of
from tame.kinds.kind import Known
from tame.kinds.tables.kind import TABLES
from tame.report.words import edited
from tame.study.heed import heed_edits
from tame.study.inbox import Seal, ask, waiting, wish_of
from tame.study.session import reopen
from tame.study.state import Silent, read_state


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch, one_thread):
    monkeypatch.setenv("TAME_CACHE", str(tmp_path / "cache"))


def table(path, *, first="0.5"):
    chance = np.random.default_rng(0)
    rows = [[f"{a:.3f}", f"{b:.3f}", "yes" if a + b > 0 else "no"] for a, b in chance.normal(size=(120, 2))]
    rows[0][0] = first
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["a", "b", "label"], *rows])
    return path


def config_for(data, out, **changes):
    given = {"trials": 1, "epochs": 2, "folds": 2, "widen": False, **changes}
    return StudyConfig(data=str(data), out=str(out), **given)


def split_of(folder):
    rows = list(csv.DictReader(io.StringIO((folder / "split.csv").read_text())))
    return {row["id"]: (row["part"], row["fold"]) for row in rows}


def test_a_study_of_a_table_differs_by_its_edits_alone(tmp_path):
    data, one, two = table(tmp_path / "t.csv"), tmp_path / "one", tmp_path / "two"
    before = hashes(tmp_path)
    config = config_for(data, one, target="label")
    fit_study(config, Silent(), inline=True)
    state = read_state(one)[1]
    shown = examples_of(TABLES, read_state(one)[0], Known(state.data), one)
    split = split_of(one)
    out = next(row for row, name in enumerate(shown.ids) if split[name][0] == "train")
    new = next(row for row, name in enumerate(shown.ids) if split[name][0] == "test")
    other = "no" if shown.labels[new] == "yes" else "yes"
    edits = [
        Edit(id=shown.ids[out], action="exclude", digest=shown.digest_of(out)),
        Edit(id=shown.ids[new], action="label", label=other, part="test", digest=shown.digest_of(new)),
    ]
    (tmp_path / "mine.csv").write_text(text_of(edits), newline="")
    result = fit_study(replace(config, out=str(two), edits=str(tmp_path / "mine.csv")), Silent(), inline=True)
    assert split_of(two) == {**split, shown.ids[out]: ("excluded", "")}
    assert read_edits(two / EDITS) == tuple(edits)
    own = result.edits
    assert (own.excluded, own.relabelled, own.test_relabelled, own.test_excluded) == (1, 1, 1, 0)
    assert own.after_looking == 1
    assert Result.from_json(result.to_json()).edits == own
    said = "1 label was changed, 1 of these after looking at the test answers of an earlier study"
    assert said in edited(result)
    assert said in (two / "report.html").read_text()
    assert said in (two / "model" / "README.md").read_text()
    assert f"--edits {tmp_path / 'mine.csv'}" in result.command
    assert {name: own for name, own in hashes(tmp_path).items() if name in before} == before

    row = next(row for row, name in enumerate(shown.ids) if name == "t.csv:2")
    (tmp_path / "mine.csv").write_text(
        text_of([Edit(id="t.csv:2", action="exclude", digest=shown.digest_of(row))]), newline=""
    )
    table(data, first="0.75")  # the file has changed since
    changed = replace(config, out=str(tmp_path / "three"), edits=str(tmp_path / "mine.csv"))
    with pytest.raises(DataError, match=r"t\.csv:2 is not the one that was edited: its digest is"):
        fit_study(changed, Silent(), inline=True)


def test_edits_that_cannot_be_read_leave_no_folder(tmp_path):
    data = table(tmp_path / "t.csv")
    config = config_for(data, tmp_path / "one", target="label", edits=str(tmp_path / "none.csv"))
    with pytest.raises(UsageError, match="no file of edits"):
        fit_study(config, Silent(), inline=True)
    assert not (tmp_path / "one").exists()


class Dies(Silent):
    """A user who stops the study once it trains."""

    def history(self, history):
        if history.trials:
            raise StoppedError("stopped")


def test_a_study_that_goes_on_needs_the_file_of_edits_no_more(tmp_path):
    root = insects(tmp_path / "photos")
    mine = tmp_path / "mine.csv"
    mine.write_text("id,action\nbee/bee-00.png,exclude\n")
    config = config_for(root, tmp_path / "one", backbone="none", edits=str(mine), set={"input.size": 32})
    with pytest.raises(StoppedError):
        fit_study(config, Dies(), inline=True)
    mine.unlink()
    result = resume_study(tmp_path / "one", Silent(), inline=True)
    assert result.edits.excluded == 1
    assert split_of(tmp_path / "one")["bee/bee-00.png"] == ("excluded", "")


@pytest.fixture
def finished(tmp_path):
    root = insects(tmp_path / "photos")
    config = config_for(root, tmp_path / "one", backbone="none", set={"input.size": 32})
    fit_study(config, Silent(), inline=True)
    return tmp_path / "one"


def asked(folder, edit):
    wish = wish_of("edit", edit=edit)
    seal = Seal(key=own_key(Silent()), study=read_state(folder)[1].opened.id)
    assert ask(folder, wish, seal)
    return wish


def test_edits_of_a_finished_study_are_noted_once_and_replayed(finished):
    first = asked(finished, Edit(id="bee/bee-00.png", action="exclude"))
    asked(finished, Edit(id="bee/bee-01.png", action="label", label="wasp"))
    asked(finished, Edit(id="bee/bee-00.png", action="undo"))
    asked(finished, Edit(id="bee/bee-00.png", action="label", label="fly"))
    wrong = asked(finished, Edit(id="bee/bee-02.png", action="label", label="moth"))
    other = asked_plainly(finished)
    for _ in range(2):  # the second finds nothing to do
        with reopen(finished, Silent()) as study:
            heed_edits(study, own_key(Silent()))
            assert study.state.result is not None
    state = read_state(finished)[1]
    assert [(each.id, each.label) for each in state.edits] == [("bee/bee-01.png", "wasp"), ("bee/bee-00.png", "fly")]
    assert edits_of((finished / EDITS).read_bytes(), EDITS) == state.edits
    assert {first.id, wrong.id} < set(state.wishes)
    left = waiting(finished, Seal(key=own_key(Silent()), study=state.opened.id))
    assert [each.wish.id for each in left] == [other.id], "what is no edit waits for who runs the study"


def asked_plainly(folder):
    wish = wish_of("pause")
    ask(folder, wish, Seal(key=own_key(Silent()), study=read_state(folder)[1].opened.id))
    return wish


def test_an_edit_without_the_proof_is_not_followed(finished):
    wish = wish_of("edit", edit=Edit(id="bee/bee-00.png", action="exclude"))
    ask(finished, wish, Seal(key=b"x" * 32, study=read_state(finished)[1].opened.id))
    with reopen(finished, Silent()) as study:
        heed_edits(study, own_key(Silent()))
        assert study.state.edits == ()


def test_the_sealed_test_part_is_not_edited_before_it_is_opened(tmp_path):
    root = insects(tmp_path / "photos")
    config = config_for(root, tmp_path / "one", backbone="none", set={"input.size": 32})
    with pytest.raises(StoppedError):
        fit_study(config, Dies(), inline=True)
    hidden = next(name for name, (part, _) in split_of(tmp_path / "one").items() if part == "test")
    asked(tmp_path / "one", Edit(id=hidden, action="exclude", part="test"))
    with reopen(tmp_path / "one", Silent()) as study:
        heed_edits(study, own_key(Silent()))
        assert not study.state.answered.done
        assert "sealed" in study.state.answered.reason
        assert study.state.edits == ()


def test_edits_are_a_setting_like_any_other(tmp_path):
    file = tmp_path / "tame.toml"
    file.write_text('data = "photos"\nedits = "mine.csv"\n')
    assert config_of({}, file).edits == "mine.csv"
    assert "--edits mine.csv" in command_of(config_of({}, file))
    assert "edits" not in StudyConfig(data="photos").to_json()
