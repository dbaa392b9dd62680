"""What a study will take: memory counted and measured, recipes and seconds told before it trains, held to the first
round."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from plans import plain_plan
from tame.adjust.searcher import SearchConfig
from tame.app.drawing.picture_set import draw
from tame.app.preview import plan_study, print_plan
from tame.core.config import ARRAYS, StudyConfig
from tame.core.importance import Mattered
from tame.core.recipe import Recipe
from tame.core.records import Curve, Decision, History, Point, Trial, curve_event, decision_event
from tame.core.space import Choice, Float, Space
from tame.data.arrays import read_arrays
from tame.evaluate.best_of import what_mattered
from tame.kinds.arrays.source import keep_arrays
from tame.monitor.case import Facts
from tame.study import forecast
from tame.study.events import Forecast, Memory, Trained, event_of
from tame.study.forecast import BOOKS_S, correct, foretell, in_words
from tame.study.opening import open_data
from tame.study.plan import make_plan
from tame.study.reserve import SURE, reserve_s
from tame.study.session import begin
from tame.study.state import Silent
from tame.trial.memory_needs import Alone, Pass, groups, one_pass, states
from tame.trial.stacked import EVAL_VALUES
from tame.worker import machine as memory
from tame.worker.environment import usable_cores
from tame.worker.machine import slowdown

SPACE = Space({"optimizer.lr": Float(1e-4, 1e-1, log=True), "model.dropout": Float(0.0, 0.5)})
FACTS = Facts(
    task="binary", num_classes=2, num_valid=100, metric="accuracy", higher_is_better=True, dummy=0.5,
    dummy_error=0.05, guess_loss=0.7,
)  # fmt: skip
BASE = Recipe().but({"epochs": 36})
TOLD = Forecast(
    epoch_s=0.5, alone_s=2.0, mean_s=0.6, slower=1.2, recipes=40, whole=5, search_until_s=25.0, clock_s=30.0,
    memory=Memory(1_400_000_000, 24_000_000_000),
)  # fmt: skip


class Heard(Silent):
    """A watcher that writes down what is noted."""

    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


def plan_with(space=SPACE, **search):
    own = {"base": BASE, "portfolio": tuple({"optimizer.lr": 10.0**-k} for k in range(2, 9)), "cohort": 24, **search}
    return plain_plan(SearchConfig(**own), space, FACTS)


@pytest.fixture
def study(tmp_path):
    heard = Heard()
    with begin(StudyConfig(data="x", out=str(tmp_path / "study"), time_s=30.0), heard) as own:
        yield own, heard


# Memory --------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell it")
def test_the_peak_is_what_a_process_has_held_and_not_what_its_parent_did():
    code = """
from tame.worker.machine import peak_bytes
before = peak_bytes()
own = b"x" * 2**26
del own
print(before, peak_bytes())
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = map(int, told.stdout.split())
    assert after - before == pytest.approx(2**26, rel=0.1)
    if sys.platform == "linux":
        assert before < memory.peak_bytes() / 2, "this process has torch in it"


def test_what_is_left_is_less_than_the_machine_has():
    left = memory.available_bytes()
    if sys.platform == "linux":
        assert 0 < left < 2**50
        assert left <= 1024 * memory._number(memory.Path("/proc/meminfo"), "MemTotal:")


def test_the_tightest_group_around_a_process_limits_it(tmp_path):
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    for folder, limit, used in ((inner, "max", 900), (tmp_path / "outer", "1000", 900), (tmp_path, "5000", 950)):
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text(f"{used}\n")
    (tmp_path / "outer" / "memory.stat").write_text("anon 650\ninactive_file 250\n")
    assert sorted(memory._left_in_groups(tmp_path, "/outer/inner")) == [350, 4050]
    assert memory._left_in_groups(tmp_path / "nothing", "/") == []


