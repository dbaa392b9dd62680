"""Pictures in a list: read as their folder would be, from beside the list alone, and refused in clear words."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import pytest

from made_pictures import fill
from tame.app.run import resolved
from tame.core.config import StudyConfig
from tame.core.errors import DataError, TameError, UsageError
from tame.data.image_lists import is_list, metadata_files, read_list
from tame.data.image_places import picture_columns, pictures_listed
from tame.data.images import scan


def write(path: Path, *rows: tuple[str, ...]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def listed(root: Path, *, below: Path | None = None) -> list[tuple[str, str]]:
    """A row for each picture in class folders: its path and its label, in no order."""
    rows = [(each.relative_to(below or root).as_posix(), each.parent.name) for each in root.rglob("*.png")]
    random.Random(0).shuffle(rows)
    return rows


def config(path: Path, **settings: object) -> StudyConfig:
    return StudyConfig(data=str(path), **settings)


def refused(path: Path, **settings: object) -> str:
    with pytest.raises(TameError) as caught:
        read_list(config(path, **settings))
    assert caught.value.exit_code in (2, 3)
    return str(caught.value)


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Twelve pictures of each of two classes."""
    fill(tmp_path / "pets" / "cats", 12, seed=0)
    fill(tmp_path / "pets" / "dogs", 12, seed=100)
    return tmp_path / "pets"


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    for place, part in enumerate(("train", "val", "test")):
        for number, name in enumerate(("ants", "bees")):
            fill(tmp_path / "insects" / part / name, 3, seed=100 * place + 10 * number)
    return tmp_path / "insects"


def test_a_list_of_a_folder_is_the_folder_whatever_the_order_of_its_rows(many):
    fill(many / "cats" / "inside", 2, seed=50)
    rows = [(name, name.split("/")[0]) for name, _ in listed(many)]
    found = read_list(config(write(many / "all.csv", ("photo", "animal"), *rows)))
    folder = scan(many)
    assert (found.classes, found.pictures, found.parts) == (folder.classes, folder.pictures, ())
    assert found.root == folder.root


def test_a_list_of_parts_is_the_folder_of_them(parts):
    folder = scan(parts)
    in_one = read_list(config(write(parts / "all.csv", ("photo", "label"), *listed(parts)), target="label"))
    for part in ("train", "val", "test"):
        write(parts / f"{part}.csv", ("photo", "label"), *listed(parts / part, below=parts))
    given = {part: str(parts / f"{part}.csv") for part in ("val", "test")}
    in_three = read_list(config(parts / "train.csv", target="label", **given))
    for found in (in_one, in_three):
        assert (found.classes, found.pictures, found.parts) == (folder.classes, folder.pictures, folder.parts)


@pytest.mark.parametrize("beside", ["at the top", "in the parts"])
def test_metadata_of_a_folder_is_read_as_the_folder_would_be(parts, beside):
    folder = scan(parts, test="val")
    for top in (parts, *(parts / part for part in ("train", "val", "test"))):
        if (top == parts) == (beside == "at the top"):
            write(top / "metadata.csv", ("file_name", "label"), *listed(top))
    found = read_list(config(parts, test="val"))
    assert (found.classes, found.pictures, found.parts) == (folder.classes, folder.pictures, ("train", "test"))
    assert len(metadata_files(config(parts))) == (1 if beside == "at the top" else 3)


