"""Does `tame check` name the faults that are planted in data, and leave clean data alone? Prints one JSON line.

Each fault is planted in three ways into tables that are clean: generated ones, those of scikit-learn, and samples of
adult and phoneme; and into pictures: insects that TAME draws, and photographs of CIFAR-10. Named: the finding is there,
and where it names columns, among them the planted one. Another: so is a warning or problem of another kind of those
that are planted here. Of clean data every such warning or problem is a false alarm. The labels of the tables that are
used for wrong labels can be told well, since elsewhere nobody could tell wrong ones.
Usage: python benchmarks/planted_data.py [--seeds 5] [--only NAME] [--part tables|pictures] [--rows FILE]
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import own_tables
from features import SHARED, git, machine
from own_tables import TARGET, TASKS

from tame.core.config import StudyConfig
from tame.core.records import Finding
from tame.kinds.tables.rows import split_rows
from tame.kinds.tables.source import read_rows

CODES = (
    "target_leak", "suspect_labels", "parts_differ", "sentinel_values", "group_column", "small_classes", "shortcut",
    "imbalance", "row_order",
)  # fmt: skip
# What is true of a table that is otherwise clean: a gain of 99999 stands for "more" in adult, and of the labels of
# checkers 4 to 8 % are drawn against its fields, wherever they lie.
NATURAL = {"rare": ("imbalance",), "adult": ("sentinel_values",), "checkers": ("suspect_labels",)}
Columns = dict[str, np.ndarray]
Rng = np.random.Generator


@dataclass(frozen=True)
class Faulty:
    """A table with a fault. later: the rows of the test part, where it comes as one; column: the planted one."""

    columns: Columns
    column: str = ""
    later: np.ndarray | None = None


@dataclass(frozen=True)
class Plant:
    code: str
    bases: tuple[str, ...]
    make: Callable[[Rng, Columns], Faulty]


@dataclass
class Row:
    runs: int = 0
    named: int = 0
    another: int = 0
    said: Counter[str] = field(default_factory=Counter)


# Clean tables ---------------------------------------------------------------------------------------------------------


def base(name: str, seed: int) -> Columns:
    """A clean table of a seed."""
    if name in SAMPLES:
        return sample(name, seed)
    drawn = TASKS[name].draw(seed)
    rows = np.arange(len(drawn.columns[TARGET]))
    if len(rows) > MOST_ROWS:
        rows = rows[:MOST_ROWS]
    return {column: values[rows] for column, values in drawn.columns.items()}


MOST_ROWS = 3000
# The file, its target, and the rows that are drawn.
SAMPLES = {"adult": ("adult_train.csv", "income", 3000), "phoneme": ("phoneme.csv", "", 3000),
           "abalone": ("abalone.csv", "", 2500)}  # fmt: skip


def sample(name: str, seed: int) -> Columns:
    """Rows of a table of the shared data; the target is its last column where it is not named."""
    file, target, num = SAMPLES[name]
    path = SHARED / "data" / "tables" / file
    if not path.is_file():
        raise SystemExit(f"there is no table {path}")
    with path.open(newline="") as opened:
        rows = [row for row in csv.reader(opened) if row]
    head, body = [each.strip() for each in rows[0]], np.array(rows[1:], dtype=object)
    picked = np.random.default_rng([seed, 7]).choice(len(body), min(num, len(body)), replace=False)
    own = {each: np.array([str(v).strip() for v in body[picked, i]]) for i, each in enumerate(head)}
    own[TARGET] = own.pop(target if target in own else head[-1])
    return own


def write(columns: Mapping[str, np.ndarray], path: Path) -> Path:
    drawn = own_tables.Drawn(columns, "", np.zeros(0, dtype=np.int64), 0)
    return own_tables.write_csv(drawn, path)


# Faults ---------------------------------------------------------------------------------------------------------------


def codes(columns: Columns) -> tuple[np.ndarray, np.ndarray]:
    """The classes by name, and the number of each row's."""
    names, place = np.unique(columns[TARGET], return_inverse=True)
    return names, place


def first_number(columns: Columns) -> str:
    return next(name for name, own in columns.items() if name != TARGET and is_number(own))


def is_number(own: np.ndarray) -> bool:
    try:
        return len(np.unique(own.astype(float))) > 20
    except ValueError:
        return False


def leak_copy(rng: Rng, columns: Columns) -> Faulty:
    """The class under another name, wrong in one row of twenty."""
    names, place = codes(columns)
    other = (place + rng.integers(1, len(names), len(place))) % len(names)
    said = np.where(rng.random(len(place)) < 0.05, other, place)
    return Faulty({**columns, "outcome": np.array([f"state {each}" for each in said])}, "outcome")


