"""Trials of other programs: what is read of each source, and sources that cannot be used."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from optuna.distributions import FloatDistribution

from foreign_files import digest, optuna_file, storage_of, written
from tame.app.exchange import import_trials, parse_map, to_optuna
from tame.app.importance import what_mattered_in
from tame.app.show import state_json
from tame.core.config import StudyConfig
from tame.core.errors import DataError, RefusedError, TameError, UsageError
from tame.core.space import Choice, Space
from tame.study.state import read_state


@pytest.fixture(scope="module", autouse=True)
def _quiet():
    """Optuna as it was found, for the tests of other files."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(before)


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
    assert found.notes == ("left out: 2 trials without a finite result or not finished normally",)
    _, state = read_state(tmp_path / "made")
    space = Space.from_json(state.imported.space)
    assert space.dimensions["optimizer.lr"] == Choice(1e-4, 1e-3, 1e-2, 1e-1)
    assert space.dimensions["batch_size"] == Choice(32, 64, 128)
    assert to_optuna(tmp_path / "made").best_value == pytest.approx(1 / 30)
    about = state_json(tmp_path / "made", StudyConfig(data="x"), state, mattered=what_mattered_in(state))["mattered"]
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


def remade(*statements: str) -> Callable[[Path], Path]:
    """A storage whose tables are not as Optuna makes them."""

    def write(path: Path) -> Path:
        with sqlite3.connect(optuna_file(path)) as connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()
        return path

    return write


VIRTUAL = (
    "DROP TABLE trial_params",
    "CREATE VIRTUAL TABLE trial_params USING fts5(trial_id, param_name, param_value, distribution_json)",
)
COMPUTED = (
    "ALTER TABLE trial_values RENAME COLUMN value TO other",
    "ALTER TABLE trial_values ADD COLUMN value GENERATED ALWAYS AS (hex(zeroblob(400000000)))",
)
INFINITE = '{"name": "IntDistribution", "attributes": {"low": 0, "high": 1e400, "log": false, "step": 1}}'


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


LOG = '{"op_code":0,"worker_id":"w","study_name":"j","directions":[1]}\n'


