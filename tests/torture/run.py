"""All faults, on as many processes as there are cores; `make torture` runs it and keeps its page."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a round has one core; read when torch is loaded

import argparse
import math
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import json  # noqa: E402
from dataclasses import asdict  # noqa: E402

import torch  # noqa: E402

from tame import __version__  # noqa: E402
from torture.bad_inputs import page as bad_page  # noqa: E402
from torture.bad_inputs import try_all  # noqa: E402
from torture.faults import FAULTS  # noqa: E402
from torture.rig import Rig, Tally  # noqa: E402

PAGE, BAD_PAGE = (HERE.parents[1] / "docs" / name for name in ("reliability.md", "bad-input.md"))
BAD_INPUTS = "bad_inputs"
KEPT = HERE.parents[1] / ".torture.json"  # what each fault counted last: faults can be run one by one
MEMORY = Path("/dev/shm")  # what a killed process wrote is there without a disk, which would take half of the time


def main() -> None:
    """Runs all faults, or those named, writes the page once all were run, and ends with 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faults", nargs="*", help=f"of {', '.join([*(each.__name__ for each in FAULTS), BAD_INPUTS])}")
    parser.add_argument("--sample", action="store_true", help="a few rounds of each, and no page")
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--part", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part is not None:
        torch.set_num_threads(1)
        part(given.faults, given.sample, given.cores, given.part)
        return
    if given.faults == [BAD_INPUTS]:
        sys.exit(give_bad_inputs())
    begun = time.monotonic()
    words = [
        sys.executable,
        __file__,
        *given.faults,
        "--cores",
        str(given.cores),
        *(["--sample"] if given.sample else []),
    ]
    parts = [
        subprocess.Popen([*words, "--part", str(i)], stdout=subprocess.PIPE, text=True) for i in range(given.cores)
    ]
    tallies: dict[str, Tally] = {}
    for process in parts:
        text, _ = process.communicate()
        assert process.returncode == 0, "a part of the harness ended with an error"
        for own in map(json.loads, text.splitlines()):
            add(tallies, Tally(**own))
    seconds = time.monotonic() - begun
    print(page(list(tallies.values()), seconds, given.cores))
    if not given.sample:
        keep(tallies, seconds, given.cores)
    odd = 0 if given.faults or given.sample else give_bad_inputs()
    sys.exit(odd or any(each.wrong for each in tallies.values()))


def keep(tallies: dict[str, Tally], seconds: float, cores: int) -> None:
    """Puts what was counted beside what earlier runs of this version counted; the page is written from all faults."""
    kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    for each in tallies.values():
        kept[each.fault] = asdict(each)
    KEPT.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    if len(kept) == len(FAULTS):
        found = [Tally(**own) for own in kept.values()]
        PAGE.write_text(page(found, sum(each.seconds for each in found) / cores, cores), encoding="utf-8")


def give_bad_inputs() -> int:
    """Gives TAME every bad input and writes the page; 1 where one ended in another way than it should."""
    torch.set_num_threads(1)
    work = Path(tempfile.mkdtemp(prefix="tame-bad-"))
    try:
        found = try_all(work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    BAD_PAGE.write_text(bad_page(found), encoding="utf-8")
    return int(any(not each.is_right for each in found))


def part(names: list[str], sample: bool, cores: int, number: int) -> None:
    """One process's share of the rounds, a line of JSON for each fault."""
    work = Path(tempfile.mkdtemp(prefix="tame-torture-", dir=MEMORY if MEMORY.is_dir() else None))
    try:
        rig = Rig(work)
        for fault, (few, many) in FAULTS.items():
            if names and fault.__name__ not in names:
                continue
            begun = time.monotonic()
            tally = fault(rig, math.ceil((few if sample else many) / cores), number)
            tally.seconds = time.monotonic() - begun
            print(json.dumps(asdict(tally)), flush=True)
            print(f"part {number}: {tally.fault}: {tally.ways} in {tally.seconds:.0f} s", file=sys.stderr, flush=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def add(tallies: dict[str, Tally], own: Tally) -> None:
    """Adds the rounds of one process to those of the others."""
    known = tallies.setdefault(own.fault, Tally(own.fault, own.must))
    known.rounds += own.rounds
    known.wrong += own.wrong
    known.seconds += own.seconds
    for way, count in own.ways.items():
        known.ways[way] = known.ways.get(way, 0) + count


def page(tallies: list[Tally], seconds: float, cores: int) -> str:
    """The page, in Markdown."""
    lines = [
        "# Reliability",
        "",
        "Written by `make torture`: tiny studies (a table of 200 rows, 3 trials, 3 epochs) are disturbed,",
        "taken to their end, and compared with an undisturbed one in score, winner, finalists, confusion, epochs and",
        "trials.",
        "",
        f"TAME {__version__}, Python {platform.python_version()}, torch {torch.__version__}, {platform.system()}; "
        f"{cores} processes, {seconds / 60:.0f} minutes.",
        "",
        "| Fault | What must hold | Rounds | How they ended | Wrong |",
        "|---|---|---:|---|---:|",
    ]
    for each in tallies:
        ways = "; ".join(f"{way}: {count}" for way, count in sorted(each.ways.items(), key=lambda item: -item[1]))
        lines.append(f"| {each.fault} | {each.must} | {each.rounds} | {ways} | {len(each.wrong)} |")
    wrong = [f"- {each.fault}: {one.splitlines()[-1] if one else one}" for each in tallies for one in each.wrong]
    if wrong:
        lines += ["", "What was wrong:", "", *wrong[:50]]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
