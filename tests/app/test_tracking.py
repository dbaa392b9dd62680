"""Trackers: each is told the same, once; what fails stops no study; TensorBoard's files hold what the events say."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from command_line import tame_here
from tame.app.event_files import scalars
from tame.app.tracking.known import parse_trackers, untold
from tame.app.tracking.mlflow import _name
from tame.app.tracking.serve import without_password
from tame.app.tracking.telling import SCORE, Ledger, Telling
from tame.app.tracking.tracker import TRACKERS, Named
from tame.app.tracking.tracking import tracking, write_all
from tame.core.errors import StorageError, UsageError
from tame.core.recipe import Recipe
from tame.core.records import Decision, Event, Point, curve_event, decision_event, early_stop_event
from tame.study.record import open_record
from tame.study.state import Silent, state_of

OLD = Path(__file__).parents[1] / "data" / "old_studies"
STUDIES = ("table", "pictures", "stopped", "own")


def unpacked(name: str, into: Path) -> Path:
    with zipfile.ZipFile(OLD / f"{name}.zip") as archive:
        archive.extractall(into)
    return next(path.parent for path in into.rglob("study.db"))


def events_of(folder: Path) -> list[Event]:
    with closing(open_record(folder, read_only=True)) as record:
        return record.events()


class Recorder:
    """A tracker that keeps what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def start(self, run):
        self.calls.append(("start", run.trial, dict(run.params)))

    def measure(self, run, points):
        self.calls += [("measure", run.trial, each.epoch, dict(each.values)) for each in points]

    def end(self, run, state, final):
        self.calls.append(("end", run.trial, state, dict(final.values)))

    def score(self, values, *, at):
        self.calls.append(("score", dict(values)))

    def close(self): ...

    def of(self, what: str) -> list[tuple[object, ...]]:
        return [each[1:] for each in self.calls if each[0] == what]


def told(name: str, events: list[Event], folder: Path | None = None) -> Recorder:
    """What the tracker of that name is told of these events. folder: of its ledger."""
    recorder, kind = Recorder(), TRACKERS.get(name)
    with closing(Ledger(None if kind.is_made_again else folder, "told.jsonl")) as ledger:
        telling = Telling(recorder, kind, ledger)
        for event in events:
            telling.after(event)
    return recorder


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize("name", TRACKERS.names())
def test_a_tracker_is_told_what_the_events_say(name, study, tmp_path):
    folder = unpacked(study, tmp_path)
    with closing(open_record(folder, read_only=True)) as record:
        state = state_of(record)
    found = told(name, events_of(folder), tmp_path)
    trials, whole = state.history.trials, TRACKERS.get(name).is_whole
    over = {number for number, *_ in found.of("end")}
    assert [number for number, _ in found.of("start")] == sorted(over if whole else trials, key=_order(found))
    for number in over if whole else trials:
        own = trials[number]
        points = [point for point in own.curve.points if point.epoch > own.inherited]
        values = [(epoch, values) for trial, epoch, values in found.of("measure") if trial == number]
        assert [epoch for epoch, _ in values] == [point.epoch for point in points]
        for (_, told_values), point in zip(values, points, strict=True):
            given = {"train/loss": point.train_loss, "valid/loss": point.valid_loss,
                     f"valid/{state.metric}": point.valid_metric}  # fmt: skip
            assert told_values == {name: value for name, value in given.items() if value is not None}
    for number, ended, final in found.of("end"):
        own = trials[number]
        assert ended == own.state
        if own.judged is not None and own.judged.valid_loss is not None:
            assert final["final/valid/loss"] == own.judged.valid_loss
    assert bool(found.of("score")) == (state.result is not None)
    if state.result is not None:
        assert over == set(trials)
        assert found.of("score")[0][0][f"test/{state.result['metric']}"] == state.result["score"]["value"]


def _order(found: Recorder):
    order = [number for number, _ in found.of("start")]
    return order.index


@pytest.mark.parametrize("name", [name for name in TRACKERS.names() if not TRACKERS.get(name).is_made_again])
def test_a_tracker_that_was_interrupted_anywhere_is_told_the_rest_and_nothing_twice(name, tmp_path):
    events = events_of(unpacked("table", tmp_path))
    at_once = told(name, events)
    for cut in range(0, len(events), 7):
        ledger = tmp_path / f"{cut}"
        ledger.mkdir()
        parts = [told(name, events[:cut], ledger), told(name, events, ledger), told(name, events, ledger)]
        assert parts[2].calls == []
        for what in ("measure", "end", "score"):
            assert sorted(map(repr, parts[0].of(what) + parts[1].of(what))) == sorted(map(repr, at_once.of(what)))