@pytest.mark.parametrize(
    ("make", "options", "error", "said"),
    [
        (damaged, {}, DataError, "damaged|cannot be read as a database"),
        (torn, {}, DataError, "damaged|cannot be read as a database"),
        (of_others, {}, DataError, "a database, but not an Optuna storage of version 3 or later"),
        (of_views, {}, DataError, "it has no table 'trial_params'"),
        (remade(*VIRTUAL), {}, RefusedError, "holds a virtual table"),
        (remade(*COMPUTED), {}, RefusedError, "computes a column of 'trial_values'"),
        pytest.param(
            changed("UPDATE trial_params SET param_value = zeroblob(90000000)"), {}, DataError, "too big",
            marks=pytest.mark.slow,
        ),
        (changed("UPDATE studies SET study_name = printf('%.*c', 9000000, 'x')"), {}, DataError, "too big"),
        (changed("UPDATE trial_params SET param_value = -1 WHERE param_name = 'opt'"), {}, DataError, "3 choices"),
        (changed("UPDATE trial_params SET param_value = 0.5 WHERE param_name = 'opt'"), {}, DataError, "3 choices"),
        (changed("UPDATE trial_params SET distribution_json = ?", INFINITE), {}, DataError, "cannot be read .Overflow"),
        (of_odd_distributions, {}, DataError, "contains a distribution that cannot be read"),
        (changed("UPDATE trials SET number = 'x' WHERE trial_id = 1"), {}, DataError, "number of a trial is 'x'"),
        (changed(STEP), {}, DataError, "a step is 'x', not a whole number"),
        (changed("UPDATE studies SET study_name = ?", b"\xff"), {}, DataError, "the name of a study is b'.xff'"),
        (changed("UPDATE trial_params SET param_name = ? WHERE param_id = 1", b"\xff"), {}, DataError, "parameter is"),
        (changed("UPDATE trial_params SET distribution_json = ?", DEEP), {}, DataError, "cannot be read .Recursion"),
        (changed("UPDATE trial_params SET param_value = 9e999 WHERE param_name = 'lr'"), {}, DataError, "in no range"),
        (distribution("FloatDistribution", low=math.nan, high=math.nan, log=False, step=None), {}, DataError, "finite"),
        (distribution("IntDistribution", low=0, high=10**400, log=False, step=1), {}, DataError, "'lr' .* finite"),
        (of_two_objectives, {}, DataError, "has 2 objectives; a TAME study has one"),
        (of_none_finished, {}, DataError, "contains no finished trial with a value"),
        (of_several, {}, UsageError, "contains 2 studies; choose one with --study NAME: 'first one', 'second one'"),
        (of_several, {"study": "frist one"}, UsageError, "no study named 'frist one'; did you mean 'first one'"),
        (optuna_file, {"mode": "max"}, UsageError, "has the mode min, but --mode is max"),
        (optuna_file, {"mode": "most"}, UsageError, "no mode named 'most'"),
        (optuna_file, {"map": {"drop_out": "own.d"}}, UsageError, "no parameter named 'drop_out'; did you mean"),
        (optuna_file, {"map": {"lr": "optimizer.rate"}}, UsageError, "no recipe field named 'optimizer.rate'"),
        (optuna_file, {"map": {"opt": "optimizer.lr"}}, UsageError, "--map opt=optimizer.lr: optimizer.lr must be"),
        (optuna_file, {"map": {"lr": "own.a", "opt": "own.a"}}, UsageError, "lr and opt are both mapped to own.a"),
        (written(""), {}, DataError, "is empty"),
        (written("lr,value\n0.1,nan\n0.2,\n"), {"mode": "min"}, DataError, "no row with a finite number in 'value'"),
        (written("value\n0.1\n"), {"mode": "min"}, DataError, "no column besides 'value'"),
        (written("lr,value\n0.1,0.5\n"), {}, UsageError, "is a higher or a lower 'value' better"),
        (written("lr,loss\n0.1,0.5\n"), {}, UsageError, "which column of .* contains the results"),
        (written("lr,loss\n0.1,0.5\n"), {"metric": "lss"}, UsageError, "no column named 'lss'; did you mean 'loss'"),
        (written("lr,accuracy\n0.1,0.5\n"), {"mode": "min"}, UsageError, "for accuracy, higher is better"),
        (written("lr,value\n0.1,0.5\n"), {"study": "x"}, UsageError, "has no named studies; leave out --study"),
        (written('{"op_code": 0'), {}, DataError, "not an Optuna journal|contains no study"),
        (written('{"op_code": 99, "worker_id": "w"}\n'), {}, DataError, "not an Optuna journal"),
        (written('{"a": [1, 2]}\n{"b": 2}\n'), {}, DataError, "not an Optuna journal"),
        (written(LOG + "{broken}\n" + LOG), {}, DataError, "not an Optuna journal"),
        (written(LOG + DEEP + "\n" + LOG), {}, DataError, "not an Optuna journal"),
        (written(LOG), {}, DataError, "contains no finished trial"),
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
    assert any("numbered by their order, as epochs 1 to 3" in note for note in made.notes)
    history = read_state(tmp_path / "made")[1].history
    assert [[p.epoch for p in t.curve.points] for t in history.trials.values()] == [[1, 2, 3], [1, 3]]
    assert to_optuna(tmp_path / "made").best_value == 0.3


@pytest.mark.parametrize("gaps", [{0}, {0, 1}, {2}, {0, 3}])
@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_a_curve_that_begins_with_nan_is_not_moved(tmp_path: Path, kind: str, gaps: set[int]) -> None:
    """Step 0 is epoch 1 of every trial, whatever steps have no finite value, or were not reported."""
    storage: Any = f"sqlite:///{tmp_path}/made.db"
    if kind == "journal":
        backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "made.db"))
        storage = optuna.storages.JournalStorage(backend)
    study = optuna.create_study(storage=storage, study_name="mine")
    for number in range(3):
        trial = study.ask()
        trial.suggest_float("lr", 1e-3, 1e-1)
        for step in range(5):
            if number == 0 and step in gaps:
                trial.report(math.nan, step)
            elif not (number == 1 and step in gaps):
                trial.report(10.0 - step + number, step)
        study.tell(trial, 6.0 + number)
    import_trials(tmp_path / "made.db", out=tmp_path / "out")
    trials = read_state(tmp_path / "out")[1].history.trials
    for number in range(3):
        left_out = gaps if number < 2 else set()
        wanted = {step + 1: 10.0 - step + number for step in range(5) if step not in left_out}
        assert {point.epoch: point.valid_loss for point in trials[number].curve.points} == wanted


def test_addresses_that_are_no_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give a file or sqlite:///PATH"):
        import_trials("mysql://me:secret@host/db", out=tmp_path / "made")
    with pytest.raises(DataError, match="there is no file"):
        import_trials(tmp_path / "none.db", out=tmp_path / "made")
    with pytest.raises(DataError, match="is not a file"):
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


def test_columns_of_lists_are_left_out_of_an_import_with_a_note(tmp_path):
    table = pa.table({"lr": [0.1, 0.2, 0.3], "layers": [[1, 2], [3], [4, 5]], "value": [1.0, 2.0, 3.0]})
    pq.write_table(table, tmp_path / "results.parquet")
    found = import_trials(tmp_path / "results.parquet", out=tmp_path / "out", mode="min")
    assert dict(found.names) == {"lr": "optimizer.lr"}
    (note,) = found.notes
    assert note.startswith("the column layers is left out: its type list<")
