"""Which recipes may be tried: dimensions by dotted recipe name, to and from the unit cube."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tame.core.errors import UsageError, require
from tame.core.recipe import Recipe, Value


@dataclass(frozen=True, slots=True)
class Float:
    """A real number from low to high, both included; `log` spreads it evenly over its logarithm."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        _check_bounds(self.low, self.high, self.log)

    def at(self, u: float) -> float:
        """The value at u in [0, 1]."""
        if self.log:
            value = math.exp(math.log(self.low) + u * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + u * (self.high - self.low)
        return min(max(value, self.low), self.high)

    def where(self, value: Any) -> float:
        """The inverse of `at`, clipped to [0, 1]."""
        low, high, at = self.low, self.high, float(value)
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(max(at, 1e-300))
        return min(max((at - low) / (high - low), 0.0), 1.0) if high > low else 0.5

    def holds(self, value: Any) -> bool:
        """Whether the value may be proposed."""
        return isinstance(value, int | float) and self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Int:
    """A whole number from low to high, both included."""

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        _check_bounds(self.low, self.high, self.log)

    def at(self, u: float) -> int:
        """The value at u in [0, 1]; each whole number gets its share of the (log) range."""
        wide = Float(self.low - 0.5 + (1e-9 if self.log else 0), self.high + 0.5, self.log)
        return min(max(round(wide.at(u)), self.low), self.high)

    def where(self, value: Any) -> float:
        """A point that `at` maps to the value."""
        return Float(self.low - 0.5 + (1e-9 if self.log else 0), self.high + 0.5, self.log).where(value)

    def holds(self, value: Any) -> bool:
        """Whether the value may be proposed."""
        return isinstance(value, int) and self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some values; where they are numbers in rising order, their order is kept in the unit cube."""

    values: tuple[Value, ...]

    def __init__(self, *values: Value) -> None:
        object.__setattr__(self, "values", tuple(values))
        require(len(values) > 0, "a choice needs at least one value")
        require(len(set(map(repr, values))) == len(values), f"a choice holds the same value twice: {values}")

    def at(self, u: float) -> Value:
        """The value at u in [0, 1]."""
        return self.values[min(int(u * len(self.values)), len(self.values) - 1)]

    def where(self, value: Any) -> float:
        """The middle of the value's share of [0, 1]."""
        return (self.values.index(value) + 0.5) / len(self.values)

    def holds(self, value: Any) -> bool:
        """Whether the value may be proposed."""
        return value in self.values


Dimension = Float | Int | Choice


@dataclass(frozen=True, slots=True)
class Space:
    """Dimensions by dotted recipe name. Raises UsageError for a name or a range that no recipe can have."""

    dimensions: Mapping[str, Dimension]

    def __post_init__(self) -> None:
        require("seed" not in self.dimensions, "the seed is never searched over; it is set with --seed")
        for name, dimension in self.dimensions.items():
            ends = (dimension.at(0.0), dimension.at(1.0))
            for value in dimension.values if isinstance(dimension, Choice) else ends:
                Recipe().but({name: value})
            whole = isinstance(_like(name), int) and isinstance(dimension, Float)
            require(not whole, f"{name} is a whole number; write the ends of its range as such")

    def __len__(self) -> int:
        return len(self.dimensions)

    def from_unit(self, point: np.ndarray) -> dict[str, Value]:
        """Recipe values at a point of the unit cube. point: (D,) in [0, 1]."""
        return {name: dim.at(float(u)) for (name, dim), u in zip(self.dimensions.items(), point, strict=True)}

    def to_unit(self, values: Mapping[str, Value]) -> np.ndarray:
        """The point (D,) of the unit cube that holds these recipe values."""
        return np.array([dim.where(values[name]) for name, dim in self.dimensions.items()])

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Whether every dimension holds its value."""
        return all(dim.holds(values.get(name)) for name, dim in self.dimensions.items())

    def but(self, changes: Mapping[str, Dimension]) -> Space:
        """This space with some dimensions replaced or added."""
        return Space({**self.dimensions, **changes})

    def without(self, names: Iterable[str]) -> Space:
        """This space without some dimensions."""
        gone = set(names)
        return Space({name: dim for name, dim in self.dimensions.items() if name not in gone})

    def to_json(self) -> dict[str, Any]:
        """Plain values that `from_json` turns back into this space."""
        found: dict[str, Any] = {}
        for name, dim in self.dimensions.items():
            if isinstance(dim, Choice):
                found[name] = {"values": list(dim.values)}
            else:
                kind = "int" if isinstance(dim, Int) else "float"
                found[name] = {"kind": kind, "low": dim.low, "high": dim.high, "log": dim.log}
        return found

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Space:
        """The space that `to_json` wrote."""
        dims: dict[str, Dimension] = {}
        for name, item in values.items():
            if "values" in item:
                dims[name] = Choice(*item["values"])
            else:
                kind = Int if item["kind"] == "int" else Float
                dims[name] = kind(item["low"], item["high"], item["log"])
        return cls(dims)


def parse_dimension(text: str) -> tuple[str, Dimension]:
    """Name and dimension of "optimizer.lr=1e-4..1e-1:log", "model.hidden=0|64|256" or "epochs=5..40".

    Raises UsageError that says which form is right.
    """
    form = "write NAME=LOW..HIGH, NAME=LOW..HIGH:log or NAME=VALUE|VALUE"
    name, equals, body = text.partition("=")
    name, body = name.strip().removeprefix("recipe."), body.strip()
    require(bool(equals and name and body), f"cannot read the space {text!r}: {form}")
    if ".." not in body:
        return name, Choice(*(_number(part.strip()) for part in body.split("|")))
    body, _, scale = body.partition(":")
    require(scale in ("", "log", "linear"), f"cannot read the scale {scale!r} in {text!r}: {form}")
    low, _, high = body.partition("..")
    ends = (_number(low.strip()), _number(high.strip()))
    if any(isinstance(end, str | bool) for end in ends):
        raise UsageError(f"cannot read the range {body!r} in {text!r}: {form}")
    if not isinstance(_like(name), float) and all(float(end).is_integer() for end in ends):  # 1e1 is a whole number
        return name, Int(int(ends[0]), int(ends[1]), scale == "log")
    return name, Float(float(ends[0]), float(ends[1]), scale == "log")


def _like(name: str) -> Value | None:
    return Recipe().flat().get(name)


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text.lower(), text)


def _check_bounds(low: float, high: float, log: bool) -> None:
    require(math.isfinite(low) and math.isfinite(high), f"the ends of a range must be finite, got {low}..{high}")
    require(low <= high, f"the low end of a range must not be above the high one, got {low}..{high}")
    require(not log or low > 0, f"a log range must start above 0, got {low}..{high}")
