"""`tame studies archive` and `import`: a study comes back as it was, and nothing else comes out of a file."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from command_line import tame_here
from tame.app.archive import MANIFEST, MOST_FILES, SCHEMA, archive, import_archive
from tame.core.errors import RefusedError, StorageError, TameError, UsageError
from tame.store.lease import hold
from tame.study.state import read_state

OLD = Path(__file__).parents[1] / "data" / "old_studies"


def unpacked(name: str, into: Path) -> Path:
    with zipfile.ZipFile(OLD / f"{name}.zip") as box:
        box.extractall(into)
    return next(path.parent for path in into.rglob("study.db"))


@pytest.fixture
def study(tmp_path):
    return unpacked("table", tmp_path / "own")


@pytest.mark.parametrize("name", ["table", "pictures", "stopped", "own"])
def test_a_study_comes_back_as_it_was_without_its_data(name, tmp_path):
    study = unpacked(name, tmp_path / "own")
    (study / "inputs.npy").write_bytes(b"data")
    (study / "tracking" / "wandb").mkdir(parents=True)
    found = archive(study, tmp_path / "one.zip")
    again = import_archive(tmp_path / "one.zip", tmp_path / "back")
    assert (again.study, again.files) == (str(tmp_path / "back"), found.files)
    assert read_state(tmp_path / "back")[1] == read_state(study)[1]
    names = {
        path.relative_to(tmp_path / "back").as_posix() for path in (tmp_path / "back").rglob("*") if path.is_file()
    }
    assert not names & {"inputs.npy", "report.html", "worker.log", "study.lock", "study.pid"}
    for each in names:
        assert (tmp_path / "back" / each).read_bytes() == (study / each).read_bytes()
        assert (tmp_path / "back" / each).stat().st_mode & 0o077 == 0
    assert (tmp_path / "one.zip").stat().st_mode & 0o077 == 0
    assert (tmp_path / "back").stat().st_mode & 0o077 == 0


def test_the_same_study_gives_the_same_archive(study, tmp_path):
    archive(study, tmp_path / "one.zip")
    archive(study, tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_the_command_line_says_where_it_is(study, tmp_path):
    done = tame_here("studies", "archive", study, "a.zip", cache=tmp_path, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "a.zip\n")
    assert "without data and report" in " ".join(done.stderr.split())
    done = tame_here("studies", "import", "a.zip", "--json", cache=tmp_path, cwd=tmp_path)
    assert json.loads(done.stdout)["study"] == "runs/table"
    again = tame_here("studies", "import", "a.zip", cache=tmp_path, cwd=tmp_path)
    assert again.returncode == 2
    assert "exists; give another --out" in again.stderr
    assert tame_here("verify", "runs/table", cache=tmp_path, cwd=tmp_path).returncode == 0


def test_what_cannot_be_archived_is_said(study, tmp_path):
    (tmp_path / "there.zip").write_bytes(b"")
    with pytest.raises(UsageError, match="exists; give another file name"):
        archive(study, tmp_path / "there.zip")
    with pytest.raises(UsageError, match="there is no folder"):
        archive(study, tmp_path / "no" / "way.zip")
    with pytest.raises(UsageError, match="is not a study"):
        archive(tmp_path, tmp_path / "a.zip")
    with hold(study), pytest.raises(StorageError, match="is being worked on by another tame process"):
        archive(study, tmp_path / "a.zip")
    (study / "split.csv").unlink()
    (study / "split.csv").symlink_to("/etc/hostname")
    with pytest.raises(RefusedError, match="is a link"):
        archive(study, tmp_path / "a.zip")
    (study / "study.db").rename(study / "store.json")
    with pytest.raises(UsageError, match="are on a server"):
        archive(study, tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()


class Forged:
    """Archives that no study gives, from the files of one that does."""

    def __init__(self, study: Path, folder: Path) -> None:
        archive(study, folder / "good.zip")
        with zipfile.ZipFile(folder / "good.zip") as box:
            self.files = {name: box.read(name) for name in box.namelist()}
        self.about = json.loads(self.files.pop(MANIFEST))
        self.path = folder / "forged.zip"

    def write(
        self, *more: tuple[zipfile.ZipInfo | str, bytes], how: int = zipfile.ZIP_STORED, honest: bool = True
    ) -> Path:
        names = {info if isinstance(info, str) else info.filename: content for info, content in more}
        if honest:
            every = {**self.files, **names}
            self.about["files"] = {name: hashlib.sha256(content).hexdigest() for name, content in every.items()}
        with zipfile.ZipFile(self.path, "w") as box:
            for name, content in self.files.items():
                box.writestr(name, content)
            for info, content in more:
                box.writestr(info, content)
            box.writestr(MANIFEST, json.dumps(self.about))
        return self.path


@pytest.fixture
def forged(study, tmp_path):
    return Forged(study, tmp_path)


def refused(file: Path, out: Path) -> TameError:
    """What an import says; it leaves nothing behind."""
    before = sorted(out.parent.iterdir())
    with pytest.raises(TameError) as problem:
        import_archive(file, out)
    assert sorted(out.parent.iterdir()) == before
    return problem.value


@pytest.mark.parametrize(
    "name",
    [
        "../evil", "/etc/evil", "model/../../evil", "model//x", "model/", "C:\\evil", "model\\evil", "inputs.npy",
        "model/a/b", "model/.hidden", "tracking/x", "study.lock", "report.html", "model/x\x00y", "checkpoints/ü",
    ],
)  # fmt: skip
def test_a_name_that_no_archive_holds_is_refused(forged, tmp_path, name):
    info = zipfile.ZipInfo("x")
    info.filename = info.orig_filename = name
    problem = refused(forged.write((info, b"x")), tmp_path / "out")
    assert isinstance(problem, RefusedError)
    assert "which no archive of a study holds" in str(problem)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_links_twins_and_what_unpacks_to_far_more_are_refused(forged, tmp_path):
    link = zipfile.ZipInfo("model/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert "which is a link or no file" in str(refused(forged.write((link, b"/etc/passwd")), tmp_path / "out"))
    assert "twice" in str(refused(forged.write(("config.json", b"{}")), tmp_path / "out"))
    bomb = zipfile.ZipInfo("model/bomb")
    bomb.compress_type = zipfile.ZIP_DEFLATED
    problem = refused(forged.write((bomb, bytes(10_000_000))), tmp_path / "out")
    assert "which unpacks to far more" in str(problem)
    assert isinstance(problem, RefusedError)
    other = zipfile.ZipInfo("model/other")
    other.compress_type = zipfile.ZIP_BZIP2
    assert "compressed in a way that is not used" in str(refused(forged.write((other, b"x" * 99)), tmp_path / "out"))


def test_sizes_that_are_lies_are_refused(forged, tmp_path):
    content = bytearray(forged.write().read_bytes())
    at = content.rfind(b"PK\1\2", 0, content.rfind(MANIFEST.encode()))
    before = content.rfind(b"PK\1\2", 0, at)
    content[before + 24 : before + 28] = struct.pack("<I", 2**32 - 2)  # of a file that is stored as it is
    forged.path.write_bytes(content)
    assert isinstance(refused(forged.path, tmp_path / "out"), RefusedError)


def test_lists_that_are_too_long_are_refused_before_they_are_read(forged, tmp_path):
    content = bytearray(forged.write().read_bytes())
    many = bytearray(content)
    many[-22 + 10 : -22 + 12] = struct.pack("<H", MOST_FILES + 2)
    forged.path.write_bytes(many)
    assert "an archive holds at most" in str(refused(forged.path, tmp_path / "out"))
    long = bytearray(content)
    long[-22 + 12 : -22 + 16] = struct.pack("<I", 2**31)
    forged.path.write_bytes(long)
    assert "larger than its files need" in str(refused(forged.path, tmp_path / "out"))
    forged.path.write_bytes(content[:-22] + b"PK\6\7" + bytes(16) + content[-22:])
    assert isinstance(refused(forged.path, tmp_path / "out"), RefusedError)
    with open(forged.path, "wb") as file:
        file.truncate(2**33)  # which takes no space
    assert isinstance(refused(forged.path, tmp_path / "out"), RefusedError)


def test_what_is_no_archive_is_said_to_be_none(tmp_path, study):
    text = tmp_path / "some.csv"
    text.write_text("a,b\n1,2\n")
    for content in (b"", b"PK", text.read_bytes(), (OLD / "table.zip").read_bytes()):
        text.write_bytes(content)
        problem = refused(text, tmp_path / "out")
        assert isinstance(problem, UsageError | RefusedError), content[:9]
    empty = io.BytesIO()
    with zipfile.ZipFile(empty, "w") as box:
        box.writestr("config.json", "{}")
    text.write_bytes(empty.getvalue())
    assert f"it holds no {MANIFEST}" in str(refused(text, tmp_path / "out"))
    with pytest.raises(UsageError, match="there is no file"):
        import_archive(tmp_path / "none.zip")


def test_a_manifest_that_says_otherwise_is_refused(forged, tmp_path):
    out = tmp_path / "out"
    forged.about["schema"] = "tame-archive/9"
    assert f"and this TAME reads {SCHEMA!r}" in str(refused(forged.write(), out))
    forged.about["schema"] = SCHEMA
    forged.about["files"].pop("config.json")
    assert "does not hold the files" in str(refused(forged.write(honest=False), out))
    forged.about["files"] = "many"
    assert isinstance(refused(forged.write(honest=False), out), StorageError)
    forged.about["files"] = {}
    del forged.files["study.db"]
    assert "holds no study.db" in str(refused(forged.write(), out))


def test_an_archive_that_was_damaged_anywhere_imports_nothing_wrong(study, tmp_path):
    archive(study, tmp_path / "good.zip")
    content = (tmp_path / "good.zip").read_bytes()
    wanted = read_state(study)[1]
    for place in range(0, len(content), len(content) // 40):
        (tmp_path / "bad.zip").write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        try:
            import_archive(tmp_path / "bad.zip", tmp_path / f"out{place}")
        except TameError:
            assert not (tmp_path / f"out{place}").exists()
        else:  # a byte that says nothing, such as of a date
            assert read_state(tmp_path / f"out{place}")[1] == wanted
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".tame-")]


def test_a_study_that_would_not_pass_verify_is_not_taken(forged, tmp_path):
    forged.files["model/model.safetensors"] += b"x"
    problem = refused(forged.write(), tmp_path / "out")
    assert isinstance(problem, StorageError)
    assert "model.safetensors is not the file that was delivered" in str(problem)
    assert ".import" not in str(problem)
    forged.files["study.db"] = b"SQLite format 3\0" + os.urandom(4096)
    assert isinstance(refused(forged.write(), tmp_path / "out"), TameError)


def test_a_name_that_leads_elsewhere_becomes_the_name_of_a_folder(forged, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, folder in (("../../evil", "runs/evil"), ("a b/c", "runs/a-b-c"), ("...", "runs/study")):
        forged.about["name"] = name
        assert import_archive(forged.write()).study == folder
