"""`tame studies`: a list of what is there, whatever lies beside it, and two studies beside each other."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from command_line import tame_here
from tame.app.studies import list_studies
from tame.study.events import Ended, Stopped, event_of
from tame.study.record import open_record
from tame.study.state import read_state

OLD = Path(__file__).parents[1] / "data" / "old_studies"


def unpacked(name: str, runs: Path, new: str) -> Path:
    with zipfile.ZipFile(OLD / f"{name}.zip") as box:
        box.extractall(runs.parent / new)
    found = next(path.parent for path in (runs.parent / new).rglob("study.db"))
    runs.mkdir(exist_ok=True)
    return found.rename(runs / new)


def keep(study: Path, *events) -> None:
    record = open_record(study, read_only=False)
    list(record.each())
    record.append([event_of(each) for each in events])
    record.close()


def test_a_list_says_of_each_study_what_it_is(tmp_path):
    runs = tmp_path / "runs"
    table = unpacked("table", runs, "table-0001")
    keep(unpacked("stopped", runs, "stopped-0001"), Stopped())
    keep(unpacked("stopped", runs, "failed-0001"), Ended(why="all diverged", code=4))
    unpacked("stopped", runs, "stopped-0002").joinpath("study.db").write_bytes(b"no database")
    (runs / "no-study").mkdir()
    (runs / "link-0001").symlink_to(table)
    (runs / "note.txt").write_text("a note")
    done = tame_here("studies", runs, "--json", cache=tmp_path)
    assert done.returncode == 0, done.stderr
    found = {each["name"]: each for each in json.loads(done.stdout)["studies"]}
    states = {name: each["state"] for name, each in found.items()}
    assert states == {
        "table-0001": "finished", "stopped-0001": "stopped", "failed-0001": "failed", "stopped-0002": "unreadable",
    }  # fmt: skip
    score, own = read_state(table)[1].result["score"], found["table-0001"]
    assert (own["score"]["value"], own["score"]["low"], own["score"]["high"]) == (
        score["value"], score["low"], score["high"],
    )  # fmt: skip
    assert (own["kind"], own["task"]) == ("table", "regression")
    assert own["size_bytes"] == sum(path.stat().st_size for path in table.rglob("*") if path.is_file())
    assert own["changed_at"].endswith("+00:00")
    assert found["stopped-0002"]["problem"]
    shown = tame_here("studies", "list", runs, cache=tmp_path).stdout
    assert all(len(line) <= 80 for line in shown.splitlines())
    assert "ended without a result" in " ".join(shown.split())
    assert own["score"]["words"].split()[1] in shown


def test_a_list_of_nothing_is_no_error_and_a_folder_that_is_missing_is(tmp_path):
    done = tame_here("studies", cache=tmp_path, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "no studies in runs\n")
    done = tame_here("studies", tmp_path / "none", cache=tmp_path)
    assert done.returncode == 2
    assert "does not exist" in done.stderr


def test_a_study_that_waits_for_its_process_is_told_from_one_that_has_ended(tmp_path):
    study = unpacked("stopped", tmp_path / "runs", "one")
    [found] = list_studies(tmp_path / "runs")
    assert (found.state, found.score) == ("stopped" if read_state(study)[1].stopped else "killed", None)


def test_two_studies_are_compared_as_on_the_pages(tmp_path):
    runs = tmp_path / "runs"
    a, b = unpacked("table", runs, "a"), unpacked("table", runs, "b")
    done = tame_here("studies", "compare", a, b, "--json", cache=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["fits"]
    assert found["words"].startswith("No real difference was shown")
    shown = tame_here("studies", "compare", a, b, cache=tmp_path).stdout
    assert "No real difference was shown" in " ".join(shown.split())
    other = unpacked("pictures", runs, "c")
    apart = tame_here("studies", "compare", a, other, cache=tmp_path)
    assert apart.returncode == 0
    assert "cannot be compared" in " ".join(apart.stdout.split())


@pytest.mark.parametrize(
    ("name", "said"), [("stopped", "is not finished; continue it with: tame resume"), ("none", "does not exist")]
)
def test_what_cannot_be_compared_is_refused(tmp_path, name, said):
    runs = tmp_path / "runs"
    a = unpacked("table", runs, "a")
    b = unpacked(name, runs, "b") if name != "none" else runs / "none"
    done = tame_here("studies", "compare", a, b, cache=tmp_path)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