def test_a_pass_is_counted_layer_by_layer_and_leaves_the_network_as_it_was():
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Sequential(nn.Linear(8, 2))).train()
    found = one_pass(module, torch.ones(1, 4))
    assert found == Pass(kept=4 * (8 + 8 + 2), at_once=4 * (8 + 8))
    assert one_pass(module, torch.ones(3, 4)) == found, "of each example"
    assert module.training
    assert not any(part._forward_hooks for part in module.modules())
    with pytest.raises(RuntimeError, match="shapes"):
        one_pass(module, torch.ones(1, 5))
    assert not any(part._forward_hooks for part in module.modules()), "a pass that fails leaves none either"


def test_one_network_takes_its_state_and_the_larger_of_a_step_and_of_judging():
    few, many = (Alone.of(1000, Pass(300, 100), batch=32, judged=num) for num in (10, 10_000))
    assert few.step == many.step == 6 * 4 * 1000 + 32 * 400
    assert few.most == few.step
    assert many.most == many.judging == 6 * 4 * 1000 + 256 * 100
    below = Alone.of(1000, Pass(300, 100), batch=32, judged=10_000, below=5000)
    assert below.judging == 6 * 4 * 1000 + 256 * 5000, "the frozen part holds more than what is trained"


def test_the_largest_groups_count_as_many_as_are_trained_side_by_side():
    wide, narrow = (Recipe().but({"model.width": width}) for width in (256, 64))
    each = {wide: 1000, wide.but({"optimizer.lr": 0.5}): 1000, narrow: 10}

    def most(limit):
        return lambda recipe, wanted: min(wanted, limit)

    assert groups(each, 5, most(64), cores=1, judged=0) == 10 * 1000, "two recipes of five folds in one group"
    assert groups(each, 5, most(4), cores=1, judged=0) == 4 * 1000
    assert groups(each, 5, most(4), cores=2, judged=0) == 8 * 1000, "two of its groups beside each other"
    assert groups({narrow: 10}, 5, most(64), cores=2, judged=0) == 50
    assert groups({narrow: 10}, 5, most(64), cores=1, judged=7) == 5 * (10 + 3 * 4 * 64 * 7)
    many = groups({narrow: 10}, 5, most(64), cores=1, judged=10**9)
    assert many == pytest.approx(50 + 3 * 4 * EVAL_VALUES, rel=1e-3), "no more than the engine judges at once"
    assert states({wide: 100, narrow: 50}, 5) == 3 * 4 * 5 * (150 + 64 * 75)


def test_work_is_slower_where_more_of_it_goes_on_at_once_than_there_are_cores():
    cores = usable_cores()
    assert slowdown(1, seconds=0.05) >= 1
    assert slowdown(4 * cores, seconds=0.2) > 2


# Recipes and seconds -------------------------------------------------------------------------------------------------


def test_more_epochs_let_more_recipes_begin_and_never_fewer_than_start_together():
    begun = [forecast._begun(plan_with(), epochs, "auto") for epochs in (0, 100, 1000, 10_000)]
    assert begun[0] == 24
    assert begun == sorted(begun)
    assert begun[-1] > 1000
    assert forecast._begun(plan_with(trials=50), 1e6, "auto") == 50
    small = Space({"model.dropout": Choice(0.0, 0.1)})
    assert forecast._begun(plan_with(small), 1e6, "auto") == 1 + 7 + 2
    whole = forecast._begun(plan_with(), 3600, "random")
    assert whole == pytest.approx(100), "each to its end"


@pytest.mark.parametrize("search", ["auto", "thaw", "random", "asha"])
@pytest.mark.parametrize("epochs", [0.0, 24 * 4.0, 500.0, 1e5])
def test_no_more_recipes_are_trained_to_the_end_than_begin_or_than_time_allows(search, epochs):
    plan = plan_with()
    begun = forecast._begun(plan, epochs, search)
    whole, more = (forecast._trained_whole(plan, begun, epochs, search, clocked=clocked) for clocked in (True, False))
    assert 0 <= whole <= begun
    assert whole * BASE.epochs <= max(epochs, 1e-9)
    if epochs == 1e5:
        assert more >= begun / 9 - 1e-9
        assert more / 3 - 1e-9 <= whole <= more


