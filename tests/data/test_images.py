"""Folders of pictures: every bad file is skipped with its reason, every good one comes out upright and RGB."""

from __future__ import annotations

import csv
import os
import stat
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import pytest

from made_pictures import encode, fill, scene
from tame.core.errors import DataError
from tame.data.image_decoding import decode
from tame.data.images import Skipped, scan, write_skipped


def reasons(folder: Path) -> dict[str, str]:
    return {item.id: item.reason for item in scan(folder).skipped}


def test_class_folders_are_classes_in_the_order_of_their_names(pets):
    listing = scan(pets)
    assert listing.classes == ("cats", "dogs")
    assert [picture.id for picture in listing.pictures] == ["cats/0.png", "cats/1.png", "dogs/0.png", "dogs/1.png"]
    assert [picture.label for picture in listing.pictures] == [0, 0, 1, 1]
    assert {picture.part for picture in listing.pictures} == {""}
    assert listing.parts == listing.notes == listing.skipped == ()
    first = listing.pictures[0]
    assert first.path == str(pets.resolve() / "cats" / "0.png")
    assert first.size_bytes == Path(first.path).stat().st_size
    assert len(first.digest) == 32


@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("Train", "Validation", "Test"), ("training", "valid", "")]
)
def test_parts_are_honoured_under_their_usual_names(names, tmp_path):
    for name, part in zip(names, ("train", "val", "test"), strict=True):
        for number, animal in enumerate(("bees", "ants")):
            if name:
                fill(tmp_path / name / animal, seed=10 * number + len(part))
    listing = scan(tmp_path)
    assert listing.classes == ("ants", "bees")
    assert listing.parts == tuple(part for name, part in zip(names, ("train", "val", "test"), strict=True) if name)
    assert all(picture.part for picture in listing.pictures)


def test_a_folder_named_as_test_plays_no_other_part(tmp_path):
    for part in ("train", "val", "test"):
        fill(tmp_path / part / "ants")
        fill(tmp_path / part / "bees", seed=5)
    listing = scan(tmp_path, test="val")
    assert listing.parts == ("train", "test")
    assert {picture.part for picture in listing.pictures if picture.id.startswith("val/")} == {"test"}
    assert not any(picture.id.startswith("test/") for picture in listing.pictures)
    assert any("not used" in note and "test" in note for note in listing.notes)
    both = scan(tmp_path, val="test", test="val")
    assert both.parts == ("train", "val", "test")


def test_any_folder_beside_plain_classes_can_be_the_test(pets):
    fill(pets / "holdout" / "cats", seed=20)
    fill(pets / "holdout" / "dogs", seed=30)
    listing = scan(pets, test="holdout")
    assert listing.classes == ("cats", "dogs")
    assert listing.parts == ("train", "test")


def test_a_test_folder_beside_plain_classes_is_no_class(pets):
    fill(pets / "test" / "cats", seed=20)
    fill(pets / "test" / "dogs", seed=30)
    listing = scan(pets)
    assert listing.classes == ("cats", "dogs")
    assert listing.parts == ("train", "test")


def test_classes_may_be_called_like_parts(tmp_path):
    for seed, name in enumerate(("train", "car", "test")):
        fill(tmp_path / name, seed=10 * seed)
    listing = scan(tmp_path)
    assert listing.classes == ("car", "test", "train")
    assert listing.parts == ()


def test_an_unlabelled_test_folder_is_left_out_with_a_note(pets):
    fill(pets / "test")
    pets.rename(pets.parent / "all")
    top = pets.parent / "all"
    (top / "train").mkdir()
    for name in ("cats", "dogs"):
        (top / name).rename(top / "train" / name)
    listing = scan(top)
    assert listing.parts == ("train",)
    assert any("no class folders" in note for note in listing.notes)


def test_folders_inside_a_class_count_as_the_class(pets):
    fill(pets / "cats" / "tabby" / "young", count=3, seed=50)
    listing = scan(pets)
    assert listing.classes == ("cats", "dogs")
    assert sum(picture.label == 0 for picture in listing.pictures) == 5
    assert "3 pictures of class 'cats'" in listing.notes[0]