@pytest.mark.parametrize("name", TRACKERS.names())
def test_a_copy_is_told_from_where_it_began_and_a_lost_trial_ends_as_diverged(name, tmp_path):
    recipe = Recipe().but({"epochs": 4})
    events = [
        decision_event(Decision("start", 0, "first", 2, recipe, "random")),
        curve_event(0, [Point(1, 0.9, 0.8, 0.5), Point(2, 0.7, 0.6, 0.6)]),
        decision_event(Decision("copy", 1, "better", 4, recipe.but({"optimizer.lr": 0.5}), "copy", source=0)),
        decision_event(Decision("stop", 0, "behind", 2)),
        curve_event(1, [Point(3, 0.5, 0.4, 0.7)]),
        early_stop_event(1, 3),
        decision_event(Decision("start", 2, "third", 2, recipe, "random")),
        curve_event(2, [Point(1, 0.9, None, None)]),
    ]
    found = told(name, [replace(event, id=number) for number, event in enumerate(events, 1)], tmp_path)
    points = [(trial, epoch) for trial, epoch, _ in found.of("measure")]
    assert sorted(points) == [(0, 1), (0, 2), (1, 3), (2, 1)]
    ends = {trial: (state, final.get("final/valid/loss")) for trial, state, final in found.of("end")}
    assert ends == {0: ("stopped", 0.6), 1: ("complete", 0.4), 2: ("diverged", None)}
    assert dict(found.of("start"))[1] == {"optimizer.lr": 0.5}


def test_a_ledger_that_ends_in_the_middle_of_a_line_is_read_up_to_there(tmp_path):
    (tmp_path / "told.jsonl").write_text('[3, 5, false]\n[4, 2, true]\n["x"]\n[[1]]\n[3, 9', encoding="utf-8")
    with closing(Ledger(tmp_path, "told.jsonl")) as ledger:
        assert ledger.epochs == {3: 5, 4: 2}
        assert ledger.over == {4}


def test_imported_trials_are_told_with_their_metric(tmp_path):
    (tmp_path / "earlier.csv").write_text("lr,batch,loss\n0.1,32,0.9\n0.01,64,0.5\n")
    done = tame_here("import", "earlier.csv", "--out", "earlier", "--metric", "loss", "--mode", "min",
                     cache=tmp_path, cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = told("tensorboard", events_of(tmp_path / "earlier"))
    assert found.of("start") == [
        (0, {"optimizer.lr": 0.1, "batch_size": 32}), (1, {"optimizer.lr": 0.01, "batch_size": 64}),
    ]  # fmt: skip
    assert [values for *_, values in found.of("end")] == [{"final/valid/loss": 0.9}, {"final/valid/loss": 0.5}]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["tensorbord"], "no tracker named 'tensorbord'; did you mean 'tensorboard'?"),
        (["tensorboard=http://127.0.0.1:1"], "tensorboard writes into the study's folder and sends nothing; leave out"),
        (["mlflow=127.0.0.1:5000"], "cannot read 'mlflow=127.0.0.1:5000': write mlflow=http://HOST:PORT"),
        (["mlflow="], "write mlflow=http://HOST:PORT"),
        (["tensorboard", "tensorboard"], "the tracker tensorboard is named twice"),
    ],
)
def test_a_tracker_that_cannot_be_is_refused_before_anything_is_made(given, said, tmp_path, monkeypatch):
    monkeypatch.setattr("tame.app.tracking.known.require_package", lambda kind: None)
    with pytest.raises(UsageError) as problem:
        parse_trackers(given)
    assert said in str(problem.value)
    words = [word for each in given for word in ("--track", each)]
    done = tame_here("fit", "no.csv", *words, cache=tmp_path, cwd=tmp_path)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", TRACKERS.names())
def test_a_missing_package_is_said_with_the_line_that_installs_it(name, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda package: None)
    kind = TRACKERS.get(name)
    with pytest.raises(UsageError, match=rf"this needs {kind.package}; install it with: pip install 'tame-ml\[{name}"):
        parse_trackers([name])


