"""Dimensions that hold under conditions only, and what is asked for beside a preset."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from made_spaces import LR, OPTIMIZERS
from tame.core.dimensions import When, but
from tame.core.errors import UsageError
from tame.core.recipe import Recipe
from tame.core.space import Choice, Float, Int, Space, check_asked, joined

RATES = Space(
    {
        "optimizer.lr@adamw": Float(1e-4, 1e-2, log=True),
        "optimizer.name": OPTIMIZERS,
        "optimizer.lr@fast": Float(1e-2, 1.0, log=True, when={"optimizer.name": ("momentum", "nesterov")}),
        "optimizer.momentum@nesterov": Choice(0.8, 0.9),
    }
)


def test_a_rate_belongs_to_its_optimizer():
    found = RATES.from_unit(np.array([0.5, 0.0, 0.5, 0.0]))
    assert found == {"optimizer.lr": pytest.approx(1e-3), "optimizer.name": "adamw"}
    assert list(found) == ["optimizer.lr", "optimizer.name"]
    found = RATES.from_unit(np.array([0.5, 0.9, 0.5, 0.0]))
    assert found == {"optimizer.name": "nesterov", "optimizer.lr": pytest.approx(0.1), "optimizer.momentum": 0.8}
    assert RATES.active(found) == {"optimizer.name", "optimizer.lr@fast", "optimizer.momentum@nesterov"}
    assert RATES.to_unit(found) == pytest.approx([0.5, 5 / 6, 0.5, 0.25])
    assert RATES.holds(found)
    assert not RATES.holds({**found, "optimizer.name": "adamw"}), "a rate of 0.1 is outside AdamW's range"
    assert RATES.holds({**found, "optimizer.name": "momentum", "optimizer.momentum": 0.3}), (
        "its momentum is not searched"
    )
    assert RATES.fields == ("optimizer.lr", "optimizer.name", "optimizer.momentum")
    assert RATES.dimensions["optimizer.lr@adamw"].when == {"optimizer.name": ("adamw",)}


def test_conditions_nest():
    space = Space(
        {
            "model.width": Int(8, 64, when={"model.depth": 3}),
            "model.depth": Int(1, 3, when={"model.norm": ("layer", "batch")}),
            "model.norm": Choice("none", "layer"),
        }
    )
    assert space.from_unit(np.array([0.0, 1.0, 0.9])) == {"model.width": 8, "model.depth": 3, "model.norm": "layer"}
    assert set(space.from_unit(np.array([0.0, 0.0, 0.9]))) == {"model.depth", "model.norm"}
    assert set(space.from_unit(np.array([0.0, 1.0, 0.0]))) == {"model.norm"}, "a plain recipe has two layers"
    deep = space.on({"model.depth": 3})
    assert set(deep.from_unit(np.array([0.0, 0.0, 0.0]))) == {"model.width", "model.norm"}, "this base has three"
    assert space.needs("model.width") == {"model.depth": 3, "model.norm": "layer"}
    assert deep.needs("model.width") == {}
    assert Recipe().but({**space.needs("model.width"), "model.width": 8}).model.norm == "layer"


def test_a_condition_on_a_field_outside_the_space_is_judged_on_the_base():
    space = Space({"schedule.drops": Int(1, 5, when={"schedule.name": "step"}), "epochs": Int(5, 9)})
    assert space.from_unit(np.array([0.0, 0.0])) == {"epochs": 5}
    assert list(space.never()) == ["schedule.drops"]
    assert "which it never is in this space; it is cosine" in space.never()["schedule.drops"]
    stepped = space.on(Recipe().but({"schedule.name": "step"}).flat())
    assert stepped.from_unit(np.array([0.0, 0.0])) == {"schedule.drops": 1, "epochs": 5}
    assert stepped.never() == {}
    assert space.active({"schedule.name": "step"}) == {"schedule.drops", "epochs"}
    assert stepped.but({"batch_size": Int(1, 9)}).without(["epochs"]).base["schedule.name"] == "step"


def test_what_depends_on_an_inactive_dimension_is_never_active():
    space = Space(
        {
            "schedule.drops": Int(1, 5, when={"schedule.name": "step"}),
            "schedule.factor": Float(0.1, 0.5, when={"schedule.drops": (4, 5)}),
        }
    )
    assert list(space.never()) == ["schedule.drops", "schedule.factor"]


def test_a_label_stands_for_the_value_of_one_choice():
    flip = Space({"augment.flip": Choice(True, False), "augment.crop@true": Float(0, 0.2)})
    assert flip.dimensions["augment.crop@true"].when == {"augment.flip": (True,)}
    both = Space({"optimizer.name": Choice("lion", "sgd"), "own.kind": Choice("lion", "cat"), "optimizer.lr@lion": LR})
    assert both.dimensions["optimizer.lr@lion"].when == {"optimizer.name": ("lion",)}, "the choice of the part itself"
    with pytest.raises(UsageError, match=r"a value of own\.a and of own\.b; write the condition: .*if own\.a=x"):
        Space({"own.a": Choice("x", 1), "own.b": Choice("x", 2), "optimizer.lr@x": LR})


@pytest.mark.parametrize(
    ("dimensions", "words"),
    [
        ({"optimizer.lr@sgd": LR}, 'label of optimizer.lr@sgd is not a value .* write the condition: ".*if FIELD=sgd"'),
        ({"optimizer.lr@": LR}, "'optimizer.lr@' is not a valid name of a dimension"),
        ({"optimizer.lr@a@b": LR}, "is not a valid name of a dimension; write FIELD or FIELD@LABEL"),
        ({"optimizer.rl@sgd": LR}, "no recipe field named 'optimizer.rl'; did you mean 'optimizer.lr'"),
        ({"seed@a": Int(0, 9)}, "the seed cannot be searched"),
        ({"optimizer.lr": but(LR, when={"optimiser.name": "sgd"})}, "cannot be met: .* did you mean 'optimizer.name'"),
        (
            {"optimizer.lr": but(LR, when={"model.depth": 100})},
            "of optimizer.lr cannot be met: model.depth must be 0 to 64",
        ),
        ({"optimizer.lr": but(LR, when={"model.depth": 1.5})}, "model.depth must be a whole number, got 1.5"),
        ({"optimizer.lr": but(LR, when={"augment.flip": 1})}, "augment.flip must be true or false, got 1"),
        ({"optimizer.lr": but(LR, when={"seed": 1})}, "on the seed, which cannot be searched"),
        ({"optimizer.lr": but(LR, when={"model.depth@a": 1})}, "write the recipe field: model.depth"),
        (
            {"optimizer.name": OPTIMIZERS, "optimizer.lr": but(LR, when={"optimizer.name": "lion"})},
            "optimizer.lr is active only if optimizer.name is lion, which it never is in this space",
        ),
        (
            {"model.depth": Int(1, 3), "optimizer.lr": but(LR, when={"model.depth": (4, 5)})},
            "only if model.depth is 4 or 5, which it never is",
        ),
        ({"optimizer.lr": but(LR, when={"optimizer.lr": 0.1})}, "are circular: optimizer.lr depends on optimizer.lr"),
        (
            {
                "model.depth": Int(1, 3, when={"model.width": 16}),
                "model.width": Choice(16, 32, when={"model.depth": 2}),
            },
            "the conditions are circular: model.(depth|width) depends on model.(width|depth) depends on",
        ),
        (
            {"optimizer.lr": LR, "optimizer.name": OPTIMIZERS, "optimizer.lr@adamw": LR},
            "optimizer.lr and optimizer.lr@adamw would both set optimizer.lr at the same time; give each a condition",
        ),
        (
            {
                "optimizer.name": OPTIMIZERS,
                "optimizer.lr@adamw": LR,
                "optimizer.lr@x": but(LR, when={"model.depth": 2}),
            },
            "would both set optimizer.lr",
        ),
        ({"epochs": Float(5, 40)}, "epochs is a whole number; write the ends of its range as whole numbers"),
        ({"model.dropout": Int(0, 0)}, "model.dropout is a real number; search it with a Float"),
        ({"optimizer.lr": Choice("0.1", "0.2")}, "optimizer.lr must be a number, got the text '0.1'; write 0.1"),
        ({"augment.flip": Choice("yes", "no")}, "augment.flip must be true or false, got the text 'yes'; write True"),
        ({"batch_size": Choice(16, 0.5, 64)}, "batch_size must be .*0.5"),
        ({"batch_size": Choice(16, 16.5, 64)}, "batch_size must be a whole number, got 16.5"),
        ({"epochs": (5, 40)}, r"the dimension 'epochs' is \(5, 40\); give a Float, an Int or a Choice"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(dimensions, words):
    with pytest.raises(UsageError, match=words):
        Space(dimensions)


def test_conditions_never_change_and_compare_by_what_they_say():
    own = When({"recipe.model.depth": 2, "model.norm": ["layer", "batch"]})
    assert own == {"model.depth": (2,), "model.norm": ("layer", "batch")}
    assert hash(own) == hash(When({"model.norm": ("layer", "batch"), "model.depth": (2,)}))
    with pytest.raises(TypeError):
        own["model.depth"] = (3,)
    assert copy.deepcopy(own) == own


def test_a_rate_for_one_optimizer_leaves_the_presets_own_to_the_others():
    preset = {"optimizer.lr": LR, "optimizer.name": OPTIMIZERS, "epochs": Int(1, 9)}
    found = joined(preset, {"optimizer.lr@nesterov": Float(0.01, 1)})
    assert found["optimizer.lr"] == but(LR, when={"optimizer.name": ("adamw", "momentum")})
    assert found["optimizer.lr@nesterov"].when == {"optimizer.name": ("nesterov",)}
    assert found["epochs"] == Int(1, 9)
    Space(found)
    three = {f"optimizer.lr@{name}": Float(0.01, 1) for name in OPTIMIZERS.values}
    assert "optimizer.lr" not in joined(preset, three), "nothing is left for it"
    assert joined(preset, {"optimizer.lr": Float(0.5, 1)})["optimizer.lr"] == Float(0.5, 1)
    other = {"optimizer.lr@deep": Float(0.5, 1, when={"model.depth": 3})}
    assert "optimizer.lr" not in joined(preset, other), "what is left over is no choice"


def test_dimensions_are_checked_before_the_rest_of_the_space_is_known():
    check_asked({"table.sigma@periodic": Float(0.1, 1)})
    check_asked({"optimizer.name": OPTIMIZERS, "optimizer.lr@adamw": LR, "optimizer.lr@momentum": LR})
    with pytest.raises(UsageError, match=r"no recipe field named 'table\.sigmo'"):
        check_asked({"table.sigmo@periodic": Float(0.1, 1)})
    with pytest.raises(UsageError, match="would both set"):
        check_asked({"optimizer.name": OPTIMIZERS, "optimizer.lr@adamw": LR, "optimizer.lr": LR})
