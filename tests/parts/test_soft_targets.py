"""Targets that are rows of probabilities: trained on as they are, judged by their likeliest class and by the rows."""

from __future__ import annotations

import csv
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import tame
from tame.core.errors import DataError, UsageError
from tame.core.recipe import Recipe
from tame.data.array_targets import task_of
from tame.data.arrays import read_arrays
from tame.evaluate.calibration import calibration
from tame.evaluate.score import difference, dummy, guesses, judged_from, losses, mean_of, measure, score, statistic_of
from tame.kinds.arrays.source import keep_arrays, read_kept
from tame.kinds.tables.material import TableTask
from tame.parts.losses import LOSSES, loss_hyper
from tame.parts.mlp import Columns
from tame.study.state import read_state
from tame.trial.population import Examples, Member
from tame.trial.serial import Serial
from tame.trial.stacked import Stacked
from tame.trial.unit import judged

pytestmark = pytest.mark.usefixtures("one_thread")

NUM, FEATURES, CLASSES = 150, 4, 3
RNG = np.random.default_rng(0)
X = RNG.normal(size=(NUM, FEATURES)).astype(np.float32)
P = np.exp(1.5 * X[:, :CLASSES].astype(np.float64))
P /= P.sum(axis=1, keepdims=True)
LOGITS = RNG.normal(size=(NUM, CLASSES))
IDS = tuple(map(str, range(NUM)))
SMALL = {"trials": 2, "epochs": 2, "folds": 2, "quiet": True}


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAME_CACHE", str(tmp_path.parent / "cache"))


def cross_entropy(rows, logits):
    """Mean in nats, one example and class after another, in float64."""
    total = 0.0
    for row, own in zip(rows.tolist(), logits.tolist(), strict=True):
        norm = math.log(math.fsum(math.exp(each) for each in own))
        total -= math.fsum(share * (each - norm) for share, each in zip(row, own, strict=True))
    return total / len(rows)


def entropy(rows):
    return -math.fsum(p * math.log(p) for row in rows.tolist() for p in row) / len(rows)


@pytest.mark.parametrize("name", ["cross_entropy", "kl_divergence"])
def test_losses_of_rows_equal_a_plain_loop(name):
    hyper = loss_hyper([Recipe().loss], class_counts=None, costs=None, like=torch.zeros(1, dtype=torch.float64))
    each = LOSSES.get(name).each(torch.from_numpy(LOGITS)[None], torch.from_numpy(P), hyper)
    wanted = cross_entropy(P, LOGITS) - (entropy(P) if name == "kl_divergence" else 0)
    assert float(each.mean()) == pytest.approx(wanted, rel=1e-12)


# Judging


def test_log_loss_is_against_the_rows_and_all_else_against_the_likeliest_class():
    soft, hard = (judged_from("multiclass", IDS, target, LOGITS) for target in (P, P.argmax(axis=1)))
    assert measure("log_loss", soft) == pytest.approx(cross_entropy(P, LOGITS), rel=1e-12)
    for metric in ("accuracy", "balanced_accuracy", "f1_macro", "roc_auc", "average_precision"):
        assert measure(metric, soft) == measure(metric, hard)
    assert losses("log_loss", soft).mean() == pytest.approx(measure("log_loss", soft), rel=1e-12)
    rows = RNG.integers(NUM, size=NUM)
    again = judged_from("multiclass", IDS, P[rows], LOGITS[rows])
    drawn = np.bincount(rows, minlength=NUM).astype(float)[None]
    assert statistic_of("log_loss", soft)(drawn)[0][0] == pytest.approx(measure("log_loss", again), rel=1e-12)


def test_one_hot_rows_are_judged_as_their_classes_are():
    classes = P.argmax(axis=1)
    soft, hard = (judged_from("multiclass", IDS, t, LOGITS) for t in (np.eye(CLASSES)[classes], classes))
    for metric in ("accuracy", "log_loss", "roc_auc"):
        assert score(metric, soft, how="", seed=0).value == pytest.approx(score(metric, hard, how="", seed=0).value)
    mine, theirs = calibration(soft), calibration(hard)
    assert mine.ece == pytest.approx(theirs.ece, abs=1e-12)


def test_rows_are_kept_where_predictions_are_averaged_or_compared():
    one, other = (judged_from("multiclass", IDS, P, LOGITS * factor) for factor in (1, 2))
    assert mean_of([one, other]).shares is one.shares
    chosen = np.arange(NUM) % 2 == 0
    half = judged_from("multiclass", IDS[::2], P[::2], LOGITS[::2])
    assert measure("log_loss", one.only(chosen)) == measure("log_loss", half)
    gap = difference("log_loss", one, other, seed=0).value
    assert gap == pytest.approx(cross_entropy(P, LOGITS) - cross_entropy(P, 2 * LOGITS), rel=1e-9)


