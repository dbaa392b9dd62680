"""An ordered list of recipes that covers most tasks early, learnt from recorded curves. Prints one JSON document.

Recipes are chosen greedily: each next one takes most from what the ones before leave, over all tasks. A recipe's regret
on a task is 0 at the best recorded run and 1 at the median one. Greedy choice is within 1 - 1/e of the best list of
that length, since the mean of a minimum is submodular (Nemhauser, Wolsey and Fisher, 1978).
Usage: python benchmarks/learn_portfolio.py --curves FILE.npz [--length 12] [--without TASK]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from features import SHARED

LENGTH = 12
SHARPNESS = 0.5  # power of the regret that is covered: near the best, halves count more than far from it
WORST = 2.0  # regret that counts as the worst, as in the judging


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--curves", type=Path, required=True)
    parser.add_argument("--length", type=int, default=LENGTH)
    parser.add_argument("--without", help="a task that must not be known, since it will be judged")
    given = parser.parse_args()
    suite = world().load(str(given.curves))
    if given.without and given.without not in suite.tasks:
        raise SystemExit(f"{given.curves.name} holds no task {given.without!r}; it holds {', '.join(suite.tasks)}")
    tasks = [task for task in suite.tasks if task != given.without]
    chosen = cover(np.array([regrets(suite, task) for task in tasks]), given.length)
    found = [dict(zip(suite.names, suite.configs[i].tolist(), strict=True)) for i in chosen]
    print(json.dumps({"suite": given.curves.stem, "learnt_from": tasks, "recipes": found}, indent=1))


def world() -> Any:
    """The judge of recorded curves, which lies beside them."""
    sys.path.insert(0, str(SHARED / "curves"))
    import world as judge

    return judge


def regrets(suite: Any, task: str) -> np.ndarray:
    """The regret (N,) of every recorded run at its best epoch; one that diverged at once has the worst."""
    scores = suite.sign * suite.valid[task]
    best = np.where(np.isfinite(scores), scores, -np.inf).max(axis=1)
    finite = best[np.isfinite(best)]
    top, median = finite.max(), np.median(finite)
    found: np.ndarray = np.clip((top - np.maximum(best, finite.min())) / (top - median), 0.0, WORST)
    return found


def cover(table: np.ndarray, length: int) -> list[int]:
    """Recipes by number, in the order in which each takes most from the mean regret. table: (tasks, recipes)."""
    table = table**SHARPNESS
    left, chosen = np.full(len(table), WORST**SHARPNESS), list[int]()
    for _ in range(min(length, table.shape[1])):
        with_each = np.minimum(left[:, None], table).mean(axis=0)
        with_each[chosen] = np.inf
        chosen.append(int(with_each.argmin()))
        left = np.minimum(left, table[:, chosen[-1]])
    return chosen


if __name__ == "__main__":
    main()
