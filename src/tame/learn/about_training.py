"""Questions about how networks are trained: steps, rates, batches, losses, optimizers, gradients."""

from __future__ import annotations

import math

from tame.core.recipe import Recipe
from tame.learn.question import Question, Rng, asks, choice
from tame.learn.seen import Seen, SeenTrial
from tame.report.formats import compact, number

STEPS = 3  # that are computed by hand
KEPT = {"sgd": 0, "momentum": 1, "nesterov": 1, "adagrad": 1, "rmsprop": 1, "adam": 2, "adamw": 2, "lion": 1}


def _rate(seen: Seen, rng: Rng) -> float:
    """A rate of one of the study's trials, or one of the usual ones."""
    own = [Recipe.from_flat(each.recipe).optimizer.lr for each in seen.trials]
    return float(own[int(rng.integers(len(own)))]) if own else 0.1


def _some(seen: Seen, rng: Rng) -> SeenTrial | None:
    own = seen.readable
    return own[int(rng.integers(len(own)))] if own else None


def _slope(rng: Rng) -> float:
    return round(float(rng.choice([-1, 1]) * rng.uniform(0.2, 3)), 2)


@asks("descent", "optimizers")
def one_step(seen: Seen, rng: Rng) -> Question:
    rate, slope, weight = _rate(seen, rng), _slope(rng), round(float(rng.uniform(-1, 1)), 2)
    return Question(
        text=f"A weight is {weight}, its gradient {slope}. What is the weight after one step of plain descent at your "
        f"rate of {compact(rate)}?",
        key=weight - rate * slope, tolerance=0.005,
        why="The gradient points uphill, so the step goes against it: weight − rate × gradient.",
    )  # fmt: skip


@asks("descent")
def how_far_down(seen: Seen, rng: Rng) -> Question | None:
    trial = _some(seen, rng)
    losses = [] if trial is None else [train for _, train, _, _ in trial.points if train is not None]
    if trial is None or len(losses) < 2 or abs(losses[0] - losses[-1]) < 0.01 * abs(losses[0]):
        return None
    return Question(
        text=f"The training loss of trial {trial.number} was {number(losses[0])} after its first epoch and "
        f"{number(losses[-1])} after its last. How many percent of the first value is the last one?",
        key=100 * losses[-1] / losses[0], tolerance=0.03, trial=trial.number,
        why="The last loss divided by the first, times a hundred.",
    )  # fmt: skip


@asks("descent")
def which_way(seen: Seen, rng: Rng) -> Question:
    slope = _slope(rng)
    where = "smaller" if slope > 0 else "larger"
    options = {"larger": "It gets larger", "smaller": "It gets smaller", "same": "It stays as it is"}
    why = "The gradient points where the loss increases most steeply; the step goes the other way."
    return choice(
        f"The gradient of a weight is {slope}. What does a step of gradient descent do to the weight?",
        options, where, why=why, rng=rng,
    )  # fmt: skip


@asks("rate")
def powers_of_ten(seen: Seen, rng: Rng) -> Question | None:
    own = sorted({Recipe.from_flat(each.recipe).optimizer.lr for each in seen.trials})
    low, high = seen.rates or ((own[0], own[-1]) if len(own) > 1 else (0.0, 0.0))
    if not low or high / low < 1.5:
        return None
    return Question(
        text=f"The rates here go from {compact(low)} to {compact(high)}. How many powers of ten is that?",
        key=math.log10(high / low), tolerance=0.1,
        why="Rates are compared by their ratio: the logarithm to base ten of the highest over the lowest.",
    )  # fmt: skip


@asks("rate")
def decayed(seen: Seen, rng: Rng) -> Question:
    rate, share = _rate(seen, rng), float(rng.choice([0.25, 0.5, 0.75]))
    return Question(
        text=f"A rate of {compact(rate)} falls linearly to zero. What is it after {share:.0%} of the steps?",
        key=rate * (1 - share), why="What is left of the way times the rate at the start.",
    )  # fmt: skip