def test_guessing_gives_the_mean_of_the_rows():
    soft = judged_from("multiclass", IDS, P, LOGITS)
    np.testing.assert_allclose(guesses("log_loss", P, soft).outputs[0], P.mean(axis=0), rtol=1e-15)
    wanted = cross_entropy(P, np.tile(np.log(P.mean(axis=0)), (NUM, 1)))
    assert dummy("log_loss", P, soft, seed=0).value == pytest.approx(wanted, rel=1e-12)


def test_a_network_that_says_the_rows_themselves_is_calibrated():
    perfect = judged_from("multiclass", IDS, P, np.log(P))
    assert calibration(perfect).ece == pytest.approx(0, abs=1e-12)
    assert calibration(replace(perfect, shares=None)).ece > 0.05


# Training


def trained(target, engine, loss="cross_entropy"):
    """(epochs, 3) training loss, validation loss and log loss of one member."""
    examples = Examples(torch.from_numpy(target), torch.arange(NUM) % 3, CLASSES)
    task = TableTask(torch.from_numpy(X.astype(np.float64)), Columns(FEATURES), examples, torch.device("cpu"))
    changes = {
        "model.name": "mlp",
        "model.width": 8,
        "batch_size": 16,
        "epochs": 4,
        "optimizer.lr": 0.01,
        "loss.name": loss,
    }
    member = Member(0, 0, Recipe().but(changes))
    own, found = engine(task), []

    def watch(population, measured):
        found.append(judged(population.members, measured, examples, "log_loss")[0, 0])

    own.advance(own.start([member]), until=4, watch=watch)
    return np.array(found)


@pytest.mark.parametrize("engine", [Serial, Stacked])
def test_one_hot_rows_train_as_their_classes_do(engine):
    classes = P.argmax(axis=1)
    rows = np.eye(CLASSES)[classes]
    np.testing.assert_allclose(trained(rows, engine), trained(classes, engine), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("loss", ["cross_entropy", "kl_divergence"])
def test_both_engines_learn_alike_from_rows(loss):
    serial = trained(P, Serial, loss)
    np.testing.assert_allclose(trained(P, Stacked, loss), serial, rtol=1e-6, atol=1e-6)
    assert serial[-1, 1] < serial[0, 1]
    np.testing.assert_array_equal(serial[:, 1], serial[:, 2])  # both judged by the log loss against the rows


def test_the_divergence_is_the_cross_entropy_less_what_the_rows_hold_themselves():
    kl, ce = trained(P, Serial, "kl_divergence"), trained(P, Serial, "cross_entropy")
    np.testing.assert_allclose(kl[:, 1], ce[:, 1], rtol=1e-4)  # the same slope, so the same weights but for rounding
    assert (ce[:, 0] - kl[:, 0]).min() > 0.5 * entropy(P)


# Studies


def build(width: int = 8):
    return nn.Sequential(nn.Linear(FEATURES, width), nn.ReLU(), nn.Linear(width, CLASSES))


INLINE = lambda width=8: build(width)  # noqa: E731, it has no name to be found by: this process trains it


def sealed_rows(study):
    with (study.folder / "split.csv").open() as file:
        return [int(row["id"]) for row in csv.DictReader(file) if row["part"] == "test"]


def validation_curves(study):
    _, state = read_state(study.folder)
    trials = state.history.trials
    return [[point.valid_loss for point in trials[n].curve.points] for n in sorted(trials)]


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    ("settings", "rows"), [({"model": INLINE, "loss": "kl_divergence"}, torch.from_numpy(P).float()), ({}, P)]
)
def test_a_study_learns_from_rows_and_is_scored_against_them(settings, rows):
    study = tame.fit((X, rows), metric="log_loss", **SMALL, **settings)
    test = sealed_rows(study)
    outputs = study.outputs(X[test])
    wanted = cross_entropy(P[test], np.log(outputs))
    assert study.score.value == pytest.approx(wanted, rel=1e-5)  # float32
    right = outputs.argmax(axis=1) == P[test].argmax(axis=1)
    assert study.result["metrics"]["accuracy"] == pytest.approx(right.mean())
    assert study.result["classes"] == ["0", "1", "2"]
    assert study.result["task"] == "multiclass"
    assert {each["label"] for each in study.predict(X[:20])} <= {"0", "1", "2"}


