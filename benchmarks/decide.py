"""How long does a search take to decide? Seconds of `auto` per decision after many trials, and for 64 at once.

Prints one JSON line: the median processor time of several decisions, with histories of finished trials of 50 epochs.
Each decision gets a new history (one more trial each time), as in a study.
Usage: python benchmarks/decide.py [--search auto] [--trials 1000,10000] [--repeats 9]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import numpy as np
from features import git, machine

EPOCHS, DIMENSIONS = 50, 8
AIMS_S = {1000: 0.020, 10_000: 0.100, "64 at once": 0.5}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--search", default="auto")
    parser.add_argument("--trials", default="1000,10000")
    parser.add_argument("--repeats", type=int, default=9)
    given = parser.parse_args()
    found = {str(num): decision_s(given.search, int(num), 1, given.repeats) for num in given.trials.split(",")}
    found["64 at once"] = decision_s(given.search, 1000, 64, given.repeats)
    aims = {str(name): aim for name, aim in AIMS_S.items()}
    about = {"benchmark": "decide", "commit": git("rev-parse", "HEAD"), "search": given.search, "machine": machine()}
    print(json.dumps({**about, "median_cpu_s": found, "aims_s": aims}))


def decision_s(search: str, num: int, cohort: int, repeats: int) -> float:
    """Median seconds of processor time for a decision after `num` finished trials."""
    from tame.adjust.searcher import SearchConfig
    from tame.adjust.searchers import SEARCHERS
    from tame.core.recipe import Recipe
    from tame.core.records import Curve, History, Point, Trial
    from tame.core.space import Float, Space

    rng = np.random.default_rng(0)
    space = Space({f"own.h{i}": Float(1e-4, 1.0, log=True) for i in range(DIMENSIONS)})
    base = Recipe().but({"model.name": "own", "epochs": EPOCHS, **space.from_unit(np.full(DIMENSIONS, 0.5))})
    config = SearchConfig(base=base, cohort=cohort, step=1 if cohort == 1 else None)

    def trial(number: int) -> Trial:
        point = rng.random(DIMENSIONS)
        level = float(np.square(point - 0.4).sum())
        losses = level + 1 / np.arange(1, EPOCHS + 1) + 0.01 * rng.standard_normal(EPOCHS)
        curve = Curve(tuple(Point(i + 1, float(v), float(v), None) for i, v in enumerate(losses)))
        return Trial(number, base.but(space.from_unit(point)), "model", "", "complete", EPOCHS, curve)

    trials = {number: trial(number) for number in range(num)}
    seconds = []
    for extra in range(repeats):
        trials[num + extra] = trial(num + extra)
        began = time.process_time()
        decisions = SEARCHERS.get(search)(History(dict(trials)), space, 0, config=config)
        seconds.append(time.process_time() - began)
        assert any(decision.kind == "start" for decision in decisions)
    return round(statistics.median(seconds), 4)


if __name__ == "__main__":
    main()