def test_without_a_clock_all_recipes_begin_and_their_epochs_are_counted():
    recipes, epochs = forecast._without_clock(plan_with(trials=20), "random")
    assert (recipes, epochs) == (20, pytest.approx(20 * 36))
    recipes, halved = forecast._without_clock(plan_with(trials=20), "auto")
    assert recipes == 20
    assert 20 * 4 < halved < epochs


def test_without_a_clock_what_is_known_to_work_is_trained_to_its_end():
    recipes, epochs = forecast._without_clock(plan_with(trials=8), "auto")
    assert forecast._trained_whole(plan_with(trials=8), recipes, epochs, "auto", clocked=False) >= 1


def test_a_clock_that_leaves_no_time_to_search_is_told_as_such():
    words = " ".join(in_words(replace(TOLD, search_until_s=17.0, clock_s=1.0)))
    assert "a clock of 1 s is short: it may end before a recipe is trained to its end" in words
    assert "by 17 s" not in words


def test_the_finalists_are_kept_a_part_of_the_clock():
    short, long = (reserve_s(plan_with(), epoch_s, epochs=36, clock_s=104.5) for epoch_s in (1e-6, 10.0))
    assert short == pytest.approx(12)
    assert long == pytest.approx(40)


def test_the_finalists_are_kept_no_more_than_those_that_fit_will_need():
    """Two, once each, take 2 x 36 x 1.5 epochs: the folds, and all examples. Three would need more than they may."""
    heads = replace(plan_with(), sizes=(224,))
    assert reserve_s(heads, 1e-6, epochs=36, clock_s=104.5) < 0.01
    assert reserve_s(heads, 10.0, epochs=36, clock_s=104.5) == pytest.approx(40), "a slow first round ends no search"
    epoch_s = 25.0 / (2 * 36 * 1.5)
    assert reserve_s(plan_with(), epoch_s, epochs=36, clock_s=104.5) == pytest.approx(SURE * 25.0)


def test_the_words_fit_a_terminal_and_tell_the_clock_or_the_whole():
    for told in (TOLD, replace(TOLD, all_s=7321.0, search_until_s=None, clock_s=None, recipes=100_000)):
        assert all(len(line) <= 110 for line in in_words(told))
    assert list(in_words(TOLD)) == [
        "an epoch of the default recipe takes 0.5 s when trained in a group, 2 s alone",
        "about 40 recipes will start, and 5 will be trained to the end, by 25 s of 30 s",
        "memory: about 1.4 GB of 24 GB available",
    ]
    assert "2 h 2 min" in in_words(replace(TOLD, all_s=7321.0, search_until_s=None))[1]
    assert in_words(replace(TOLD, memory=None))[-1].endswith("of 30 s"), "nothing is said of what is not known"
    assert "one recipe will start, and none" in in_words(replace(TOLD, recipes=1, whole=0))[1]
    assert in_words(replace(TOLD, slower=2.7))[0].endswith("alone; other programs make it 2.7 times slower")
    gpu = in_words(replace(TOLD, device=Memory(2_000_000_000, 140_000_000_000)))[-1]
    assert gpu.endswith("about 2.0 GB of 140 GB on the device")
    assert json.loads(json.dumps(event_of(TOLD).data))["memory"] == {
        "needs": 1_400_000_000,
        "available": 24_000_000_000,
    }


def test_what_does_not_fit_is_a_finding_with_what_would_help():
    assert not Memory(10, None).is_short
    assert not Memory(10, 10).is_short
    short = Memory(30_000_000_000, 8_000_000_000)
    assert short.is_short
    for kind, mend in (("table", "model.width"), ("images", "input.size"), ("arrays", "smaller model")):
        found = forecast._short(kind, short)
        assert found.severity == "warning"
        assert "30 GB" in found.title
        assert "8.0 GB" in found.title
        assert mend in found.change
        assert "batch_size" in found.change


