"""What a study that goes on may read and fetch: what this user named, never what a record says."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from command_line import tame_here
from tame.app.own_studies import Outside, allowed, is_own, named_outside, recalled, remember, remember_start, take_up
from tame.core.config import ARRAYS, StudyConfig
from tame.core.errors import RefusedError, UsageError
from tame.study.events import Opened
from tame.study.session import begin
from tame.study.state import Silent, State, read_state

FULL = StudyConfig(
    data="/srv/private.csv", backbone="resnet18", val="/v.csv", test="/t.csv", start_from=("/other",),
    set={"loss.costs": "/etc/costs.csv"},
)  # fmt: skip


class Heard(Silent):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


@pytest.fixture(autouse=True)
def own_list(tmp_path, monkeypatch):
    monkeypatch.setenv("TAME_STATE", str(tmp_path / "state"))
    return tmp_path / "state" / "studies"


def state_of(config, id="1f"):
    return State(opened=Opened(config=config.to_json(), id=id))


def test_everything_outside_is_named_and_nothing_inside():
    named = named_outside(FULL, planned=False)
    assert sorted(named) == ["backbone", "costs", "data", "start_from", "test", "val"]
    assert "start_from" not in named_outside(FULL, planned=True)
    assert named_outside(StudyConfig(data=ARRAYS, backbone="none"), planned=False) == {}


def test_a_study_of_another_is_refused_with_the_command_that_goes_on(tmp_path):
    with pytest.raises(RefusedError, match="was not begun by you") as refused:
        allowed(tmp_path, FULL, state_of(FULL), Outside())
    assert f"tame resume {tmp_path} --data /srv/private.csv --backbone resnet18" in str(refused.value)
    with pytest.raises(RefusedError, match=r"\(--backbone resnet18, --val /v.csv"):
        allowed(tmp_path, FULL, state_of(FULL), Outside(data="/srv/private.csv"))


def test_what_is_given_again_counts_and_not_the_record(tmp_path):
    here = tmp_path / "mine.csv"
    here.write_text("a\n1\n")
    config = StudyConfig(data="/srv/private.csv", set={"loss.costs": "/etc/costs.csv"})
    found = allowed(tmp_path, config, state_of(config), Outside(data=str(here), costs="a>b=2"))
    assert (found.data, found.set["loss.costs"]) == (str(here), "a>b=2")


def test_another_backbone_and_what_is_not_used_are_refused(tmp_path):
    config = StudyConfig(data="/d", backbone="resnet18")
    with pytest.raises(UsageError, match="begun with --backbone resnet18, not resnet50"):
        allowed(tmp_path, config, state_of(config), Outside(data="/d", backbone="resnet50"))
    with pytest.raises(UsageError, match="uses no --val"):
        allowed(tmp_path, config, state_of(config), Outside(data="/d", backbone="resnet18", val="x"))


def test_what_this_user_began_goes_on_in_one_command_and_only_as_it_was_begun(tmp_path, own_list):
    remember(state_of(FULL).opened, {}, Heard())
    assert allowed(tmp_path, FULL, state_of(FULL), Outside()) == FULL
    for config in (replace(FULL, data="/etc/passwd"), replace(FULL, backbone="resnet50")):
        assert not is_own(state_of(config)), "another config under the same id"
    assert not is_own(state_of(FULL, id="2f"))
    assert own_list.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in own_list.iterdir())


def test_what_was_given_again_is_known_the_next_time(tmp_path):
    config = StudyConfig(data="/gone")
    remember(state_of(config).opened, {"data": str(tmp_path)}, Heard())
    assert allowed(tmp_path, config, state_of(config), Outside()).data == str(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"data": 3}', "\x00"])
def test_a_damaged_entry_makes_no_study_ones_own(own_list, text):
    remember(state_of(FULL).opened, {}, Heard())
    (entry,) = own_list.iterdir()
    entry.write_text(text)
    assert recalled(state_of(FULL).opened) is None


def test_a_list_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TAME_STATE", str(tmp_path / "file"))
    heard = Heard()
    remember(state_of(FULL).opened, {}, heard)
    assert "so tame resume will ask for --data" in heard.notes[0]
    assert not is_own(state_of(FULL))


def test_each_study_has_an_id_of_its_own(tmp_path):
    ids = []
    for name in ("a", "b"):
        with begin(StudyConfig(data="x", out=str(tmp_path / name)), Silent()):
            ids.append(read_state(tmp_path / name)[1].opened.id)
    assert len(set(ids)) == 2
    assert min(map(len, ids)) == 32


def test_the_command_line_refuses_and_reads_nothing(tmp_path):
    canary = tmp_path / "canary.csv"
    canary.write_text("a,b\n1,x\n")
    with begin(StudyConfig(data=str(canary), target="b", out=str(tmp_path / "study")), Silent()):
        pass
    canary.unlink()  # reading it would be another error
    done = tame_here("resume", tmp_path / "study", "--quiet", cache=tmp_path / "cache")
    assert done.returncode == 7, done.stderr
    assert f"--data {canary}" in done.stderr
    assert json.loads((tmp_path / "study" / "config.json").read_text())["data"] == str(canary)


def test_a_start_that_was_killed_before_its_first_event_goes_on_for_who_began_it_alone(tmp_path, own_list):
    mine, other = (replace(FULL, seed=seed) for seed in (1, 2))
    remember_start(mine)
    for config in (mine, other):
        take_up(state_of(config).opened, Heard())
    assert allowed(tmp_path, mine, state_of(mine), Outside()) == mine
    with pytest.raises(RefusedError, match="was not begun by you"):
        allowed(tmp_path, other, state_of(other), Outside())
    take_up(state_of(mine, id="2e").opened, Heard())
    with pytest.raises(RefusedError, match="was not begun by you"):
        allowed(tmp_path, mine, state_of(mine, id="2e"), Outside())
    assert len(list(own_list.iterdir())) == 1
