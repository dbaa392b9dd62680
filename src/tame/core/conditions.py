"""When the dimensions of a space hold: labels, circles, fields that two of them would set, values that never come.

A dimension is named by the recipe field that it sets, and may carry a label after "@": "optimizer.lr@sgd" and
"optimizer.lr@adamw" set the same field, each under its own condition. A rate that belongs to one optimizer is a
hyperparameter of its own. Source: Godbole et al., Deep Learning Tuning Playbook (2023), on conditional hyperparameters.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from itertools import combinations

from tame.core.dimensions import Choice, Dimension, Float, Int, When, but
from tame.core.errors import UsageError, require
from tame.core.recipe import Recipe, Value

PLAIN: Mapping[str, Value] = Recipe().flat()
_NAME = re.compile(r'[^@=|"\s]+(@[^@=|"\s]+)?')
_PLAIN_RECIPE = Recipe()


def field_of(name: str) -> str:
    """The recipe field that a dimension sets: its name without the label."""
    return name.partition("@")[0]


def label_of(name: str) -> str:
    """The label of a dimension's name; "" without one."""
    return name.partition("@")[2]


def check_values(name: str, dimension: Dimension) -> None:
    """Raises UsageError for a dimension or a condition whose values no recipe can have, and for a name that is none."""
    field = field_of(name)
    require(bool(_NAME.fullmatch(name)), f"{name!r} is no name of a dimension; write FIELD or FIELD@LABEL")
    require(field != "seed", "the seed is never searched over; it is set with --seed")
    for value in _telling(field, dimension):
        _check_value(field, value)
    _check_kind(field, dimension)
    for asked, values in dimension.when.items():
        require("@" not in asked, f"the condition of {name} is on {asked}; write the recipe field: {field_of(asked)}")
        require(asked != "seed", f"the condition of {name} is on the seed, which is never searched over")
        try:
            for value in values:
                _check_value(asked, value)
        except UsageError as problem:
            raise UsageError(f"the condition of {name} cannot be met: {problem}") from None


def labelled(dimensions: Mapping[str, Dimension]) -> dict[str, Dimension]:
    """The dimensions, those with a label and no condition under the one that the label stands for.

    A label stands for the value of that name of a choice in the space: the one choice that has it, or of several the
    one that chooses the part that the field belongs to (optimizer.name for optimizer.lr@sgd). Raises UsageError where
    there is no such choice.
    """
    return {
        name: but(dim, when=implied(name, dimensions)) if label_of(name) and not dim.when else dim
        for name, dim in dimensions.items()
    }


def implied(name: str, dimensions: Mapping[str, Dimension]) -> When:
    """The condition that a dimension's label stands for. Raises UsageError where there is none."""
    label, own = label_of(name), f"{field_of(name).rpartition('.')[0]}.name"
    found: dict[str, list[Value]] = {}
    for each, dim in dimensions.items():
        if isinstance(dim, Choice) and field_of(each) != field_of(name):
            for value in dim.values:
                if word(value) == label and value not in found.setdefault(field_of(each), []):
                    found[field_of(each)].append(value)
    named = {own: found[own]} if own in found else found
    if not named:
        raise UsageError(
            f"the label of {name} is no value of a choice in the space; search one with that value, or write the "
            f'condition: "{name}=... if FIELD={label}"'
        )
    several = f"the label of {name} is a value of {' and of '.join(sorted(named))}; write the condition"
    require(len(named) == 1, f'{several}: "{name}=... if {min(named)}={label}"')
    return When(named)


def in_order(dimensions: Mapping[str, Dimension]) -> tuple[str, ...]:
    """The names, each after those that its conditions look at. Raises UsageError for conditions in a circle."""
    setting = by_field(dimensions)
    looks_at = {name: [n for f in dim.when for n in setting.get(f, ())] for name, dim in dimensions.items()}
    try:
        return tuple(TopologicalSorter(looks_at).static_order())
    except CycleError as problem:
        circle = list(reversed(problem.args[1]))
        raise UsageError(
            f"the conditions go in a circle: {' depends on '.join(circle)}; leave one of them out"
        ) from None


