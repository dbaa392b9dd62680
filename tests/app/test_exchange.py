"""Studies from and to other programs: nothing is lost on the way, sources stay as they are, bad ones are refused."""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import optuna
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

import tame
from tame.app.cli import main
from tame.app.exchange import export_optuna, import_trials, parse_map, to_optuna
from tame.app.run import fit_study, resume_study
from tame.app.show import state_json, study_table
from tame.core.config import StudyConfig
from tame.core.errors import DataError, StorageError, TameError, UsageError
from tame.core.recipe import Recipe
from tame.core.records import Decision, Event, Point, curve_event, decision_event
from tame.core.space import Choice, Float, Space
from tame.study.earlier import MOST, best_recipes, explained
from tame.study.session import begin
from tame.study.state import Silent, read_state


@pytest.fixture(scope="module", autouse=True)
def _quiet():
    """Optuna as it was found, for the tests of other files."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(before)


SPACE = Space(
    {
        "optimizer.name": Choice("adamw", "sgd"),
        "optimizer.lr": Float(1e-3, 1e-1, log=True),
        "optimizer.momentum": Float(0.0, 0.9, when={"optimizer.name": "sgd"}),
        "batch_size": Choice(32, 64),
    }
)
BASE = Recipe().but({"model.name": "mlp", "epochs": 3, "optimizer.lr": 1e-2})
NOT_SQLITE = {"csv": "lr,value\n0.1,0.5\n0.2,0.4\n"}


def trial(
    number: int, changes: dict[str, Any], losses: list[float | None], end: str, origin: str = "sobol"
) -> list[Event]:
    """The events of a trial that ends so."""
    points = [Point(i, 0.1, loss, None if loss is None else 1 - loss) for i, loss in enumerate(losses, 1)]
    recipe = BASE.but(changes)
    found = [
        decision_event(Decision("start", number, f"reason {number}", 1, recipe, origin)),
        curve_event(number, points),
    ]
    if end != "diverged":
        found.append(decision_event(Decision(end, number, "the end", len(losses))))  # type: ignore[arg-type]
    return found


def study_at(folder: Path) -> Path:
    """A study that was not trained: its trials end in every way there is."""
    with begin(StudyConfig(data=str(folder / "x.csv"), out=str(folder)), Silent()) as study:
        study.keep(
            Event("plan", {"base": BASE.flat(), "space": SPACE.to_json()}),
            *trial(0, {}, [0.9, 0.8, 0.7], "complete", "default"),
            *trial(1, {"optimizer.lr": 0.5, "optimizer.name": "sgd"}, [0.8, 0.6, 0.5], "complete", "portfolio"),
            *trial(2, {"optimizer.lr": 0.003}, [0.85], "stop"),
            *trial(3, {"batch_size": 64}, [0.82, 0.75], "pause"),
            *trial(4, {"optimizer.lr": 0.09}, [0.9, None], "diverged"),
            *trial(5, {"optimizer.lr": 0.02, "model.depth": 3}, [0.7, 0.3, 0.45], "complete"),
            Event("early_stop", {"trial": 5, "best": 2, "reason": "the weights of epoch 2 were the best"}),
            *trial(6, {"seed": 9}, [0.5, 0.2, 0.1], "complete", "finalist"),
        )
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return study_at(tmp_path_factory.mktemp("exchange") / "earlier")


def optuna_file(path: Path) -> Path:
    """An Optuna storage with complete, pruned and failed trials of a study named mine."""
    path.write_bytes(storage_of("minimize", "mine"))
    return path


@cache
def storage_of(direction: str, *names: str) -> bytes:
    """An SQLite file of Optuna with these studies, made once."""
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            with_storage(f"sqlite:///{folder}/made.db", direction=direction, name=name)
        return Path(folder, "made.db").read_bytes()


def with_storage(storage: Any, *, direction: str, name: str = "mine") -> None:
    study = optuna.create_study(storage=storage, direction=direction, study_name=name)
    dists = {
        "lr": FloatDistribution(1e-4, 1.0, log=True), "n_layers": IntDistribution(1, 4),
        "opt": CategoricalDistribution(("Adam", "SGD", None)), "dropout": FloatDistribution(0.0, 1.0),
    }  # fmt: skip
    for i in range(6):
        params = {"lr": 10.0 ** -(i % 4), "n_layers": 1 + i % 4, "opt": ("Adam", "SGD", None)[i % 3], "dropout": i / 5}
        if i == 2:
            del params["n_layers"]
        state = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.COMPLETE, TrialState.FAIL)[i % 4]
        study.add_trial(
            optuna.trial.create_trial(
                state=state, value=0.9 - 0.1 * i if state == TrialState.COMPLETE else None, params=params,
                distributions={k: dists[k] for k in params},
                intermediate_values={0: 0.95 - 0.1 * i, 1: 0.9 - 0.1 * i} if i % 2 else {},
            )
        )  # fmt: skip
    if not isinstance(storage, str):
        return
    study._storage._backend.engine.dispose()  # type: ignore[attr-defined]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


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
    with pytest.raises(UsageError, match="give a study of TAME or its folder, got a int"):
        to_optuna(7)
    with pytest.raises(UsageError, match="no study folder"):
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
    with pytest.raises(UsageError, match="exists; name another file"):
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
    about = json.loads(json.dumps(state_json(tmp_path / "made", config, state), allow_nan=False))
    assert about["imported"]["kind"] == ("journal" if kind == "journal" else "optuna")
    assert about["mattered"]["mode"] == "max"
    assert about["mattered"]["importance"]["each"] == []
    study_table(state)


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
        "droput is own.droput; if model.dropout is meant, say --map droput=model.dropout",
    )
    kept = read_state(tmp_path / "made")[1].history.trials[0].recipe
    assert (kept.optimizer.name, kept.optimizer.lr) == ("Adam", 0.01), "values stay as they are written"
    with pytest.raises(UsageError, match=r"no recipe field named 'optimizer\.lrr'; did you mean 'optimizer\.lr'\?"):
        import_trials(tmp_path / "runs.csv", out=tmp_path / "b", mode="min", map={"lr": "optimizer.lrr"})


def test_a_table_of_results_is_read_by_its_columns(tmp_path: Path) -> None:
    rows = ["learning_rate,Batch,hidden units,act,note,err"]
    rows += [
        f"{10 ** -(1 + i % 4)},{32 << (i % 3)},{8 + i},{'relu' if i % 2 else 'gelu'},{'x' if i else ''},{1 / (i + 1)}"
        for i in range(30)
    ]
    (tmp_path / "runs.csv").write_text("\n".join([*rows, "0.1,32,8,relu,x,nan", "0.1,32,8,relu,x,"]) + "\n")
    found = import_trials(tmp_path / "runs.csv", out=tmp_path / "made", metric="err", mode="min")
    assert found.names == {
        "learning_rate": "optimizer.lr", "Batch": "batch_size", "hidden units": "own.hidden_units", "act": "own.act",
        "note": "own.note",
    }  # fmt: skip
    assert found.trials == 30
    assert found.notes == ("2 trials without a finite result, or that had not ended well: left out",)
    _, state = read_state(tmp_path / "made")
    space = Space.from_json(state.imported.space)
    assert space.dimensions["optimizer.lr"] == Choice(1e-4, 1e-3, 1e-2, 1e-1)
    assert space.dimensions["batch_size"] == Choice(32, 64, 128)
    assert to_optuna(tmp_path / "made").best_value == pytest.approx(1 / 30)
    about = state_json(tmp_path / "made", StudyConfig(data="x"), state)["mattered"]
    assert about["importance"]["n"] == 30
    assert {one["name"] for one in about["importance"]["each"]} >= {"optimizer.lr", "own.hidden_units"}


@pytest.mark.parametrize(("words", "taken"), [(("complete", "FAIL", "Pruned"), 2), (("Ohio", "Utah", "Iowa"), 3)])
def test_a_column_of_states_is_heeded_in_any_table_unless_it_holds_other_words(tmp_path: Path, words, taken) -> None:
    rows = [f"{10.0 ** -(1 + i % 4)},{words[i % 3]},{i}" for i in range(30)]
    (tmp_path / "t.csv").write_text("\n".join(["lr,state,value", *rows]) + "\n")
    found = import_trials(tmp_path / "t.csv", out=tmp_path / "made", mode="min")
    assert found.trials == 10 * taken
    assert ("state" in found.names) is (taken == 3)


def test_a_table_that_optuna_wrote_is_read_by_its_parameters_and_states(tmp_path: Path) -> None:
    rows = ["0,0.5,0.1,1,COMPLETE", "1,0.4,0.2,2,PRUNED", "2,,0.3,3,FAIL", "3,0.1,0.4,4,RUNNING"]
    (tmp_path / "t.csv").write_text("\n".join(["number,value,params_lr,params_x,state", *rows]) + "\n")
    found = import_trials(tmp_path / "t.csv", out=tmp_path / "made", mode="max", map={"x": "model.width"})
    assert found.names == {"lr": "optimizer.lr", "x": "model.width"}
    trials = read_state(tmp_path / "made")[1].history.trials
    assert [(t.state, t.loss, t.recipe.model.width) for t in trials.values()] == [
        ("complete", -0.5, 1), ("stopped", -0.4, 2),
    ]  # fmt: skip


def damaged(path: Path) -> Path:
    optuna_file(path)
    data = bytearray(path.read_bytes())
    data[4096:12288] = b"\x7f" * 8192
    path.write_bytes(bytes(data))
    return path


def torn(path: Path) -> Path:
    path.write_bytes(optuna_file(path).read_bytes()[:20_000])
    return path


def of_others(path: Path) -> Path:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE trials (x)")
    connection.close()
    return path


def of_views(path: Path) -> Path:
    with sqlite3.connect(optuna_file(path)) as connection:
        connection.execute("ALTER TABLE trial_params RENAME TO own")
        connection.execute("CREATE VIEW trial_params AS SELECT * FROM own")
    connection.close()
    return path


def of_odd_distributions(path: Path) -> Path:
    with sqlite3.connect(optuna_file(path)) as connection:
        connection.execute("""UPDATE trial_params SET distribution_json = '{"name": "Evil", "attributes": {}}'""")
    connection.close()
    return path


def changed(statement: str, *values: Any) -> Callable[[Path], Path]:
    """A storage in which one row is not as Optuna writes it."""

    def write(path: Path) -> Path:
        with sqlite3.connect(optuna_file(path)) as connection:
            connection.execute("PRAGMA ignore_check_constraints = ON")
            assert connection.execute(statement, values).rowcount > 0
        connection.close()
        return path

    return write


def distribution(name: str, **attributes: Any) -> Callable[[Path], Path]:
    text = json.dumps({"name": name, "attributes": attributes})
    return changed("UPDATE trial_params SET distribution_json = ? WHERE param_name = 'lr'", text)


DEEP = "[" * 100_000
STEP = "UPDATE trial_intermediate_values SET step = 'x' WHERE trial_intermediate_value_id = 1"


def of_two_objectives(path: Path) -> Path:
    study = optuna.create_study(storage=f"sqlite:///{path}", directions=["minimize", "maximize"], study_name="two")
    study._storage._backend.engine.dispose()  # type: ignore[attr-defined]
    return path


def of_none_finished(path: Path) -> Path:
    study = optuna.create_study(storage=f"sqlite:///{path}", study_name="begun")
    study.ask()
    study._storage._backend.engine.dispose()  # type: ignore[attr-defined]
    return path


def of_several(path: Path) -> Path:
    path.write_bytes(storage_of("minimize", "first one", "second one"))
    return path


def written(text: str) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        path.write_text(text)
        return path

    return write


LOG = '{"op_code":0,"worker_id":"w","study_name":"j","directions":[1]}\n'


@pytest.mark.parametrize(
    ("make", "options", "error", "said"),
    [
        (damaged, {}, DataError, "damaged|no database that can be read"),
        (torn, {}, DataError, "damaged|no database that can be read"),
        (of_others, {}, DataError, "a database, but not an Optuna storage of version 3 or later"),
        (of_views, {}, DataError, "it has no table 'trial_params'"),
        (of_odd_distributions, {}, DataError, "holds a distribution that cannot be read"),
        (changed("UPDATE trials SET number = 'x' WHERE trial_id = 1"), {}, DataError, "number of a trial is 'x'"),
        (changed(STEP), {}, DataError, "a step is 'x', no whole number"),
        (changed("UPDATE studies SET study_name = ?", b"\xff"), {}, DataError, "the name of a study is b'.xff'"),
        (changed("UPDATE trial_params SET param_name = ? WHERE param_id = 1", b"\xff"), {}, DataError, "parameter is"),
        (changed("UPDATE trial_params SET distribution_json = ?", DEEP), {}, DataError, "cannot be read .Recursion"),
        (changed("UPDATE trial_params SET param_value = 9e999 WHERE param_name = 'lr'"), {}, DataError, "in no range"),
        (distribution("FloatDistribution", low=math.nan, high=math.nan, log=False, step=None), {}, DataError, "finite"),
        (distribution("IntDistribution", low=0, high=10**400, log=False, step=1), {}, DataError, "'lr' .* finite"),
        (of_two_objectives, {}, DataError, "has 2 objectives; a study of TAME has one"),
        (of_none_finished, {}, DataError, "holds no finished trial with a value"),
        (of_several, {}, UsageError, "holds 2 studies; choose one with --study NAME: 'first one', 'second one'"),
        (of_several, {"study": "frist one"}, UsageError, "no study named 'frist one'; did you mean 'first one'"),
        (optuna_file, {"mode": "max"}, UsageError, "made with the mode min, and --mode says max"),
        (optuna_file, {"mode": "most"}, UsageError, "no mode named 'most'"),
        (optuna_file, {"map": {"drop_out": "own.d"}}, UsageError, "no parameter named 'drop_out'; did you mean"),
        (optuna_file, {"map": {"lr": "optimizer.rate"}}, UsageError, "no recipe field named 'optimizer.rate'"),
        (optuna_file, {"map": {"opt": "optimizer.lr"}}, UsageError, "--map opt=optimizer.lr: optimizer.lr must be"),
        (optuna_file, {"map": {"lr": "own.a", "opt": "own.a"}}, UsageError, "lr and opt are both mapped to own.a"),
        (written(""), {}, DataError, "is empty"),
        (written("lr,value\n0.1,nan\n0.2,\n"), {"mode": "min"}, DataError, "no row with a finite number in 'value'"),
        (written("value\n0.1\n"), {"mode": "min"}, DataError, "no column beside 'value'"),
        (written("lr,value\n0.1,0.5\n"), {}, UsageError, "is more of 'value' better or less"),
        (written("lr,loss\n0.1,0.5\n"), {}, UsageError, "which column of .* holds the results"),
        (written("lr,loss\n0.1,0.5\n"), {"metric": "lss"}, UsageError, "no column named 'lss'; did you mean 'loss'"),
        (written("lr,accuracy\n0.1,0.5\n"), {"mode": "min"}, UsageError, "of accuracy more is better"),
        (written("lr,value\n0.1,0.5\n"), {"study": "x"}, UsageError, "holds no named studies; leave out --study"),
        (written('{"op_code": 0'), {}, DataError, "no Optuna journal|holds no study"),
        (written('{"op_code": 99, "worker_id": "w"}\n'), {}, DataError, "no Optuna journal"),
        (written('{"a": [1, 2]}\n{"b": 2}\n'), {}, DataError, "no Optuna journal"),
        (written(LOG + "{broken}\n" + LOG), {}, DataError, "no Optuna journal"),
        (written(LOG + DEEP + "\n" + LOG), {}, DataError, "no Optuna journal"),
        (written(LOG), {}, DataError, "holds no finished trial"),
    ],
)  # fmt: skip
def test_a_source_that_cannot_be_used_is_refused_and_left_as_it_is(
    tmp_path: Path, make: Callable[[Path], Path], options: dict[str, Any], error: type[TameError], said: str
) -> None:
    path = make(tmp_path / "source.db")
    before = digest(path)
    with pytest.raises(error, match=said):
        import_trials(path, out=tmp_path / "made", **options)
    assert digest(path) == before
    assert not (tmp_path / "made").exists()


def test_steps_beyond_what_epochs_can_be_are_counted_by_their_order(tmp_path: Path) -> None:
    study = optuna.create_study(study_name="updates", storage=f"sqlite:///{tmp_path / 'a.db'}")
    for own in ({0: 0.9, 500_000: 0.5, 1_000_000: 0.3}, {0: 0.8, 1_000_000: 0.4}):
        study.add_trial(
            optuna.trial.create_trial(
                params={"lr": 0.1}, distributions={"lr": FloatDistribution(0.01, 1.0)}, value=list(own.values())[-1],
                intermediate_values=own,
            )
        )  # fmt: skip
    study._storage._backend.engine.dispose()  # type: ignore[attr-defined]
    made = import_trials(tmp_path / "a.db", out=tmp_path / "made")
    assert any("counted by their order, as epochs 1 to 3" in note for note in made.notes)
    history = read_state(tmp_path / "made")[1].history
    assert [[p.epoch for p in t.curve.points] for t in history.trials.values()] == [[1, 2, 3], [1, 3]]
    assert to_optuna(tmp_path / "made").best_value == 0.3


def test_addresses_that_are_no_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give a file or sqlite:///PATH"):
        import_trials("mysql://me:secret@host/db", out=tmp_path / "made")
    with pytest.raises(DataError, match="there is no file"):
        import_trials(tmp_path / "none.db", out=tmp_path / "made")
    with pytest.raises(DataError, match="is no file"):
        import_trials(tmp_path, out=tmp_path / "made")
    with pytest.raises(UsageError, match="write NAME=FIELD"):
        parse_map(["lr"])
    with pytest.raises(UsageError, match="lr is mapped twice"):
        parse_map(["lr=a", "lr=b"])
    assert parse_map(["lr=recipe.optimizer.lr"]) == {"lr": "optimizer.lr"}


def test_nothing_is_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pickle

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a pickle was loaded")

    path = optuna_file(tmp_path / "a.db")
    with sqlite3.connect(path) as connection:
        connection.execute(
            "INSERT INTO trial_system_attributes (trial_id, key, value_json) VALUES (?, ?, ?)",
            (1, "cma:optimizer:0", '"80049500"'),
        )
    connection.close()
    monkeypatch.setattr(pickle, "loads", refuse)
    monkeypatch.setattr(pickle, "load", refuse)
    assert import_trials(path, out=tmp_path / "made").trials == 5


def test_imported_trials_cannot_go_on_and_the_error_says_what_to_do(tmp_path: Path) -> None:
    import_trials(optuna_file(tmp_path / "a.db"), out=tmp_path / "made")
    for act in (lambda: resume_study(tmp_path / "made", Silent()), lambda: tame.load(tmp_path / "made")):
        with pytest.raises(UsageError, match=r"holds imported trials, which cannot go on; .* tame fit DATA --start"):
            act()
    with pytest.raises(UsageError, match="holds a study already"):
        import_trials(tmp_path / "a.db", out=tmp_path / "made")


def test_the_best_recipes_of_a_study_come_first_and_differ(folder: Path) -> None:
    found = best_recipes(folder, "images")
    assert [each.told for each in found] == [
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
    assert "own.trees: the model here takes no such argument" in " ".join(heard)
    (note,) = [each for each in heard if "by the names here" in each]
    assert note.endswith("by the names here: optimizer.name AdamW is adamw, optimizer.name Lion is lion")
    assert result.mattered is not None
    assert result.mattered.importance.n == 2
    wrong = replace(config, start_from=("none",), out=str(tmp_path / "b"))
    with pytest.raises(UsageError, match="no study folder"):
        fit_study(wrong, Silent(), inline=True)
    with pytest.raises(UsageError, match="the search 'random' takes no recipes of earlier studies"):
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
        assert "cannot go on" in tame_says(command, "made", rc=2)
    assert tame_says("export", "made", "--optuna", "b.db").strip() == "b.db"
    assert len(optuna.load_study(study_name="made", storage=f"sqlite:///{tmp_path / 'b.db'}").trials) == 5
    assert "holds a study already" in tame_says("import", "b.db", "--out", "made", rc=2)


def test_a_folder_that_cannot_be_made_is_refused_in_words(tmp_path: Path) -> None:
    table = written("lr,value\n0.1,0.5\n")(tmp_path / "a.csv")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StorageError, match=r"cannot be made: .*a\.csv is no folder"):
        import_trials(table, out=table / "made", mode="min")
    with pytest.raises(StorageError, match="link is in the way and no folder"):
        import_trials(table, out=tmp_path / "link", mode="min")


def test_columns_of_lists_are_left_out_of_an_import_with_a_note(tmp_path):
    table = pa.table({"lr": [0.1, 0.2, 0.3], "layers": [[1, 2], [3], [4, 5]], "value": [1.0, 2.0, 3.0]})
    pq.write_table(table, tmp_path / "results.parquet")
    found = import_trials(tmp_path / "results.parquet", out=tmp_path / "out", mode="min")
    assert dict(found.names) == {"lr": "optimizer.lr"}
    (note,) = found.notes
    assert note.startswith("the column layers is left out: its type list<")
