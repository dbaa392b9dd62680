"""The pictures of the demo: the same from the same seed, counted right, and planted with the faults it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tame.app.drawing.picture import CLASSES, SUBJECTS, picture
from tame.app.drawing.picture_set import RUINS, WEB_PAGE, Drawn, Faults, draw, planted
from tame.app.drawing.shapes import Pose
from tame.core.errors import UsageError
from tame.core.rng import stream
from tame.data.image_decoding import decode
from tame.data.image_depth import UnreadablePicture

COUNTS = {"bee": 22, "wasp": 21, "other_insect": 20, "nothing": 20}
FAULTS = Faults(mislabelled=4, near_duplicates=4, copies=2, unreadable=3)


def written(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*")}


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), dtype=np.float64)


def readable(drawn: Drawn) -> set[str]:
    return set(written(drawn.folder)) - set(drawn.unreadable)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    return draw(tmp_path_factory.mktemp("demo"), seed=4, counts=COUNTS, faults=FAULTS)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(drawn: Drawn, tmp_path: Path) -> None:
    again = draw(tmp_path / "again", seed=4, counts=COUNTS, faults=FAULTS)
    other = draw(tmp_path / "other", seed=5, counts=COUNTS, faults=FAULTS)
    assert written(again.folder) == written(drawn.folder)
    assert replace(again, folder=drawn.folder) == drawn == planted(drawn.folder, seed=4, counts=COUNTS, faults=FAULTS)
    ruined = {b"", WEB_PAGE}
    assert not (set(written(other.folder).values()) & set(written(drawn.folder).values())) - ruined


def test_several_processes_draw_what_one_draws(drawn: Drawn, tmp_path: Path) -> None:
    shared = draw(tmp_path / "shared", seed=4, counts=COUNTS, faults=FAULTS, processes=2)
    assert written(shared.folder) == written(drawn.folder)


def test_every_folder_holds_as_many_pictures_as_asked_for(drawn: Drawn) -> None:
    assert {folder.name: len(list(folder.iterdir())) for folder in drawn.folder.iterdir()} == COUNTS
    assert drawn.num_pictures == sum(COUNTS.values())
    for path in drawn.folder.rglob("*.*"):
        if str(path.relative_to(drawn.folder)) in drawn.unreadable:
            continue
        with Image.open(path) as image:
            assert (image.size, image.mode) == ((80, 80), "RGB")
            assert image.format == {".png": "PNG", ".jpg": "JPEG"}[path.suffix]


def test_numbers_run_through_the_classes_in_no_order(drawn: Drawn) -> None:
    numbers = {label: [int(path.stem) for path in (drawn.folder / label).iterdir()] for label in CLASSES}
    assert sorted(n for run in numbers.values() for n in run) == list(range(1, drawn.num_pictures + 1))
    assert all(max(run) - min(run) > len(run) for run in numbers.values())


def test_near_duplicates_are_nearer_to_their_first_than_any_other_picture(drawn: Drawn) -> None:
    assert len(drawn.near_duplicates) == 4
    everything = {name: pixels(drawn.folder / name) for name in readable(drawn)}
    for first, copy in drawn.near_duplicates:
        far = {name: np.abs(other - everything[first]).mean() for name, other in everything.items() if name != first}
        assert min(far, key=lambda name: far[name]) == copy
        assert far[copy] > 0


def test_copies_are_the_same_file_again(drawn: Drawn) -> None:
    content = written(drawn.folder)
    assert len(drawn.copies) == 2
    assert all(content[first] == content[copy] and first != copy for first, copy in drawn.copies)
    assert len({content[name] for name in readable(drawn)}) == len(readable(drawn)) - 2


def test_a_ruined_file_cannot_be_read_and_each_is_ruined_in_another_way(drawn: Drawn) -> None:
    assert len(drawn.unreadable) == len(RUINS) == 3
    problems = set()
    for name in drawn.unreadable:
        with pytest.raises(UnreadablePicture) as problem:
            decode(str(drawn.folder / name), shortest=None)
        problems.add(str(problem.value))
    assert len(problems) == 3


def test_the_torn_near_duplicates_are_two_of_the_mislabelled(drawn: Drawn) -> None:
    torn = {copy for first, copy in drawn.near_duplicates if Path(first).parent != Path(copy).parent}
    assert len(torn) == 2
    assert len(drawn.mislabelled) == 4
    assert torn < set(drawn.mislabelled) <= set(written(drawn.folder))
    assert not {first for first, _ in drawn.near_duplicates} & set(drawn.mislabelled)


def test_the_mislabelled_show_what_their_folder_does_not(tmp_path: Path) -> None:
    # Each picture has its own stream, so a set without faults differs in exactly the pictures that are planted.
    clean = written(draw(tmp_path / "clean", seed=4, counts=12).folder)
    wrong = draw(tmp_path / "wrong", seed=4, counts=12, faults=Faults(mislabelled=6))
    planted = written(wrong.folder)
    assert len(wrong.mislabelled) == 6
    assert {name for name in clean if clean[name] != planted[name]} == set(wrong.mislabelled)


@pytest.mark.parametrize("labels", [("bee", "wasp"), ("other_insect", "nothing")])
def test_only_the_named_classes_are_drawn_with_as_many_faults(tmp_path: Path, labels: tuple[str, str]) -> None:
    own = draw(tmp_path / "two", seed=4, counts=dict.fromkeys(labels, 20), faults=FAULTS)
    assert sorted(path.name for path in own.folder.iterdir()) == sorted(labels)
    assert [len(list((own.folder / label).iterdir())) for label in labels] == [20, 20]
    found = (len(own.mislabelled), len(own.near_duplicates), len(own.copies), len(own.unreadable))
    assert found == (FAULTS.mislabelled, FAULTS.near_duplicates, FAULTS.copies, FAULTS.unreadable)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"bee": 60}, "2 classes or more"),
        ({**COUNTS, "beee": 3}, "did you mean 'bee'"),
        ({**COUNTS, "bee": 0}, "1 picture or more"),
        (20, "need 41 pictures in each class, got 20"),
    ],
)
def test_counts_that_cannot_be_are_refused(tmp_path: Path, counts: dict[str, int] | int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        draw(tmp_path / "demo", seed=0, counts=counts, faults=Faults(mislabelled=9, near_duplicates=16))
    assert not (tmp_path / "demo").exists()


def test_a_folder_with_something_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    for taken in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(UsageError, match="not empty"):
            draw(taken, seed=0, counts=2)
    assert written(tmp_path) == {"mine.txt": b"keep"}


def test_fewer_faults_than_none_are_refused() -> None:
    with pytest.raises(UsageError, match="there cannot be -1 near duplicates"):
        Faults(near_duplicates=-1)


@pytest.mark.parametrize("kind", CLASSES)
def test_every_kind_of_subject_can_be_drawn(kind: str) -> None:
    for seed in range(3 * len(SUBJECTS[kind])):
        assert np.asarray(picture(kind, stream(seed, kind))).std() > 1


def test_a_pose_turns_and_moves_as_the_matrix_says() -> None:
    pose = Pose(x=10, y=20, length=8, turn=0.7, flip=-1, squash=0.9, shear=0.1)
    points = np.array(((0.0, 0.0), (0.5, 0.0), (0.1, -0.3)))
    c, s = np.cos(0.7), np.sin(0.7)
    distort = np.array(((1, -0.09), (0, -0.9)))
    expected = 4 * ((10, 20) + 8 * points @ distort.T @ np.array(((c, s), (-s, c))))
    np.testing.assert_allclose(np.reshape(pose.place(points, zoom=4), (-1, 2)), expected, atol=1e-12)  # float64
