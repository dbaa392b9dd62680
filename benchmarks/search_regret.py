"""How far is a search behind the best recorded run after a number of full trainings? Prints one JSON line per suite.

The shipped searchers of TAME run on recorded learning curves: each proposal becomes the nearest recorded recipe, every
epoch counts, and continuing a waiting trial costs nothing extra. The `world.py` beside the curves evaluates them: 0 is
the best recorded run, 1 the median one. `auto` runs with a portfolio selected on the other tasks of the same file, and
without one. `auto` and `thaw` know which recipes were recorded, like the baselines, which draw from them; the others
propose anything and get the nearest one. Population-based training is left out: no record says how copies behave.
Usage: python benchmarks/search_regret.py [--curves FILE.npz] [--no-portfolio] [--seeds 10] [--search NAMES] [--json]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from features import SHARED, git, machine
from learn_portfolio import cover, regrets, world

BUDGETS = [1, 2, 3, 5, 10, 20]
SEARCHES = ("auto", "thaw", "asha", "hyperband", "sha", "random", "random x4", "sobol", "grid", "tpe", "gp")
SUITES = [SHARED / "curves" / name for name in ("lcbench.npz", "taskset.npz")]
LENGTH = 12  # recipes of the portfolio
BRACKET = 9  # recipes that successive halving compares: the fewest that can be cut twice with one left


@dataclass(frozen=True)
class Game:
    """One search on one task."""

    curves: Path
    task: str
    search: str
    seed: int
    portfolio: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--curves", type=Path, action="append", help="a file of recorded curves (default: both suites)")
    parser.add_argument("--no-portfolio", action="store_true", help="without a portfolio, as in an unknown space")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--search", default="auto,thaw,asha,random,random x4", help=f"some of {', '.join(SEARCHES)}")
    parser.add_argument("--tasks", type=int, help="only this many tasks, from the first")
    parser.add_argument("--jobs", type=int, default=2, help="games that run at the same time")
    parser.add_argument("--json", action="store_true", help="print only the result, as one JSON document per suite")
    given = parser.parse_args()
    for curves in given.curves or SUITES:
        if not curves.is_file():
            raise SystemExit(f"there is no file of recorded curves {curves}")
        try:
            suite = world().load(str(curves))
        except (OSError, ValueError, KeyError):
            raise SystemExit(f"{curves} is not a file of recorded curves (.npz)") from None
        rows = {}
        for search in given.search.split(","):
            if search not in SEARCHES:
                raise SystemExit(f"no search named {search!r}; known: {', '.join(SEARCHES)}")
            games = [
                Game(curves, task, search, seed, search == "auto" and not given.no_portfolio)
                for task in suite.tasks[: given.tasks]
                for seed in range(given.seeds)
            ]
            with multiprocessing.get_context("spawn").Pool(given.jobs) as pool:
                found = np.array(pool.map(play, games, chunksize=1))
            error = found.std(axis=0) / len(found) ** 0.5
            rows[search] = {"mean": found.mean(axis=0).round(4).tolist(), "stderr": error.round(4).tolist()}
            print(f"{curves.stem:10s} {search:10s}", *(f"{v:6.3f}" for v in rows[search]["mean"]), file=sys.stderr)
        result = {"suite": curves.stem, "budgets": BUDGETS, "seeds": given.seeds, "rows": rows}
        about = {"benchmark": "search_regret", "commit": git("rev-parse", "HEAD"), "portfolio": not given.no_portfolio}
        print(json.dumps(result if given.json else {**about, **result, "machine": machine()}))


def play(game: Game) -> list[float]:
    """The regret of a search on a task after each budget."""
    factor = 4 if game.search.endswith("x4") else 1
    suite = loaded(game.curves)
    task = suite.task(game.task, max(BUDGETS) * factor * suite.num_epochs)
    search(task, game)
    found: list[float] = task.regret([budget * factor for budget in BUDGETS])
    return found


@cache
def loaded(curves: Path) -> Any:
    return world().load(str(curves))


def search(task: Any, game: Game) -> None:
    """Executes the searcher's decisions until the budget of the task is spent."""
    from tame.adjust.searcher import SearchConfig
    from tame.adjust.searchers import SEARCHERS
    from tame.core.recipe import Recipe
    from tame.core.records import History, Point, curve_event, decision_event
    from tame.core.space import Float, Space

    suite = task.suite
    bounds = zip(suite.names, suite.low, suite.high, suite.log, strict=True)
    space = Space({f"own.{name}": Float(float(low), float(high), bool(log)) for name, low, high, log in bounds})
    # As `tame fit` starts if nothing is known: the middle of the space, or the recipe nearest to it.
    middle = space.from_unit(suite.cube[np.square(suite.cube - 0.5).sum(axis=1).argmin()])
    base = Recipe().but({"model.name": "own", "epochs": suite.num_epochs, **middle})
    known = portfolio(game.curves, game.task) if game.portfolio else []
    for changes in known[:1]:  # the default recipe is the best known one
        base = base.but(changes)
    config = SearchConfig(
        base=base, portfolio=tuple(known[1:]), cohort=BRACKET if game.search == "sha" else 1, step=1,
        trials=len(suite.configs), points=suite.cube,
    )  # fmt: skip
    decide = partial(SEARCHERS.get(game.search.removesuffix(" x4")), space=space, seed=game.seed, config=config)
    history, which = History(), dict[int, int]()
    while decisions := decide(history):
        for decision in decisions:
            if decision.kind == "start":
                which[decision.trial] = task.nearest({name: decision.recipe.own[name] for name in suite.names})
            history = history.after(decision_event(decision))
        for trial in history.having("running"):
            ahead = trial.until - trial.epochs
            left = task.budget_epochs - task.spent
            measured = task.train(which[trial.number], min(ahead, left)) if ahead > 0 and left > 0 else []
            losses = [-suite.sign * value if np.isfinite(value) else None for value in measured]
            points = [Point(trial.epochs + 1 + i, loss, loss, None) for i, loss in enumerate(losses)]
            if points:
                history = history.after(curve_event(trial.number, points))
        if task.spent >= task.budget_epochs or len(which) == len(suite.configs):
            return


@cache
def portfolio(curves: Path, task: str) -> list[dict[str, float]]:
    """The list selected on all tasks but this one."""
    suite = loaded(curves)
    chosen = cover(np.array([regrets(suite, other) for other in suite.tasks if other != task]), LENGTH)
    return [
        {f"own.{name}": value for name, value in zip(suite.names, suite.configs[i].tolist(), strict=True)}
        for i in chosen
    ]


if __name__ == "__main__":
    main()