def test_one_hot_rows_make_the_study_that_their_classes_make():
    curves = []
    for y in (P.argmax(axis=1), np.eye(CLASSES)[P.argmax(axis=1)]):
        curves.append(validation_curves(tame.fit((X, y), model=INLINE, **SMALL)))
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-6)


def test_columns_of_a_frame_name_the_classes_and_one_may_be_nobodys_likeliest():
    pd = pytest.importorskip("pandas")
    rows = np.stack([0.9 * P[:, 0], 0.1 * P[:, 0], 1 - P[:, 0]], axis=1)  # the second is always behind the first
    study = tame.fit((X, pd.DataFrame(rows, columns=["bee", "wasp", "none"])), model=INLINE, **SMALL)
    assert study.result["classes"] == ["bee", "wasp", "none"]
    assert set(study.predict(X[:1])[0]["probabilities"]) == {"bee", "wasp", "none"}


def test_two_columns_are_a_binary_task():
    rows = np.stack([P[:, 0], 1 - P[:, 0]], axis=1)
    model = lambda: nn.Linear(FEATURES, 2)  # noqa: E731, as above
    assert tame.fit((X, rows), model=model, metric="roc_auc", **SMALL).result["task"] == "binary"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda y: y.__setitem__((7, 0), y[7, 0] + 0.01), r"row 7 of y sums to 1\.01 \(1 such rows\)"),
        (lambda y: y.__setitem__((5, slice(None)), [-0.25, 0.75, 0.5]), r"row 5 of y holds -0\.25"),
        (lambda y: y.__setitem__((3, 1), np.nan), "y is nan in row 3"),
    ],
)
def test_rows_that_are_no_probabilities_are_refused_and_leave_nothing(spoil, said, tmp_path):
    rows = P.copy()
    spoil(rows)
    with pytest.raises(DataError, match=said):
        tame.fit((X, rows), model=build, **SMALL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("loss", ["hinge", "mse"])
def test_a_loss_that_cannot_learn_from_rows_is_refused_with_one_that_can(loss):
    with pytest.raises(UsageError, match=f"{loss} needs .* use kl_divergence"):
        tame.fit((X, P), model=INLINE, loss=loss, **SMALL)


def test_rows_of_a_study_are_kept_for_the_day_it_is_resumed(tmp_path):
    keep_arrays(read_arrays(X, P), "auto", tmp_path, plain=False)
    found = read_kept(tmp_path)
    np.testing.assert_allclose(found.shares, P, rtol=1e-12)
    np.testing.assert_array_equal(found.values, P.argmax(axis=1))
    assert [found.table.values[f"x{i}"].tolist() for i in range(FEATURES)] == X.astype(np.float64).T.tolist()


def tied(order):
    """Rows of probabilities in which two of three classes are the likeliest, their columns in this order."""
    rows = np.array([[0.4, 0.4, 0.2], [0.2, 0.4, 0.4]])[np.arange(4000) % 2]
    return rows[:, order]


def test_of_classes_that_are_equally_likely_none_is_right_more_often_for_where_its_column_stands():
    x = np.arange(4000.0)[:, None]
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        target = task_of(read_arrays(x, tied(order)).y)
        assert "in 4,000 rows several are the likeliest" in target.why
        shares = np.bincount(target.values, minlength=3)[np.argsort(order)] / 4000
        np.testing.assert_allclose(shares, [0.25, 0.5, 0.25], atol=0.03)
        np.testing.assert_array_equal(target.shares.astype(np.float32).argmax(axis=1), target.values)
        np.testing.assert_allclose(target.shares, tied(order), atol=2e-6)
        np.testing.assert_allclose(target.shares.sum(axis=1), 1, atol=1e-12)


def test_rows_of_16_bits_that_nearly_sum_to_1_are_made_to():
    rows = torch.from_numpy(P).to(torch.bfloat16)
    read = read_arrays(X, rows)
    np.testing.assert_allclose(read.y.sum(axis=1), 1, atol=1e-12)
    assert "y holds 16-bit numbers: its rows were made to sum to 1" in read.notes
    task_of(read.y)


def test_classes_are_counted_by_their_shares():
    examples = Examples(torch.from_numpy(P), torch.arange(NUM) % 2, CLASSES)
    found = examples.class_counts(Member(0, 0, Recipe()))
    np.testing.assert_allclose(found.numpy(), P[1::2].sum(axis=0))