def test_a_folder_beside_the_parts_is_left_out_with_a_note(tmp_path):
    for folder in ("train", "extra"):
        fill(tmp_path / folder / "ants")
        fill(tmp_path / folder / "bees", seed=5)
    listing = scan(tmp_path)
    assert listing.parts == ("train",)
    assert listing.notes == (
        "not used, since they play no part: extra (name one of them with --val or --test to use it)",
    )


def test_what_systems_leave_behind_is_not_seen(pets):
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", ".hidden.jpg"):
        (pets / "cats" / name).write_bytes(b"x")
    fill(pets / "__MACOSX" / "cats")
    fill(pets / ".cache")
    listing = scan(pets)
    assert len(listing.pictures) == 4
    assert listing.skipped == listing.notes == ()


def test_files_that_are_no_pictures_by_name_are_counted_in_a_note_and_never_run(pets):
    for name in ("random.py", "csv.py", "torch.py"):
        (pets / name).write_text("raise SystemExit('was imported')")
        (pets / "cats" / name).write_text("raise SystemExit('was imported')")
    (pets / "cats" / "readme").write_text("hello")
    listing = scan(pets)
    assert len(listing.pictures) == 4
    assert listing.skipped == ()
    assert listing.notes == ("7 files are not pictures, by their extension: 6 .py, 1 without one",)
    code = (
        "import sys; from pathlib import Path; from tame.data.images import scan; print(len(scan(Path('.')).pictures))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=pets, capture_output=True, text=True, check=True)
    assert done.stdout == "4\n"


def test_reading_pictures_loads_no_torch():
    code = "import sys, tame.data.images; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_part_that_lacks_a_class_gets_a_note(tmp_path):
    for part, animals in (("train", "abc"), ("val", "ab")):
        for seed, name in enumerate(animals):
            fill(tmp_path / part / name, seed=seed)
    assert scan(tmp_path).notes == ("the part val lacks the classes c",)


def refused(folder: Path, **names: str) -> str:
    with pytest.raises(DataError) as caught:
        scan(folder, **names)
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_no_folder_a_file_and_a_loop_are_refused(tmp_path):
    assert "no folder" in refused(tmp_path / "nowhere")
    (tmp_path / "file.zip").write_bytes(b"x")
    assert "is a file" in refused(tmp_path / "file.zip")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "no folder" in refused(tmp_path / "loop")


def test_a_folder_without_pictures_is_refused_with_the_right_layout(tmp_path):
    assert "ants/1.jpg" in refused(tmp_path)
    for number in range(300):
        (tmp_path / f"empty{number}").mkdir()
    assert "300 folders contain no pictures" in refused(tmp_path)
    (tmp_path / "empty1" / "table.csv").write_text("a,b")
    assert "1 .csv" in refused(tmp_path)
    (tmp_path / "empty1" / "0.jpg").write_bytes(b"")
    assert "empty1/0.jpg: an empty file" in refused(tmp_path)


def test_pictures_without_class_folders_are_refused(tmp_path):
    assert "no class folders" in refused(fill(tmp_path / "flat"))
    fill(tmp_path / "parts" / "train")
    fill(tmp_path / "parts" / "val")
    assert "train/ holds no class folders" in refused(tmp_path / "parts")


def test_a_stray_picture_beside_class_folders_is_skipped(pets):
    (pets / "stray.png").write_bytes(encode(scene(99)))
    assert reasons(pets) == {"stray.png": "lies in no class folder"}


def test_one_class_is_refused_and_the_data_set_inside_is_offered(pets, tmp_path):
    message = refused(tmp_path)
    assert "only one class, 'pets'" in message
    assert f"did you mean {pets.resolve()}?" in message
    (pets / "dogs" / "0.png").write_bytes(b"")
    (pets / "dogs" / "1.png").write_bytes(b"")
    message = refused(pets)
    assert "only one class, 'cats'" in message
    assert "classes of which nothing can be read: dogs" in message


def test_a_part_that_is_not_there_is_refused_with_the_nearest_name(tmp_path):
    for part in ("train", "holdout"):
        fill(tmp_path / part / "ants")
        fill(tmp_path / part / "bees", seed=5)
    assert "did you mean 'holdout'?" in refused(tmp_path, test="hold_out")
    assert "no folder named '../x'" in refused(tmp_path, val="../x")
    assert "val and test" in refused(tmp_path, val="holdout", test="holdout")
    (tmp_path / "empty" / "ants").mkdir(parents=True)
    assert "the val folder holds no pictures" in refused(tmp_path, val="empty")


def test_parts_without_a_train_are_refused(tmp_path):
    for part in ("val", "test"):
        fill(tmp_path / part / "ants")
        fill(tmp_path / part / "bees", seed=5)
    assert "nothing to train on" in refused(tmp_path)


def test_two_folders_for_one_part_are_refused(tmp_path):
    for part in ("train", "val", "valid"):
        fill(tmp_path / part / "ants")
        fill(tmp_path / part / "bees", seed=5)
    assert "val, valid could each be the part val" in refused(tmp_path)
    assert scan(tmp_path, val="valid").parts == ("train", "val")


def test_a_class_that_only_the_test_has_is_refused(tmp_path):
    for part, animals in (("train", "ab"), ("test", "abz")):
        for seed, name in enumerate(animals):
            fill(tmp_path / part / name, seed=seed)
    assert "classes that lie in test but not in train: z" in refused(tmp_path)


@pytest.mark.parametrize("twins", [("cat", "Cat"), ("café", unicodedata.normalize("NFD", "café")), ("a", "a ")])
def test_classes_that_look_the_same_are_refused(twins, tmp_path):
    for seed, name in enumerate(twins):
        fill(tmp_path / name, seed=seed)
    if len(list(tmp_path.iterdir())) < 2:
        pytest.skip("this file system holds both names to be one")
    message = refused(tmp_path)
    assert all(ascii(name) in message for name in twins)


def test_names_of_any_bytes_become_printable_and_stay_unique(pets):
    names = [b"a\nb.png", b"a\\nb.png", b"q\"'.png", b"-rf.png", b"\xff\xfe.png", "\x80.png".encode(), b"%2e..%2f.png",
             "🐈.png".encode(), b"x" * 251 + b".png", b"CON.png", "\u202egnp.png".encode()]  # fmt: skip
    for number, name in enumerate(names):
        Path(os.fsdecode(os.fsencode(pets / "cats") + b"/" + name)).write_bytes(encode(scene(100 + number)))
    script = pets / "<img src=x onerror=alert(1)>.jpg"
    fill(script, seed=200)
    listing = scan(pets)
    ids = [picture.id for picture in listing.pictures]
    assert len(set(ids)) == len(ids) == 4 + len(names) + 2
    assert all(name.isprintable() for name in (*ids, *listing.classes))
    assert "cats/\\xff\\xfe.png" in ids
    assert all(decode(picture.path, shortest=8).shape == (8, 12, 3) for picture in listing.pictures)


def test_what_is_no_regular_file_is_skipped_without_waiting(pets, tmp_path):
    os.mkfifo(pets / "cats" / "pipe.jpg")
    (pets / "cats" / "self.jpg").symlink_to("self.jpg")
    (pets / "cats" / "gone.jpg").symlink_to("nowhere.jpg")
    (pets / "cats" / "zero.jpg").symlink_to("/dev/zero")
    (pets / "cats" / "passwd.jpg").symlink_to("/etc/passwd")
    (pets / "cats" / "up").symlink_to("..")
    fill(tmp_path / "pets-of-others")
    (pets / "cats" / "beside.png").symlink_to(tmp_path / "pets-of-others" / "0.png")
    (pets / "dogs" / "inside.png").symlink_to("../cats/0.png")
    (pets / "birds").symlink_to("cats")
    (pets / "cats" / "phone.heic").write_bytes(b"x")
    start = time.perf_counter()
    listing = scan(pets)
    assert time.perf_counter() - start < 30  # it waits for no writer, and reads no endless file
    found = {item.id: item.reason for item in listing.skipped}
    assert found.pop("cats/pipe.jpg") == "a pipe and not a file"
    assert found.pop("cats/phone.heic") == ".heic files cannot be read; convert it to JPEG or PNG"
    for name in ("self", "gone"):
        assert found.pop(f"cats/{name}.jpg") == "a link that leads nowhere"
    for name in ("zero.jpg", "passwd.jpg", "beside.png"):
        assert found.pop(f"cats/{name}") == "a link that leaves the data folder; such links are not followed"
    for name in ("cats/up", "birds"):
        assert found.pop(name) == "a link to a folder; such links are not followed"
    assert not found
    by_id = {picture.id: picture for picture in listing.pictures}
    assert by_id["dogs/inside.png"].digest == by_id["cats/0.png"].digest
    assert by_id["dogs/inside.png"].label == 1


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_files_and_folders_are_skipped(pets):
    (pets / "cats" / "0.png").chmod(0)
    (pets / "cats" / "inner").mkdir(mode=0)
    assert "Permission denied" in reasons(pets)["cats/0.png"]
    assert "Permission denied" in reasons(pets)["cats/inner"]


def test_a_file_beyond_the_size_limit_is_skipped_unread(pets):
    with open(pets / "cats" / "big.png", "wb") as file:
        file.truncate(100_000_001)
    assert reasons(pets) == {"cats/big.png": "100000001 bytes are beyond the limit of 100 MB"}


def test_skipped_files_are_listed_for_the_owner_in_a_csv_that_runs_no_formula(tmp_path):
    path = tmp_path / "skipped.csv"
    names = ["=cmd|' /C calc'!A0", "+1", "-rf.jpg", "@x", "\tx", "\rx", 'a"b,c', "plain.jpg", "é\udcff"]
    write_skipped(path, [Skipped(name, "truncated, twice") for name in names])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["picture", "reason"]
    assert [row[0] for row in rows[1:7]] == [f"'{name}" for name in names[:6]]
    assert [row[0] for row in rows[7:]] == ['a"b,c', "plain.jpg", "é\\udcff"]
    write_skipped(path, [])
    assert path.read_bytes() == b"picture,reason\r\n"


# Layouts that are not what is expected, each with the cure of its own


def test_labels_in_file_names_are_named(tmp_path):
    for number in range(3):
        for name in ("cat", "dog"):
            for folder in (tmp_path / "flat", tmp_path / "parts" / "train"):
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"{name}.{number}.png").write_bytes(encode(scene(number)))
    fill(tmp_path / "parts" / "test")
    for root in ("flat", "parts"):
        assert "their names begin with cat, dog" in refused(tmp_path / root)


