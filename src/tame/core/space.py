"""Which recipes may be tried: dimensions by dotted recipe name, to and from the unit cube."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np

from tame.core.conditions import (
    PLAIN,
    by_field,
    check_values,
    field_of,
    implied,
    in_order,
    label_of,
    labelled,
    met,
    never,
    refuse_overlaps,
)
from tame.core.dimensions import (
    ALWAYS,
    Choice,
    Dimension,
    Float,
    Int,
    Purpose,
    When,
    but,
    covers,
    every_value,
    stretched,
)
from tame.core.errors import UsageError, require, unknown
from tame.core.recipe import Value
from tame.core.space_text import parse_dimension, to_text

__all__ = [
    "Choice",
    "Dimension",
    "Float",
    "Int",
    "Space",
    "check_asked",
    "field_of",
    "joined",
    "parse_dimension",
    "to_text",
]

MOST_CASES = 10_000  # combinations of conditions that are enumerated to count the recipes of a space
NUISANCE_ROOMS = ("optimizer", "schedule", "then", "regularize", "augment")
NUISANCE = ("model.dropout", "loss.label_smoothing", "batch_size")
SCIENTIFIC = ("optimizer.name", "schedule.name", "then.start", "then.optimizer", "then.schedule", "augment.flip")


@dataclass(frozen=True, slots=True)
class Space:
    """Dimensions by dotted recipe name, which may carry a label: "optimizer.lr", "optimizer.lr@sgd".

    A dimension is active if its conditions are met, by the values of the others or, for fields that no active dimension
    sets, by those of `base`. Raises UsageError for a name or a range that no recipe can have, for conditions that are
    circular or never met, and for two dimensions that would set one field at the same time.
    """

    dimensions: Mapping[str, Dimension]
    base: Mapping[str, Value] = field(
        default_factory=dict, kw_only=True, repr=False
    )  # missing fields are as in Recipe()
    _order: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, dimension in self.dimensions.items():
            right = isinstance(name, str) and isinstance(dimension, Dimension)
            require(right, f"the dimension {name!r} is {dimension!r}; give a Float, an Int or a Choice")
            check_values(name, dimension)
        whole = labelled(self.dimensions)
        order = in_order(whole)
        refuse_overlaps(whole)
        for reason in never(whole, order, None).values():
            raise UsageError(reason)
        object.__setattr__(self, "dimensions", whole)
        object.__setattr__(self, "base", {**PLAIN, **self.base})
        object.__setattr__(self, "_order", order)

    def __len__(self) -> int:
        return len(self.dimensions)

    @property
    def fields(self) -> tuple[str, ...]:
        """The recipe fields that the dimensions set, each once, in order."""
        return tuple(by_field(self.dimensions))

    @property
    def searched(self) -> tuple[str, ...]:
        """The names of the dimensions with more than one value; the others are fixed."""
        return tuple(name for name, dim in self.dimensions.items() if dim.count > 1)

    @property
    def count(self) -> float:
        """The number of different recipes; infinite with a real dimension, or with too many conditions to count."""
        if all(not dim.when for dim in self.dimensions.values()):
            return math.prod(dim.count for dim in self.dimensions.values())
        asked = {each for dim in self.dimensions.values() for each in dim.when}
        deciding = [name for name in self._order if field_of(name) in asked]
        cases = math.prod(self.dimensions[name].count for name in deciding)
        if cases > MOST_CASES:
            return math.inf
        return self._count(deciding)

    def from_unit(self, point: np.ndarray) -> dict[str, Value]:
        """Values of the active dimensions at a point of the unit cube, by recipe field. point: (D,) in [0, 1]."""
        drawn = {name: dim.at(float(u)) for (name, dim), u in zip(self.dimensions.items(), point, strict=True)}
        return self._chosen(drawn)

    def to_unit(self, values: Mapping[str, Value]) -> np.ndarray:
        """The point (D,) of the unit cube with these recipe values; 0.5 for a dimension that is not active.

        Numbers outside a range are moved to its end. Raises UsageError for a value that is not in a choice.
        """
        own = {**self.base, **values}
        active = self.active(values)
        return np.array(
            [dim.where(own[field_of(name)]) if name in active else 0.5 for name, dim in self.dimensions.items()]
        )

    def active(self, values: Mapping[str, Value]) -> set[str]:
        """The names of the dimensions whose conditions these values meet; missing values are those of `base`."""
        return {name for name, dim in self.dimensions.items() if not dim.when or met(dim.when, values, self.base)}

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Whether every active dimension contains its value."""
        own = {**self.base, **values}
        return all(self.dimensions[name].holds(own.get(field_of(name))) for name in self.active(values))

    def resting(self, values: Mapping[str, Value]) -> set[str]:
        """The arguments of a user's function ("own.NAME") that these recipe values set and no active dimension does.

        The function's own default holds for them. Those that no dimension sets stay as they are.
        """
        setting = {field_of(name) for name in self.active(values)}
        return {field for field in self.fields if field.startswith("own.") and field in values} - setting

    def needs(self, name: str) -> dict[str, Value]:
        """The changes of the base that make a dimension active: a value for each condition that is not met."""
        found: dict[str, Value] = {}
        waiting = [self.dimensions[name].when]
        for when in waiting:
            for own, values in when.items():
                if own in found or met({own: values}, {}, self.base):
                    continue
                setting = [self.dimensions[each] for each in by_field(self.dimensions).get(own, ())]
                found[own] = next((v for v in values for dim in setting if dim.holds(v)), values[0])
                waiting += [dim.when for dim in setting if dim.holds(found[own])][:1]
        return found

    def purpose(self, name: str) -> Purpose:
        """The purpose of a dimension: as given, "fixed" if it has one value, otherwise the usual one of its field.

        Rates of optimizers and schedules, strengths of regularisation and augmentation, and the batch size are
        nuisance: they must be tuned for a fair answer, but are not the question. All others are scientific.
        """
        dim, own = self.dimensions[name], field_of(name)
        if dim.count == 1:
            return "fixed"
        if dim.purpose is not None:
            return dim.purpose
        is_nuisance = own in NUISANCE or (own.partition(".")[0] in NUISANCE_ROOMS and own not in SCIENTIFIC)
        return "nuisance" if is_nuisance else "scientific"

    def on(self, base: Mapping[str, Value]) -> Space:
        """This space with its conditions evaluated on another base recipe. base: Recipe.flat()."""
        return replace(self, base=base)

    def never(self) -> dict[str, str]:
        """The dimensions that are never active on this base, each with the reason."""
        return never(self.dimensions, self._order, self.base)

    def but(self, changes: Mapping[str, Dimension]) -> Space:
        """This space with some dimensions replaced or added."""
        return replace(self, dimensions={**self.dimensions, **changes})

    def without(self, names: Iterable[str]) -> Space:
        """This space without some dimensions."""
        gone = set(names)
        return replace(self, dimensions={name: dim for name, dim in self.dimensions.items() if name not in gone})

    def widened(
        self, name: str, *, low: float | None = None, high: float | None = None, values: Iterable[Value] = ()
    ) -> Space:
        """This space with a range that is extended to `low` or `high`, or with more `values` in a choice.

        Raises UsageError for an unknown dimension, and for ends that would shrink it.
        """
        if name not in self.dimensions:
            raise UsageError(unknown("dimension", name, self.dimensions))
        old, more = self.dimensions[name], tuple(values)
        if isinstance(old, Choice):
            require(bool(more) and low is None and high is None, f"{name} is a choice; widen it with values=(...)")
            wider = self.but({name: Choice(*old.values, *more, when=old.when, purpose=old.purpose)})
        else:
            require(not more and (low, high) != (None, None), f"{name} is a range; widen it with low=... or high=...")
            wider = self.but({name: stretched(old, low=low, high=high)})
        for reason in wider.narrower(self):
            raise UsageError(reason)
        return wider

    def covers(self, other: Space) -> bool:
        """Whether this space contains every recipe of the other one; it may have more dimensions."""
        return not self.narrower(other)

    def narrower(self, old: Space) -> list[str]:
        """A sentence for each dimension in which this space does not cover an older one, with the old range."""
        found = []
        for name, before in old.dimensions.items():
            was = f"it was {to_text(name, before)}"
            now = self.dimensions.get(name)
            if now is None:
                found.append(f"{name} is no longer in the space; {was}")
            elif not covers(now, before):
                found.append(
                    f"the space of {name} may grow but not shrink: {to_text(name, now)} leaves values out; {was}"
                )
            elif not isinstance(now, Choice) and not isinstance(before, Choice) and now.log != before.log:
                scale = "log" if before.log else "linear"
                found.append(f"{name} is searched on a {scale} scale, which cannot change; {was}")
            elif any(
                asked not in before.when or not set(before.when[asked]) <= set(v) for asked, v in now.when.items()
            ):
                found.append(f"{name} would be active in fewer cases: {to_text(name, now)}; {was}")
        return found

    def to_json(self) -> dict[str, object]:
        """Plain values that `from_json` turns back into this space; `base` is not included."""
        return {name: _dimension_json(dim) for name, dim in self.dimensions.items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any], *, base: Mapping[str, Value] | None = None) -> Space:
        """The space that `to_json` wrote, also before there were steps, conditions and purposes."""
        return cls({name: _from_json(item) for name, item in values.items()}, base=base or {})

    def _chosen(self, drawn: Mapping[str, Value]) -> dict[str, Value]:
        """The values of the active dimensions by recipe field, in the order of the dimensions."""
        chosen: dict[str, Value] = {}
        active = set()
        for name in self._order:  # those that others depend on come first
            if name in drawn and met(self.dimensions[name].when, chosen, self.base):
                chosen[field_of(name)] = drawn[name]
                active.add(name)
        return {field_of(name): drawn[name] for name in self.dimensions if name in active}

    def _count(self, deciding: list[str]) -> float:
        """The number of recipes, summed over all values of the dimensions that others depend on."""
        own = [every_value(self.dimensions[name]) for name in deciding]
        cases = {tuple(self._chosen(dict(zip(deciding, case, strict=True))).items()) for case in product(*own)}
        free = set(self.dimensions) - set(deciding)
        return sum(math.prod(self.dimensions[n].count for n in self.active(dict(case)) & free) for case in cases)