def leak_number(rng: Rng, columns: Columns) -> Faulty:
    """A number of 25 +- 8 for one class and 60 +- 8 for another."""
    _, place = codes(columns)
    return Faulty({**columns, "result": 25 + 35 * place + 8 * rng.standard_normal(len(place))}, "result")


def leak_rating(rng: Rng, columns: Columns) -> Faulty:
    """One to five stars, as people give them who have decided: four and five for one class, with a few slips."""
    _, place = codes(columns)
    stars = np.where(place % 2 == 1, rng.choice([4, 5], len(place)), rng.choice([1, 2, 3], len(place)))
    stars = np.where(rng.random(len(place)) < 0.05, rng.integers(1, 6, len(place)), stars)
    return Faulty({**columns, "stars": stars.astype(float)}, "stars")


def wrong(share: float, *, one_sided: bool = False) -> Callable[[Rng, Columns], Faulty]:
    def make(rng: Rng, columns: Columns) -> Faulty:
        names, place = codes(columns)
        flip = rng.random(len(place)) < share
        if one_sided:
            flip &= place == 0
        other = (place + (1 if one_sided else rng.integers(1, len(names), len(place)))) % len(names)
        return Faulty({**columns, TARGET: names[np.where(flip, other, place)]})

    return make


def mark(value: float, share: float) -> Callable[[Rng, Columns], Faulty]:
    def make(rng: Rng, columns: Columns) -> Faulty:
        name = first_number(columns)
        own = columns[name].astype(float)
        own = np.where(rng.random(len(own)) < share, value, own)
        return Faulty({**columns, name: own}, name)

    return make


def early_date(rng: Rng, columns: Columns) -> Faulty:
    num = len(columns[TARGET])
    days = np.datetime64("2019-01-01") + rng.integers(0, 700, num)
    days = np.where(rng.random(num) < 0.03, np.datetime64("1900-01-01"), days)
    return Faulty({**columns, "day": np.array([str(day) for day in days])}, "day")


def halves(rng: Rng, columns: Columns) -> np.ndarray:
    return np.asarray(rng.random(len(columns[TARGET])) < 0.3)


def moved(rng: Rng, columns: Columns) -> Faulty:
    """A column that is one and a half standard deviations higher in the test part."""
    later, name = halves(rng, columns), first_number(columns)
    own = columns[name].astype(float)
    return Faulty({**columns, name: own + 1.5 * np.nanstd(own) * later}, name, later)


def other_unit(rng: Rng, columns: Columns) -> Faulty:
    """A column of lengths, in inches instead of centimetres in the test part."""
    later = halves(rng, columns)
    own = 20 + 3 * rng.standard_normal(len(later))
    return Faulty({**columns, "length": np.where(later, own / 2.54, own)}, "length", later)


def selected(rng: Rng, columns: Columns) -> Faulty:
    """A test part of rows that are mostly high in a column."""
    name = first_number(columns)
    own = columns[name].astype(float)
    rank = np.argsort(np.argsort(np.where(np.isnan(own), np.nanmedian(own), own))) / len(own)
    return Faulty(columns, name, np.asarray(rng.random(len(own)) < np.where(rank > 0.6, 0.6, 0.08)))


