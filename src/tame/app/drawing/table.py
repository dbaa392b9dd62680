"""Draws the table of `tame demo --table`: insects that were measured in a garden, with a few planted faults.

Everything is drawn from random numbers, so the table needs neither network nor licence.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from tame.app.drawing.shapes import Rng, between
from tame.core.errors import require
from tame.core.files import write_text
from tame.core.rng import stream

TARGET = "species"
IDENTIFIER, CONSTANT, LEAK = "tag", "recorder", "tray"  # columns that are faults
COLUMNS = (
    IDENTIFIER, "date", "hour", "temperature", "flower", "length_mm", "wing_mm", "mass_mg", "wingbeat_hz", "hair",
    CONSTANT, LEAK, TARGET,
)  # fmt: skip
MISSING_SHARE = 0.05  # of masses
WARMTH = 4.0  # hertz that a wing beats faster for each degree


@dataclass(frozen=True, slots=True)
class Species:
    """How individuals of a species are distributed: means, with a spread of `vary` times each, and their habits."""

    length_mm: float
    wing: float  # of the length
    density: float  # mass in mg over the cube of the length in mm
    wingbeat_hz: float  # at 20 degrees
    hair: float
    hours: tuple[float, float]  # of the day
    flowers: tuple[float, float, float, float]  # shares, in the order of FLOWERS
    vary: float = 0.13


FLOWERS = ("clover", "thistle", "bramble", "ivy")
SPECIES: Mapping[str, Species] = {
    "honey bee": Species(13.0, 0.72, 0.046, 228, 0.55, (8, 18), (0.4, 0.2, 0.3, 0.1)),
    "bumblebee": Species(16.0, 0.78, 0.051, 172, 0.85, (6, 20), (0.3, 0.45, 0.2, 0.05)),
    "wasp": Species(14.0, 0.80, 0.036, 195, 0.22, (9, 19), (0.05, 0.15, 0.3, 0.5)),
    "hoverfly": Species(11.5, 0.86, 0.042, 186, 0.38, (9, 17), (0.25, 0.15, 0.25, 0.35)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFaults:
    """How many rows of each kind are planted.

    copies: equal to another row; conflicts: equal to another but for the species, and for the column that follows it;
    unlabelled: without a species; infinite: with an infinite mass.
    """

    copies: int = 0
    conflicts: int = 0
    unlabelled: int = 0
    infinite: int = 0

    def __post_init__(self) -> None:
        for each in fields(self):
            require(getattr(self, each.name) >= 0, f"there cannot be {getattr(self, each.name)} {each.name}")


def draw_table(path: Path, *, seed: int, rows: int, faults: TableFaults) -> None:
    """Writes a CSV table of insects, planted rows included. The same arguments give the same bytes.

    Besides the planted rows, a column names each insect, one is constant, and one gives the species away.
    Raises UsageError if there are more faults than rows.
    """
    copied = faults.copies + faults.conflicts
    need = 2 * copied + faults.unlabelled + faults.infinite
    require(need <= rows, f"these faults need {need} rows, got {rows}")
    rng = stream(seed, "table")
    own = [_insect(rng, number) for number in range(1, rows - copied + 1)]
    place = COLUMNS.index(TARGET)
    some = iter(rng.permutation(len(own)).tolist())
    again = [list(own[next(some)]) for _ in range(copied)]
    for row in again[: faults.conflicts]:
        row[place] = _other(rng, row[place])
        row[COLUMNS.index(LEAK)] = _tray(row[place])
    for _ in range(faults.unlabelled):
        own[next(some)][place] = ""
    for _ in range(faults.infinite):
        own[next(some)][COLUMNS.index("mass_mg")] = "inf"
    every = [*own, *again]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(every[row] for row in rng.permutation(len(every)))
    write_text(path.parent, path.name, text.getvalue())


def _insect(rng: Rng, number: int) -> list[str]:
    """One row, in the order of COLUMNS."""
    name = list(SPECIES)[int(rng.integers(len(SPECIES)))]
    own = SPECIES[name]

    def near(mean: float) -> float:
        return mean * float(rng.lognormal(0.0, own.vary))

    length, temperature = near(own.length_mm), between(rng, (9, 31))
    mass = near(own.density * length**3)
    beat = near(own.wingbeat_hz) + WARMTH * (temperature - 20)
    day = int(rng.integers(1, 31))
    return [
        f"G{number:05d}", f"2026-{int(rng.integers(5, 10)):02d}-{day:02d}", f"{between(rng, own.hours):.1f}",
        f"{temperature:.1f}", str(rng.choice(FLOWERS, p=own.flowers)), f"{length:.1f}",
        f"{near(own.wing) * length:.1f}", "" if rng.random() < MISSING_SHARE else f"{mass:.0f}", f"{beat:.0f}",
        f"{min(near(own.hair), 1.0):.2f}", "garden survey", _tray(name), name,
    ]  # fmt: skip


def _tray(name: str) -> str:
    """Where insects of a species are put, once it is known."""
    return f"tray {1 + list(SPECIES).index(name)}"


def _other(rng: Rng, name: str) -> str:
    """Another species than this one."""
    others: Sequence[str] = [each for each in SPECIES if each != name]
    return others[int(rng.integers(len(others)))]
