"""One dimension of a search space: a range of numbers, of whole numbers, or a choice; to and from [0, 1].

A dimension may have conditions (`when`), and has a purpose: scientific if the question is about it, nuisance if it must
be tuned for a fair answer, and fixed if it has one value. Source: Godbole, Dahl, Gilmer, Shallue and Nado, Deep
Learning Tuning Playbook (2023).
"""

from __future__ import annotations

import math
import numbers
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from decimal import Decimal
from typing import Any, Literal

from tame.core.errors import UsageError, require, unknown
from tame.core.recipe import Value

Purpose = Literal["scientific", "nuisance", "fixed"]
PURPOSES: tuple[Purpose, ...] = ("scientific", "nuisance", "fixed")
MOST_STEPS = 10**9  # values of a range with steps; with more, the steps make no difference
LEAST_LOG = 1e-300  # the lowest start of a log range
SAME = 1e-9  # of a step: a number this close to a step counts as the step


class When(Mapping[str, tuple[Value, ...]]):
    """Conditions: recipe fields, each with its allowed values. Immutable and hashable."""

    __slots__ = ("_items",)

    def __init__(self, fields: Mapping[str, object]) -> None:
        """fields: each with one value, or with several in a tuple or list. Raises UsageError if there is no value."""
        require(isinstance(fields, Mapping), f"`when` maps recipe fields to values, got {fields!r}")
        self._items: dict[str, tuple[Value, ...]] = {}
        for name, values in fields.items():
            require(isinstance(name, str) and bool(name), f"`when` maps recipe fields to values, got {fields!r}")
            several = values if isinstance(values, tuple | list) else (values,)
            require(len(several) > 0, f"the condition on {name} names no value")
            self._items[name.removeprefix("recipe.")] = _distinct(several, f"the condition on {name}")

    def __getitem__(self, name: str) -> tuple[Value, ...]:
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return repr(self._items)


ALWAYS = When({})


@dataclass(frozen=True, slots=True)
class Float:
    """A real number from low to high, both included; `log` spreads it evenly over its logarithm.

    step: only low, low + step, low + 2 step and so on up to high, each with its share of the (log) range. when: fields
    that must have one of these values for the dimension to be active. Raises UsageError for an invalid range.

    >>> rate = tame.Float(1e-4, 1e-2, log=True)
    >>> f"{rate.at(0):.0e} {rate.at(0.5):.0e} {rate.at(1):.0e}"
    '1e-04 1e-03 1e-02'
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    _: KW_ONLY
    when: Mapping[str, Any] = field(default=ALWAYS)
    purpose: Purpose | None = None

    def __post_init__(self) -> None:
        low, high = _number(self.low, "the ends of a range"), _number(self.high, "the ends of a range")
        step = None if self.step is None else float(_number(self.step, "the step of a range"))
        _check_range(float(low), float(high), self.log, step)
        _set(self, low=float(low), high=float(high), step=step, when=When(self.when))
        _check_purpose(self.purpose, self.count)

    @property
    def count(self) -> float:
        """The number of values; infinite without steps."""
        if self.step is None:
            return math.inf if self.low < self.high else 1
        return _count(self.low, self.high, self.step)

    def at(self, u: float) -> float:
        """The value at u in [0, 1]."""
        if self.step is None:
            return min(max(_between(self.low, self.high, self.log, u), self.low), self.high)
        return self._nearest(_between(*_edges(self, self.step), self.log, u))

    def where(self, value: object) -> float:
        """The inverse of `at`, clipped to [0, 1]."""
        low, high = (self.low, self.high) if self.step is None else _edges(self, self.step)
        return _place(low, high, self.log, float(_number(value, "a value of a range")))

    def holds(self, value: object) -> bool:
        """Whether the value may be proposed."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        return self.step is None or math.isclose(self._nearest(value), value, rel_tol=SAME, abs_tol=SAME * self.step)

    def _nearest(self, value: float) -> float:
        """The step nearest to a value, computed in decimals as it was written: 0.1 + 2 * 0.1 is 0.3."""
        assert self.step is not None
        steps = min(max(round((value - self.low) / self.step), 0), _count(self.low, self.high, self.step) - 1)
        return float(_decimal(self.low) + steps * _decimal(self.step))


