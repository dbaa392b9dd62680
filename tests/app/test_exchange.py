"""Studies from and to other programs: nothing is lost on the way, sources stay as they are, bad ones are refused."""

from __future__ import annotations

import json
import math
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution

import tame
from foreign_files import BASE, SPACE, digest, optuna_file, storage_of, study_at, with_storage, written
from tame.app.cli import main
from tame.app.exchange import export_optuna, import_trials, to_optuna
from tame.app.importance import what_mattered_in
from tame.app.run import fit_study, resume_study
from tame.app.show import state_json, study_table
from tame.core.config import StudyConfig
from tame.core.errors import RefusedError, StorageError, UsageError
from tame.core.records import Decision
from tame.study.earlier import MOST, best_recipes, explained
from tame.study.state import Silent, read_state


@pytest.fixture(scope="module", autouse=True)
def _quiet():
    """Optuna as it was found, for the tests of other files."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return study_at(tmp_path_factory.mktemp("exchange") / "earlier")


NOT_SQLITE = {"csv": "lr,value\n0.1,0.5\n0.2,0.4\n"}


def test_every_trial_is_an_optuna_trial_with_its_state_curve_and_parameters(folder: Path) -> None:
    study = to_optuna(folder)
    assert [t.state.name for t in study.trials] == ["COMPLETE", "COMPLETE", "PRUNED", "PRUNED", "FAIL", "COMPLETE"]
    assert study.direction.name == "MINIMIZE"
    history = read_state(folder)[1].history
    best = min(
        (t for t in history.trials.values() if t.origin != "finalist" and t.state == "complete"), key=lambda t: t.loss
    )
    assert study.best_value == best.loss == 0.3
    assert study.best_trial.user_attrs["number"] == best.number == 5
    assert study.trials[0].intermediate_values == {1: 0.9, 2: 0.8, 3: 0.7}
    assert study.trials[4].intermediate_values == {1: 0.9}
    assert study.trials[0].params == {"optimizer.name": "adamw", "optimizer.lr": 1e-2, "batch_size": 32}
    assert study.trials[1].params["optimizer.momentum"] == 0.9
    rate = study.trials[0].distributions["optimizer.lr"]
    assert rate == FloatDistribution(1e-3, 0.5, log=True)  # widened for the known good recipe
    attrs = study.trials[5].user_attrs
    assert (attrs["origin"], attrs["reason"], attrs["state"]) == ("sobol", "reason 5", "complete")
    assert attrs["recipe"]["model.depth"] == 3
    assert attrs["valid_metric"] == pytest.approx(0.7)


def test_runs_with_fresh_seeds_are_trials_only_where_they_are_asked_for(folder: Path) -> None:
    assert to_optuna(folder, finalists=True).best_value == 0.1
    assert len(to_optuna(folder, finalists=True).trials) == len(to_optuna(folder).trials) + 1
    assert tame.to_optuna(str(folder)).study_name == "earlier"
    with pytest.raises(UsageError, match="give a TAME study or its folder, not a int"):
        to_optuna(7)
    with pytest.raises(UsageError, match=r"the study folder .* does not exist"):
        to_optuna(folder / "none")


def test_optunas_plots_draw_it(folder: Path) -> None:
    pytest.importorskip("matplotlib").use("Agg")
    from optuna.visualization import matplotlib as plots

    study = to_optuna(folder)
    for draw in (plots.plot_parallel_coordinate, plots.plot_intermediate_values, plots.plot_slice):
        draw(study)


def test_neither_torch_nor_optunas_storages_are_loaded_where_they_are_not_needed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(NOT_SQLITE["csv"])
    code = (
        "import sys, tame\n"
        f"tame.import_trials({str(tmp_path / 't.csv')!r}, out={str(tmp_path / 'made')!r}, mode='min')\n"
        "assert 'optuna' not in sys.modules\n"
        f"assert tame.to_optuna({str(folder)!r}).best_value == 0.3\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_study_goes_to_a_file_of_optuna_and_comes_back_the_same(folder: Path, tmp_path: Path) -> None:
    path = export_optuna(folder, tmp_path / "a ?study.db")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    before = digest(path)
    found = import_trials(path, out=tmp_path / "back")
    assert digest(path) == before
    assert found.names == {name: name for name in sorted(SPACE.dimensions)}
    assert (found.metric, found.mode) == ("validation loss", "min")
    here, there = (read_state(each)[1].history for each in (folder, tmp_path / "back"))
    for n, m in enumerate((0, 1, 2, 3, 5)):  # the diverged one has no value
        own, other = there.trials[n], here.trials[m]
        assert own.loss == other.loss
        assert own.state == ("stopped" if other.state in ("stopped", "paused") else other.state)
        assert [p.valid_loss for p in own.curve.points] == [p.valid_loss for p in other.curve.points]
        assert own.best_epoch == other.best_epoch
        for name in ("optimizer.name", "optimizer.lr", "batch_size"):
            assert own.recipe.flat()[name] == other.recipe.flat()[name]
    again = to_optuna(tmp_path / "back")
    assert [t.params for t in again.trials] == [t.params for t in to_optuna(folder).trials if t.state.name != "FAIL"]
    assert again.best_value == 0.3
    with pytest.raises(UsageError, match="exists; give another file name"):
        export_optuna(folder, path)
    with pytest.raises(UsageError, match="there is no folder"):
        export_optuna(folder, tmp_path / "none" / "x.db")


@pytest.mark.parametrize("kind", ["sqlite", "address", "journal"])
def test_trials_of_optuna_become_a_history_by_well_known_names(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "trials.db"
    if kind == "journal":
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        with_storage(JournalStorage(JournalFileBackend(str(path))), direction="maximize")
    else:
        path.write_bytes(storage_of("maximize", "mine"))
    before = digest(path)
    found = import_trials(f"sqlite:///{path}" if kind == "address" else path, out=tmp_path / "made", metric="accuracy")
    assert digest(path) == before
    assert found.names == {
        "lr": "optimizer.lr", "n_layers": "model.depth", "opt": "own.opt", "dropout": "own.dropout",
    }  # fmt: skip
    assert (found.trials, found.metric, found.mode) == (5, "accuracy", "max")
    said = " ".join(found.notes)
    assert "dropout is own.dropout, not model.dropout: model.dropout must be at least 0 and below 1, got 1.0" in said
    assert "1 trial without a finite result" in said
    config, state = read_state(tmp_path / "made")
    trials = state.history.trials
    assert [t.state for t in trials.values()] == ["complete", "stopped", "complete", "complete", "stopped"]
    assert trials[0].loss == -0.9
    assert trials[0].recipe.optimizer.lr == 1.0
    assert trials[0].recipe.own["opt"] == "Adam"
    assert trials[2].recipe.own["opt"] == "none"
    assert trials[1].origin == "imported"
    assert "trial 1 of 'mine'" in trials[1].reason
    assert [p.epoch for p in trials[1].curve.points] == [1, 2]
    back = to_optuna(tmp_path / "made")
    assert back.direction.name == "MAXIMIZE"
    assert back.best_value == 0.9
    assert "model.depth" not in back.trials[2].params
    about = json.loads(
        json.dumps(state_json(tmp_path / "made", config, state, mattered=what_mattered_in(state)), allow_nan=False)
    )
    assert about["imported"]["kind"] == ("journal" if kind == "journal" else "optuna")
    assert about["mattered"]["mode"] == "max"
    assert about["mattered"]["importance"]["each"] == []
    study_table(state, mattered=what_mattered_in(state))


def test_names_are_taken_for_a_field_however_they_are_written_and_near_ones_are_asked_about(tmp_path: Path) -> None:
    names = ["LR", "lr", "Optimizer.Name", "Batch-Size", "weightDecay", "droput", "colour"]
    rows = [f"0.{i},0.0{i},Adam,{8 * i},0.0{i},0.{i},{'red' if i % 2 else 'blue'},{i}" for i in range(1, 9)]
    (tmp_path / "runs.csv").write_text("\n".join([",".join([*names, "value"]), *rows]))
    found = import_trials(tmp_path / "runs.csv", out=tmp_path / "made", mode="min")
    assert dict(found.names) == {
        "LR": "own.LR", "lr": "optimizer.lr", "Optimizer.Name": "optimizer.name", "Batch-Size": "batch_size",
        "weightDecay": "optimizer.weight_decay", "droput": "own.droput", "colour": "own.colour",
    }  # fmt: skip
    assert found.notes == (
        "LR is own.LR, not optimizer.lr: that is lr",
        "droput is own.droput; if you mean model.dropout, give --map droput=model.dropout",
    )
    kept = read_state(tmp_path / "made")[1].history.trials[0].recipe
    assert (kept.optimizer.name, kept.optimizer.lr) == ("Adam", 0.01), "values stay as they are written"
    with pytest.raises(UsageError, match=r"no recipe field named 'optimizer\.lrr'; did you mean 'optimizer\.lr'\?"):
        import_trials(tmp_path / "runs.csv", out=tmp_path / "b", mode="min", map={"lr": "optimizer.lrr"})


def test_imported_trials_cannot_go_on_and_the_error_says_what_to_do(tmp_path: Path) -> None:
    import_trials(optuna_file(tmp_path / "a.db"), out=tmp_path / "made")
    for act in (lambda: resume_study(tmp_path / "made", Silent()), lambda: tame.load(tmp_path / "made")):
        with pytest.raises(
            UsageError, match=r"contains imported trials, which cannot be continued; .* tame fit DATA --start"
        ):
            act()
    with pytest.raises(UsageError, match="already contains a study"):
        import_trials(tmp_path / "a.db", out=tmp_path / "made")


def test_the_best_recipes_of_a_study_come_first_and_differ(folder: Path) -> None:
    found = best_recipes(folder, "images")
    assert [each.origin for each in found] == [
        "trial 5 of the earlier study earlier, its best", "trial 1 of the earlier study earlier, its number 2",
        "trial 0 of the earlier study earlier, its number 3",
    ]  # fmt: skip
    assert found[0].changes["model.depth"] == 3
    assert not {"seed", "epochs"} & set(found[0].changes)
    other = best_recipes(folder, "table")  # on data of another kind
    assert {name.partition(".")[0] for name in other[0].changes} == {
        "optimizer",
        "schedule",
        "then",
        "regularize",
        "batch_size",
    }
    start = Decision("start", 3, "known to work on many tasks", 1, BASE, "portfolio")
    assert explained([start], {BASE.key(): "from before"})[0].reason == "from before"
    assert explained([start], {})[0] == start
    assert explained([Decision("start", 0, "x", 1, BASE, "default")], {BASE.key(): "y"})[0].reason == "x"


@pytest.mark.slow
def test_a_study_begins_with_what_an_earlier_one_found_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAME_CACHE", str(tmp_path / "cache"))
    rows = [f"{0.02 + i % 5 * 0.004},{'Lion' if i % 2 else 'AdamW'},{64 + i},{0.5 + i / 100}" for i in range(12)]
    (tmp_path / "runs.csv").write_text("\n".join(["lr,optimizer.name,n_trees,value", *rows]))
    import_trials(tmp_path / "runs.csv", out=tmp_path / "runs", mode="min", map={"n_trees": "own.trees"})
    data = [f"{math.sin(i)},{i % 7},{'yes' if math.sin(i) > 0 else 'no'}" for i in range(240)]
    (tmp_path / "data.csv").write_text("\n".join(["a,b,y", *data]))
    heard: list[str] = []

    class Notes(Silent):
        def note(self, text: str) -> None:
            heard.append(text)

    config = StudyConfig(
        data=str(tmp_path / "data.csv"), target="y", trials=2, epochs=1, folds=2, out=str(tmp_path / "new"),
        start_from=(str(tmp_path / "runs"),),
    )  # fmt: skip
    result = fit_study(config, Notes(), inline=True)
    trials = read_state(tmp_path / "new")[1].history.trials
    assert trials[0].origin == "default"
    assert (trials[1].origin, trials[1].recipe.optimizer.lr) == ("portfolio", 0.02)
    assert trials[1].reason == "trial 0 of the earlier study runs, its best"
    assert trials[1].recipe.optimizer.name == "adamw"
    assert "own.trees: the model of this study has no such argument" in " ".join(heard)
    (note,) = [each for each in heard if "with the names of this study" in each]
    assert note.endswith("with the names of this study: optimizer.name AdamW is adamw, optimizer.name Lion is lion")
    assert result.mattered is not None
    assert result.mattered.importance.n == 2
    wrong = replace(config, start_from=("none",), out=str(tmp_path / "b"))
    with pytest.raises(UsageError, match=r"the study folder .* does not exist"):
        fit_study(wrong, Silent(), inline=True)
    with pytest.raises(UsageError, match="--search random cannot start from recipes of earlier studies"):
        fit_study(replace(wrong, search="random"), Silent(), inline=True)
    assert not (tmp_path / "b").exists()
    assert MOST == 8
    assert StudyConfig.from_json(config.to_json()) == config


def test_the_commands_import_show_and_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    optuna_file(tmp_path / "a.db")
    monkeypatch.chdir(tmp_path)

    def tame_says(*arguments: str, rc: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["tame", *arguments])
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = capsys.readouterr()
        assert code == rc, said.err
        return said.out + said.err

    about = json.loads(tame_says("import", "a.db", "--out", "made", "--map", "opt=own.kind", "--json"))
    assert about["names"]["opt"] == "own.kind"
    assert "lr        optimizer.lr" in tame_says("import", "a.db", "--out", "other")
    assert "5 recipes" in tame_says("show", "made")
    assert json.loads(tame_says("show", "made", "--json"))["mattered"]["mode"] == "min"
    for command in ("resume", "report"):
        assert "cannot be continued" in tame_says(command, "made", rc=2)
    assert tame_says("export", "made", "--optuna", "b.db").strip() == "b.db"
    assert len(optuna.load_study(study_name="made", storage=f"sqlite:///{tmp_path / 'b.db'}").trials) == 5
    assert "already contains a study" in tame_says("import", "b.db", "--out", "made", rc=2)


def test_a_folder_that_cannot_be_made_is_refused_in_words(tmp_path: Path) -> None:
    table = written("lr,value\n0.1,0.5\n")(tmp_path / "a.csv")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StorageError, match=r"cannot create the folder .*a\.csv is not a folder"):
        import_trials(table, out=table / "made", mode="min")
    with pytest.raises(StorageError, match="link exists and is not a folder"):
        import_trials(table, out=tmp_path / "link", mode="min")


KILLED_WRITER = """
import os, sqlite3, sys
store = sqlite3.connect(sys.argv[1], isolation_level=None)
store.execute(f"PRAGMA journal_mode = {sys.argv[2]}")
store.execute("PRAGMA cache_size = 1")
store.execute("BEGIN IMMEDIATE")
store.execute("UPDATE trial_values SET value = value + 100")
store.execute("CREATE TABLE large (text)")
store.executemany("INSERT INTO large VALUES (?)", [("x" * 2000,)] * 500)
if sys.argv[2] == "wal":
    store.execute("COMMIT")