def test_a_class_folder_is_not_the_data_and_its_parent_is_offered(pets):
    assert f"did you mean {pets.resolve()}, which holds the class folders cats, dogs?" in refused(pets / "cats")


def test_a_table_of_labels_beside_pictures_is_named(tmp_path):
    fill(tmp_path)
    (tmp_path / "labels.csv").write_text("id,label")
    assert "if labels.csv says what each shows" in refused(tmp_path)


@pytest.mark.parametrize(
    ("tops", "inner", "said"),
    [
        (
            ("ants", "bees"),
            ("train", "val"),
            "lie inside the classes ants, bees; put them outside, as train/ants/1.jpg",
        ),
        (("training_set", "test_set"), ("cats", "dogs"), "rename test_set to test, training_set to train"),
        (("2023", "2024"), ("cats", "dogs"), "which of them are the classes? Put the pictures of cats into one folder"),
    ],
)
def test_folders_that_all_hold_the_same_folders_are_not_taken_for_classes(tops, inner, said, tmp_path):
    for seed, top in enumerate(tops):
        for name in inner:
            fill(tmp_path / top / name, seed=seed)
    assert said in refused(tmp_path)


def test_a_class_of_a_part_that_is_spelt_otherwise_is_named(tmp_path):
    for part, animals in (("train", ("ants", "bees")), ("val", ("ant", "bees"))):
        for seed, name in enumerate(animals):
            fill(tmp_path / part / name, seed=seed)
    assert "did you mean ant to be ants?" in refused(tmp_path)


def test_what_no_picture_is_named_by_what_it_is(tmp_path):
    for name, content in (("a/1.heic", b"x"), ("b/2.heic", b"x")):
        (tmp_path / "heic" / name).parent.mkdir(parents=True)
        (tmp_path / "heic" / name).write_bytes(content)
    said = refused(tmp_path / "heic")
    assert "convert it to JPEG or PNG" in said
    assert "lay the pictures out" not in said
    for name, cure in (("data.csv", "if the data is a table"), ("123", "give the files the ending of what they are")):
        (tmp_path / name / "a").mkdir(parents=True)
        (tmp_path / name / "a" / name).write_bytes(b"x")
        assert cure in refused(tmp_path / name)