def patients(rng: Rng, columns: Columns) -> Faulty:
    """Rows of patients, of whom each has one class, ten rows, and a weight and an age that hardly change."""
    names, _ = codes(columns)
    num = len(columns[TARGET])
    who = rng.integers(0, num // 10, num)
    has = rng.integers(0, len(names), who.max() + 1)
    weight = rng.normal(70, 12, who.max() + 1)[who] + rng.normal(0, 0.5, num)
    label = np.array([f"P{each:05d}" for each in rng.permutation(who.max() + 1)])[who]
    return Faulty({**columns, "weight": weight, "patient": label, TARGET: names[has[who]]}, "patient")


def users(rng: Rng, columns: Columns) -> Faulty:
    """Rows of users by number, of whom each mostly gives one answer."""
    names, place = codes(columns)
    num = len(place)
    who = rng.integers(0, num // 6, num)
    usual = rng.integers(0, len(names), who.max() + 1)[who]
    number = rng.permutation(90_000)[: who.max() + 1][who] + 10_000
    return Faulty(
        {**columns, "user_id": number.astype(float), TARGET: names[np.where(rng.random(num) < 0.7, usual, place)]},
        "user_id",
    )


def machines(rng: Rng, columns: Columns) -> Faulty:
    """Rows from machines with readings of their own, under a name that does not tell."""
    num = len(columns[TARGET])
    who = rng.integers(0, num // 20, num)
    more = {f"reading{i}": rng.standard_normal(who.max() + 1)[who] * 3 + rng.standard_normal(num) for i in range(3)}
    return Faulty({**columns, **more, "line": np.array([f"z{each}" for each in who])}, "line")


def few_of(count: int) -> Callable[[Rng, Columns], Faulty]:
    def make(rng: Rng, columns: Columns) -> Faulty:
        _, place = codes(columns)
        kept = np.flatnonzero(place != 0)
        rare = rng.choice(np.flatnonzero(place == 0), count, replace=False)
        rows = rng.permutation(np.concatenate([kept, rare]))
        return Faulty({name: own[rows] for name, own in columns.items()})

    return make


def unequal(share: float) -> Callable[[Rng, Columns], Faulty]:
    def make(rng: Rng, columns: Columns) -> Faulty:
        _, place = codes(columns)
        kept, other = np.flatnonzero(place == 0), np.flatnonzero(place == 1)
        rare = rng.choice(other, int(len(kept) * share / (1 - share)), replace=False)
        rows = rng.permutation(np.concatenate([kept, rare]))
        return Faulty({name: own[rows] for name, own in columns.items()})

    return make


def later_more(rng: Rng, columns: Columns) -> Faulty:
    """Rows in an order in which one class becomes more frequent, as where it was recorded over time."""
    _, place = codes(columns)
    order = np.argsort((place == place.max()) + rng.normal(size=len(place)), kind="stable")
    return Faulty({name: own[order] for name, own in columns.items()})


def second_source(rng: Rng, columns: Columns) -> Faulty:
    """Rows of two places, one after the other, of which the second has hardly any of one class."""
    _, place = codes(columns)
    is_second = rng.random(len(place)) < np.where(place == 0, 0.15, 0.6)
    order = np.concatenate([rng.permutation(np.flatnonzero(is_second == here)) for here in (False, True)])
    return Faulty({name: own[order] for name, own in columns.items()})


def seasons(rng: Rng, columns: Columns) -> Faulty:
    """Rows in an order in which one class comes and goes, four times."""
    _, place = codes(columns)
    when = np.where(place == place.max(), rng.normal(0.5, 0.12, len(place)), rng.random(len(place))) % 1
    order = np.argsort(rng.integers(0, 4, len(place)) + when, kind="stable")
    return Faulty({name: own[order] for name, own in columns.items()})


MIXED, TOLD = ("mixed", "adult", "haystack", "rotated"), ("breast_cancer", "clouds", "digits", "adult", "phoneme")
NUMBERS = ("mixed", "phoneme", "breast_cancer", "abalone")
PLANTS = {
    "leak: class, 95 % right": Plant("target_leak", (*MIXED, "steps"), leak_copy),
    "leak: number, 25 and 60": Plant("target_leak", (*MIXED, "phoneme"), leak_number),
    "leak: stars": Plant("target_leak", MIXED, leak_rating),
    "wrong labels: 20 %": Plant("suspect_labels", TOLD, wrong(0.2)),
    "wrong labels: 10 %": Plant("suspect_labels", TOLD, wrong(0.1)),
    "wrong labels: 25 % of one class": Plant("suspect_labels", ("breast_cancer", "phoneme", "clouds"),
                                            wrong(0.25, one_sided=True)),
    "sentinel: -999": Plant("sentinel_values", NUMBERS, mark(-999.0, 0.02)),
    "sentinel: 9999": Plant("sentinel_values", NUMBERS, mark(9999.0, 0.05)),
    "sentinel: 1900-01-01": Plant("sentinel_values", NUMBERS, early_date),
    "parts: moved column": Plant("parts_differ", (*NUMBERS, "adult"), moved),
    "parts: inches": Plant("parts_differ", (*NUMBERS, "adult"), other_unit),
    "parts: selected rows": Plant("parts_differ", (*NUMBERS, "adult"), selected),
    "groups: patients": Plant("group_column", MIXED, patients),
    "groups: users": Plant("group_column", MIXED, users),
    "groups: machines": Plant("group_column", MIXED, machines),
    "small class: 7 rows": Plant("small_classes", ("digits", "clouds", "steps", "only_words"), few_of(7)),
    "order: a class becomes more frequent": Plant("row_order", MIXED, later_more),
    "order: two places": Plant("row_order", MIXED, second_source),
    "order: seasons": Plant("row_order", MIXED, seasons),
    "imbalance: 96 to 4": Plant("imbalance", ("mixed", "adult", "phoneme"), unequal(0.04)),
    "imbalance: 98 to 2": Plant("imbalance", ("mixed", "adult", "phoneme"), unequal(0.02)),
}  # fmt: skip


# Running --------------------------------------------------------------------------------------------------------------


def checked(fault: Faulty, folder: Path) -> tuple[tuple[Finding, ...], str, float]:
    """The findings about a table as files, the metric that chooses, and the seconds of processor time."""
    test = None
    if fault.later is None:
        path = write(fault.columns, folder / "all.csv")
    else:
        path = write({name: own[~fault.later] for name, own in fault.columns.items()}, folder / "train.csv")
        test = str(write({name: own[fault.later] for name, own in fault.columns.items()}, folder / "test.csv"))
    config = StudyConfig(data=str(path), target=TARGET, test=test)
    began = time.process_time()
    opened = split_rows(read_rows(config).rows, config, kind="table")
    return opened.findings, opened.data.metric, time.process_time() - began


def names_it(found: tuple[Finding, ...], plant: Plant, fault: Faulty, metric: str) -> bool:
    own = [each for each in found if each.code == plant.code]
    if plant.code == "imbalance":
        return bool(own) and metric == "balanced_accuracy"
    if not own or not fault.column:
        return bool(own)
    columns: Any = own[0].evidence["columns"]
    return any(fault.column in (*each, *each.values()) for each in columns)


def others(found: tuple[Finding, ...], allowed: tuple[str, ...]) -> list[str]:
    return [f.code for f in found if f.code in CODES and f.code not in allowed and f.severity != "info"]


def tables(seeds: int, only: str) -> Iterator[tuple[str, str, int, list[str], bool, int, float]]:
    """(plant, base, seed, codes that were said, whether the fault was named, false ones, seconds) of each run."""
    for name, plant in PLANTS.items():
        if only not in name:
            continue
        for seed in range(seeds):
            for which in plant.bases:
                with tempfile.TemporaryDirectory() as folder:
                    rng = np.random.default_rng([seed, len(name), len(which)])
                    fault = plant.make(rng, base(which, seed))
                    found, metric, spent = checked(fault, Path(folder))
                allowed = (plant.code, "imbalance", *NATURAL.get(which, ()))
                more = others(found, allowed)
                said = [each.code for each in found if each.code in CODES]
                yield name, which, seed, said, names_it(found, plant, fault, metric), len(more), spent
    if only in "clean":
        for which in [*(each for each in TASKS if each != "wrong_labels"), *SAMPLES]:
            for seed in range(seeds):
                with tempfile.TemporaryDirectory() as folder:
                    own = base(which, seed)
                    later = None if seed % 2 == 0 else np.random.default_rng([seed, 3]).random(len(own[TARGET])) < 0.3
                    found, _, spent = checked(Faulty(own, later=later), Path(folder))
                more = others(found, ("imbalance", *NATURAL.get(which, ())))
                yield "clean", which, seed, [each.code for each in found if each.code in CODES], False, len(more), spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", default="", help="plants whose name contains this; clean for data without a fault")
    parser.add_argument("--part", choices=("tables", "pictures", "all"), default="all")
    given = parser.parse_args()
    rows: dict[str, Row] = {}
    seconds: list[float] = []
    parts = ["tables", "pictures"] if given.part == "all" else [given.part]
    for part in parts:
        if part == "pictures":
            from planted_pictures import pictures as runs
        else:
            runs = tables
        for name, which, seed, said, named, more, spent in runs(given.seeds, given.only):
            row = rows.setdefault(f"{part}: {name}", Row())
            row.runs += 1
            row.named += named
            row.another += more > 0
            row.said[f"{which}: {'+'.join(said) or 'silent'}"] += 1
            seconds.append(spent)
            print(part, name, which, seed, said, named, f"{spent:.1f} s", file=sys.stderr)
    print(json.dumps(summary(rows, seconds, given.seeds)))


def summary(rows: Mapping[str, Row], seconds: list[float], seeds: int) -> dict[str, Any]:
    sick = [row for name, row in rows.items() if not name.endswith("clean")]
    well = [row for name, row in rows.items() if name.endswith("clean")]
    return {
        "benchmark": "planted_data", "commit": git("rev-parse", "HEAD"), "machine": machine(), "seeds": seeds,
        "sick": {"runs": sum(r.runs for r in sick), "named": sum(r.named for r in sick),
                 "another": sum(r.another for r in sick)},
        "clean": {"runs": sum(r.runs for r in well), "false_alarms": sum(r.another for r in well)},
        "seconds": {"median": float(np.median(seconds or [0])), "most": max(seconds, default=0.0)},
        "plants": {name: {**vars(row), "said": dict(row.said)} for name, row in rows.items()},
    }  # fmt: skip


if __name__ == "__main__":
    main()
