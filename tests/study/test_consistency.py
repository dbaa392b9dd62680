"""Each check of a study's numbers finds a planted fault, and a sound study has none."""

from __future__ import annotations

import zipfile
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from made_results import made
from tame.app.verify import verify
from tame.core.evaluation import ClassAnswers, Difference, Mistake, NumberAnswers, Tempering
from tame.core.result import Result
from tame.core.result_parts import EnsembleRow
from tame.data.split import Sealed, Split
from tame.evaluate.score import InconsistentError, judged_from, measure
from tame.kinds.kind import Data
from tame.study.consistency import contradictions, of_predictions, require_consistent
from tame.study.record import open_record
from tame.study.state import State

ARCHIVES = Path(__file__).parents[1] / "data" / "old_studies"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Studies of classes (own) and of numbers (table)."""
    found = tmp_path_factory.mktemp("studies")
    for name in ("own", "table"):
        with zipfile.ZipFile(ARCHIVES / f"{name}.zip") as archive:
            archive.extractall(found)
    return found


def state_in(folder):
    record, found = open_record(folder, read_only=True), State()
    for event in record.events():
        found.after(event)
    record.close()
    return found


@pytest.fixture(scope="module")
def state(folder):
    return state_in(folder / "own")


@pytest.fixture
def result(state):
    return Result.from_json(state.result)


@pytest.mark.parametrize("name", ["own", "table"])
def test_a_sound_study_contradicts_nothing(name, folder):
    state = state_in(folder / name)
    assert list(contradictions(state, Result.from_json(state.result))) == []
    (numbers,) = (each for each in verify(folder / name).checks if each.what == "numbers")
    assert (numbers.problem, numbers.found[:27]) == ("", "the result's numbers agree ")


def answers_with(result, **changed):
    return replace(result, answers=replace(result.answers, **changed))


def calibration_with(result, **changed):
    return answers_with(result, calibration=replace(result.answers.calibration, **changed))


def moved(result, part, **changed):
    return replace(result, **{part: replace(getattr(result, part), **changed)})


def swapped(counts):
    """The same examples, but one that was right is wrong."""
    found = [list(row) for row in counts]
    found[0][0] -= 1
    found[0][1] += 1
    return tuple(map(tuple, found))


PLANTED = {
    "the test part was opened 1 times, but the result says 2": lambda r: replace(r, test_openings=2),
    "the score is of": lambda r: moved(r, "score", n=r.score.n - 1),
    "but the winner is trial 10000": lambda r: moved(r, "winner", trial=10_000),
    "which no event begins": lambda r: moved(r, "winner", from_trial=10_000),
    "recipe is that of no trial": lambda r: moved(r, "winner", recipe={**r.winner.recipe, "epochs": 999}),
    "marked as the winner": lambda r: replace(r, finalists=tuple(replace(f, is_winner=True) for f in r.finalists)),
    "among the finalists": lambda r: moved(r, "validation", value=r.validation.value + 0.001),
    "is not what was delivered": lambda r: moved(r, "delivered", files={**r.delivered.files, "model.json": "0" * 64}),
    "by another amount": lambda r: moved(r, "delivered", largest_difference=0.5),
    "but among all metrics": lambda r: moved(r, "score", value=r.score.value - 1e-6),
    "is not in its interval": lambda r: moved(r, "score", low=r.score.value + 0.001, high=r.score.value + 0.002),
    "the difference from the dummy": lambda r: replace(
        r, baselines=replace(r.baselines, dummy=replace(r.baselines.dummy, value=r.baselines.dummy.low))
    ),
    "is judged on 7 examples": lambda r: replace(
        r, baselines=replace(r.baselines, dummy=replace(r.baselines.dummy, n=7))
    ),
    "the optimism is": lambda r: replace(r, optimism=-r.optimism - 0.01),
    "but the confusion matrix gives": lambda r: answers_with(r, confusion=swapped(r.answers.confusion)),
    "the confusion matrix has": lambda r: answers_with(r, confusion=r.answers.confusion[:1] * 2),
    "the classes' counts": lambda r: answers_with(
        r, per_class=(replace(r.answers.per_class[0], right=0), *r.answers.per_class[1:])
    ),
    "mistakes are listed": lambda r: answers_with(r, mistakes=(Mistake("a", "b", "b", 0.9),)),
    "the calibration error is": lambda r: calibration_with(r, ece=r.answers.calibration.ece + 0.01),
    "the share of right answers is": lambda r: calibration_with(r, right=r.answers.calibration.right + 0.01),
    "judged at a temperature of 1.0, but the result says 2.5": lambda r: answers_with(
        r, temperature=Tempering(value=2.5, fitted=2.5, difference=Difference(-0.1, -0.2, -0.05, 9))
    ),
    "but the result is of": lambda r: replace(
        r,
        ensemble=EnsembleRow(
            members=(1, 2), value=r.validation.value, difference=Difference(-0.1, -0.2, -0.05, 9), kept=True, why=""
        ),
    ),
    "the calibration is of": lambda r: calibration_with(r, bins=r.answers.calibration.bins[1:]),
}


@pytest.mark.parametrize("problem", PLANTED)
def test_a_planted_contradiction_is_found(problem, state, result):
    assert isinstance(result.answers, ClassAnswers)
    assert problem in "; ".join(contradictions(state, PLANTED[problem](result)))


@pytest.mark.parametrize(("problem", "changed"), [("the rmse is", {"rmse": 1.0}), ("the errors are of", {"n": 3})])
def test_errors_of_numbers_are_checked_too(problem, changed, folder):
    state = state_in(folder / "table")
    result = Result.from_json(state.result)
    assert isinstance(result.answers, NumberAnswers)
    planted = answers_with(result, residuals=replace(result.answers.residuals, **changed))
    assert problem in "; ".join(contradictions(state, planted))


@pytest.mark.parametrize("missing", ["test_opened", "delivered"])
def test_a_result_without_the_events_before_it_is_found(missing, state, result):
    bare = copy(state)
    setattr(bare, missing, None)
    assert "no event says that" in "; ".join(contradictions(bare, result))


def test_verify_tells_of_numbers_that_were_changed(folder, monkeypatch):
    monkeypatch.setattr("tame.app.verify.contradictions", lambda state, result: iter(["two numbers differ"]))
    (problem,) = verify(folder / "own").problems
    assert (problem.what, problem.problem) == ("numbers", "two numbers differ")


# Predictions ----------------------------------------------------------------------------------------------------------


def predicted(num=40, hidden=30):
    """Predictions on a sealed part, and the data that it is of."""
    rng = np.random.default_rng(0)
    target = rng.integers(2, size=num)
    logits = rng.normal(size=(num, 2))
    logits[np.arange(num), target] += 1
    ids = tuple(f"row {i}" for i in range(num))
    rows = tuple(range(num - hidden, num))
    split = Split(("train",) * (num - hidden) + ("test",) * hidden, (-1,) * num, 1, "")
    targets = np.where(np.arange(num) < num - hidden, target, -1)
    data = Data("table", "binary", "accuracy", ("a", "b"), ids, targets, split, Sealed(rows, tuple(target[list(rows)])))
    return data, judged_from("binary", [ids[row] for row in rows], target[list(rows)], logits[list(rows)])


def of(judged, base):
    return replace(base, metrics={name: measure(name, judged) for name in base.metrics})


def test_metrics_are_computed_again_from_the_predictions(result):
    data, judged = predicted()
    sound = of(judged, replace(result, metrics={**result.metrics, "average_precision": 0.0}))
    assert list(of_predictions(sound, data, judged)) == []
    for name in ("accuracy", "log_loss", "roc_auc", "average_precision"):
        planted = replace(sound, metrics={**sound.metrics, name: sound.metrics[name] + 1e-4})
        (problem,) = of_predictions(planted, data, judged)
        assert problem.startswith(f"the {name} is ")


def test_errors_of_numbers_are_computed_again():
    rng = np.random.default_rng(1)
    ids, target = [str(i) for i in range(20)], rng.normal(size=20)
    judged = judged_from("regression", ids, target, (target + rng.normal(size=20))[:, None])
    split = Split(("test",) * 20, (-1,) * 20, 1, "")
    data = Data("table", "regression", "rmse", (), tuple(ids), np.full(20, np.nan), split,
                Sealed(tuple(range(20)), tuple(target)))  # fmt: skip
    sound = replace(made("numbers")[0], metrics={name: measure(name, judged) for name in ("rmse", "mae")})
    assert list(of_predictions(sound, data, judged)) == []
    for name in ("rmse", "mae"):
        planted = replace(sound, metrics={**sound.metrics, name: 2 * sound.metrics[name]})
        (problem,) = of_predictions(planted, data, judged)
        assert problem.startswith(f"the {name} is ")


@pytest.mark.parametrize(
    ("problem", "ids"),
    [
        ("not those of the examples of the sealed", lambda ids: tuple(reversed(ids))),
        ("judged twice", lambda ids: (*ids[:-1], ids[0])),
        ("1 examples of the test part were trained or chosen on", lambda ids: (*ids[:-1], "row 0")),
    ],
)
def test_predictions_of_other_examples_are_found(problem, ids, result):
    data, judged = predicted()
    wrong = replace(judged, ids=ids(judged.ids))
    assert problem in "; ".join(of_predictions(of(judged, result), data, wrong))


def test_a_study_that_contradicts_itself_reports_nothing(state, result):
    data, judged = predicted()
    with pytest.raises(InconsistentError, match=r"the optimism is .* nothing is reported"):
        require_consistent(state, replace(result, optimism=0.5), data, judged)