def test_a_folder_beside_the_list_is_the_part_that_it_is_named_for(parts, monkeypatch):
    (parts / "test").rename(parts / "kept")
    path = write(parts / "all.csv", ("photo", "kind"), *[row for row in listed(parts) if not row[0].startswith("kept")])
    monkeypatch.chdir(parts.parent)
    asked = resolved(config(Path("insects/all.csv"), target="kind", test="val"))
    assert asked.test == "val"
    own, whole = read_list(asked), scan(parts, test="val")
    of_folder = {(each.id, each.part) for each in whole.pictures if not each.id.startswith("kept")}
    assert {(each.id, each.part) for each in own.pictures} == of_folder
    assert own.parts == ("train", "test")
    other = write(parts / "other.csv", ("photo", "kind"), *listed(parts))
    said = "of --val and --test one names a table and the other a folder: give two tables, or two folders"
    assert refused(path, target="kind", test="val", val=str(other)) == said
    assert "no picture that is listed lies in kept" in refused(path, target="kind", test="kept")
    with pytest.raises(UsageError, match="--test must name another table, but there is no file gone"):
        resolved(config(path, target="kind", test="gone"))


def test_a_part_without_answers_is_not_read_unless_it_is_asked_for(parts):
    for part in ("train", "val"):
        write(parts / part / "metadata.csv", ("file_name", "label"), *listed(parts / part))
    assert read_list(config(parts)).parts == ("train", "val")
    assert "the test folder test contains no metadata.csv" in refused(parts, test="test")
    assert metadata_files(config(parts, test="train", val="val")) == []


def test_a_folder_without_such_a_list_has_none(many):
    write(many / "metadata.csv", ("camera", "place"), ("x", "y"))
    assert metadata_files(config(many)) == []
    write(many / "metadata.csv", ("file_name", "camera", "place"), ("cats/0.png", "x", "y"))
    assert metadata_files(config(many)) == []
    assert len(metadata_files(config(many, target="place"))) == 1


def test_pictures_lie_in_a_folder_beside_the_list_and_need_no_ending(tmp_path):
    fill(tmp_path / "images", 4)
    named = [(f"{number}.png", "ab"[number % 2]) for number in range(4)]
    found = read_list(config(write(tmp_path / "train.csv", ("id", "label"), *named)))
    assert [each.id for each in found.pictures] == ["images/0.png", "images/2.png", "images/1.png", "images/3.png"]
    assert "the pictures of train.csv lie in images/" in found.notes
    short = [(name.removesuffix(".png"), label) for name, label in named]
    again = read_list(config(write(tmp_path / "train.csv", ("id", "label"), *short), image="id"))
    assert again.pictures == found.pictures
    assert pictures_listed(tmp_path / "train.csv") == (
        [(str(tmp_path / "images" / f"{number}.png"), found.pictures[place].path)
         for number, place in ((0, 0), (1, 2), (2, 1), (3, 3))], []
    )  # fmt: skip
    fill(tmp_path / "photos", 4)
    assert "are found in images/, photos/: begin the paths with one" in refused(tmp_path / "train.csv", image="id")


def test_a_list_is_known_by_the_names_of_pictures_in_it(many):
    path = write(many / "a.csv", ("photo", "size", "label"), *((name, "3", label) for name, label in listed(many)))
    assert picture_columns(path) == ("photo",)
    assert is_list(config(path, target="label"))
    assert not is_list(config(path, target="label", columns={"photo": "ignore"}))
    links = write(many / "b.csv", ("photo", "y"), *((f"https://example.org/{i}.jpg", "01"[i % 2]) for i in range(20)))
    assert not is_list(config(links, target="y"))
    assert "an address on a network" in refused(links, target="y", image="photo")
    for content in (b"", b"\x00\x01", b'"', b"\xff\xfea\x00", b"\x89PNG\r\n"):
        (many / "c.csv").write_bytes(content)
        assert picture_columns(many / "c.csv") == ()
    assert picture_columns(many / "nothing.csv") == ()


def test_columns_of_which_one_must_be_chosen_are_named(many):
    rows = [(name, name, label, "x") for name, label in listed(many)]
    path = write(many / "a.csv", ("photo", "mask", "animal", "other"), *rows)
    assert "the columns photo, mask of" in refused(path, target="animal")
    assert "say with --target which column has the labels" in refused(path, image="photo")
    assert "did you mean 'photo'" in refused(path, image="phot", target="animal")
    assert read_list(config(path, image="mask", target="animal")).classes == ("cats", "dogs")
    assert "with --column mask=ignore" in refused(path, image="mask", target="animal", columns={"other": "number"})


