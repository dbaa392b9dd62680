"""Examples of lessons in the owner's cache: the same as were read, under a key of what the study recorded."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from made_ground import made_album, made_ground
from tame.core.config import StudyConfig
from tame.core.errors import DataError
from tame.learn.ground import Whose
from tame.learn.kept import FOLDER, kept_or_read, key_of, key_of_study
from tame.study.events import PlanEvent
from tame.study.state import State

WHOSE = Whose("bees", "rows")
DATA = {"kind": "tables", "digests": ["a"], "counts": {}}


def refuse():
    raise DataError("the table changed since the study began")


@pytest.mark.parametrize("classes", [3, 0])
def test_what_is_kept_equals_what_was_read(tmp_path, classes):
    own = made_ground(classes=classes)
    own = replace(own, y=own.y / 3) if not classes else own  # thirds need all digits
    kept_or_read(tmp_path, "key", lambda: own, WHOSE)
    again = kept_or_read(tmp_path, "key", refuse, WHOSE)
    for part in ("x", "y", "x_valid", "y_valid"):
        assert getattr(again, part).dtype == getattr(own, part).dtype
        torch.testing.assert_close(getattr(again, part), getattr(own, part), rtol=0, atol=0)
    assert (again.classes, again.names, again.of) == (own.classes, own.names, own.of)
    assert (again.name, again.nouns) == ("bees", "rows")
    assert again.album is None
    assert again.tuning is None


def test_pictures_are_read_when_they_are_asked_for_and_not_before(tmp_path):
    own = replace(made_ground(), album=made_album)
    kept_or_read(tmp_path, "key", lambda: own, WHOSE)
    times = []

    def read():
        times.append(1)
        return own

    again = kept_or_read(tmp_path, "key", read, WHOSE)
    assert not times
    assert len(again.album().pictures) == len(made_album().pictures)
    again.album()
    assert len(times) == 1


def test_pictures_that_changed_since_are_refused_where_they_are_asked_for(tmp_path):
    kept_or_read(tmp_path, "key", lambda: replace(made_ground(), album=made_album), WHOSE)
    again = kept_or_read(tmp_path, "key", refuse, WHOSE)
    with pytest.raises(DataError, match="changed since"):
        again.album()


def test_a_damaged_file_is_put_aside_and_the_data_is_read_again(tmp_path):
    own = made_ground()
    kept_or_read(tmp_path, "key", lambda: own, WHOSE)
    [path] = (tmp_path / FOLDER).iterdir()
    content = bytearray(path.read_bytes())
    content[-9] ^= 255
    path.write_bytes(content)
    again = kept_or_read(tmp_path, "key", lambda: own, WHOSE)
    assert again is own
    assert list((tmp_path / FOLDER).glob("*.bad"))


def test_without_a_key_nothing_is_kept(tmp_path):
    kept_or_read(tmp_path, None, made_ground, WHOSE)
    assert not list(tmp_path.iterdir())


def test_a_cache_that_cannot_be_written_only_takes_longer(tmp_path):
    own = made_ground()

    def read():
        (tmp_path / FOLDER).write_text("a file in the place of the folder")
        return own

    assert kept_or_read(tmp_path, key_of("a"), read, WHOSE) is own


def test_a_study_has_another_key_wherever_its_data_its_networks_or_its_settings_differ():
    config, state = StudyConfig(data="a.csv"), State(data=DATA)
    keys = [
        key_of_study(config, state), key_of_study(replace(config, target="b"), state),
        key_of_study(config, State(data={**DATA, "digests": ["b"]})),
        key_of_study(config, State(data=DATA, plan=PlanEvent(base={"model.width": 8}))),
    ]  # fmt: skip
    assert len(set(keys)) == len(keys)
    assert key_of_study(config, State(data=dict(DATA))) == keys[0]


@pytest.mark.parametrize("data", [None, {"kind": "tables", "counts": {}}])
def test_a_study_that_recorded_no_digests_has_no_key(data):
    assert key_of_study(StudyConfig(data="a.csv"), State(data=data)) is None
