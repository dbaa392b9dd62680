"""What a delivered model takes beside how good it is: objectives to choose by, and limits that it must keep within."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tame.core.errors import UsageError, require, unknown

LATENCY, SIZE = "latency", "size"
OBJECTIVES = (LATENCY, SIZE)
UNITS: Mapping[str, Mapping[str, float]] = {  # in seconds, and in bytes
    LATENCY: {"us": 1e-6, "ms": 1e-3, "s": 1.0},
    SIZE: {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30},
}
EXAMPLES = {LATENCY: "20ms", SIZE: "5MB"}
MEANS = {
    LATENCY: "the processor time that one example takes alone, on one thread",
    SIZE: "the bytes of the model's files",
}
SOONER = {LATENCY: "faster", SIZE: "smaller"}
_AMOUNT = re.compile(r"([+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*([A-Za-z]*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Price:
    """What a delivered model takes. latency_s: of one example alone; size_bytes: of its files."""

    latency_s: int | float
    size_bytes: int

    def of(self, objective: str) -> float:
        """In seconds, or in bytes."""
        return float(self.latency_s if objective == LATENCY else self.size_bytes)

    def within(self, limits: Mapping[str, float]) -> bool:
        """Whether it keeps within all limits."""
        return all(self.of(name) <= most for name, most in limits.items())

    def excess(self, limits: Mapping[str, float]) -> float:
        """How many times as much as its limit it takes, at the worst; 1 or less is within them."""
        return max((self.of(name) / most for name, most in limits.items()), default=0.0)


def amount(name: str, text: object) -> float:
    """Seconds of "20ms", or bytes of "5MB". Raises UsageError for anything without a unit, and for 0 or less."""
    units, example = UNITS[name], f"write it as {name}={EXAMPLES[name]}"
    found = _AMOUNT.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None or not found[2]:
        raise UsageError(
            f"the limit of {name} needs a number and a unit ({', '.join(units)}), got {text!r:.60}; {example}"
        )
    require(float(found[1]) > 0, f"the limit of {name} must be above 0, got {text!r:.60}; {example}")
    if found[2] not in units:
        raise UsageError(f"{unknown(f'unit of {name}', found[2], units)}; {example}")
    value = float(found[1]) * units[found[2]]
    require(math.isfinite(value), f"the limit of {name} must be finite, got {text!r:.60}; {example}")
    return value


def require_objective(name: object) -> None:
    """Raises UsageError unless this is an objective."""
    if name not in OBJECTIVES:
        raise UsageError(f"{unknown('objective', name, OBJECTIVES)}; how good a model is, is set with --metric")


def check_limits(limits: object) -> None:
    """Raises UsageError unless these are amounts with units, by objective."""
    require(
        isinstance(limits, Mapping),
        f'limit must give an amount by name, such as {{"latency": "20ms"}}, got {limits!r:.80}',
    )
    assert isinstance(limits, Mapping)
    for name, text in limits.items():
        if name not in OBJECTIVES:
            raise UsageError(unknown("limit", name, OBJECTIVES))
        amount(name, text)


def amounts(limits: Mapping[str, str]) -> dict[str, float]:
    """Seconds and bytes of limits that are good."""
    return {name: amount(name, text) for name, text in limits.items()}


def parse_limits(texts: Sequence[str]) -> dict[str, str]:
    """Limits of ("latency=20ms", ...). Raises UsageError for a wrong form, and for one that is given twice."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        require(
            bool(equals), f"cannot read the limit {text!r:.60}: write NAME=AMOUNT, such as latency=20ms or size=5MB"
        )
        require(name.strip() not in found, f"the limit of {name.strip()} is given twice; keep one of them")
        found[name.strip()] = value.strip()
    check_limits(found)
    return found


def write_limits(limits: object) -> tuple[str, ...]:
    """Limits as `parse_limits` reads them."""
    assert isinstance(limits, Mapping)
    return tuple(f"{name}={value}" for name, value in limits.items())


def toml_limits(value: object, where: str) -> object:
    """The amounts of a [limit] table, or of texts such as "latency=20ms"."""
    if isinstance(value, Mapping):
        return dict(value)
    several = [value] if isinstance(value, str) else value
    if not isinstance(several, list) or not all(isinstance(each, str) for each in several):
        raise UsageError(f'{where}: limit must be a table, such as latency = "20ms", or texts such as "latency=20ms"')
    return parse_limits(several)


def shown(objective: str, value: float) -> str:
    """Seconds or bytes as people write them: 1.24 ms, 5.1 MB."""
    units = UNITS[objective]
    names = [name for name in units if not name.endswith("iB") and units[name] <= value * 1.0005]
    name = names[-1] if names else next(iter(units))
    if objective == SIZE and name == "B":
        return f"{value:.0f} B"
    own = value / units[name]
    return f"{own:.{2 if own < 10 else 1 if own < 100 else 0}f} {name}"


def looser(objective: str, value: float) -> str:
    """A limit that a model which takes this much keeps within, of two digits, rounded up: 35ms."""
    more = 1.1 * value  # what is measured again elsewhere differs a little
    step = 10.0 ** (math.floor(math.log10(more)) - 1)
    rounded = max(math.ceil(more / step) * step, min(UNITS[objective].values()))
    name = shown(objective, rounded).split()[1]
    return f"{rounded / UNITS[objective][name]:.6g}{name}"