def test_paths_out_of_the_folder_are_refused_and_counted(many):
    rows = listed(many)
    absolute = [(str(many / name), label) for name, label in rows]
    said = refused(write(many / "a.csv", ("photo", "label"), *absolute))
    assert (
        f"24 of the 24 paths in column 'photo' of {many}/a.csv are absolute, the first {absolute[0][0]!r:.80}" in said
    )
    assert f"pictures lie in {many} or below, and their paths are relative to it" in said
    for path in ("../elsewhere/0.png", "cats/../../x.png", "..\\x.png", "cats\\..\\..\\x.png"):
        said = refused(write(many / "a.csv", ("photo", "label"), *rows, (path, "cats")))
        assert "1 of the 25 paths in column 'photo'" in said
        assert "leave the folder of the list" in said
    for path in ("C:\\photos\\0.png", "\\\\server\\0.png", "~/0.png", "file:///0.png"):
        assert "are absolute" in refused(write(many / "a.csv", ("photo", "label"), *rows, (path, "cats")))


def test_a_link_is_followed_inside_the_folder_only(many, tmp_path):
    fill(tmp_path / "elsewhere", 24)
    (many / "outside.png").symlink_to(tmp_path / "elsewhere" / "0.png")
    (many / "inside.png").symlink_to(many / "dogs" / "0.png")
    (many / "gone.png").symlink_to(many / "nothing.png")
    (many / "dir").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    rows = [*listed(many / "cats", below=many), *listed(many / "dogs", below=many)]
    found = read_list(
        config(write(many / "a.csv", ("photo", "label"), *rows, ("outside.png", "dogs"), ("inside.png", "dogs")))
    )
    assert {each.id: each.path for each in found.pictures}["inside.png"] == str(many / "dogs" / "0.png")
    assert [each.reason for each in found.skipped] == [
        "a link that leaves the folder of the list; such links are not followed"
    ]
    found = read_list(config(write(many / "a.csv", ("photo", "label"), *rows, ("gone.png", "dogs"))))
    assert [each.reason for each in found.skipped] == ["a link that leads nowhere"]
    through = [(f"dir/{number}.png", "ab"[number % 2]) for number in range(24)]
    said = refused(write(many / "a.csv", ("photo", "label"), *through))
    assert "24 of the 24 pictures" in said
    assert "a link that leaves the folder" in said


def test_few_missing_pictures_are_left_out_and_many_are_a_mistake(many):
    rows = listed(many)
    path = write(many / "a.csv", ("photo", "size", "label"), *((name, "1", label) for name, label in rows))
    (many / rows[5][0]).unlink()
    found = read_list(config(path, target="label"))
    assert len(found.pictures) == 23
    assert "columns that are not trained on: size" in found.notes
    assert [(each.id, each.reason) for each in found.skipped] == [("a.csv:7", "there is no such file")]
    for name, _ in rows[1:9]:
        (many / name).unlink(missing_ok=True)
    said = refused(path, target="label")
    assert f"8 of the 24 pictures that column 'photo' of {path} names cannot be used" in said
    assert f"the first '{rows[1][0]}' on line 3: there is no such file; paths are relative to {many}" in said
    assert "to train on the other columns instead, say --column photo=ignore" in said


def test_a_column_that_is_half_paths_is_refused(many):
    rows = listed(many)
    half = [(name if place % 2 else "n/a", label) for place, (name, label) in enumerate(rows)]
    said = refused(write(many / "a.csv", ("photo", "label"), *half))
    assert "12 of the 24 pictures" in said
    assert "names no picture, and there is no such file" in said
    empty = [(name if place else "", label) for place, (name, label) in enumerate(rows)]
    found = read_list(config(write(many / "a.csv", ("photo", "label"), *empty)))
    assert [(each.id, each.reason) for each in found.skipped] == [("a.csv:2", "names no picture")]