class Noted(Silent):
    """A watcher that keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text):
        self.notes.append(text)


def has(name: str) -> pytest.MarkDecorator:
    """Skips a test where the extra of a tracker is not installed."""
    there = TRACKERS.get(name)
    return pytest.mark.skipif(
        importlib.util.find_spec(there.package) is None, reason=f"the extra {there.extra} is not installed"
    )


def tracked(study: Path, *names: str, into: str | None = None) -> list[str]:
    """What is noted while these trackers are told of a study. into: an address for the last."""
    watcher = Noted()
    named = [Named(name) for name in names[:-1]] + [Named(names[-1], into)]
    with tracking(study, named, watcher):
        pass
    return watcher.notes


@has("tensorboard")
def test_the_files_of_tensorboard_hold_the_curves_and_both_ways_write_the_same(tmp_path):
    study = unpacked("table", tmp_path / "one")
    assert tracked(study, "tensorboard") == []
    own = study / "tracking" / "tensorboard"
    first = contents(own)
    assert tracked(study, "tensorboard") == []
    written = write_all(study, Named("tensorboard"), tmp_path / "two")
    assert contents(own) == contents(written) == first
    with closing(open_record(study, read_only=True)) as record:
        state = state_of(record)
    for number, trial in state.history.trials.items():
        [file] = (own / f"trial-{number:05d}").iterdir()
        found, is_cut = scalars(file.read_bytes(), file.name)
        losses = [(each.step, each.value) for each in found if each.tag == "valid/loss"]
        assert not is_cut
        assert losses == [(p.epoch, pytest.approx(p.valid_loss, rel=1e-6)) for p in trial.curve.points]
    assert file.stat().st_mode & 0o077 == 0
    assert untold(study, []) == ["tensorboard"]


@has("tensorboard")
def test_hyperparameters_stand_where_tensorboard_looks_for_them(tmp_path):
    code = """
import sys
sys.modules["torch"] = None
from tensorboardX.proto import event_pb2, plugin_hparams_pb2
import struct
data, found = open(sys.argv[1], "rb").read(), []
while data:
    (length,) = struct.unpack("<Q", data[:8])
    event = event_pb2.Event.FromString(data[12 : 12 + length])
    for value in event.summary.value:
        if value.metadata.plugin_data.plugin_name == "hparams":
            about = plugin_hparams_pb2.HParamsPluginData.FromString(value.metadata.plugin_data.content)
            found.append((value.tag, sorted(about.session_start_info.hparams), about.session_end_info.status))
    data = data[16 + length :]
