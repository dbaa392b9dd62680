"""The laws of remedies: each suggests a change of one field, within its range, and never of one that the user fixed.

Each law takes the code of a finding and an `Example` of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tame.core.errors import UsageError
from tame.core.recipe import Recipe
from tame.core.records import Finding
from tame.core.space import Choice, Space, field_of
from tame.monitor.prescriptions import CURES, Changed
from tame.monitor.remedies import CHANGES, REMEDIES, Change, Narrowed, change_for


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A finding for which its remedy changes something. space: in which the field is searched."""

    finding: Finding
    space: Space
    recipe: Recipe = field(default_factory=Recipe)


Law = Callable[[str, Example], None]


def it_changes_one_field_that_is_searched(code: str, example: Example) -> None:
    change = _changed(code, example)
    assert change.name in example.space.dimensions


def it_stays_within_what_a_recipe_may_have(code: str, example: Example) -> None:
    change = _changed(code, example)
    dimension = example.space.dimensions[change.name]
    assert not isinstance(dimension, Choice), "only a range has an end"
    if isinstance(change, Narrowed):
        assert dimension.low <= change.bound <= dimension.high, (
            "a bound outside the range leaves nothing, or everything"
        )
        return
    assert change.to is not None, "the example must be one in which something changes"
    assert change.to < dimension.low if change.side == "low" else change.to > dimension.high
    try:
        example.recipe.but({field_of(change.name): change.to})
    except UsageError as problem:
        raise AssertionError(f"no recipe may have the value {change.to}: {problem}") from None


def it_leaves_alone_what_the_user_fixed(code: str, example: Example) -> None:
    name = _changed(code, example).name
    rest = {each: own for each, own in example.space.dimensions.items() if each != name}
    assert change_for(example.recipe, example.finding, Space(rest)) is None


def the_same_finding_suggests_the_same_change(code: str, example: Example) -> None:
    assert _changed(code, example) == _changed(code, example)


def it_has_words_for_people(code: str, example: Example) -> None:
    assert CHANGES[code]


LAWS: tuple[Law, ...] = (
    it_changes_one_field_that_is_searched,
    it_stays_within_what_a_recipe_may_have,
    it_leaves_alone_what_the_user_fixed,
    the_same_finding_suggests_the_same_change,
    it_has_words_for_people,
)


def _changed(code: str, example: Example) -> Change:
    """The change that the remedy of this code suggests, as it must."""
    assert example.finding.code == code
    change = REMEDIES.get(code)(example.recipe, example.finding, example.space)
    assert change is not None, f"{code} suggests nothing for its example"
    return change


# Cures: changes of a recipe against a finding about a trial


@dataclass(frozen=True, slots=True, kw_only=True)
class CureExample:
    """A recipe in which a cure changes something. steps: of a training with it."""

    recipe: Recipe
    steps: int = 1000


CureLaw = Callable[[str, CureExample], None]


def it_changes_one_field_of_the_recipe(name: str, example: CureExample) -> None:
    change = _cured(name, example)
    before, after = example.recipe.flat(), example.recipe.but({change.field: change.to}).flat()
    assert [key for key in after if after[key] != before[key]] == [change.field]


def it_sets_neither_what_costs_more_nor_what_is_the_users(name: str, example: CureExample) -> None:
    field_name = _cured(name, example).field
    assert field_name.partition(".")[0] not in ("own", "epochs", "batch_size", "seed", "input")


def the_same_recipe_gets_the_same_change(name: str, example: CureExample) -> None:
    assert _cured(name, example) == _cured(name, example)


def it_comes_to_an_end(name: str, example: CureExample) -> None:
    """Applied to its own outcome again and again, it stays within what a recipe may have, or has nothing to change."""
    recipe = example.recipe
    for _ in range(50):
        change = CURES.get(name)(recipe, example.steps)
        if change is None:
            return
        try:
            recipe = recipe.but({change.field: change.to})
        except UsageError:
            return


CURE_LAWS: tuple[CureLaw, ...] = (
    it_changes_one_field_of_the_recipe,
    it_sets_neither_what_costs_more_nor_what_is_the_users,
    the_same_recipe_gets_the_same_change,
    it_comes_to_an_end,
)


def _cured(name: str, example: CureExample) -> Changed:
    change = CURES.get(name)(example.recipe, example.steps)
    assert change is not None, f"{name} changes nothing in its example"
    return change
