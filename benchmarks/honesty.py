"""Do the reported numbers hold? Draws data of which the truth is known, and asks TAME's own functions about them.

Prints one JSON line per cell: how often a 95 % interval holds the truth, how often a difference that is none is called
real, how often a calibrated network is called miscalibrated. Nothing is trained: predictions are drawn.
Usage: python benchmarks/honesty.py [--draws 200] [--quick] [--only rmse] [--write docs/honesty.md]
"""

from __future__ import annotations

import argparse
import json
import math
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from scipy.stats import norm as normal

from tame.core.rng import stream
from tame.evaluate.calibration import calibration
from tame.evaluate.score import Judged, difference, guesses, judged_from, measure, score
from tame.evaluate.seeds import beyond_seeds, optimism, seed_noise
from tame.evaluate.temperature import tempered
from tame.parts.familiar import familiar

SIZES = (30, 100, 400)
Random = np.random.Generator
Draw = Callable[[Random, int], Judged]


@dataclass(frozen=True)
class Found:
    """What came of a cell. value: the share of draws in which an interval holds the truth, or something is claimed;
    warned: the share in which the report says not to trust the interval."""

    value: float
    aim: str
    passed: bool
    warned: float = 0.0


@dataclass(frozen=True)
class Task:
    part: str
    what: str
    n: str
    measure: Callable[[Random, int], Found]  # with how many draws


def classified(target: np.ndarray, logits: np.ndarray, groups: np.ndarray | None = None) -> Judged:
    task = "binary" if logits.shape[1] == 2 else "multiclass"
    return judged_from(task, [str(i) for i in range(len(target))], target, logits, groups=groups)


def numbers(errors: np.ndarray, target: np.ndarray | None = None, groups: np.ndarray | None = None) -> Judged:
    true = np.zeros(len(errors)) if target is None else target
    return judged_from(
        "regression", [str(i) for i in range(len(errors))], true, (true + errors)[:, None], groups=groups
    )


def two(logit: np.ndarray) -> np.ndarray:
    return np.stack([np.zeros(len(logit)), logit], axis=1)


def shifted(apart: float, rare: float = 0.5, sure: float = 1.0) -> Draw:
    """Two normal classes `apart`; the logits of the best classifier, times `sure`."""

    def draw(rng: Random, n: int) -> Judged:
        target = (rng.random(n) < rare).astype(int)
        x = rng.normal(size=n) + apart * (target - 0.5)
        return classified(target, two(sure * (apart * x + math.log(rare / (1 - rare)))))

    return draw


def confused(shares: list[float], recalls: list[float]) -> Draw:
    """Classes of these shares, of which these shares are recognised; mistakes go to any other class."""
    num = len(shares)

    def draw(rng: Random, n: int) -> Judged:
        target = rng.choice(num, size=n, p=shares)
        right = rng.random(n) < np.array(recalls)[target]
        said = np.where(right, target, (target + rng.integers(1, num, size=n)) % num)
        return classified(target, 4.0 * np.eye(num)[said])

    return draw


def macro_f1(shares: list[float], recalls: list[float]) -> float:
    own, recall = np.array(shares), np.array(recalls)
    lost = own * (1 - recall)
    predicted = own * recall + (lost.sum() - lost) / (len(own) - 1)
    return float((2 * own * recall / (own + predicted)).mean())


def log_loss_of(apart: float, sure: float) -> float:
    """The mean loss in nats of `shifted`, by quadrature over the distance from the boundary."""
    x = np.linspace(-12, 12, 200_001)
    logit = sure * apart * (x + apart / 2)
    return float((np.logaddexp(0, -logit) * normal.pdf(x)).sum() * (x[1] - x[0]))


def precision_of(apart: float, rare: float) -> float:
    """The average precision of `shifted`, by quadrature over the examples of the rare class."""
    x = np.linspace(-12, 12, 200_001)
    right, wrong = rare * normal.sf(x), (1 - rare) * normal.sf(x + apart)
    own = normal.pdf(x) * np.where(right > 0, right / np.maximum(right + wrong, 1e-300), 1.0)
    return float(own.sum() * (x[1] - x[0]))


def errors_of(draw: Callable[[Random, int], np.ndarray]) -> Draw:
    return lambda rng, n: numbers(draw(rng, n))


def explained(rng: Random, n: int) -> Judged:
    target = rng.normal(size=n)
    return numbers(0.5 * rng.normal(size=n), target)