# Held to the first round ---------------------------------------------------------------------------------------------


def trained(study, trained_s, epochs=1, count=24):
    some = [Decision("start", n, "", 36, BASE.but({"seed": n}), "sobol") for n in range(count)]
    study.keep(*map(decision_event, some))
    for n in range(count):
        study.keep(curve_event(n, [Point(e + 1, 1.0, 1.0, None) for e in range(epochs)]))
    study.keep(Trained(trained_s=trained_s, used_s=1.0))


def test_a_first_round_that_surprises_is_told_once(study):
    own, heard = study
    own.keep(TOLD)
    correct(own, plan_with())
    assert own.state.forecast_corrected is None, "nothing has trained"
    trained(own, trained_s=24 * 3.0)
    correct(own, plan_with())
    found = own.state.forecast_corrected
    assert found.mean_s == pytest.approx(3.0 + 1.2 * BOOKS_S)
    assert found.recipes == 24
    (note,) = heard.notes
    assert note.startswith("an epoch took 3 s, not 0.6 s as forecast: about 24 recipes will start, and none will")
    correct(own, plan_with())
    assert len(heard.notes) == 1


def test_a_first_round_as_forecast_is_kept_without_a_word(study):
    own, heard = study
    own.keep(replace(TOLD, search_until_s=None))
    trained(own, trained_s=24 * 0.6)
    correct(own, plan_with(trials=30))
    assert own.state.forecast_corrected.recipes == 40
    assert own.state.forecast_corrected.all_s > 0
    assert heard.notes == []


def test_a_search_that_trains_recipes_wholly_is_held_to_their_last_stretch(tmp_path):
    heard = Heard()
    with begin(StudyConfig(data="x", out=str(tmp_path / "study"), time_s=30.0, search="random"), heard) as own:
        own.keep(replace(TOLD, mean_s=0.01))
        stretches = [(0, 4, 1.0), (4, 12, 1.5), (12, 36, 2.0)]  # of three recipes; the first one is slow to begin
        own.keep(*(decision_event(Decision("start", n, "", 36, BASE.but({"seed": n}), "random")) for n in range(3)))
        for before, after, used_s in stretches:
            assert own.state.forecast_corrected is None
            for n in range(3):
                own.keep(curve_event(n, [Point(e + 1, 1.0, 1.0, None) for e in range(before, after)]))
            own.keep(Trained(trained_s=0.4, used_s=used_s))
            correct(own, plan_with())
        found = own.state.forecast_corrected
    assert found.mean_s == pytest.approx(0.5 / (3 * 24))
    assert found.recipes == pytest.approx(25.0 / found.mean_s / 36, rel=0.1)
    assert heard.notes == []


def test_a_study_without_a_forecast_is_not_corrected(study):
    own, heard = study
    trained(own, trained_s=24.0)
    correct(own, plan_with())
    foretell(own, None, plan_with())
    assert own.state.forecast is own.state.forecast_corrected is None, "it was begun before there were any"
    assert heard.notes == []


# The whole of it -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "some.csv"
    rng = np.random.default_rng(0)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["a", "b", "label"])
        writer.writerows([f"{a:.3f}", f"{b:.3f}", "yes" if a + b > 0 else "no"] for a, b in rng.normal(size=(200, 2)))
    return path