def joined(preset: Mapping[str, Dimension], asked: Mapping[str, Dimension]) -> dict[str, Dimension]:
    """The dimensions of a preset, with those that the user gave in their place.

    A given dimension replaces the one that sets the same field. If it is active only for some values of a choice, such
    as a rate for one of the optimizers, the preset's own dimension stays for the other values.
    """
    own = labelled({**{n: dim for n, dim in preset.items() if n not in asked}, **asked})
    asked_for = by_field(asked)
    found: dict[str, Dimension] = {}
    for name, dim in own.items():
        if name in asked or field_of(name) not in asked_for:
            found[name] = dim
            continue
        rest = _rest([own[each].when for each in asked_for[field_of(name)]], own)
        if rest:
            found[name] = but(dim, when={**dim.when, **rest})
    return found


def check_asked(asked: Mapping[str, Dimension]) -> None:
    """Raises UsageError for dimensions that no space can have, as far as can be told without the other dimensions.

    A label may be the value of a choice that is not among these dimensions.
    """
    known: dict[str, Dimension] = {}
    for name, dim in asked.items():
        check_values(name, dim)
        if not label_of(name) or dim.when or _is_implied(name, asked):
            known[name] = dim
    Space(known)


def _is_implied(name: str, asked: Mapping[str, Dimension]) -> bool:
    try:
        return bool(implied(name, asked))
    except UsageError:
        return False