TEN, TEN_RECALLS = [0.1] * 10, [0.95, 0.9, 0.9, 0.85, 0.8, 0.8, 0.75, 0.7, 0.6, 0.5]
COVERED: dict[str, tuple[str, Draw, float]] = {
    "accuracy 0.9": ("accuracy", confused([0.5, 0.5], [0.9, 0.9]), 0.9),
    "RMSE, normal errors": ("rmse", errors_of(lambda rng, n: rng.normal(size=n)), 1.0),
    "RMSE, t(3) errors": ("rmse", errors_of(lambda rng, n: rng.standard_t(3, n)), math.sqrt(3)),
    "RMSE, t(2.5) errors": ("rmse", errors_of(lambda rng, n: rng.standard_t(2.5, n)), math.sqrt(5)),
    "RMSE, lognormal(1.5) errors": ("rmse", errors_of(lambda rng, n: rng.lognormal(0, 1.5, n)), math.exp(2.25)),
    "MAE, lognormal(1.5) errors": ("mae", errors_of(lambda rng, n: rng.lognormal(0, 1.5, n)), math.exp(1.125)),
    "R squared 0.75": ("r2", explained, 0.75),
    "log loss, accuracy 0.77": ("log_loss", shifted(1.5), log_loss_of(1.5, 1)),
    "log loss, three times too sure": ("log_loss", shifted(1.5, sure=3), log_loss_of(1.5, 3)),
    "log loss, accuracy 0.994": ("log_loss", shifted(5.0), log_loss_of(5.0, 1)),
    "log loss, accuracy 0.994, twice too sure": ("log_loss", shifted(5.0, sure=2), log_loss_of(5.0, 2)),
    "balanced accuracy, 50:50": ("balanced_accuracy", confused([0.5, 0.5], [0.9, 0.7]), 0.8),
    "balanced accuracy, 95:5": ("balanced_accuracy", confused([0.95, 0.05], [0.97, 0.7]), 0.835),
    "balanced accuracy, 99:1": ("balanced_accuracy", confused([0.99, 0.01], [0.97, 0.7]), 0.835),
    "balanced accuracy, accuracy 0.994": ("balanced_accuracy", confused([0.5, 0.5], [0.994, 0.994]), 0.994),
    "balanced accuracy, ten classes": ("balanced_accuracy", confused(TEN, TEN_RECALLS), float(np.mean(TEN_RECALLS))),
    "macro F1, 95:5": ("f1_macro", confused([0.95, 0.05], [0.97, 0.7]), macro_f1([0.95, 0.05], [0.97, 0.7])),
    "macro F1, ten classes": ("f1_macro", confused(TEN, TEN_RECALLS), macro_f1(TEN, TEN_RECALLS)),
    "ROC AUC, 50:50": ("roc_auc", shifted(1.5), float(normal.cdf(1.5 / math.sqrt(2)))),
    "ROC AUC, 95:5": ("roc_auc", shifted(1.5, rare=0.05), float(normal.cdf(1.5 / math.sqrt(2)))),
    "ROC AUC 0.9998": ("roc_auc", shifted(5.0), float(normal.cdf(5.0 / math.sqrt(2)))),
    "average precision, 50:50": ("average_precision", shifted(1.5), precision_of(1.5, 0.5)),
    "average precision, 95:5": ("average_precision", shifted(1.5, rare=0.05), precision_of(1.5, 0.05)),
    "average precision, 95:5, far apart": ("average_precision", shifted(4.0, rare=0.05), precision_of(4.0, 0.05)),
}


def of_coverage() -> Iterator[Task]:
    for what, (metric, draw, truth) in COVERED.items():
        for n in SIZES:
            yield Task(
                "coverage", what, str(n), partial(covers, metric, lambda rng, n=n, draw=draw: draw(rng, n), truth)
            )


def covers(metric: str, draw: Callable[[Random], Judged], truth: float, rng: Random, draws: int) -> Found:
    """A cell passes if its intervals hold the truth in 93 of 100 or more, or the report says not to trust them."""
    scores = [score(metric, draw(rng), how="", seed=int(rng.integers(2**31))) for _ in range(draws)]
    held = np.array([each.low <= truth <= each.high for each in scores])
    warned = np.array([bool(each.doubt) for each in scores])
    noise = 2 * math.sqrt(0.95 * 0.05 / draws)
    passed = float((held | warned).mean()) >= 0.93 - noise
    return Found(float(held.mean()), "0.93 to 0.97, or warned", passed, float(warned.mean()))


# Groups ---------------------------------------------------------------------------------------------------------------