@pytest.mark.slow
def test_the_plan_of_a_table_tells_epochs_recipes_and_memory(table, monkeypatch, tmp_path, capsys, one_thread):
    monkeypatch.setenv("TAME_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "80")
    found = plan_study(StudyConfig(data=str(table), target="label", time_s=30.0))
    assert not (tmp_path / "cache").exists(), "a plan writes nothing"
    told = json.loads(json.dumps(found.to_json(), allow_nan=False))["forecast"]
    assert 0 < told["epoch_s"] <= told["alone_s"] < 30
    assert told["recipes"] >= 3
    assert 0 <= told["whole"] <= told["recipes"]
    assert told["search_until_s"] < 30
    assert told["all_s"] is None
    assert told["features_s"] == {}
    assert 2e8 < told["memory"]["needs"] < 4e9
    assert told["memory"]["available"] > told["memory"]["needs"]
    assert told["device"] is None or torch.cuda.is_available()
    print_plan(found)
    shown = capsys.readouterr().out
    assert all(len(line) <= 80 for line in shown.splitlines())
    for line in told["words"]:
        assert line in " ".join(shown.split())


def test_what_holds_one_value_is_fixed_for_the_default_recipe_too_and_not_counted(
    table, monkeypatch, tmp_path, one_thread
):
    monkeypatch.setenv("TAME_CACHE", str(tmp_path / "cache"))
    space = ("model.dropout=0.3", "optimizer.name=adamw", "optimizer.lr@adamw=0.02")
    found = plan_study(StudyConfig(data=str(table), target="label", trials=9, epochs=2, space=space))
    assert found.default_recipe["model.dropout"] == 0.3
    assert found.default_recipe["optimizer.name"] == "adamw"
    assert {"model.dropout", "optimizer.name", "optimizer.lr@adamw"} < set(found.space)
    assert found.searched.dimensions == 2 == len(found.space) - len(space)


@pytest.mark.slow
def test_features_are_computed_at_the_one_size_that_was_asked_for(shared, monkeypatch, tmp_path, one_thread):
    monkeypatch.setenv("TAME_CACHE", str(tmp_path / "cache"))
    draw(tmp_path / "insects", seed=1, counts=8)
    config = StudyConfig(
        data=str(tmp_path / "insects"), backbone=str(shared / "weights" / "mobilenetv2_100"), trials=3, epochs=1,
        space=("input.size=64",),
    )  # fmt: skip
    found = plan_study(config)
    assert found.default_recipe["input.size"] == 64
    assert set(found.forecast.features_s) == {"64"}


def linear(width: int = 8) -> nn.Module:
    return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, 2))


def test_arrays_without_a_clock_are_told_how_long_all_of_it_takes(tmp_path, one_thread):
    rng = np.random.default_rng(0)
    config = StudyConfig(data=ARRAYS, model="<inline>", trials=4, epochs=3, out=str(tmp_path / "study"))
    heard = Heard()
    with begin(config, heard) as own:
        arrays = read_arrays(rng.normal(size=(80, 3)).astype(np.float32), rng.integers(2, size=80))
        keep_arrays(arrays, "auto", own.folder, plain=True)
        own.build = linear
        own.hire(cache=tmp_path / "cache", inline=True)
        data = open_data(own)
        plan = make_plan(own, data)
        foretell(own, data, plan)
        told = own.state.forecast
        assert told.recipes == 4
        assert told.all_s > plan.end_s
        assert told.memory is None or told.memory.needs >= memory.peak_bytes()
        assert any("the whole study takes about" in note for note in heard.notes)
        before = list(heard.notes)
        foretell(own, data, plan)
        assert heard.notes == before, "a forecast is made once"


# What mattered, told once ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [3, 60])
def test_what_mattered_comes_back_from_the_result_as_it_was_measured(count):
    rng = np.random.default_rng(count)
    space = Space({**SPACE.dimensions, "optimizer.name": Choice("adamw", "sgd")})
    trials = {}
    for n in range(count):
        recipe = BASE.but({**space.from_unit(rng.random(3)), "seed": n})
        point = Point(36, 1.0, abs(math.log10(recipe.optimizer.lr) + 2) + 0.1 * rng.random(), None)
        trials[n] = Trial(n, recipe, "sobol", "", state="complete", curve=Curve((point,)))
    history = History(trials)
    measured = what_mattered(history, space)
    plain = json.loads(json.dumps(measured.to_json()))
    assert Mattered.from_json(plain) == measured