def _rest(cases: list[Mapping[str, tuple[Value, ...]]], dimensions: Mapping[str, Dimension]) -> When:
    """The condition for the values that these cases leave, if all of them are about the same choice; otherwise none."""
    about = {tuple(case) for case in cases}
    if len(about) != 1 or len(only := about.pop()) != 1:
        return ALWAYS
    setting = [dimensions[name] for name in by_field(dimensions).get(only[0], ())]
    taken = {value for case in cases for value in case[only[0]]}
    left = tuple(v for dim in setting if isinstance(dim, Choice) for v in dim.values if v not in taken)
    return When({only[0]: tuple(dict.fromkeys(left))}) if left else ALWAYS


def _dimension_json(dim: Dimension) -> dict[str, object]:
    if isinstance(dim, Choice):
        found: dict[str, object] = {"values": list(dim.values)}
    else:
        kind = "int" if isinstance(dim, Int) else "float"
        found = {"kind": kind, "low": dim.low, "high": dim.high, "log": dim.log}
        if dim.step != (1 if isinstance(dim, Int) else None):
            found["step"] = dim.step
    if dim.when:
        found["when"] = {name: list(values) for name, values in dim.when.items()}
    if dim.purpose is not None:
        found["purpose"] = dim.purpose
    return found


def _from_json(item: Mapping[str, Any]) -> Dimension:
    when, purpose = When(item.get("when", {})), item.get("purpose")
    if "values" in item:
        return Choice(*item["values"], when=when, purpose=purpose)
    if item["kind"] == "int":
        return Int(item["low"], item["high"], item["log"], item.get("step", 1), when=when, purpose=purpose)
    return Float(item["low"], item["high"], item["log"], item.get("step"), when=when, purpose=purpose)
