"""Numbers as labels of pictures: from a list, from names of files and from Python, trained, scored and told."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import tame
from tame.app.preview import MOST_SKIPPED, check_data, print_check
from tame.core.config import StudyConfig
from tame.core.errors import DataError, UsageError
from tame.data.image_lists import read_list
from tame.data.image_names import read_names
from tame.data.split import Split
from tame.kinds.known import kind_of
from tame.kinds.pictures.source import _findings
from tame.study.state import read_state

RNG = np.random.default_rng(3)
SMALL = {"trials": 1, "epochs": 2, "quiet": True}


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch, one_thread):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAME_CACHE", str(tmp_path.parent / "cache"))
    return tmp_path


def drawn(folder, num=60, *, decimals=2):
    """A list of pictures of which the part that is bright is the number."""
    (folder / "images").mkdir(parents=True)
    rows = []
    for i in range(num):
        value = float(RNG.uniform(10, 90))
        pixels = RNG.integers(0, 60, (36, 36, 3)).astype(np.uint8)
        pixels[: int(36 * value / 100)] += 150
        value = round(value, decimals) if decimals else int(value)
        name = f"{i}_{value}.png"
        Image.fromarray(pixels).save(folder / "images" / name)
        rows.append((name, value))
    lines = [f"{name},{value},{'ab'[i % 2]}{i // 6}" for i, (name, value) in enumerate(rows)]
    (folder / "train.csv").write_text("\n".join(["photo,age,person", *lines]) + "\n")
    return rows


def config(data, **more):
    return StudyConfig(data=str(data), **more)


def test_a_list_with_numbers_is_a_regression_and_says_so(tmp_path):
    rows = dict(drawn(tmp_path / "set"))
    listing = read_list(config(tmp_path / "set/train.csv", target="age"))
    assert listing.classes == ()
    assert listing.target is not None
    assert (listing.target.name, listing.target.task) == ("age", "regression")
    assert {picture.id.rpartition("/")[2]: picture.value for picture in listing.pictures} == rows
    assert any("labels: column 'age', numbers" in note for note in listing.notes)


def test_the_task_can_be_said(tmp_path):
    drawn(tmp_path / "set", decimals=0)
    whole = config(tmp_path / "set/train.csv", target="age")
    assert read_list(whole).classes == (), "more than ten whole numbers are numbers, as in a table"
    told = config(tmp_path / "set/train.csv", target="age", task="classification")
    with pytest.raises(DataError, match="different values"):
        read_list(told)
    few = (tmp_path / "set/train.csv").read_text().replace("age", "kind")
    lines = [few.splitlines()[0], *(f"{line.split(',')[0]},{i % 3},x" for i, line in enumerate(few.splitlines()[1:]))]
    (tmp_path / "set/few.csv").write_text("\n".join(lines) + "\n")
    assert read_list(config(tmp_path / "set/few.csv", target="kind")).classes == ("0", "1", "2")
    numbers = read_list(config(tmp_path / "set/few.csv", target="kind", task="regression"))
    assert {picture.value for picture in numbers.pictures} == {0.0, 1.0, 2.0}


def test_names_of_files_hold_numbers_too(tmp_path):
    rows = dict(drawn(tmp_path / "set"))
    listing = read_names(config(tmp_path / "set", label_pattern=r"\d+_(.+)[.]png"))
    assert {picture.id.rpartition("/")[2]: picture.value for picture in listing.pictures} == rows


def test_rows_without_a_number_are_left_out_and_negative_ones_kept(tmp_path):
    rows = drawn(tmp_path / "set")
    text = (tmp_path / "set/train.csv").read_text().replace(f"{rows[3][0]},{rows[3][1]}", f"{rows[3][0]},")
    (tmp_path / "set/train.csv").write_text(text.replace(f"{rows[5][0]},{rows[5][1]}", f"{rows[5][0]},-7.5"))
    listing = read_list(config(tmp_path / "set/train.csv", target="age"))
    assert [each.reason for each in listing.skipped] == ["no label"]
    assert len(listing.pictures) == len(rows) - 1
    assert min(picture.value or 0 for picture in listing.pictures) == -7.5


def test_a_folder_of_classes_has_no_numbers(tmp_path):
    for name in ("10", "20"):
        (tmp_path / "set" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "set" / name / "a.png")
    with pytest.raises(UsageError, match=r"whose classes are not numbers to predict: list the pictures in a table"):
        kind_of(config(tmp_path / "set", task="regression"))


def test_equal_pictures_with_two_numbers_are_a_finding_and_similar_ones_are_not(tmp_path):

    drawn(tmp_path / "set", num=4)
    pictures = list(read_list(config(tmp_path / "set/train.csv", target="age")).pictures)
    pictures[1] = replace(pictures[1], digest=pictures[0].digest)
    truth = np.array([picture.value for picture in pictures])
    split = Split(("train",) * 3 + ("test",), (-1,) * 4, 1, "")
    found = {each.code: each for each in _findings(pictures, truth, (), split, [(0, 1), (1, 2)], ())}
    assert found["label_conflict"].evidence["count"] == 1
    assert found["label_conflict"].title == "1 picture found with two numbers"
    assert found["near_duplicates"].evidence["count"] == 2
    assert "imbalance" not in found


@pytest.mark.slow
def test_a_study_of_numbers_is_trained_scored_predicted_and_told(tmp_path):
    """By features of the network that comes with TAME, with people kept together, and in units of the target."""
    rows = drawn(tmp_path / "set", num=72)
    study = tame.fit(
        tmp_path / "set/train.csv", target="age", groups="person", backbone="lite0", set={"input.size": 96}, trials=2,
        epochs=8, out="study", quiet=True,
    )  # fmt: skip
    result = study.result
    assert (result["task"], result["metric"], result["classes"]) == ("regression", "rmse", [])
    assert result["score"]["value"] < result["baselines"]["dummy"]["value"]
    assert set(result["metrics"]) == {"rmse", "mae", "r2"}
    names = [str(tmp_path / "set/images" / name) for name, _ in rows[:6]]
    predicted = [each["value"] for each in study.predict(names)]
    assert np.abs(np.array(predicted) - [value for _, value in rows[:6]]).mean() < 25
    assert study.outputs([Image.open(name) for name in names]) == pytest.approx(predicted, rel=1e-4)
    report = (tmp_path / "study/report.html").read_text()
    assert "A network that <bdi>predicts age" in report
    assert "Predicted vs. true" in report
    card = (tmp_path / "study/model/README.md").read_text()
    assert "image-regression" in card
    about = json.loads((tmp_path / "study/model/model.json").read_text())
    assert about["prepared"]["target"]["scale"] > 5
    _, state = read_state(tmp_path / "study")
    assert state.data is not None
    assert state.data["target"]["name"] == "age"
    assert study.plot("agreement").svg


@pytest.mark.slow
def test_a_check_of_numbers_names_the_target_and_small_pictures_are_tried_both_ways(tmp_path):
    drawn(tmp_path / "set")
    path = str(tmp_path / "set/train.csv")
    found = check_data(StudyConfig(data=path, target="age", backbone="none"))
    assert found.facts.counts["train"].keys() == {"rows"}
    study = tame.fit(path, target="age", **SMALL, out="study")
    [note] = [note for note in study.result["data_facts"]["notes"] if note.startswith("--backbone auto")]
    assert "of the variance" in note


@pytest.mark.slow
def test_a_check_names_every_file_that_cannot_be_read(tmp_path, capsys):
    drawn(tmp_path / "set", num=30)
    rows = (tmp_path / "set/train.csv").read_text(encoding="utf-8").splitlines()
    for number in range(MOST_SKIPPED + 2):
        (tmp_path / f"set/images/broken-{number}.jpg").write_bytes(b"")
        rows.append(f"broken-{number}.jpg,{number}.5,{number}")
    (tmp_path / "set/train.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    found = check_data(StudyConfig(data=str(tmp_path / "set/train.csv"), target="age", backbone="none"))
    assert {name for name, _ in found.skipped} == {f"images/broken-{number}.jpg" for number in range(MOST_SKIPPED + 2)}
    assert len(found.to_json()["skipped_files"]) == MOST_SKIPPED + 2
    print_check(found)
    said = capsys.readouterr().out
    assert f"{MOST_SKIPPED + 2} files skipped:" in said
    assert "and 2 more; --json names all" in said