print(found)
"""
    written = write_all(unpacked("table", tmp_path / "one"), Named("tensorboard"), tmp_path / "two")
    [file] = (written / "trial-00001").iterdir()
    done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True)
    assert "_hparams_/session_start_info" in done.stdout, done.stderr
    assert "'optimizer.lr'" in done.stdout
    assert "('_hparams_/session_end_info', [], 1)" in done.stdout


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@has("tensorboard")
def test_a_tracker_that_fails_is_said_once_and_stops_nothing(tmp_path):
    study = unpacked("table", tmp_path)
    (study / "tracking" / "tensorboard" / "trial-00001").mkdir(parents=True)
    (study / "tracking" / "tensorboard" / "study").symlink_to(tmp_path)
    [note] = tracked(study, "tensorboard")
    assert "tensorboard is told no more" in note
    assert "is a link" in note
    assert "tame resume" in note
    assert (tmp_path / study.name / "study.db").exists()


@has("tensorboard")
def test_nothing_is_written_where_something_lies(tmp_path):
    study = unpacked("table", tmp_path / "one")
    for words, code, said in (
        (("export", study, "--tensorboard", tmp_path / "one"), 2, "holds something already"),
        (("export", study, "--tensorboard", tmp_path / "no" / "way"), 2, "there is no folder"),
        (("export", study, "--tensorboard", tmp_path / "a", "--optuna", "b"), 2, "give one thing to write"),
        (("export", tmp_path, "--tensorboard", tmp_path / "a"), 2, "is not a study"),
        (("export", study, "--tensorboard", study / "study.db"), 2, "cannot be made"),
    ):
        done = tame_here(*words, cache=tmp_path)
        assert done.returncode == code, words
        assert said in " ".join(done.stderr.split())
    shutil.rmtree(study)
    with pytest.raises(StorageError, match="is not complete"):
        write_all(study, Named("tensorboard"), tmp_path / "c")


@pytest.mark.slow
@has("mlflow")
def test_mlflow_holds_each_trial_once_however_often_it_is_told(tmp_path):
    study = unpacked("table", tmp_path)
    for _ in range(2):
        assert tracked(study, "mlflow") == []
    with closing(sqlite3.connect(study / "tracking" / "mlflow" / "mlflow.db")) as found:
        runs = found.execute("select name, status from runs").fetchall()
        points = found.execute("select count(*) from metrics where key = 'valid/loss'").fetchone()[0]
        [score] = found.execute("select value from metrics where key = 'test/rmse'").fetchone()
    with closing(open_record(study, read_only=True)) as record:
        state = state_of(record)
    assert len(runs) == len(state.history.trials) + 1
    assert {status for _, status in runs} == {"FINISHED"} or any(t.state == "paused" for t in state.history.having())
    assert points == state.epochs
    assert score == state.result["score"]["value"]


@pytest.mark.slow
@has("mlflow")
def test_a_server_that_is_down_is_said_once(tmp_path):
    study = unpacked("table", tmp_path)
    [note] = tracked(study, "mlflow", into="http://127.0.0.1:9")
    assert note.startswith("mlflow is told no more: ")
    assert f"tame resume {study} --track mlflow=..." in note


@pytest.mark.slow
@has("wandb")
def test_offline_runs_of_wandb_lie_in_the_study_and_send_nothing(tmp_path):
    study = unpacked("table", tmp_path)
    assert tracked(study, "wandb") == []
    runs = sorted((study / "tracking" / "wandb" / "wandb").glob("offline-run-*/*.wandb"))
    with closing(open_record(study, read_only=True)) as record:
        trials = state_of(record).history.trials
    assert len(runs) == len(trials) + 1
    assert not any(path.is_symlink() for path in study.rglob("*"))
    whole = b"".join(path.read_bytes() for path in runs)
    assert b"valid/loss" in whole
    assert b"test/rmse_low" in whole
    assert tracked(study, "wandb") == []
    assert len(list((study / "tracking" / "wandb" / "wandb").glob("offline-run-*"))) == len(runs)


@pytest.mark.slow
@has("trackio")
def test_trackio_keeps_its_runs_in_the_study(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_SERVER_URL", "http://127.0.0.1:9")  # what the user did not name here is not used
    study = unpacked("table", tmp_path)
    assert tracked(study, "trackio") == []
    [file] = (study / "tracking" / "trackio").glob("*.db")
    with closing(sqlite3.connect(file)) as found:
        rows = [json.loads(row) for (row,) in found.execute("select metrics from metrics")]
        names = {name for (name,) in found.execute("select distinct run_name from metrics")}
    with closing(open_record(study, read_only=True)) as record:
        state = state_of(record)
    assert len(names) == len(state.history.trials) + 1
    assert sum("valid/loss" in row for row in rows) == state.epochs
    with closing(Ledger(study / "tracking" / "trackio", "told.jsonl")) as ledger:
        assert SCORE in ledger.over


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://me:secret@127.0.0.1:9", "no way to http://127.0.0.1:9/api"),
        ("http://127.0.0.1:9", "no way to http://me:secret@127.0.0.1:9/api"),
        (None, "no way to http://me:secret@127.0.0.1:9/api"),
    ],
)
def test_a_password_in_an_address_is_not_told_again(address, said):
    assert without_password("no way to http://me:secret@127.0.0.1:9/api", address) == said


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("valid/accuracy", "valid/accuracy"), ("valid/", "valid"), ("valid/../../x", "valid/x"),
        ("valid//x", "valid/x"), ("valid/R² (%)", "valid/R² ___"), ("valid/a\nb", "valid/a_b"), ("/./", "value"),
        ("x" * 300, "x" * 250),
    ],
)  # fmt: skip
def test_a_metric_of_another_program_gets_a_name_that_mlflow_takes(name, taken):
    assert _name(name) == taken


@pytest.mark.slow
@has("tensorboard")
def test_a_study_is_told_while_it_runs(tmp_path):
    rows = "".join(f"{n % 7},{n % 3},{'yes' if n % 7 > 3 else 'no'}\n" for n in range(120))
    (tmp_path / "some.csv").write_text(f"width,height,label\n{rows}", encoding="utf-8")
    done = tame_here(
        "fit", "some.csv", "--target", "label", "--trials", "2", "--epochs", "2", "--out", "one", "--track",
        "tensorboard", cache=tmp_path, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "told no more" not in done.stderr
    own = contents(tmp_path / "one" / "tracking" / "tensorboard")
    assert own == contents(write_all(tmp_path / "one", Named("tensorboard"), tmp_path / "two"))
    assert any(name.startswith("study/") for name in own)
    assert tame_here("verify", "one", cache=tmp_path, cwd=tmp_path).returncode == 0


@has("tensorboard")
def test_a_tracker_that_is_late_at_the_end_is_left_behind_and_said(tmp_path):
    study, watcher = unpacked("table", tmp_path), Noted()
    with tracking(study, [Named("tensorboard")], watcher, most_s=0.0):
        pass
    [note] = watcher.notes
    assert note.startswith("tensorboard takes longer than 0 s; tell it what is missing with: tame resume ")
    assert tracked(study, "tensorboard") == []
