"""One study of pictures, by whatever way they come: a folder, a list, metadata, their names, or Python."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

import tame
from command_line import tame_here
from tame.app.own_studies import is_own
from tame.app.run import fit_study
from tame.core.config import PICTURES as GIVEN
from tame.core.config import StudyConfig
from tame.core.errors import DataError, RefusedError, StorageError, TameError
from tame.data.given_pictures import pictures_given
from tame.kinds.kind import Known
from tame.kinds.known import KINDS, kind_of
from tame.kinds.pictures.given import CONTENT, INDEX, keep_pictures, read_given
from tame.study.state import Silent, read_state
from tame.worker.executor import Place
from tame.worker.inline import InlineExecutor

SMALL = {"backbone": "none", "trials": 1, "epochs": 1, "set": {"input.size": 32, "model.width": 4}}
SAME = ("score", "validation", "winner", "baselines", "answers")
NUM = 32  # pictures of each class
BY_NAME = r"([a-z]+)_\d+\.png"


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch, one_thread):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAME_CACHE", str(tmp_path.parent / "cache"))
    return tmp_path


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Noise that is reddish or bluish, and a list of it that is in no order."""
    root: Path = tmp_path_factory.mktemp("drawn") / "noise"
    chance = np.random.default_rng(0)
    rows = []
    for number in range(2 * NUM):
        name = ("red", "blue")[number % 2]
        pixels = chance.integers(0, 256, (30, 40, 3), dtype=np.uint8)
        pixels[..., 2 * (number % 2)] //= 3
        (root / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / name / f"{name}_{number:02}.png")
        rows.append((f"{name}/{name}_{number:02}.png", name, f"cam{number // 2 % 9}", f"2026-01-{1 + number // 4:02}"))
    write(root / "list.csv", ("file_name", "label", "camera", "day"), rows[::-1])
    return root


@pytest.fixture
def plain(drawn, tmp_path):
    """The folder alone."""
    shutil.copytree(drawn, tmp_path / "plain", ignore=shutil.ignore_patterns("*.csv"))
    return tmp_path / "plain"


