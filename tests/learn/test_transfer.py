"""What was trained before: frozen, fine-tuned and from scratch, on rows and on pictures."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from made_ground import made_ground, made_tutor
from tame.core.errors import UsageError
from tame.core.recipe import Recipe
from tame.kinds.pictures.tasks import TunedTask
from tame.learn.answers import answer
from tame.learn.ground import Tuning
from tame.learn.of_transfer import needs
from tame.learn.transfer import OnPictures, OnRows, before_of, some_of_each
from tame.trial.population import Examples


def with_pictures(many=40):
    """Pictures that are brighter with their class, and a small network that passes brightness on."""
    ground = made_ground(classes=2, examples=many)
    y = torch.cat([ground.y, ground.y_valid])
    drawn = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 100, (2 * many, 3, 32, 32), generator=drawn) + 100 * y[:, None, None, None]
    lower, upper = nn.AvgPool2d(4), nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    examples = Examples(y, torch.zeros(2 * many, dtype=torch.long), 2, together=False)
    one = torch.full((1, 3, 1, 1), 127.5)
    task = TunedTask(lower, upper, ("0",), one, one, {}, pixels.to(torch.uint8), examples, torch.device("cpu"))
    own = Tuning(task, Recipe(), torch.arange(many), many + torch.arange(many))
    return replace(ground, tuning=lambda: own)


def test_the_classes_take_turns():
    y = torch.tensor([0] * 30 + [1] * 4)
    assert y[some_of_each(y, 6, 0)].tolist().count(1) == 3
    assert y[some_of_each(y, 20, 0)].tolist().count(1) == 4
    assert sorted(some_of_each(y, 34, 1).tolist()) == list(range(34))


def test_rows_are_used_where_there_are_no_pictures_and_the_other_way_round():
    assert isinstance(before_of(made_ground()), OnRows)
    assert isinstance(before_of(with_pictures()), OnPictures)
    with pytest.raises(UsageError, match="needs classes"):
        before_of(made_ground(classes=0))


def test_pictures_that_are_easy_are_told_with_what_was_trained_before():
    own = before_of(with_pictures())
    assert own.accuracy("frozen", 10, factor=1.0, turn=0) > 0.9
    assert own.accuracy("fine-tuned", 10, factor=1.0, turn=0) > 0.9
    assert 0 <= own.accuracy("from scratch", 10, factor=1.0, turn=0) <= 1


def test_fine_tuning_leaves_what_was_trained_before_as_it_is():
    own = before_of(with_pictures())
    before = own.accuracy("frozen", 10, factor=1.0, turn=0)
    own.accuracy("fine-tuned", 10, factor=100.0, turn=0)
    own.__dict__.pop("_features")
    assert own.accuracy("frozen", 10, factor=1.0, turn=0) == before


def test_numbers_of_examples_are_read_between_points():
    assert needs((10, 100), (0.5, 0.9), 0.5) == 10
    assert needs((10, 100), (0.5, 0.9), 0.7) == pytest.approx(10**1.5)
    assert needs((10, 100), (0.5, 0.6), 0.7) is None


def test_each_number_of_examples_is_asked_for_by_itself():
    tutor = made_tutor()
    sizes = answer(tutor, "before", {})["sizes"]
    assert set(answer(tutor, "few", {"place": 0})) == {"frozen", "fine-tuned", "from scratch"}
    with pytest.raises(UsageError, match="numbers of examples"):
        answer(tutor, "few", {"place": len(sizes)})


@pytest.mark.parametrize("examples", [0, -1, float("nan"), float("inf")])
def test_a_reading_that_is_no_number_of_examples_is_refused(examples):
    with pytest.raises(UsageError, match="number of examples"):
        answer(made_tutor(), "reading", {"examples": examples})