def test_pictures_that_cannot_be_read_say_what_they_are(many):
    rows = listed(many)
    (many / "new.heic").write_bytes(b"x")
    (many / "folder.png").mkdir()
    found = read_list(
        config(write(many / "a.csv", ("photo", "label"), *rows, ("new.heic", "cats"), ("folder.png", "cats")))
    )
    assert [each.reason for each in found.skipped] == [
        ".heic files cannot be read; convert it to JPEG or PNG", "a folder and not a picture",
    ]  # fmt: skip
    (many / "bad.png").write_bytes(b"")
    said = refused(write(many / "a.csv", ("photo", "label"), *rows, ("bad.png", "birds"), ("none.png", "birds")))
    assert "no picture of the classes birds can be read" in said
    assert "a.csv:27: there is no such file" in said


def test_a_picture_that_is_listed_twice_counts_once_unless_its_labels_differ(many):
    rows = listed(many)
    name, label = rows[0]
    other = "dogs" if label == "cats" else "cats"
    found = read_list(config(write(many / "a.csv", ("photo", "label"), *rows, (name, label), (name, other))))
    assert len(found.pictures) == 25
    assert "1 row names a picture that an earlier row names with the same label" in found.notes
    [again] = [each for each in found.pictures if each.id.endswith("(line 27)")]
    assert found.classes[again.label] == other
    assert again.id == f"{name} (line 27)"


def test_rows_without_a_label_are_told(many):
    rows = [(name, "" if place < 4 else label) for place, (name, label) in enumerate(listed(many))]
    found = read_list(config(write(many / "a.csv", ("photo", "label"), *rows)))
    assert len(found.pictures) == 20
    assert {each.reason for each in found.skipped} == {"no label"}


def test_a_class_that_only_a_later_list_has_is_named(many):
    write(many / "a.csv", ("photo", "label"), *listed(many))
    later = write(many / "b.csv", ("photo", "label"), ("cats/0.png", "lions"))
    with pytest.raises(DataError, match=r"b\.csv: the target 'label' has a class that was not there before: .*lions"):
        read_list(config(many / "a.csv", test=str(later)))


def test_columns_that_group_and_order_go_with_their_pictures(many):
    rows = [(name, label, f"run{place:02}") for place, (name, label) in enumerate(listed(many))]
    path = write(many / "a.csv", ("photo", "label", "run"), *rows)
    found = read_list(config(path, target="label", groups="run"))
    run = {name: own for name, _, own in rows}
    assert found.beside["run"].tolist() == [run[each.id] for each in found.pictures]
    with pytest.raises(UsageError, match="'label' cannot also split the pictures"):
        read_list(config(path, target="label", groups="label"))
    with pytest.raises(DataError, match="did you mean 'run'"):
        read_list(config(path, target="label", groups="ruin"))


def test_a_changed_list_is_another_one(many):
    path = write(many / "a.csv", ("photo", "label"), *listed(many))
    before = read_list(config(path))
    write(path, ("photo", "label"), *((name, {"cats": "dogs", "dogs": "cats"}[label]) for name, label in listed(many)))
    assert read_list(config(path)).digests != before.digests


def test_new_pictures_are_found_by_a_list_of_them(many, monkeypatch):
    write(many / "new.csv", ("note", "photo"), ("a", "cats/1.png"), ("b", "cats/gone.png"))
    monkeypatch.chdir(many.parent)
    found, left = pictures_listed(Path("pets/new.csv"))
    assert found == [("pets/cats/1.png", str(many / "cats" / "1.png"))]
    assert [(each.id, each.reason) for each in left] == [("pets/new.csv:3", "there is no such file")]
    write(many / "none.csv", ("note", "x"), ("a", "b"))
    with pytest.raises(DataError, match=r"no column of .* names pictures beside it"):
        pictures_listed(many / "none.csv")