def refuse_overlaps(dimensions: Mapping[str, Dimension]) -> None:
    """Raises UsageError unless of two dimensions that set one field at most one can hold at a time.

    That is so where both have a condition on the same field, and no value in common.
    """
    for field, names in by_field(dimensions).items():
        for one, other in combinations(names, 2):
            a, b = dimensions[one].when, dimensions[other].when
            apart = any(not set(values) & set(b[name]) for name, values in a.items() if name in b)
            both = f"{one} and {other} would both set {field} at the same time"
            require(
                apart, f"{both}; give each a condition on the same field, such as optimizer.name, with other values"
            )


def never(
    dimensions: Mapping[str, Dimension], order: Iterable[str], base: Mapping[str, Value] | None
) -> dict[str, str]:
    """The dimensions whose conditions are never met, each with the reason.

    order: parents first. base: the values of fields that the space does not set; None where they are not known, so that
    every value may come.
    """
    found: dict[str, str] = {}
    setting = by_field(dimensions)
    for name in order:
        for field, values in dimensions[name].when.items():
            parents = [dimensions[each] for each in setting.get(field, ()) if each not in found]
            can_rest = not any(not dim.when for dim in parents)  # whether the field may stay as it is in the base
            rests = can_rest and (base is None or any(same(base.get(field), value) for value in values))
            if rests or any(dim.holds(value) for dim in parents for value in values):
                continue
            wanted = " or ".join(map(word, values))
            is_now = "" if parents or base is None else f"; it is {word(base[field])}" if field in base else ""
            found[name] = f"{name} holds only if {field} is {wanted}, which it never is in this space{is_now}"
            break
    return found


def by_field(dimensions: Iterable[str]) -> dict[str, list[str]]:
    """The names of the dimensions that set each field."""
    found: dict[str, list[str]] = {}
    for name in dimensions:
        found.setdefault(field_of(name), []).append(name)
    return found


def met(when: Mapping[str, Collection[Value]], values: Mapping[str, Value], base: Mapping[str, Value]) -> bool:
    """Whether every field has one of its values, in `values` or else in `base`."""
    return all(
        any(same(values.get(field, base.get(field)), value) for value in wanted) for field, wanted in when.items()
    )


def same(one: Value | None, other: Value | None) -> bool:
    """Whether two values are one: 1 and 1.0 are, 1 and true are not."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def word(value: Value) -> str:
    """A value as it is written: true rather than True."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _check_kind(field: str, dimension: Dimension) -> None:
    """Raises UsageError for a range of the wrong kind of number."""
    like = PLAIN.get(field)
    is_whole, is_real = isinstance(like, int) and not isinstance(like, bool), isinstance(like, float)
    wrong = is_whole and isinstance(dimension, Float)
    require(not wrong, f"{field} is a whole number; write the ends of its range as such, in an Int")
    wrong = is_real and isinstance(dimension, Int)
    require(not wrong, f"{field} is a real number; search it with a Float, with step={getattr(dimension, 'step', 1)}")


def _telling(field: str, dimension: Dimension) -> list[Value]:
    """Values that tell for all: a recipe takes every number between two that it takes, and of the user's own any."""
    if not isinstance(dimension, Choice):
        return [dimension.at(0.0), dimension.at(1.0)]
    if field.startswith("own."):
        return [dimension.values[0]]
    numbers = [value for value in dimension.values if not isinstance(value, bool | str)]
    ends = [min(numbers), max(numbers)] if numbers else []
    broken = [value for value in numbers if isinstance(value, float) and not value.is_integer()][:1]
    return [*ends, *broken, *(value for value in dimension.values if isinstance(value, bool | str))]


@lru_cache(maxsize=65_536, typed=True)
def _check_value(field: str, value: Value) -> None:
    """Raises UsageError for a value that a recipe does not take as it is."""
    fitted = _PLAIN_RECIPE.but({field: value}).flat()[field]
    if not same(fitted, value):
        kind = {bool: "true or false", int: "a whole number", float: "a number"}.get(type(PLAIN.get(field)), "another")
        raise UsageError(f"{field} must be {kind}, got the text {value!r}; write {fitted!r}")