@asks("rate")
def warmed_up(seen: Seen, rng: Rng) -> Question:
    rate, steps = _rate(seen, rng), int(rng.choice([100, 200, 400]))
    now = int(rng.integers(1, steps // 20)) * 10
    return Question(
        text=f"The rate warms up linearly over {steps} steps to {compact(rate)}. What is it at step {now}?",
        key=rate * now / steps,
        why="A warm-up starts near zero, where the first gradients can do no harm, and rises in equal steps.",
    )  # fmt: skip


@asks("batches")
def updates_of_an_epoch(seen: Seen, rng: Rng) -> Question:
    size = int(rng.choice([1, 8, 16, 32, 64]))
    return Question(
        text=f"Your study trains on {seen.train:,} {seen.nouns}. How many updates are in one epoch at a batch size of "
        f"{size}?",
        key=math.ceil(seen.train / size), tolerance=1e-9,
        why="One update for each batch, the last one being smaller where it does not come out even.",
    )  # fmt: skip


@asks("batches")
def seen_so_far(seen: Seen, rng: Rng) -> Question:
    size, updates = int(rng.choice([8, 16, 32, 64])), int(rng.integers(20, 200))
    return Question(
        text=f"After {updates} full batches of {size}: how many times has a network gone through your {seen.train:,} "
        f"{seen.nouns}?",
        key=updates * size / max(seen.train, 1), tolerance=0.03, why="Examples seen, divided by all there are.",
    )  # fmt: skip


@asks("batches")
def what_is_stochastic(seen: Seen, rng: Rng) -> Question:
    options = {
        "any": f"At any batch size below {seen.train:,}", "one": "Only at a batch size of 1",
        "all": f"Only when each batch has all {seen.train:,}", "never": "At none: it never is",
    }  # fmt: skip
    why = "The gradient of a part of the examples is an estimate, whatever the size of that part."
    return choice("At which batch size is descent on your data stochastic?", options, "any", why=why, rng=rng)


@asks("losses")
def log_of_probability(seen: Seen, rng: Rng) -> Question:
    share = float(rng.choice([0.05, 0.1, 0.2, 0.5, 0.8, 0.9]))
    return Question(
        text=f"A network gives the true class a probability of {share:g}. What is its cross-entropy on this example, "
        "in nats?",
        key=-math.log(share), why="Minus the natural logarithm of the probability of the true class.",
    )  # fmt: skip


@asks("losses")
def loss_of_guessing(seen: Seen, rng: Rng) -> Question | None:
    if seen.classes < 2:
        return None
    return Question(
        text=f"What is the cross-entropy of a network that gives each of your {seen.classes} classes the same "
        "probability?",
        key=math.log(seen.classes), why="The natural logarithm of the number of classes: others are compared with it.",
    )  # fmt: skip


@asks("losses")
def of_an_outlier(seen: Seen, rng: Rng) -> Question:
    error, delta = float(rng.integers(3, 12)), 1.0
    return Question(
        text=f"An answer is off by {error:g}. How many times larger is half its square than its Huber loss with "
        f"delta {delta:g}?",
        key=0.5 * error**2 / (delta * (error - 0.5 * delta)),
        why="Huber's loss is delta × (error − delta / 2) beyond delta: an outlier pulls no harder the farther it is.",
    )  # fmt: skip


@asks("optimizers")
def second_step_of_momentum(seen: Seen, rng: Rng) -> Question:
    rate, first, second = _rate(seen, rng), _slope(rng), _slope(rng)
    return Question(
        text=f"Momentum 0.9, rate {compact(rate)}, gradients {first} and then {second}. By how much does the second "
        "step change the weight?",
        key=-rate * (0.9 * first + second), tolerance=0.02,
        why="The velocity is 0.9 × the velocity before + the gradient; the step is minus the rate times it.",
    )  # fmt: skip


@asks("optimizers")
def numbers_kept(seen: Seen, rng: Rng) -> Question:
    name = str(rng.choice(sorted(KEPT)))
    return Question(
        text=f"How many numbers does {name} keep for each weight, besides the weight itself?",
        key=KEPT[name], tolerance=1e-9,
        why="A velocity is one number a weight, a mean of squared gradients another; plain descent keeps none.",
    )  # fmt: skip


@asks("optimizers")
def first_step_of_adam(seen: Seen, rng: Rng) -> Question:
    rate, slope = _rate(seen, rng), _slope(rng)
    return Question(
        text=f"The first gradient of a weight is {slope}. By how much does Adam's first step at your rate of "
        f"{compact(rate)} change the weight?",
        key=-rate * math.copysign(1.0, slope), tolerance=0.02,
        why="Both means are corrected for their start, so the first step is the rate times the sign of the gradient.",
    )  # fmt: skip


@asks("backprop")
def slope_of_a_square(seen: Seen, rng: Rng) -> Question:
    w, x, y = (round(float(rng.uniform(-2, 2)), 1) for _ in range(STEPS))
    return Question(
        text=f"The output is w × x with w = {w} and x = {x}, the target {y}, the loss half the squared error. What is "
        "the derivative of the loss with respect to w?",
        key=(w * x - y) * x, tolerance=0.02, why="The chain rule: (output − target) × x.",
    )  # fmt: skip


@asks("backprop")
def through_a_unit(seen: Seen, rng: Rng) -> Question:
    above, weight, inside = _slope(rng), _slope(rng), round(float(rng.choice([-1, 1]) * rng.uniform(0.3, 2)), 2)
    return Question(
        text=f"A ReLU unit has {inside} before its activation. The derivative of the loss by its output is "
        f"{above}, and the weight that leads into it from below is {weight}. What is passed on to the unit below?",
        key=above * weight * (inside > 0) + 0.0, tolerance=0.02,
        why="The derivative from above times the slope of the activation (one above zero, nothing below) times the "
        "weight.",
    )  # fmt: skip


@asks("backprop")
def by_difference(seen: Seen, rng: Rng) -> Question:
    slope, step, level = _slope(rng), 0.001, round(float(rng.uniform(0.2, 2)), 4)
    higher = round(level + slope * step, 6)
    return Question(
        text=f"At a weight the loss is {level}; with the weight {step} higher it is {higher}. What derivative is that?",
        key=(higher - level) / step, why="The change of the loss divided by the change of the weight.",
    )  # fmt: skip


@asks("transfer")
def weights_of_a_head(seen: Seen, rng: Rng) -> Question | None:
    width = int(rng.choice([512, 1280, 2048]))
    if seen.classes < 2:
        return None
    return Question(
        text=f"A backbone gives {width} features. How many weights and biases has a linear head for {seen.classes} "
        "classes?",
        key=(width + 1) * seen.classes, tolerance=1e-9, why="For each class one weight a feature, and one bias.",
    )  # fmt: skip


@asks("transfer")
def a_smaller_rate(seen: Seen, rng: Rng) -> Question:
    options = {
        "keep": "Large steps would destroy what the backbone has learned before",
        "few": "There are fewer weights to train", "fast": "It trains faster that way",
    }  # fmt: skip
    rate = compact(_rate(seen, rng) / 10)
    why = "The features are good already; steps that are large beside the weights replace them by worse ones."
    return choice(f"Why is a backbone fine-tuned at a small rate such as {rate}?", options, "keep", why=why, rng=rng)


@asks("transfer")
def what_is_trained(seen: Seen, rng: Rng) -> Question:
    head, body = int(rng.choice([1300, 2600, 5100])), int(rng.choice([3_400_000, 11_000_000, 23_000_000]))
    return Question(
        text=f"A backbone has {body:,} weights, the head on it {head:,}. How many percent of all are trained while the "
        "backbone is frozen?",
        key=100 * head / (head + body), why="Those of the head, divided by all.",
    )  # fmt: skip
