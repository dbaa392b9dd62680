"""What does a large study cost to read? Processor seconds and memory of `tame show` after 1,000 to 10,000 trials.

Makes studies of trials of 50 epochs with the store's own append, as a search leaves them: each trial begins, is
measured in five rounds, is told to go on in between, and is complete. Prints one JSON line: for each size the
processor seconds and the peak memory of a process that folds the events, of `tame show` and of `tame show --json`, and
the exponent with which they grow. What a process takes that shows a study of one trial is given beside them, and taken
off before the exponent: it would make the growth look smaller than it is.
Usage: python benchmarks/scale.py [--trials 1000,3000,10000] [--repeats 3] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import json
import math
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from features import git, machine

from tame.core.config import StudyConfig
from tame.core.recipe import Recipe
from tame.core.records import Decision, Event, Fold, Point, curve_event, decision_event
from tame.store.database import open_store
from tame.study.events import Opened, Stopped, Trained, event_of
from tame.study.record import STUDY
from tame.study.summary import LEAST, summary_of

EPOCHS, ROUND, AT_ONCE = 50, 10, 500
AIMS = {"show cpu_s": 1.0, "show mb": 300, "exponent": 1.1}
COMMANDS = {
    "fold": "from tame.study.state import read_state; from pathlib import Path; read_state(Path(sys.argv[1]))",
    "show": "from tame.app.cli import app; app(['show', sys.argv[1]], standalone_mode=False)",
    "json": "from tame.app.cli import app; app(['show', sys.argv[1], '--json'], standalone_mode=False)",
}
MEASURED = (
    "import sys, time\n{command}\ncpu_s = time.process_time()\nfrom tame.worker.machine import peak_bytes\n"
    "print(cpu_s, (peak_bytes() or 0) / 2**20, file=sys.stderr)"
)
Costs = dict[str, float]  # "fold cpu_s", "fold mb", "show cpu_s" and so on


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", default="1000,3000,10000")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--keep", default="", help="a folder in which the studies stay, and are found again")
    given = parser.parse_args()
    root = Path(given.keep or tempfile.mkdtemp(prefix="tame-scale-"))
    sizes = sorted(int(num) for num in given.trials.split(","))
    found = {num: costs(made(root / str(num), num), given.repeats) for num in [1, *sizes]}
    about = {"benchmark": "scale", "commit": git("rev-parse", "HEAD"), "machine": machine(), "repeats": given.repeats}
    print(json.dumps({**about, "trials": found, "exponents": exponents(found), "aims": AIMS}))


def made(folder: Path, num: int) -> Path:
    """The folder of a study of so many trials, made where it is not there yet."""

    if (folder / "study.db").exists():
        return folder
    folder.mkdir(parents=True)
    store = open_store(folder / "study.db", create=True)
    fold = Fold()
    waiting: list[Event] = [event_of(Opened(config=StudyConfig(data="photos").to_json()))]
    for round_ in rounds(num):
        waiting += round_
        for event in round_:
            fold.take(event)
        if len(waiting) >= AT_ONCE:
            store.append(STUDY, waiting)
            waiting = []
    # As whoever stops a search of many trials leaves them.
    summary = [event_of(summary_of(fold.history))] if num >= LEAST else []
    store.append(STUDY, [*waiting, *summary, event_of(Stopped(used_s=0.01 * num))])
    store.close()
    return folder


def rounds(num: int) -> Iterator[list[Event]]:
    """The events of a search of so many trials, those of a round of eight trials at a time."""

    chance, used_s = random.Random(0), 0.0
    for first in range(0, num, 8):
        group = range(first, min(first + 8, num))
        yield [
            decision_event(Decision("start", n, "drawn from the space", ROUND, drawn(Recipe(), chance), "sobol"))
            for n in group
        ]
        for until in range(ROUND, EPOCHS + 1, ROUND):
            used_s += 0.01
            yield [curve_event(n, measured(range(until - ROUND + 1, until + 1), chance)) for n in group]
            kind = "complete" if until == EPOCHS else "continue"
            reason = f"among the best at epoch {until}"
            yield [
                event_of(Trained(trained_s=0.01, used_s=used_s)),
                *(decision_event(Decision(kind, n, reason, min(until + ROUND, EPOCHS))) for n in group),
            ]


def measured(epochs: range, chance: random.Random) -> list[Point]:
    """Points with all the digits that a measured loss has."""
    return [Point(e, 1 / e + chance.random(), 1 / e + chance.random(), chance.random()) for e in epochs]


def drawn(recipe: Recipe, chance: random.Random) -> Recipe:
    """A recipe whose rate, decay, width, depth, dropout and batch size differ from trial to trial."""
    return recipe.but({
        "optimizer.lr": 10 ** chance.uniform(-4, -1), "optimizer.weight_decay": 10 ** chance.uniform(-5, -1),
        "model.name": "mlp", "model.width": chance.randrange(16, 513), "model.depth": chance.randrange(1, 5),
        "model.dropout": chance.uniform(0, 0.5), "batch_size": chance.choice((32, 64, 128)), "epochs": EPOCHS,
    })  # fmt: skip


def costs(folder: Path, repeats: int) -> Costs:
    """What each command takes: the least of some runs, since other programs only ever add to it."""
    every = [(command, cost(command, folder)) for command in COMMANDS for _ in range(repeats)]
    names = {name for _, own in every for name in own}
    return {name: round(min(own[name] for _, own in every if name in own), 3) for name in sorted(names)}


def cost(command: str, folder: Path) -> Costs:
    """Processor seconds and peak megabytes of a process of its own, its imports among them."""
    code = MEASURED.format(command=COMMANDS[command])
    words = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True)
    cpu_s, mb = map(float, done.stderr.split()[-2:])
    return {f"{command} cpu_s": cpu_s, f"{command} mb": mb}


def exponents(found: Mapping[int, Costs]) -> Costs:
    """How the costs grow from the smallest study to the largest, less those of one trial; 1 is linear."""
    few, *_, many = sorted(found)[1:]
    return {
        name: round(math.log((found[many][name] - own) / (found[few][name] - own)) / math.log(many / few), 2)
        for name, own in found[1].items()
    }


if __name__ == "__main__":
    main()
