"""When the dimensions of a space are active: labels, circular conditions, overlapping fields, impossible conditions.

A dimension is named after the recipe field that it sets, and may carry a label after "@": "optimizer.lr@sgd" and
"optimizer.lr@adamw" set the same field, each under its own condition. The rates of two optimizers are two different
hyperparameters. Source: Godbole et al., Deep Learning Tuning Playbook (2023), on conditional hyperparameters.
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
    """Raises UsageError for an invalid name, and for a dimension or condition whose values no recipe can have."""
    field = field_of(name)
    require(bool(_NAME.fullmatch(name)), f"{name!r} is not a valid name of a dimension; write FIELD or FIELD@LABEL")
    require(field != "seed", "the seed cannot be searched; set it with --seed")
    for value in _telling(field, dimension):
        _check_value(field, value)
    _check_kind(field, dimension)
    for asked, values in dimension.when.items():
        require("@" not in asked, f"the condition of {name} is on {asked}; write the recipe field: {field_of(asked)}")
        require(asked != "seed", f"the condition of {name} is on the seed, which cannot be searched")
        try:
            for value in values:
                _check_value(asked, value)
        except UsageError as problem:
            raise UsageError(f"the condition of {name} cannot be met: {problem}") from None


def labelled(dimensions: Mapping[str, Dimension]) -> dict[str, Dimension]:
    """The dimensions; those with a label and no condition get the condition that the label stands for.

    A label stands for a value of a choice in the space. If several choices have this value, it is the one that selects
    the part that the field belongs to (optimizer.name for optimizer.lr@sgd). Raises UsageError if no choice has it.
    """
    return {
        name: but(dim, when=implied(name, dimensions)) if label_of(name) and not dim.when else dim
        for name, dim in dimensions.items()
    }


def implied(name: str, dimensions: Mapping[str, Dimension]) -> When:
    """The condition that a dimension's label stands for. Raises UsageError if there is none."""
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
            f"the label of {name} is not a value of a choice in the space; search a choice that has it, or write the "
            f'condition: "{name}=... if FIELD={label}"'
        )
    several = f"the label of {name} is a value of {' and of '.join(sorted(named))}; write the condition"
    require(len(named) == 1, f'{several}: "{name}=... if {min(named)}={label}"')
    return When(named)


def in_order(dimensions: Mapping[str, Dimension]) -> tuple[str, ...]:
    """The names, each after those that its conditions depend on. Raises UsageError for circular conditions."""
    setting = by_field(dimensions)
    looks_at = {name: [n for f in dim.when for n in setting.get(f, ())] for name, dim in dimensions.items()}
    try:
        return tuple(TopologicalSorter(looks_at).static_order())
    except CycleError as problem:
        circle = list(reversed(problem.args[1]))
        raise UsageError(f"the conditions are circular: {' depends on '.join(circle)}; leave one of them out") from None


def refuse_overlaps(dimensions: Mapping[str, Dimension]) -> None:
    """Raises UsageError if two dimensions that set the same field can be active at the same time.

    They cannot if both have a condition on the same field, with no value in common.
    """
    for field, names in by_field(dimensions).items():
        for one, other in combinations(names, 2):
            a, b = dimensions[one].when, dimensions[other].when
            apart = any(not set(values) & set(b[name]) for name, values in a.items() if name in b)
            both = f"{one} and {other} would both set {field} at the same time"
            require(
                apart, f"{both}; give each a condition on the same field, such as optimizer.name, with different values"
            )


def never(
    dimensions: Mapping[str, Dimension], order: Iterable[str], base: Mapping[str, Value] | None
) -> dict[str, str]:
    """The dimensions whose conditions can never be met, each with the reason.

    order: parents first. base: the values of fields that the space does not set; None if they are not known, so that
    any value is possible.
    """
    found: dict[str, str] = {}
    setting = by_field(dimensions)
    for name in order:
        for field, values in dimensions[name].when.items():
            parents = [dimensions[each] for each in setting.get(field, ()) if each not in found]
            can_rest = not any(not dim.when for dim in parents)  # whether the field may keep its value from the base
            rests = can_rest and (base is None or any(same(base.get(field), value) for value in values))
            if rests or any(dim.holds(value) for dim in parents for value in values):
                continue
            wanted = " or ".join(map(word, values))
            is_now = "" if parents or base is None else f"; it is {word(base[field])}" if field in base else ""
            found[name] = f"{name} is active only if {field} is {wanted}, which it never is in this space{is_now}"
            break
    return found


def by_field(dimensions: Iterable[str]) -> dict[str, list[str]]:
    """The names of the dimensions that set each field."""
    found: dict[str, list[str]] = {}
    for name in dimensions:
        found.setdefault(field_of(name), []).append(name)
    return found


def met(when: Mapping[str, Collection[Value]], values: Mapping[str, Value], base: Mapping[str, Value]) -> bool:
    """Whether every field has one of its values, in `values` or otherwise in `base`."""
    return all(
        any(same(values.get(field, base.get(field)), value) for value in wanted) for field, wanted in when.items()
    )


def same(one: Value | None, other: Value | None) -> bool:
    """Whether two values are the same: 1 and 1.0 are, 1 and true are not."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def word(value: Value) -> str:
    """A value as users write it: true rather than True."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _check_kind(field: str, dimension: Dimension) -> None:
    """Raises UsageError for a range of the wrong kind of number."""
    like = PLAIN.get(field)
    is_whole, is_real = isinstance(like, int) and not isinstance(like, bool), isinstance(like, float)
    wrong = is_whole and isinstance(dimension, Float)
    require(not wrong, f"{field} is a whole number; write the ends of its range as whole numbers, in an Int")
    wrong = is_real and isinstance(dimension, Int)
    require(not wrong, f"{field} is a real number; search it with a Float, with step={getattr(dimension, 'step', 1)}")


def _telling(field: str, dimension: Dimension) -> list[Value]:
    """Values that represent the rest: a recipe accepts all numbers between two that it accepts, and any own value."""
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
    """Raises UsageError for a value that a recipe does not accept as it is."""
    fitted = _PLAIN_RECIPE.but({field: value}).flat()[field]
    if not same(fitted, value):
        kind = {bool: "true or false", int: "a whole number", float: "a number"}.get(type(PLAIN.get(field)), "another")
        raise UsageError(f"{field} must be {kind}, got the text {value!r}; write {fitted!r}")