@dataclass(frozen=True, slots=True)
class Int:
    """A whole number from low to high, both included, in steps from low; `log` and errors as in Float.

    >>> width = tame.Int(16, 64, step=16)
    >>> [width.at(u) for u in (0, 0.3, 0.6, 1)]
    [16, 32, 48, 64]
    """

    low: int
    high: int
    log: bool = False
    step: int = 1
    _: KW_ONLY
    when: Mapping[str, Any] = field(default=ALWAYS)
    purpose: Purpose | None = None

    def __post_init__(self) -> None:
        low, high = _whole(self.low, "the ends of a range"), _whole(self.high, "the ends of a range")
        step = _whole(self.step, "the step of a range")
        _check_range(low, high, self.log, None if step == 1 else step)
        _set(self, low=low, high=high, step=step, when=When(self.when))
        _check_purpose(self.purpose, self.count)

    @property
    def count(self) -> int:
        """How many values it holds."""
        return (self.high - self.low) // self.step + 1

    def at(self, u: float) -> int:
        """The value at u in [0, 1]; each value has its share of the (log) range."""
        steps = round((_between(*_edges(self, self.step), self.log, u) - self.low) / self.step)
        return self.low + min(max(steps, 0), self.count - 1) * self.step

    def where(self, value: object) -> float:
        """A point that `at` maps to the value, clipped to [0, 1]."""
        return _place(*_edges(self, self.step), self.log, float(_number(value, "a value of a range")))

    def holds(self, value: object) -> bool:
        """Whether the value may be proposed."""
        if not isinstance(value, int) or isinstance(value, bool):
            return False
        return self.low <= value <= self.high and (value - self.low) % self.step == 0


@dataclass(frozen=True, slots=True, init=False)
class Choice:
    """One of several values. If they are numbers in ascending order, the unit cube keeps that order.

    Raises UsageError if there is no value, if one occurs twice (1, 1.0 and true are the same), and if one is not a
    number, text, true or false.

    >>> momentum = tame.Float(0.8, 0.99, when={"optimizer.name": "sgd"})
    >>> space = {"optimizer.name": tame.Choice("adamw", "sgd"), "optimizer.momentum": momentum}
    >>> space["optimizer.name"].holds("lion")
    False
    """

    values: tuple[Value, ...]
    _: KW_ONLY
    when: When
    purpose: Purpose | None
    _index: Mapping[Value, int] = field(compare=False, repr=False)  # makes `where` fast in a long choice

    def __init__(self, *values: Value, when: Mapping[str, object] = ALWAYS, purpose: Purpose | None = None) -> None:
        if len(values) == 1 and isinstance(values[0], list | tuple | set | frozenset):
            raise UsageError(f"write Choice(1, 2, 3), each value as an argument; got Choice({values[0]!r})")
        require(len(values) > 0, "a choice needs at least one value")
        own = _distinct(values, "a choice")
        _set(self, values=own, when=When(when), purpose=purpose, _index={value: i for i, value in enumerate(own)})
        _check_purpose(purpose, len(own))

    @property
    def count(self) -> int:
        """How many values it holds."""
        return len(self.values)

    def at(self, u: float) -> Value:
        """The value at u in [0, 1]."""
        return self.values[min(int(u * len(self.values)), len(self.values) - 1)]

    def where(self, value: object) -> float:
        """The middle of the value's share of [0, 1]. Raises UsageError for a value that is not in the choice."""
        place = self._place(value)
        if place is None:
            raise UsageError(unknown("choice", value, map(str, self.values[:20])))
        return (place + 0.5) / len(self.values)

    def holds(self, value: object) -> bool:
        """Whether the value may be proposed."""
        return self._place(value) is not None

    def _place(self, value: object) -> int | None:
        """The index of the value; 1 and 1.0 are the same, 1 and true are not."""
        place = self._index.get(value) if isinstance(value, bool | int | float | str) else None
        is_same = place is not None and isinstance(self.values[place], bool) == isinstance(value, bool)
        return place if is_same else None


Dimension = Float | Int | Choice


def but(dimension: Dimension, *, when: Mapping[str, object]) -> Dimension:
    """The dimension with other conditions."""
    if isinstance(dimension, Choice):
        return Choice(*dimension.values, when=when, purpose=dimension.purpose)
    return replace(dimension, when=when)


def stretched(dimension: Float | Int, *, low: float | None, high: float | None) -> Float | Int:
    """The range with those ends replaced that are given. Raises UsageError for an invalid range."""
    make: Callable[..., Float | Int] = type(dimension)
    ends = (dimension.low if low is None else low, dimension.high if high is None else high)
    return make(*ends, dimension.log, dimension.step, when=dimension.when, purpose=dimension.purpose)


def covers(new: Dimension, old: Dimension) -> bool:
    """Whether the new dimension contains every value of the old one; conditions are ignored."""
    if isinstance(old, Choice):
        return all(new.holds(value) for value in old.values)
    if isinstance(new, Choice):
        return old.count <= new.count and all(new.holds(value) for value in every_value(old))
    if isinstance(new, Int) != isinstance(old, Int) or not new.low <= old.low or not new.high >= old.high:
        return False
    if new.step is None or old.low == old.high:
        return new.holds(old.low)
    if old.step is None:
        return False
    several = old.step / new.step  # steps of the new range in one step of the old range
    return new.holds(old.low) and math.isclose(several, round(several), rel_tol=SAME) and round(several) > 0