LAYOUTS = ((20, 5), (20, 20), (50, 4), (10, 30))  # groups and rows of each
SHARED = {"0": 0.0, "0.13": 0.13, "0.37": 0.37}  # of the variance, by the group


def in_groups(rng: Random, groups: int, rows: int, shared: float) -> tuple[np.ndarray, np.ndarray]:
    """Standard normal numbers of which a share of the variance is common to the rows of a group, and the groups."""
    own = np.repeat(np.arange(groups), rows)
    common = rng.normal(size=groups)[own]
    return math.sqrt(shared) * common + math.sqrt(1 - shared) * rng.normal(size=len(own)), own


def grouped(metric: str, rng: Random, *, groups: int, rows: int, shared: float) -> Judged:
    """Right and wrong answers of which those of a group are alike, or numbers whose errors are."""
    if metric == "rmse":
        errors, own = in_groups(rng, groups, rows, shared)
        return numbers(errors, groups=own)
    ease, own = in_groups(rng, groups, rows, shared)
    target = rng.integers(2, size=len(own))
    return classified(target, two((2 * target - 1) * (1.0 + 1.5 * ease)), own)


GROUPED = {
    "accuracy": float(normal.cdf(1.0 / 1.5)),
    "log_loss": float(np.logaddexp(0, -(1.0 + 1.5 * normal.ppf((np.arange(1_000_000) + 0.5) / 1_000_000))).mean()),
    "roc_auc": float(normal.cdf(2.0 / math.sqrt(2) / 1.5)),
    "average_precision": precision_of(2.0 / 1.5, 0.5),
    "balanced_accuracy": float(normal.cdf(1.0 / 1.5)),
    "rmse": 1.0,
}


def of_groups() -> Iterator[Task]:
    for metric, truth in GROUPED.items():
        for groups, rows in LAYOUTS:
            for name, shared in SHARED.items():
                draw = partial(grouped, metric, groups=groups, rows=rows, shared=shared)
                what = f"{metric}, correlation {name}"
                yield Task("groups", what, f"{groups} x {rows}", partial(covers, metric, draw, truth))


# Seeds ----------------------------------------------------------------------------------------------------------------

LUCK = 0.0186  # of a network's margin from seed to seed: 0.27 points of accuracy
ROWS = (200, 1000, 5000, 20_000)


def networks(rng: Random, rows: int, num: int, luck: np.ndarray, *, harder: float = 0.0) -> list[Judged]:
    """Answers of networks on the same examples, each with its luck, and its own noise on each example."""
    target = rng.integers(2, size=rows)
    ease = rng.normal(1.5, 1, size=rows)
    return [
        classified(target, two((2 * target - 1) * (ease + luck[i] - harder * (i % 2) + 0.5 * rng.normal(size=rows))))
        for i in range(num)
    ]