os._exit(0)
"""


@pytest.mark.parametrize(("mode", "added"), [("delete", 0.0), ("wal", 100.0)])
def test_an_optuna_file_whose_writer_was_killed_is_read_from_a_copy(
    folder: Path, tmp_path: Path, mode: str, added: float
) -> None:
    path = export_optuna(folder, tmp_path / "killed.db")
    whole = import_trials(path, out=tmp_path / "whole")
    subprocess.run([sys.executable, "-c", KILLED_WRITER, str(path), mode], check=True)
    beside = {each.name: digest(each) for each in tmp_path.glob("killed.db*")}
    assert len(beside) > 1, "a journal must be left, else this test shows nothing"
    import_trials(path, out=tmp_path / "again")
    assert {each.name: digest(each) for each in tmp_path.glob("killed.db*")} == beside
    before, after = (read_state(tmp_path / name)[1].history for name in ("whole", "again"))
    assert whole.metric
    assert [t.loss for t in after.trials.values()] == [t.loss + added for t in before.trials.values()]


def test_what_lies_beside_an_optuna_file_leads_nowhere(folder: Path, tmp_path: Path) -> None:
    path = export_optuna(folder, tmp_path / "odd.db")
    kept = tmp_path / "kept"
    kept.write_text("the user's own")
    for end in ("-journal", "-wal", "-shm"):
        (tmp_path / f"odd.db{end}").symlink_to(kept)
        with pytest.raises(RefusedError):
            import_trials(path, out=tmp_path / "out")
        (tmp_path / f"odd.db{end}").unlink()
    name = str(kept).encode()
    tail = name + len(name).to_bytes(4, "big") + sum(name).to_bytes(4, "big") + bytes.fromhex("d9d505f920a163d7")
    (tmp_path / "odd.db-journal").write_bytes(b"\0" * 512 + tail)
    with pytest.raises(RefusedError, match="names another journal"):
        import_trials(path, out=tmp_path / "out")
    assert kept.read_text() == "the user's own"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["kept", "odd.db", "odd.db-journal"]
