"""The laws of a Rule: it fires on the fault that it is named after, and is silent on clean runs. Each takes a name.

`PLANTED` creates a trial with the fault of each rule; add a function for a rule of your own there. `clean` creates a
run without faults: both losses fall to a floor with noise from epoch to epoch, mostly well before the end. Both are
classifications; `as_regression` turns them into the same run of a regression, for which the laws hold too, except for
the rules in `OF_CLASSES`, which are then silent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from tame.core.recipe import Recipe
from tame.core.records import Curve, Finding, Point, Trial, TrialState
from tame.core.rng import stream
from tame.monitor.case import Facts
from tame.monitor.rules import RULES

Law = Callable[[str], None]
Maker = Callable[[np.random.Generator], Trial]

RUNS = 200
MOST_FALSE = 0.05  # share of clean runs that a rule may fire on
SPREAD = 40.0  # standard deviation of the target of a regression
LEAST_TRUE = 0.95  # share of runs with its fault that a rule must fire on
_GUESS = math.log(10)
FACTS = Facts(
    task="multiclass", num_classes=10, num_valid=500, metric="accuracy", higher_is_better=True,
    dummy=0.1, dummy_error=math.sqrt(0.1 * 0.9 / 500), guess_loss=_GUESS,
)  # fmt: skip
NUMBERS = Facts(
    task="regression", num_classes=1, num_valid=500, metric="rmse", higher_is_better=False,
    dummy=SPREAD, dummy_error=SPREAD / math.sqrt(2 * 500), guess_loss=1.0,
)  # fmt: skip
OF_CLASSES = {"overconfident", "noisy_validation", "squashed_outputs"}  # rules that are silent in a regression


def trial_of(
    train: Sequence[float], valid: Sequence[float], metric: Sequence[float] | None = None, *, state: TrialState
) -> Trial:
    """A fully trained trial with these losses and metrics (by default from the loss); NaN is stored as None."""
    metric = [math.exp(-v) for v in valid] if metric is None else metric
    rows = zip(train, valid, metric, strict=True)
    points = tuple(Point(i + 1, *(float(x) if math.isfinite(x) else None for x in row)) for i, row in enumerate(rows))
    recipe = Recipe().but({"epochs": len(train)})
    return Trial(0, recipe, "sobol", "made up", state, len(train), Curve(points))


def clean(rng: np.random.Generator) -> Trial:
    """A run without faults: 10 to 60 epochs, noise of 1 to 3 %, a gap between training and validation."""
    epochs = int(rng.integers(10, 61))
    floor, pace = rng.uniform(0.02, 0.6), epochs * rng.uniform(0.05, 0.12)
    along = np.arange(epochs)
    level = floor + (_GUESS * rng.uniform(0.5, 0.9) - floor) * np.exp(-along / pace)
    gap, spread = rng.uniform(1.0, 1.5), rng.uniform(0.01, 0.03)
    return trial_of(_noisy(level, spread, rng), _noisy(level * gap, spread, rng), state="complete")


def as_regression(trial: Trial) -> Trial:
    """The same run with a standardised squared error as loss (1 for guessing), and its root mean square error."""
    rows = [
        (p.train_loss and p.train_loss / _GUESS, p.valid_loss and p.valid_loss / _GUESS) for p in trial.curve.points
    ]
    points = tuple(
        Point(i + 1, train, valid, None if valid is None else SPREAD * math.sqrt(valid))
        for i, (train, valid) in enumerate(rows)
    )
    return replace(trial, curve=Curve(points))


def fires_on_its_fault(name: str) -> None:
    _fires(name, [RULES.get(name)(PLANTED[name](rng), _OTHER_FACTS.get(name, FACTS)) for rng in _chances(name)])


def fires_on_its_fault_in_a_regression(name: str) -> None:
    found = [RULES.get(name)(as_regression(PLANTED[name](rng)), NUMBERS) for rng in _chances(name)]
    if name in OF_CLASSES:
        assert found == [None] * RUNS, f"{name} is about classes but fired in a regression"
    else:
        _fires(name, found)


def _fires(name: str, found: Sequence[Finding | None]) -> None:
    assert name in PLANTED, f"give the rule {name!r} a planted fault in rule_laws.PLANTED"
    share = sum(finding is not None for finding in found) / RUNS
    assert share >= LEAST_TRUE, f"{name} fired on {100 * share:.1f} % of the runs with its fault"
    for finding in found:
        if finding is not None:
            assert finding.code == name
            assert finding.evidence, "a finding must have evidence"
            assert finding.title.strip()
            assert finding.change.strip(), "a finding must suggest a change"


def is_silent_on_clean_runs(name: str) -> None:
    for facts, make in ((FACTS, clean), (NUMBERS, lambda rng: as_regression(clean(rng)))):
        share = sum(RULES.get(name)(make(rng), facts) is not None for rng in _chances("clean")) / RUNS
        assert share <= MOST_FALSE, f"{name} fired on {100 * share:.1f} % of the clean runs of a {facts.task} task"


def is_silent_before_there_is_anything_to_see(name: str) -> None:
    empty = Trial(0, Recipe(), "default", "made up", "running")
    assert RULES.get(name)(empty, FACTS) is None
    one = trial_of([2.0], [2.1], state="running")
    assert RULES.get(name)(Trial(0, Recipe(), "default", "made up", "running", 30, one.curve), FACTS) is None


def gives_the_same_answer_twice(name: str) -> None:
    for make in (PLANTED[name], clean):
        trial = make(stream(0, "twice"))
        assert RULES.get(name)(trial, FACTS) == RULES.get(name)(trial, FACTS)


LAWS: tuple[Law, ...] = (
    fires_on_its_fault,
    fires_on_its_fault_in_a_regression,
    is_silent_on_clean_runs,
    is_silent_before_there_is_anything_to_see,
    gives_the_same_answer_twice,
)


def _overfitting(rng: np.random.Generator) -> Trial:
    """The validation loss turns in the first half and rises by a third or more; the training loss keeps falling."""
    epochs = int(rng.integers(15, 61))
    along = np.linspace(0, 1, epochs)
    turn = rng.uniform(0.15, 0.5)
    train = 2.0 * np.exp(-4 * along) + 0.02
    valid = 2.2 * np.exp(-4 * np.minimum(along, turn))
    valid = valid * (1 + rng.uniform(0.35, 1.5) * np.maximum(along - turn, 0) / (1 - turn))
    return trial_of(_noisy(train, 0.02, rng), _noisy(valid, 0.02, rng), state="complete")


def _overconfident(rng: np.random.Generator) -> Trial:
    """The losses of overfitting, but the accuracy rises to a plateau with noise."""
    trial = _overfitting(rng)
    losses = [(point.train_loss or 0.0, point.valid_loss or 0.0) for point in trial.curve.points]
    level = rng.uniform(0.6, 0.95) - 0.4 * np.exp(-np.arange(len(losses)) / (0.08 * len(losses)))
    metric = np.clip(level + rng.normal(0, rng.uniform(0.001, 0.01), len(losses)), 0, 1)
    train, valid = zip(*losses, strict=True)
    return trial_of(train, valid, list(metric), state="complete")


def _still_improving(rng: np.random.Generator) -> Trial:
    epochs = int(rng.integers(10, 61))
    level = 2.2 * np.exp(-rng.uniform(1.0, 3.0) * np.linspace(0, 1, epochs))
    return trial_of(_noisy(level, 0.005, rng), _noisy(1.1 * level, 0.005, rng), state="complete")


def _rate_too_high(rng: np.random.Generator) -> Trial:
    """The training loss jumps up and down by a third, without settling."""
    epochs = int(rng.integers(12, 61))
    level = rng.uniform(0.5, 2.0) * np.exp(rng.normal(0, 0.35, epochs))
    return trial_of(_noisy(level, 0.0, rng), _noisy(level, 0.1, rng), state="complete")


def _rate_too_low(rng: np.random.Generator) -> Trial:
    """A loss that only falls, by a twentieth to a fifth, at a rate far below the usual one."""
    epochs = int(rng.integers(8, 61))
    level = _GUESS * (1 - rng.uniform(0.05, 0.2) * np.linspace(0, 1, epochs))
    trial = trial_of(_noisy(level, 1e-4, rng), _noisy(level, 1e-3, rng), state="complete")
    return replace(trial, recipe=trial.recipe.but({"optimizer.lr": float(10 ** rng.uniform(-7, -4))}))


def _diverged(rng: np.random.Generator) -> Trial:
    train = [*np.exp(rng.normal(0, 0.2, int(rng.integers(1, 20)))), math.nan]
    return trial_of(train, train, state="diverged")


def _no_better_than_dummy(rng: np.random.Generator) -> Trial:
    """Guessing among ten classes, validated on 500 examples."""
    epochs = int(rng.integers(5, 40))
    losses = _noisy(np.full(epochs, _GUESS), 0.01, rng)
    metric = np.minimum(rng.binomial(500, 0.1, epochs) / 500, 0.12)
    return trial_of(losses, losses, list(metric), state="complete")


def _underfitting(rng: np.random.Generator) -> Trial:
    """Both losses soon stand still together, a little below that of guessing."""
    epochs = int(rng.integers(12, 61))
    level = _GUESS * (rng.uniform(0.7, 0.8) + 0.2 * np.exp(-np.arange(epochs) / (0.08 * epochs)))
    metric = np.clip(0.25 + rng.normal(0, 0.004, epochs), 0, 1)
    return trial_of(_noisy(level, 0.002, rng), _noisy(level * 1.01, 0.002, rng), list(metric), state="complete")


def _over_regularised(rng: np.random.Generator) -> Trial:
    """The same, with a strong weight decay in the recipe."""
    trial = _underfitting(rng)
    return replace(trial, recipe=trial.recipe.but({"optimizer.weight_decay": float(rng.uniform(1, 100))}))


def _memorised(rng: np.random.Generator) -> Trial:
    """The training loss goes to nothing, and the validation loss stays where it was early on."""
    epochs = int(rng.integers(12, 61))
    fast = np.exp(-np.arange(epochs) / (0.1 * epochs))
    train, valid = 0.02 + 2 * fast, rng.uniform(0.9, 1.5) + fast
    return trial_of(_noisy(train, 0.02, rng), _noisy(valid, 0.005, rng), state="complete")


def _learning_noise(rng: np.random.Generator) -> Trial:
    """Random labels: the training loss falls, the validation loss rises above that of guessing."""
    epochs = int(rng.integers(8, 61))
    along = np.linspace(0, 1, epochs)
    train, valid = _GUESS * np.exp(-rng.uniform(0.5, 3) * along), _GUESS * (1.02 + rng.uniform(0.3, 1.5) * along)
    metric = np.minimum(rng.binomial(500, 0.1, epochs) / 500, 0.12)
    return trial_of(_noisy(train, 0.01, rng), _noisy(valid, 0.01, rng), list(metric), state="complete")


def _plateau(rng: np.random.Generator) -> Trial:
    """A long stretch at one level, and then down."""
    epochs = int(rng.integers(20, 61))
    along = np.linspace(0, 1, epochs)
    leaves = rng.uniform(0.55, 0.65)
    level = 0.1 + 1.5 / (1 + np.exp((along - leaves) * 40)) + 0.6 * np.exp(-along * 40)
    return trial_of(_noisy(level, 0.005, rng), _noisy(1.1 * level, 0.005, rng), state="complete")


def _noisy_validation(rng: np.random.Generator) -> Trial:
    """An accuracy of which each epoch is measured with the noise of forty examples: see TINY."""
    epochs = int(rng.integers(16, 61))
    losses = [point.valid_loss or 0.0 for point in clean(rng).curve.points]
    losses = [*losses, *[losses[-1]] * epochs][:epochs]
    metric = rng.binomial(40, rng.uniform(0.6, 0.85), epochs) / 40
    return trial_of(losses, losses, list(metric), state="complete")


def _periodic(rng: np.random.Generator) -> Trial:
    epochs = int(rng.integers(45, 91))
    turn = 1 + rng.uniform(0.1, 0.2) * np.sin(2 * np.pi * np.arange(epochs) / rng.uniform(4, 7))
    level = (0.4 + np.exp(-np.arange(epochs) / (0.05 * epochs))) * turn
    return trial_of(_noisy(level, 0.01, rng), _noisy(level, 0.01, rng), state="complete")


def _squashed_outputs(rng: np.random.Generator) -> Trial:
    """Ten classes whose probabilities are given to the loss as if they were logits: right costs 1.461, wrong 2.461."""
    epochs = int(rng.integers(12, 61))
    level, fast = rng.uniform(0.6, 0.98), np.exp(-np.arange(epochs) / (0.08 * epochs))
    metric = np.clip(level - 0.5 * fast + rng.normal(0, 0.002, epochs), 0, 1)
    floor = math.log1p(9 / math.e)
    train = floor + (1 - level) * rng.uniform(0.1, 1) * (1 - fast) + (_GUESS - floor) * fast
    return trial_of(_noisy(train, 0.001, rng), _noisy(floor + 1 - metric, 0.001, rng), list(metric), state="complete")


PLANTED: dict[str, Maker] = {
    "squashed_outputs": _squashed_outputs,
    "overfitting": _overfitting,
    "overconfident": _overconfident,
    "still_improving": _still_improving,
    "rate_too_high": _rate_too_high,
    "rate_too_low": _rate_too_low,
    "diverged": _diverged,
    "no_better_than_dummy": _no_better_than_dummy,
    "underfitting": _underfitting,
    "over_regularised": _over_regularised,
    "memorised": _memorised,
    "learning_noise": _learning_noise,
    "plateau": _plateau,
    "noisy_validation": _noisy_validation,
    "periodic": _periodic,
}
TINY = replace(FACTS, num_valid=40)  # a validation part in which one example is a fortieth
_OTHER_FACTS: dict[str, Facts] = {"noisy_validation": TINY}


def _chances(name: str) -> list[np.random.Generator]:
    return [stream(run, "rule", name) for run in range(RUNS)]


def _noisy(level: np.ndarray, spread: float, rng: np.random.Generator) -> list[float]:
    """level: (T,), multiplied by noise whose logarithm has standard deviation `spread`."""
    return [float(x) for x in level * np.exp(rng.normal(0, spread, len(level)))]