def write(path, header, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def held(path):
    with Image.open(path) as image:
        return image.copy()


def paths_of(root):
    return sorted(root.rglob("*.png"))


def labels_of(root):
    return [each.parent.name for each in paths_of(root)]


def opened(config, to, data=None):
    """What is read of pictures. data: given from Python."""
    to.mkdir(parents=True)
    if data is not None:
        keep_pictures(pictures_given(data), config, to)
    executor = InlineExecutor(Place(cache=to / "cache", study=to, under=None), hear=lambda message: None)
    kind = kind_of(config)
    return kind.read(config, Known(), executor.commands, phase=lambda text: None, folder=to)


def given(**settings):
    return StudyConfig(data=GIVEN, **SMALL, **settings)


WAYS = {
    "list": lambda root, top: (StudyConfig(data=str(root / "list.csv"), target="label", **SMALL), None),
    "metadata": lambda root, top: (StudyConfig(data=str(top), **SMALL), None),
    "names": lambda root, top: (StudyConfig(data=str(root), label_pattern=BY_NAME, **SMALL), None),
    "paths from Python": lambda root, top: (given(), (paths_of(root)[::-1], labels_of(root)[::-1])),
    "names from Python": lambda root, top: (given(label_pattern=BY_NAME), [str(each) for each in paths_of(root)]),
    "dataset": lambda root, top: (given(), ImageFolder(root)),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_is_the_study_of_the_folder(way, drawn, plain, tmp_path):
    of_folder = opened(StudyConfig(data=str(plain), **SMALL), tmp_path / "1")
    shutil.copytree(plain, tmp_path / "hf")
    shutil.copy(drawn / "list.csv", tmp_path / "hf" / "metadata.csv")
    config, data = WAYS[way](drawn, tmp_path / "hf")
    found = opened(config, tmp_path / "2", data)
    assert found.data.split == of_folder.data.split
    assert found.data.classes == of_folder.data.classes
    assert (found.data.targets == of_folder.data.targets).all()
    assert found.data.sealed == of_folder.data.sealed
    assert found.facts.counts == of_folder.facts.counts
    assert way == "dataset" or found.data.ids == of_folder.data.ids


def test_a_list_gives_the_score_of_its_folder_and_new_ones_are_predicted(drawn, plain):
    config = StudyConfig(data=str(plain), out="of_folder", **SMALL)
    listed = StudyConfig(data=str(drawn / "list.csv"), target="label", out="of_list", **SMALL)
    of_folder, of_list = (fit_study(each, Silent(), inline=True).to_json() for each in (config, listed))
    for name in SAME:
        assert of_list.get(name) == of_folder.get(name), name
    assert of_list["command"].startswith(f"tame fit {drawn}/list.csv --target label")
    study = tame.load("of_list")
    told = [str(drawn / "red" / "red_00.png"), str(drawn / "blue" / "blue_01.png")]
    write(drawn.parent / "new.csv", ("photo",), [(Path(each).relative_to(drawn.parent).as_posix(),) for each in told])
    by_list = study.predict(drawn.parent / "new.csv")
    assert by_list == study.predict(told) == study.predict(*told)
    assert [each["input"] for each in by_list] == told
    by_picture = study.outputs([held(each) for each in told])
    np.testing.assert_allclose(by_picture, [list(each["probabilities"].values()) for each in by_list], atol=1e-6)
    assert len(study.predict(held(told[0]))) == 1
    write(drawn.parent / "new.csv", ("photo",), [("noise/red/red_00.png",), ("noise/gone.png",)])
    with pytest.warns(UserWarning, match=r"new\.csv:3: there is no such file"):
        assert len(study.predict(drawn.parent / "new.csv")) == 1
    with pytest.raises(DataError, match="picture 1 cannot be read: pixels of mode F"):
        study.predict([held(told[0]), Image.new("F", (9, 9))])


@pytest.mark.slow
def test_a_study_of_given_pictures_needs_no_other_file(plain, tmp_path):
    study = tame.fit((paths_of(plain), labels_of(plain)), quiet=True, **SMALL)
    assert study.result["command"].startswith("tame.fit((pictures, labels), ")
    shutil.rmtree(plain)
    shutil.move(study.folder, tmp_path / "moved")
    config, state = read_state(tmp_path / "moved")
    small = KINDS.get("images").thumbnails_of(config, {"red/red_00.png": 160, "gone": 160}, tmp_path / "moved")
    assert is_own(state)
    assert list(small) == ["red/red_00.png"]
    assert held(io.BytesIO(small["red/red_00.png"])).size == (40, 30)
    assert tame.resume(tmp_path / "moved", quiet=True).score == study.score


def test_groups_and_order_are_columns_of_a_list_and_keys_of_rows(drawn, tmp_path):
    rows = list(csv.DictReader((drawn / "list.csv").read_text().splitlines()))
    config = StudyConfig(data=str(drawn / "list.csv"), target="label", groups="camera", **SMALL)
    data = opened(config, tmp_path / "1").data
    camera = {each["file_name"]: each["camera"] for each in rows}
    for name in set(camera.values()):
        assert len({part for own, part in zip(data.ids, data.split.part, strict=True) if camera[own] == name}) == 1
    pictures = [{**each, "image": held(drawn / each["file_name"])} for each in rows]
    data = opened(given(target="label", order="day"), tmp_path / "2", pictures).data
    days = {part: [rows[int(data.ids[row])]["day"] for row in data.split.rows(part)] for part in ("train", "test")}
    assert max(days["train"]) < min(days["test"])


@pytest.mark.parametrize(
    ("data", "settings", "said"),
    [
        (paths_of, {}, r"what was given has no labels: give \(pictures, labels\), or label_pattern"),
        (lambda root: (["gone/1.png", "gone/2.png"], [0, 1]), {}, "2 of the 2 given pictures cannot be used"),
        (lambda root: (paths_of(root), [None] * 40 + ["a"] * 24), {}, "gives no label to 40 of the 64"),
        (lambda root: [(held(paths_of(root)[0]), "a"), None], {}, "item 1 .* holds None and no picture"),
        (lambda root: (paths_of(root), ["a"] * 64), {}, "one class only"),
        (lambda root: (paths_of(root), ["a", "b"] * 32), {"val": "val"}, "val names a folder or a table"),
        (lambda root: (paths_of(root), ["a", "b"] * 32), {"task": "regression"}, "not all its cells are numbers"),
        (lambda root: (paths_of(root), ["a", "b"] * 32), {"groups": "x"}, "for rows that are dicts"),
        (lambda root: (paths_of(root), ["a", "b"] * 32), {"model": lambda: None}, "your own model needs arrays"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_on_is_refused_and_leaves_nothing(data, settings, said, drawn, own_folder):
    with pytest.raises(TameError, match=said):
        tame.fit(data(drawn), quiet=True, **SMALL, **settings)
    assert list(own_folder.iterdir()) == []


def test_the_command_line_says_what_is_wrong(drawn, tmp_path):
    write(drawn / "bad.csv", ("photo", "label"), [("../x.png", "red"), ("blue/blue_01.png", "blue")])
    for words, code, said in (
        ([drawn / "bad.csv", "--target", "label"], 3, "leave the folder of the list"),
        ([drawn, "--image", "file_name"], 2, "--image names a column of a table"),
        ([drawn / "list.csv", "--label-pattern", "(.)"], 2, "in a folder"),
        ([drawn / "list.csv", "--task", "regression"], 3, "is to be a regression and not all its cells are numbers"),
    ):
        done = tame_here("fit", *words, "--backbone", "none", cache=tmp_path / "cache")
        assert done.returncode == code, done.stderr
        assert said in done.stderr


def test_the_same_picture_under_two_labels_is_told(drawn, plain, tmp_path):
    rows = [(each.relative_to(plain).as_posix(), each.parent.name) for each in paths_of(plain)]
    write(plain / "list.csv", ("photo", "label"), [*rows, (rows[0][0], "red")])
    found = opened(StudyConfig(data=str(plain / "list.csv"), **SMALL), tmp_path / "1")
    [told] = [each for each in found.findings if each.code == "label_conflict"]
    assert sorted(told.evidence["pairs"][0]) == [rows[0][0], f"{rows[0][0]} (line {2 + len(rows)})"]


def test_given_pictures_that_were_tampered_with_are_refused(drawn, tmp_path):
    keep_pictures(pictures_given((paths_of(drawn), labels_of(drawn))), given(), tmp_path)
    text = (tmp_path / INDEX).read_text()
    for old, new in (
        ('"label": 1', '"label": 7'),
        ('"offset": 0', '"offset": -5'),
        ('"part": ""', '"part": "x"'),
        ('"size_bytes": ', '"size_bytes": -'),
    ):
        assert old in text
        (tmp_path / INDEX).write_text(text.replace(old, new, 1))
        with pytest.raises(StorageError, match="begin again with"):
            read_given(tmp_path)
    (tmp_path / INDEX).write_text(text)
    assert len(read_given(tmp_path).pictures) == 2 * NUM
    (tmp_path / CONTENT).unlink()
    (tmp_path / CONTENT).symlink_to(drawn / "list.csv")
    with pytest.raises(RefusedError, match="is a link"):
        read_given(tmp_path)
