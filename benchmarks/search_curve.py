"""How good is the best recipe over time, with `auto` and with Optuna's TPE? Prints one JSON line.

Runs `tame fit` on the same data, with the same clock, engine and seed, with each search in turn, and reads the best
validation loss of the search (without finalists and fine-tuning) against the seconds since the start of the study from
its events. Curves are stored after each stretch of training, so that a value may be slightly older than its time.
Usage: python benchmarks/search_curve.py [--jobs adult,ants_bees] [--searches auto,tpe] [--seeds 1]
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path

from main_job import SHARED, TAME, about

TABLES, DATA = SHARED / "data" / "tables", SHARED / "data"
JOBS = {
    "adult": (
        [str(TABLES / "adult_train.csv"), "--target", "income", "--test", str(TABLES / "adult_test.csv")], 90,
    ),
    "ants_bees": (
        [str(DATA / "ants_bees"), "--test", "val", "--backbone", str(SHARED / "weights" / "mobilenetv2_100")], 60,
    ),
}  # fmt: skip
MARKS = 12  # times at which the curve is sampled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", default=",".join(JOBS))
    parser.add_argument("--searches", default="auto,tpe")
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    work, found = Path(tempfile.mkdtemp(prefix="tame-bench-")), {}
    for job in given.jobs.split(","):
        runs = []
        for seed in range(given.seeds):
            for search in given.searches.split(","):
                runs.append(fit(job, search, seed, work))
                print(json.dumps({"job": job, **runs[-1]}), file=sys.stderr)
        found[job] = runs
    shutil.rmtree(work)
    print(json.dumps({"benchmark": "search_curve", **about(), "jobs": found}))


def fit(job: str, search: str, seed: int, work: Path) -> dict[str, object]:
    """One study, and its best validation loss after each twelfth of its clock."""
    what, clock = JOBS[job]
    out = work / f"{job}-{search}-{seed}"
    command = [str(TAME), "fit", *what, "--time", f"{clock}s", "--search", search, "--seed", str(seed)]
    done = subprocess.run([*command, "--out", str(out), "--json", "--quiet"], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
    result, steps = json.loads(done.stdout), best_losses(out)
    marks = [clock * (k + 1) / MARKS for k in range(MARKS)]
    curve = [min((loss for at, loss in steps if at <= mark), default=None) for mark in marks]
    metrics = {name: round(value, 4) for name, value in result["metrics"].items()}
    tried = {"trials": result["trials"], "epochs": result["epochs"], "wall_s": round(result["wall_s"], 1)}
    return {"search": search, "seed": seed, "seconds": marks, "best_loss": curve, "test": metrics, **tried}


def best_losses(folder: Path) -> list[tuple[float, float]]:
    """Seconds since the start, and the validation losses of the search's trials that were stored then."""
    from tame.core.records import replay
    from tame.store.database import open_store
    from tame.study.record import STUDY

    store = open_store(folder / "study.db", create=False, read_only=True)
    events = list(store.events(STUDY))
    store.close()
    begun = datetime.fromisoformat(events[0].at)
    searched = {trial.number for trial in replay(events).trials.values() if trial.is_searched}
    found: list[tuple[float, float]] = []
    for event in events:
        if event.kind == "curve" and event.data["trial"] in searched:
            losses = [row[2] for row in event.data["points"] if row[2] is not None]
            at = (datetime.fromisoformat(event.at) - begun).total_seconds()
            found += [(at, min(losses))] if losses else []
    return found


if __name__ == "__main__":
    main()