def every_value(dimension: Dimension) -> tuple[Value, ...]:
    """All values of a dimension that has finitely many, in order."""
    if isinstance(dimension, Choice):
        return dimension.values
    if isinstance(dimension, Int):
        return tuple(range(dimension.low, dimension.high + 1, dimension.step))
    step = _decimal(dimension.step or 0.0)
    return tuple(float(_decimal(dimension.low) + k * step) for k in range(int(dimension.count)))


def _set(dimension: object, **values: object) -> None:
    for name, value in values.items():
        object.__setattr__(dimension, name, value)


def _edges(dimension: Float | Int, step: float) -> tuple[float, float]:
    """The range in which each step has its share: half a step more at either end, and above 0 if it is log."""
    last = dimension.low + (int(dimension.count) - 1) * step
    first = dimension.low - step / 2
    return (max(first, dimension.low / 2) if dimension.log else first), last + step / 2


def _between(low: float, high: float, log: bool, u: float) -> float:
    if log:
        return math.exp(math.log(low) + u * (math.log(high) - math.log(low)))
    return low + u * (high - low)


def _place(low: float, high: float, log: bool, value: float) -> float:
    if log:
        low, high, value = math.log(low), math.log(high), math.log(max(value, LEAST_LOG))
    return min(max((value - low) / (high - low), 0.0), 1.0) if high > low else 0.5


def _count(low: float, high: float, step: float) -> int:
    return int((_decimal(high) - _decimal(low)) // _decimal(step)) + 1


def _decimal(value: float) -> Decimal:
    return Decimal(repr(value))


def _number(value: object, what: str) -> float:
    """A plain number, converted if it came from NumPy."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise UsageError(f"{what} must be numbers, got {value!r}")
    try:
        float(value)
    except OverflowError:  # Python's integers are unbounded
        raise UsageError(f"{what} must be finite, got a number above {sys.float_info.max:.3g} in size") from None
    return int(value) if isinstance(value, numbers.Integral) else float(value)


def _whole(value: object, what: str) -> int:
    number = _number(value, what)
    require(math.isfinite(number), f"{what} must be finite, got {value!r}")
    require(number == int(number), f"{what} of whole numbers must be whole, got {value!r}")
    return int(number)


def _check_range(low: float, high: float, log: bool, step: float | None) -> None:
    require(isinstance(log, bool), f"log is True or False, got {log!r}")
    require(math.isfinite(low) and math.isfinite(high), f"the ends of a range must be finite, got {low}..{high}")
    backwards = f"the low end of a range must not be above the high end, got {low}..{high}; write {high}..{low}"
    require(low <= high, backwards)
    require(math.isfinite(high - low), f"the range {low}..{high} is too wide to be searched")
    require(not log or low > 0, f"a log range must start above 0, got {low}..{high}")
    require(not log or low >= LEAST_LOG, f"a log range must start at {LEAST_LOG:g} or more, got {low}..{high}")
    if step is None:
        return
    require(step > 0 and math.isfinite(step), f"the step of a range must be above 0, got {step}")
    fits = step <= (high - low) * (1 + SAME)
    require(fits, f"the step of a range must not be larger than the range, got {step} in {low}..{high}")
    few = (high - low) / step <= MOST_STEPS
    require(few, f"steps of {step} make more than {MOST_STEPS:,} values in {low}..{high}; leave the step out")


def _check_purpose(purpose: object, count: float) -> None:
    if purpose is not None and purpose not in PURPOSES:
        raise UsageError(unknown("purpose", purpose, PURPOSES))
    require(purpose != "fixed" or count == 1, "a fixed dimension has one value: write Choice(VALUE)")


def _distinct(values: Iterable[object], what: str) -> tuple[Value, ...]:
    """The values as plain ones. Raises UsageError for a value that no recipe can hold, and for a duplicate."""
    found: dict[Value, Value] = {}
    for value in values:
        own = value if isinstance(value, bool | str) else _choosable(value, what)
        if own in found:
            raise UsageError(f"{what} has the same value twice: {found[own]!r} and {own!r}")
        found[own] = own
    return tuple(found.values())


def _choosable(value: object, what: str) -> Value:
    own = _number(value, what) if isinstance(value, numbers.Real) else math.nan
    require(math.isfinite(own), f"{what} takes finite numbers, text, True or False; got {value!r}")
    return own
