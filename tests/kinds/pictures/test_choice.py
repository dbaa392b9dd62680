"""What `--backbone auto` is: said, kept, the same when a study goes on, and none where a measurement says so."""

from __future__ import annotations

import json
import socket

import numpy as np
import pytest
from PIL import Image

from command_line import tame_here
from tame.app.own_studies import named_outside
from tame.app.run import resolved
from tame.core.config import AUTO, NONE, StudyConfig
from tame.kinds.kind import Known
from tame.kinds.pictures.choice import first_backbone, judged
from tame.kinds.pictures.commands import Compared
from tame.parts.embedded import DEFAULT, EMBEDDED
from tame.study.state import read_state

NAME = EMBEDDED[DEFAULT].name


def folder_of(root, size, num=24):
    """Noise in two colours."""
    chance = np.random.default_rng(0)
    for number in range(num):
        pixels = chance.integers(0, 256, (size, size, 3), dtype=np.uint8)
        pixels[..., 2 * (number % 2)] //= 3
        to = root / ("red", "blue")[number % 2]
        to.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(to / f"{number:02}.png")
    return root


def test_photographs_begin_with_it_and_other_data_with_none(tmp_path):
    folder = folder_of(tmp_path / "pictures", 8, num=2)
    table = tmp_path / "table.csv"
    table.write_text("a,b\n1,2\n")
    assert resolved(StudyConfig(data=str(folder))).backbone == AUTO
    assert resolved(StudyConfig(data=str(folder), backbone=NONE)).backbone == NONE
    assert resolved(StudyConfig(data=str(table), target="b")).backbone is None


def test_a_folder_of_that_name_is_not_taken_for_it(tmp_path, monkeypatch):
    folder = folder_of(tmp_path / "pictures", 8, num=2)
    (tmp_path / DEFAULT).mkdir()
    monkeypatch.chdir(tmp_path)
    assert resolved(StudyConfig(data=str(folder), backbone=DEFAULT)).backbone == DEFAULT
    assert resolved(StudyConfig(data=str(folder), backbone=f"./{DEFAULT}")).backbone == str(tmp_path / DEFAULT)


def test_the_record_of_an_earlier_study_without_a_backbone_means_none():
    stored = StudyConfig(data="/d").to_json()
    assert stored["backbone"] is None
    assert first_backbone(StudyConfig.from_json(stored), Known()) is None


@pytest.mark.parametrize(
    ("backbone", "data", "first"),
    [
        (AUTO, None, DEFAULT), (AUTO, {"backbone": "none"}, None), (AUTO, {"backbone": "lite1"}, "lite1"),
        (NONE, None, None), ("resnet18", {"backbone": ""}, "resnet18"),
    ],
)  # fmt: skip
def test_a_study_that_goes_on_has_the_network_that_it_began_with(backbone, data, first):
    assert first_backbone(StudyConfig(data="/d", backbone=backbone), Known(data=data)) == first


@pytest.mark.parametrize("name", [AUTO, NONE, *EMBEDDED])
def test_what_is_installed_with_tame_is_not_outside_of_a_study(name):
    assert named_outside(StudyConfig(data="/d", backbone=name), planned=False) == {"data": "/d"}


@pytest.mark.parametrize(
    ("pretrained", "scratch", "better"), [(0.8, 0.7, DEFAULT), (0.7, 0.7, DEFAULT), (0.7, 0.71, NONE)]
)
def test_of_two_ways_the_better_one_is_taken_and_both_are_told(pretrained, scratch, better):
    found = judged(Compared(pretrained=pretrained, scratch=scratch, trained_on=1200, judged=400), NAME)
    assert found.backbone == better
    for told in (f"{pretrained:.1%}", f"{scratch:.1%}", "1,200", "400", NAME):
        assert told in found.why


@pytest.fixture
def offline(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a connection was asked for")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("side", [120, 32])
def test_a_study_says_what_auto_is_and_keeps_it_without_a_network(side, tmp_path, offline):
    folder, study = folder_of(tmp_path / "pictures", side), tmp_path / "study"
    small = ("--trials", "1", "--epochs", "1", "--set", "input.size=64", "--folds", "2")
    done = tame_here("fit", folder, *small, "--out", study, "--inline", "--json", cache=tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    _, state = read_state(study)
    kept = state.data["backbone"]
    told = [note for note in result["data_facts"]["notes"] if note.startswith("--backbone auto is")]
    assert len(told) == 1
    assert ("from scratch" in told[0]) == (side < 112), "small pictures are tried both ways"
    assert told[0].removeprefix("--backbone auto is") in " ".join(done.stderr.split())
    assert kept == (NONE if " is none" in told[0] else DEFAULT)
    assert result.get("backbone", {}).get("digest") == (EMBEDDED[DEFAULT].digest if kept == DEFAULT else None)
    weights = (study / "model" / "model.safetensors").stat().st_size
    assert (weights > 13e6) == (kept == DEFAULT), "the model holds the weights of its backbone"
    assert "--backbone auto" in result["command"]
