"""What people call the fields of a recipe."""

from __future__ import annotations

import pytest

from tame.core.recipe import Recipe
from tame.report.fields import COLUMNS, FIELDS, in_plain_words, name_of, names_of


def test_every_field_of_a_recipe_has_a_name_of_its_own_and_says_what_it_sets() -> None:
    assert set(FIELDS) == set(Recipe().flat())
    names = [each.name for each in FIELDS.values()]
    assert len(set(names)) == len(names)
    assert all(each.about and "." not in each.name for each in FIELDS.values())


def test_every_column_of_a_table_of_trials_has_a_short_heading() -> None:
    assert all(0 < len(FIELDS[name].head) <= 8 for name in COLUMNS)


def test_two_dimensions_of_one_name_keep_their_dotted_ones() -> None:
    named = names_of(["optimizer.lr", "model.width", "own.width", "own.depth", "then.lr"])
    assert named == {
        "optimizer.lr": "learning rate", "model.width": "model.width", "own.width": "own.width", "own.depth": "depth",
        "then.lr": "second learning rate",
    }  # fmt: skip
    assert names_of(["optimizer.lr@sgd"]) == {"optimizer.lr@sgd": "learning rate"}
    assert name_of("own.heads") == "heads"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("the best 3 lie on the high edge of optimizer.lr", "the best 3 lie on the high edge of learning rate"),
        ("with optimizer.lr, or not", "with learning rate, or not"),
        ('write "optimizer.lr=1e-4..1e-1:log"', 'write "optimizer.lr=1e-4..1e-1:log"'),
        ("no seed at epochs 3", "no seed at epochs 3"),
        ("own.width  stays", "own.width  stays"),
    ],
)
def test_texts_name_fields_as_people_do_and_leave_what_can_be_typed(text: str, plain: str) -> None:
    assert in_plain_words(text) == plain
