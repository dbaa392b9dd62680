"""Selects an ordered list of recipes that covers most tasks early, from recorded curves. Prints one JSON document.

Recipes are chosen greedily: each one reduces the remaining regret over all tasks the most. A recipe's regret on a task
is 0 at the best recorded run and 1 at the median one. The greedy list is within 1 - 1/e of the best list of that
length, since the mean of a minimum is submodular (Nemhauser, Wolsey and Fisher, 1978). With --against, lists are
evaluated on held-out tasks, together with a given list. Files with the same recipes are combined; trainings in them may
differ in length.
Usage: python benchmarks/learn_portfolio.py --curves FILE.npz... [--length 12] [--without TASK] [--last]
    [--sharpness 1] [--lead 0] [--among 0,1,2,3] [--against 0,1,2,3]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from features import SHARED

LENGTH = 12
SHARPNESS = 0.5  # exponent of the regret: below 1, halving it near the best counts more than far from it
TIE = 1e-6  # weight of a recipe's own mean regret, which breaks ties and decides once nothing is left to gain
WORST = 2.0  # the largest regret, as in the evaluation
BUDGETS = (1, 2, 3, 5, 8)  # numbers of recipes after which lists are compared


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--curves", type=Path, nargs="+", required=True)
    parser.add_argument("--length", type=int, default=LENGTH)
    parser.add_argument("--without", help="a task to hold out, because it will be used for evaluation")
    parser.add_argument("--last", action="store_true", help="rate recipes by their last epoch, not by their best")
    parser.add_argument("--sharpness", type=float, default=SHARPNESS, help="1 for the plain mean regret")
    parser.add_argument("--lead", type=_numbers, default=[], help="recipes, by number, that always come first")
    parser.add_argument("--among", type=_numbers, help="recipes, by number, that may be chosen (default: all)")
    parser.add_argument(
        "--against", type=_numbers, help="a list of recipes, by number, to compare with by leaving one task out"
    )
    given = parser.parse_args()
    suites = [world().load(str(path)) for path in given.curves]
    first, curves = suites[0], " and ".join(path.name for path in given.curves)
    if any(each.names != first.names or not np.array_equal(each.configs, first.configs) for each in suites):
        raise SystemExit(f"{curves} have different recipes")
    own = [(task, regrets(suite, task, last=given.last)) for suite in suites for task in suite.tasks]
    every = [task for task, _ in own]
    if twice := [task for task in set(every) if every.count(task) > 1]:
        raise SystemExit(f"{curves} both have the task {twice[0]!r}")
    if given.without and given.without not in every:
        raise SystemExit(f"{curves}: no task {given.without!r}; there are {', '.join(every)}")
    if strange := [
        i for i in (*given.lead, *(given.among or ()), *(given.against or ())) if not 0 <= i < len(first.configs)
    ]:
        raise SystemExit(f"{curves}: recipes are 0 to {len(first.configs) - 1}, not {strange[0]}")
    tasks = [task for task in every if task != given.without]
    table = np.array([row for task, row in own if task != given.without])
    chosen = cover(table, given.length, lead=given.lead, among=given.among, sharpness=given.sharpness)
    found: dict[str, Any] = {
        "suite": "+".join(path.stem for path in given.curves), "learnt_from": tasks, "numbers": chosen,
    }  # fmt: skip
    found["recipes"] = [dict(zip(first.names, first.configs[i].tolist(), strict=True)) for i in chosen]
    with np.load(given.curves[0], allow_pickle=False) as file:
        if "changes" in file.files:
            found["changes"] = [json.loads(str(file["changes"][i])) for i in chosen]
    found["best_on"] = {
        i: [task for task, row in zip(tasks, table, strict=True) if _first(row, chosen) == i] for i in chosen
    }
    if given.against:
        found["leave_one_out"] = compared(
            table, tasks, given.against, given.length, lead=given.lead, among=given.among, sharpness=given.sharpness
        )
    print(json.dumps(found, indent=1))


def world() -> Any:
    """The module that evaluates recorded curves, from the folder of the curves."""
    sys.path.insert(0, str(SHARED / "curves"))
    import world as judge

    return judge


def regrets(suite: Any, task: str, *, last: bool = False) -> np.ndarray:
    """The regret (N,) of every recorded run at its best epoch or its last; one that diverged has the worst."""
    scores = suite.sign * suite.valid[task]
    scores = np.where(np.isfinite(scores), scores, -np.inf)
    best = scores[:, -1] if last else scores.max(axis=1)
    finite = best[np.isfinite(best)]
    top, median = finite.max(), np.median(finite)
    found: np.ndarray = np.clip((top - np.maximum(best, finite.min())) / (top - median), 0.0, WORST)
    return found


def cover(
    table: np.ndarray, length: int, *, lead: Sequence[int] = (), among: Sequence[int] | None = None,
    sharpness: float = SHARPNESS,
) -> list[int]:  # fmt: skip
    """Recipes by number, in the order in which each reduces the mean regret the most. table: (tasks, recipes).

    lead: those that always come first; among: those that may follow, None for all.
    """
    table = table**sharpness
    left, chosen = np.full(len(table), WORST**sharpness), list[int]()
    own = TIE * table.mean(axis=0)
    may = set(range(table.shape[1])) if among is None else {*among, *lead}
    barred = sorted({*range(table.shape[1])} - may)
    for place in range(min(length, len(may))):
        with_each = np.minimum(left[:, None], table).mean(axis=0) + own
        with_each[[*chosen, *barred]] = np.inf
        chosen.append(lead[place] if place < len(lead) else int(with_each.argmin()))
        left = np.minimum(left, table[:, chosen[-1]])
    return chosen


def after(regret: np.ndarray, order: Sequence[int]) -> np.ndarray:
    """The lowest regret on a task (len(BUDGETS),) after each budget of a list. regret: (N,) of every recipe."""
    return np.array([regret[list(order[:budget])].min() for budget in BUDGETS])


def compared(
    table: np.ndarray, tasks: Sequence[str], against: Sequence[int], length: int, *, lead: Sequence[int] = (),
    among: Sequence[int] | None = None, sharpness: float = SHARPNESS,
) -> dict[str, Any]:  # fmt: skip
    """Mean regret after each budget, of lists selected without the evaluated task, and of the given list."""
    rest = [np.delete(table, i, 0) for i in range(len(table))]
    lists = [cover(own, length, lead=lead, among=among, sharpness=sharpness) for own in rest]
    selected = np.array([after(row, own) for row, own in zip(table, lists, strict=True)])
    given = np.array([after(row, against) for row in table])
    less = given - selected
    return {
        "budgets": BUDGETS,
        "learnt": selected.mean(axis=0).round(4).tolist(),
        "given": given.mean(axis=0).round(4).tolist(),
        "less": less.mean(axis=0).round(4).tolist(),
        "stderr_of_less": (less.std(axis=0, ddof=1) / len(less) ** 0.5).round(4).tolist(),
        "by_task": {
            task: {"learnt": own.round(3).tolist(), "given": other.round(3).tolist()}
            for task, own, other in zip(tasks, selected, given, strict=True)
        },
    }


def _first(row: np.ndarray, chosen: Sequence[int]) -> int:
    return min(chosen, key=lambda i: float(row[i]))


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    main()