def two_seeds(metric: str, rows: int, seeds: int, recipes: int, harder: float, rng: Random) -> bool:
    """Whether two recipes, of which the second is worse by a margin of `harder`, are called different on the test.

    The first seed of each is tested; the noise of the seed is known from validation examples, half as many.
    """
    luck = LUCK * rng.normal(size=(recipes, seeds))
    found = networks(rng, rows // 2, recipes * seeds, luck.reshape(-1))
    noise = seed_noise(metric, [found[i * seeds : (i + 1) * seeds] for i in range(recipes)])
    a, b = networks(rng, rows, 2, luck[:, 0], harder=harder)
    return beyond_seeds(difference(metric, a, b, seed=0), noise).is_real


def of_seeds() -> Iterator[Task]:
    for metric, seeds, recipes in (("accuracy", 3, 3), ("accuracy", 2, 2), ("accuracy", 1, 2), ("log_loss", 3, 3)):
        for rows in ROWS:
            what = f"{metric}, {seeds} of each of {recipes} recipes"
            claims = partial(two_seeds, metric, rows, seeds, recipes, 0.0)
            yield Task("seeds of one recipe called different", what, str(rows), partial(is_rare, claims))


def of_gains() -> Iterator[Task]:
    """What is found where there is something: three seeds each of three recipes, and a margin less by a fifth."""
    for rows in ROWS:
        claims = partial(two_seeds, "accuracy", rows, 3, 3, 0.2)
        yield Task("a gain of 3 points found", "accuracy", str(rows), partial(is_told, claims))


# Optimism, noise, calibration -----------------------------------------------------------------------------------------

PARTS = ((200, 40), (500, 10_000), (200, 16_000), (2000, 16_000))  # validation and test rows


def promised(metric: str, chosen: int, tested: int, rng: Random) -> bool:
    """Whether optimism is claimed of a network that was not chosen by its validation, so that there is none."""
    luck = LUCK * rng.normal(size=(2, 3))
    seeds = networks(rng, chosen, 6, luck.reshape(-1))
    noise = seed_noise(metric, [seeds[:3], seeds[3:]])
    first = score(metric, seeds[0], how="", seed=0)
    more = float(np.mean([measure(metric, each) for each in seeds[:3]])) - first.value
    mean = replace(first, value=first.value + more, low=first.low + more, high=first.high + more)
    test = score(metric, networks(rng, tested, 1, luck[0])[0], how="", seed=0)
    return optimism(metric, mean, test, noise, networks=1 - 1 / 3).is_real


def of_optimism() -> Iterator[Task]:
    for metric in ("accuracy", "log_loss"):
        for chosen, tested in PARTS:
            claims = partial(promised, metric, chosen, tested)
            yield Task("optimism where there is none", metric, f"{chosen} and {tested}", partial(is_rare, claims))


def improved(copies: int, rng: Random) -> bool:
    """Whether a study of labels that nothing predicts says that its winner is better than guessing or the default."""
    many = 200 // copies
    target, own = np.repeat(rng.integers(2, size=many), copies), np.repeat(np.arange(many), copies)
    winner, default = (classified(target, two(np.repeat(rng.normal(size=many), copies)), own) for _ in range(2))
    seeds = [
        [classified(target, two(np.repeat(rng.normal(size=many), copies)), own) for _ in range(3)] for _ in range(2)
    ]
    guess = guesses("accuracy", rng.integers(2, size=400), winner)
    over = difference("accuracy", winner, guess, seed=0)
    gain = beyond_seeds(difference("accuracy", winner, default, seed=0), seed_noise("accuracy", seeds))
    return over.low > 0 or (gain.is_real and gain.value > 0)


def of_noise() -> Iterator[Task]:
    for copies in (1, 2, 4):
        what = "accuracy, each row once" if copies == 1 else f"accuracy, each row {copies} times"
        yield Task("improvement on noise", what, "200", partial(is_rare, partial(improved, copies)))


def of_calibration() -> Iterator[Task]:
    for n in (60, 153, 600, 5000):
        for sure, part, judge in (
            (1.0, "a calibrated network called miscalibrated", is_rare),
            (2.0, "a network that is twice too sure called miscalibrated", is_told),
        ):
            yield Task(part, "10 bins", str(n), partial(judge, partial(is_off, shifted(1.5, sure=sure), n)))


def is_off(draw: Draw, n: int, rng: Random) -> bool:
    return calibration(draw(rng, n)).is_off


def of_temperature() -> Iterator[Task]:
    for n in (60, 153, 600, 5000):
        for sure, part, judge in (
            (1.0, "a calibrated network whose probabilities are changed", is_rare),
            (2.0, "a network that is twice too sure and is corrected", is_told),
        ):
            yield Task(part, "temperature", str(n), partial(judge, partial(is_tempered, shifted(1.5, sure=sure), n)))


def is_tempered(draw: Draw, n: int, rng: Random) -> bool:
    found, _ = tempered([draw(rng, n)], seed=0)
    return found is not None and found.is_kept


WIDTHS = {"10 columns": (10, 10), "200 columns near a plane of 20": (200, 20)}


def of_unlike() -> Iterator[Task]:
    for what, (width, plane) in WIDTHS.items():
        for n in (200, 1000, 5000):
            draw = partial(near_plane, width=width, plane=plane)
            yield Task("examples like the training ones that are flagged", what, str(n), partial(flagged, draw, n, 0.0))
            far = partial(flagged, draw, n, 1.0)
            yield Task("examples moved by five spreads that are flagged", what, str(n), far)


def near_plane(rng: Random, n: int, *, width: int, plane: int) -> np.ndarray:
    turned = np.linalg.qr(stream(0, "plane", width).normal(size=(width, plane)))[0]
    return np.asarray(rng.normal(size=(n, plane)) @ turned.T + 0.05 * rng.normal(size=(n, width)))


def flagged(draw: Callable[[Random, int], np.ndarray], n: int, moved: float, rng: Random, draws: int) -> Found:
    """The share of new examples that statistics of n others flag; a fifth of the draws, of 500 examples each."""
    shares = []
    for _ in range(max(draws // 5, 1)):
        own = familiar(torch.from_numpy(draw(rng, n)))
        assert own is not None
        way = rng.normal(size=draw(rng, 1).shape[1])
        new = draw(rng, 500) + 5 * moved * way / np.linalg.norm(way)
        shares.append(float((own.distance(torch.from_numpy(new)) > 1).double().mean()))
    share = float(np.mean(shares))
    return Found(share, "told", True) if moved else Found(share, "0.02 or less", share <= 0.02)


# What is told ---------------------------------------------------------------------------------------------------------


def is_rare(claims: Callable[[Random], bool], rng: Random, draws: int) -> Found:
    """A cell passes if what is not there is claimed in 5 of 100 or less, as far as so many draws can tell."""
    share = float(np.mean([claims(rng) for _ in range(draws)]))
    return Found(share, "0.05 or less", share <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / draws))


def is_told(claims: Callable[[Random], bool], rng: Random, draws: int) -> Found:
    return Found(float(np.mean([claims(rng) for _ in range(draws)])), "told", True)


def page(cells: list[dict[str, object]]) -> str:
    """The page of the documentation: a table for each part."""
    lines = [HEAD]
    for part in dict.fromkeys(cell["part"] for cell in cells):
        own = [cell for cell in cells if cell["part"] == part]
        sizes = list(dict.fromkeys(cell["n"] for cell in own))
        lines += [
            f"\n## {str(part).capitalize()}\n",
            f"{own[0]['draws']} draws for each number. Aim: {own[0]['aim']}.\n",
        ]
        lines += ["| | " + " | ".join(map(str, sizes)) + " |", "|---" * (len(sizes) + 1) + "|"]
        for what in dict.fromkeys(cell["what"] for cell in own):
            by_size = {cell["n"]: cell for cell in own if cell["what"] == what}
            lines.append(f"| {what} | " + " | ".join(told(by_size.get(size)) for size in sizes) + " |")
    return "\n".join(lines) + "\n"


def told(cell: dict[str, object] | None) -> str:
    if cell is None:
        return ""
    warned = f" (warned {cell['warned']:.2f})" if cell["warned"] else ""
    return f"{cell['value']:.3f}{warned}" if cell["passed"] else f"**{cell['value']:.3f}**{warned}"


HEAD = """# Do the numbers hold?

Written by `benchmarks/honesty.py`. Data is drawn of which the truth is known, and TAME's own functions are asked about
it; nothing is trained. Beside "warned" is the share of draws in which the report says that the interval may be too
narrow: of errors with heavy tails no interval holds what it promises, since no example shows the errors that decide.
A cell passes if the truth was held, or the report warned, in 93 of 100 or more. A number in bold misses its aim by more
than so many draws explain; 200 draws tell a share of 0.95 to about 0.03, 60 draws to about 0.06."""


ALL = (
    of_coverage, of_groups, of_seeds, of_gains, of_optimism, of_noise, of_calibration, of_temperature, of_unlike,
)  # fmt: skip
QUICK_DRAWS, QUICK_ROWS = 40, 1000  # of a quick run, and the most rows of its cells


def cells(only: str, *, quick: bool = False) -> list[Task]:
    """The cells with this in their part or name; of a quick run, one of each, the largest that does not take long."""
    every = [task for part in ALL for task in part() if only in f"{task.part}: {task.what}"]
    if not quick:
        return every
    small = [task for task in every if max(map(int, re.findall(r"\d+", task.n))) <= QUICK_ROWS]
    return list({(task.part, task.what): task for task in small}.values())


def measured(tasks: Iterable[Task], draws: int) -> Iterator[dict[str, object]]:
    """A line for each cell."""
    for task in tasks:
        began = time.perf_counter()
        found = task.measure(stream(0, "honesty", task.part, task.what, task.n), draws)
        about = {"part": task.part, "what": task.what, "n": task.n, "draws": draws}
        yield about | asdict(found) | {"seconds": round(time.perf_counter() - began, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, help="of each cell (default: 200, and 40 of a quick run)")
    parser.add_argument("--quick", action="store_true", help="one cell of each row, in two minutes on one core")
    parser.add_argument("--only", default="", help="cells with this in their part or name")
    parser.add_argument("--write", type=Path, help="the page of the documentation that gets the tables")
    given = parser.parse_args()
    found = []
    tasks = cells(given.only, quick=given.quick)
    for cell in measured(tasks, given.draws or (QUICK_DRAWS if given.quick else 200)):
        print(json.dumps(cell), flush=True)
        found.append(cell)
    if given.write:
        given.write.write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    main()
