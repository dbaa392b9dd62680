"""What the command line prints, and the exit code that it ends with."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from made_results import made
from tame.app.cli import _show_result
from tame.core.errors import BudgetError


def test_a_model_whose_training_was_cut_short_is_shown_and_the_exit_code_tells(capsys):
    result, _ = made("two_classes")
    winner = replace(result.winner, epochs=2, recipe={**result.winner.recipe, "epochs": 18})
    result = replace(result, whole=0, winner=winner)
    with pytest.raises(BudgetError, match="trained for 2 of 18 epochs"):
        _show_result(result, as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert said.pop("next")[-1]["command"] == "tame predict runs/ants_bees-0001 photo.jpg"
    assert said == json.loads(json.dumps(result.to_json()))
    _show_result(replace(result, whole=1), as_json=True)
