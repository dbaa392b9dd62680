"""How a search checks itself: wider and narrower spaces, dimensions for a budget, and what the rest of it is worth."""

from __future__ import annotations

import csv
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans import plain_plan
from tame.adjust import presets
from tame.adjust.guard import Rest, most_dimensions, narrowed, rest_of, searchable
from tame.adjust.portfolio import tables
from tame.adjust.searcher import SearchConfig, searched
from tame.adjust.searchers import SEARCHERS
from tame.app.run import fit_study, resume_study
from tame.core.config import StudyConfig
from tame.core.errors import StoppedError, UsageError
from tame.core.plain import from_plain, to_plain
from tame.core.recipe import Recipe
from tame.core.records import Curve, Event, Finding, Fold, History, Point, Trial, curve_event, decision_event
from tame.core.rng import stream
from tame.core.space import Choice, Float, Int, Space, parse_dimension
from tame.monitor.case import Facts
from tame.monitor.remedies import wider
from tame.monitor.space import edges, infeasible, linear_ranges
from tame.study.doctor import act, of_space, with_outcomes
from tame.study.draft import expected_recipes, fewer_dimensions
from tame.study.events import PlanEvent
from tame.study.session import begin
from tame.study.space import narrow, region_of, space_of
from tame.study.state import Silent, State, findings_events, read_state

SPACE = Space(
    {
        "optimizer.lr": Float(1e-4, 1e-1, log=True),
        "optimizer.weight_decay": Float(1e-4, 1e-1, log=True),
        "model.dropout": Float(0.0, 0.5),
        "model.hidden": Choice(64, 128),
        "batch_size": Int(8, 128, log=True),
    }
)


PLAIN = Recipe().but({"epochs": 1})


def trial_of(number, recipe, loss, *, state="complete", origin="sobol"):
    """A trial of one epoch."""
    return Trial(number, recipe, origin, "", state, 1, Curve((Point(1, loss, loss, None),)))


def study_of(rng, loss, *, count=40, space=SPACE, lost=lambda recipe: False):
    """Trials all over a space. loss: of a recipe; lost: whether it diverges."""
    found = []
    for number in range(count):
        recipe = PLAIN.but(space.from_unit(rng.random(len(space))))
        gone = lost(recipe)
        found.append(trial_of(number, recipe, None if gone else loss(recipe), state="diverged" if gone else "complete"))
    return found


# Wider and narrower ranges --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "dim", "side", "end"),
    [
        ("optimizer.lr", Float(1e-6, 1e-5, log=True), "high", 1e-4),
        ("optimizer.lr", Float(1e-6, 1e-5, log=True), "low", 1e-7),
        ("optimizer.lr", Float(1e-4, 1e-1, log=True), "high", 1.0),
        ("optimizer.lr@sgd", Float(1e-2, 2e-2, log=True), "high", 6e-2),
        ("model.dropout", Float(0.0, 0.4), "high", 0.6),
        ("model.dropout", Float(0.0, 0.4), "low", None),
        ("model.dropout", Float(0.1, 0.4, step=0.1), "low", 0.0),
        ("model.dropout", Float(0.0, 0.4, step=0.1), "high", 0.6),
        ("optimizer.momentum", Float(0.8, 0.99), "high", 0.9959),
        ("model.width", Int(16, 512, log=True), "high", 1024),
        ("model.width", Int(16, 512, log=True), "low", 8),
        ("model.width", Int(1, 64, log=True), "low", None),
        ("model.depth", Int(1, 3), "high", 4),
        ("batch_size", Int(32, 128, step=32), "high", 192),
        ("model.hidden", Choice(0, 64), "high", None),
    ],
)
def test_a_range_grows_as_far_as_documented_and_as_recipes_allow(name, dim, side, end):
    assert wider(name, dim, side) == (None if end is None else pytest.approx(end, rel=1e-3))


@given(low=st.floats(1e-6, 1e-2), factor=st.floats(1.1, 1e5), side=st.sampled_from(["low", "high"]), log=st.booleans())
def test_a_wider_range_holds_the_old_one_and_no_recipe_refuses_its_ends(low, factor, side, log):
    dim = Float(low, low * factor, log)
    end = wider("optimizer.lr", dim, side)
    if end is None:
        assert (side, log) == ("low", False), "only a linear range can have no room, towards 0"
        return
    space = Space({"optimizer.lr": dim}).widened("optimizer.lr", **{side: end})
    Recipe().but({"optimizer.lr": end})
    assert space.covers(Space({"optimizer.lr": dim}))
    if log:
        assert 3 * (1 - 1e-3) <= (low / end if side == "low" else end / dim.high) <= 10 * (1 + 1e-3)


def test_bounds_narrow_a_range_and_nothing_else():
    bounds = {"optimizer.lr": {"high": 1e-2}, "batch_size": {"low": 20}, "model.hidden": {"low": 1}, "gone": {"low": 1}}
    found = narrowed(SPACE, bounds).dimensions
    assert found["optimizer.lr"] == Float(1e-4, 1e-2, log=True)
    assert found["batch_size"] == Int(20, 128, log=True)
    assert found["model.hidden"] == SPACE.dimensions["model.hidden"]
    assert narrowed(SPACE, {"optimizer.lr": {"high": 1e-5}}) == SPACE, "that would leave nothing"
    steps = Space({"batch_size": Int(32, 128, step=32)})
    assert narrowed(steps, {"batch_size": {"low": 33, "high": 127}}).dimensions["batch_size"] == Int(64, 96, step=32)


def test_what_is_narrowed_is_an_event_and_leaves_the_space_as_it_was(tmp_path):
    plan = {"base": Recipe().flat(), "space": SPACE.to_json()}
    with begin(StudyConfig(data="x", out=str(tmp_path / "study")), Silent()) as study:
        study.keep(Event("plan", plan))
        study.keep(narrow(study.state, "optimizer.lr", high=1e-2, reason="too many diverged", evidence={"lost": 9}))
        study.keep(narrow(study.state, "optimizer.lr", low=1e-3, reason="nothing is learned"))
        with pytest.raises(UsageError, match=r"optimizer\.lr cannot be narrowed to high 1"):
            narrow(study.state, "optimizer.lr", high=1.0, reason="no change")
    _, state = read_state(tmp_path / "study")
    assert space_of(state) == SPACE
    assert region_of(state).dimensions["optimizer.lr"] == Float(1e-3, 1e-2, log=True)


# The best on an edge --------------------------------------------------------------------------------------------------


def bowl(middle):
    """A loss with its least at a rate, whatever the other fields are."""
    return lambda recipe: 1 + (math.log(recipe.optimizer.lr) - math.log(middle)) ** 2


def test_a_recipe_beyond_a_range_that_beats_all_in_it_is_reported():
    """As the default recipe may, beside a range that lies elsewhere; with few trials it may be chance."""
    rng = np.random.default_rng(0)
    space = Space({"optimizer.lr": Float(1e-6, 1e-5, log=True)})
    trials = study_of(rng, lambda recipe: 1.0 + 0.1 * float(rng.random()), count=25, space=space)
    default = trial_of(25, PLAIN.but({"optimizer.lr": 2e-3}), 0.2, origin="default")
    (found,) = edges([*trials, default], space)
    assert (found.code, found.evidence["side"], found.evidence["best_values"]) == ("best_on_edge", "high", [2e-3])
    assert found.title == "the best of 26 recipes lies beyond the range of optimizer.lr, at 0.002"
    assert edges([*trials[:10], default], space) == []
    worse = trial_of(25, PLAIN.but({"optimizer.lr": 2e-3}), 1.05, origin="default")
    assert edges([*trials, worse], space) == []


@pytest.mark.parametrize(("middle", "side"), [(1e-6, "low"), (1.0, "high")])
def test_a_best_outside_the_space_is_seen_on_its_edge(middle, side):
    (finding,) = edges(study_of(stream(0, "edge"), bowl(middle), count=80), SPACE)
    assert (finding.evidence["field"], finding.evidence["side"]) == ("optimizer.lr", side)


def test_clean_studies_are_silent():
    """At most 2 of 200 studies whose best lies inside are told otherwise: of 1,000 it was 1."""
    rng, fired = stream(0, "clean"), 0
    for _ in range(200):
        middle = math.exp(rng.uniform(math.log(1e-3), math.log(1e-2)))
        noise = rng.uniform(0.05, 0.5)
        trials = study_of(rng, lambda r, m=middle, s=noise: bowl(m)(r) + rng.normal(0, s))
        fired += bool(edges(trials, SPACE))
        assert infeasible(trials, SPACE) is None
    assert fired <= 2


def test_a_labelled_dimension_is_judged_by_the_trials_it_holds_for():
    space = Space({"optimizer.name": Choice("adamw", "sgd"), "optimizer.lr@sgd": Float(1e-4, 1e-1, log=True)})
    rng = stream(0, "labelled")
    trials = study_of(rng, lambda r: bowl(1.0)(r) if r.optimizer.name == "sgd" else 200.0, space=space, count=120)
    (finding,) = edges(trials, space)
    assert finding.evidence["field"] == "optimizer.lr@sgd"
    assert edges(study_of(rng, lambda r: 1.0 if r.optimizer.name == "adamw" else 2.0, space=space), space) == []


def early(middle, *, epochs=9, count=80):
    """Trials of which none has come to its end."""
    trials = study_of(stream(1, "early"), bowl(middle), count=count)
    return [replace(t, recipe=t.recipe.but({"epochs": epochs}), state="paused") for t in trials]


def test_before_the_end_what_always_looks_better_at_first_is_not_believed():
    assert edges(early(1.0), SPACE) == [], "high rates learn faster at first"
    (finding,) = edges(early(1e-6), SPACE)
    assert (finding.evidence["side"], finding.evidence["after_epoch"]) == ("low", 1)
    beyond = [
        trial_of(100 + i, Recipe().but({"optimizer.lr": 0.5}), 0.9 + i / 100, origin="portfolio") for i in range(5)
    ]
    beyond = [replace(t, recipe=t.recipe.but({"epochs": 9}), state="paused") for t in beyond]
    (finding,) = edges([*early(1.0), *beyond], SPACE)
    assert finding.evidence["side"] == "high", (
        "known recipes that lie even further out are better than all in the space"
    )


# Too many that diverge ------------------------------------------------------------------------------------------------


def test_a_threshold_beyond_which_recipes_diverge_is_found():
    trials = study_of(stream(1, "lost"), bowl(1e-3), count=60, lost=lambda recipe: recipe.optimizer.lr > 3e-3)
    found = infeasible(trials, SPACE)
    assert (found.evidence["field"], found.evidence["side"]) == ("optimizer.lr", "high")
    assert 2e-3 < found.evidence["bound"] < 5e-3
    assert found.evidence["lost"] == sum(t.state == "diverged" for t in trials)
    region = narrowed(SPACE, {"optimizer.lr": {"high": found.evidence["bound"]}})
    assert infeasible(trials, region) is None, "what lies outside the region counts no more"


def test_a_threshold_never_cuts_off_the_best_recipe():
    trials = study_of(stream(1, "lost"), bowl(1e-3), count=60, lost=lambda recipe: recipe.optimizer.lr > 3e-3)
    best = trial_of(99, PLAIN.but({"optimizer.lr": 5e-2, "model.hidden": 64}), 0.1)
    found = infeasible([*trials, best], SPACE)
    assert "bound" not in found.evidence or found.evidence["bound"] > 5e-2


def test_a_choice_that_diverges_is_named():
    found = infeasible(study_of(stream(0, "lost"), bowl(1e-3), lost=lambda recipe: recipe.model.hidden == 128), SPACE)
    assert (found.evidence["field"], found.evidence["value"]) == ("model.hidden", 128)
    assert "leave 128 out" in found.change


def test_without_a_setting_that_separates_them_a_fault_is_suspected():
    rng = stream(0, "fault")
    told = [infeasible(study_of(rng, bowl(1e-3), lost=lambda _: rng.random() < 0.6), SPACE) for _ in range(50)]
    assert all(found is not None for found in told)
    assert sum("field" in found.evidence for found in told) <= 8, "chance may look like a threshold, but seldom"
    assert all("fault" in found.change for found in told if "field" not in found.evidence)


def test_few_trials_or_few_lost_say_nothing():
    assert infeasible(study_of(stream(0, "few"), bowl(1e-3), count=9, lost=lambda _: True), SPACE) is None
    rare = study_of(stream(0, "rare"), bowl(1e-3), lost=lambda recipe: recipe.optimizer.lr > 3e-2)
    assert infeasible(rare, SPACE) is None


# Linear ranges --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("optimizer.lr=1e-5..1e-1", 'write "optimizer.lr=1e-05..0.1:log"'),
        ("optimizer.weight_decay=0..0.1", 'write "optimizer.weight_decay=0.0001..0.1:log"'),
        ("optimizer.lr=1e-5..1e-1:log", None),
        ("optimizer.lr=1e-2..1e-1", None),
        ("model.dropout=0..0.5", None),
    ],
)
def test_a_linear_range_where_a_log_range_is_meant_is_questioned(text, fix):
    found = linear_ranges(dict([parse_dimension(text)]))
    assert [finding.change for finding in found] == ([] if fix is None else [fix])
    if fix is not None:
        parse_dimension(fix.split('"')[1])


# Dimensions for a budget ----------------------------------------------------------------------------------------------


def test_few_recipes_search_what_matters_most():
    preset = tables(5000, task="binary", epochs=None, seed=0)
    space = Space(preset.dimensions, base=preset.base.flat())
    assert [most_dimensions(n) for n in (1, 9, 10, 24, 25, 64, 65)] == [2, 2, 3, 3, 5, 5, None]
    assert searchable(space, preset.ranks, (), 9) == ("model.dropout", "optimizer.lr")
    assert set(searchable(space, preset.ranks, (), 12)) == {"optimizer.lr", "model.dropout", "table.numbers"}
    assert searchable(space, preset.ranks, (), 65) == tuple(space.dimensions)
    assert searchable(space, preset.ranks, (), None) == tuple(space.dimensions)
    several = ("model.width", "model.depth", "table.sigma")
    kept = searchable(space, preset.ranks, several, 5)
    own = {*several, "table.numbers", "optimizer.lr"}
    assert set(kept) == own, "what was asked for, what it depends on, and what matters most, but no more"


@pytest.mark.parametrize("fixed", [Choice(0.1), Float(0.1, 0.1)])
def test_a_dimension_of_one_value_does_not_count_among_the_few(fixed):
    preset = tables(5000, task="binary", epochs=None, seed=0)
    space = Space({**preset.dimensions, "model.dropout": fixed}, base=preset.base.flat())
    assert "model.dropout" not in space.searched
    kept = searchable(space, preset.ranks, ("model.dropout",), 9)
    assert kept == searchable(space, preset.ranks, (), 9)
    assert set(kept) == {"model.dropout", "optimizer.lr", "table.numbers"}, "as two of three that hold more"


def test_no_wider_range_is_suggested_for_a_dimension_of_one_value():
    space = SPACE.but({"model.dropout": Float(0.3, 0.3)})
    trials = study_of(stream(0, "edge"), lambda recipe: 1.0 + recipe.optimizer.lr, count=30, space=space)
    best = trial_of(30, PLAIN.but({"model.dropout": 0.0, "model.hidden": 64}), 0.1, origin="default")
    assert all(finding.evidence["field"] != "model.dropout" for finding in edges([*trials, best], space))


@pytest.mark.parametrize("kind", presets.KINDS)
def test_every_dimension_that_is_known_has_a_rank_of_its_own(kind):
    ranks = [each.rank for each in presets.known(kind).space.values()]
    assert len(set(ranks)) == len(ranks)
    assert presets.known(kind).space["optimizer.lr"].rank == min(ranks)


def test_an_invalid_rank_is_refused():
    entry = {"low": 1e-4, "high": 1e-1, "why": "so", "rank": 0}
    with pytest.raises(UsageError, match=r"x\.toml: optimizer\.lr: the rank must be a whole number from 1 on, got 0"):
        presets.read_known({"portfolio": [], "space": {"optimizer.lr": entry}}, where="x.toml")


def test_recipes_that_are_stopped_early_cost_less():
    search = SearchConfig(base=Recipe().but({"epochs": 27}))  # rungs 3, 9 and 27
    assert expected_recipes(search, 270, whole=True) == 10
    assert expected_recipes(search, 270, whole=False) == pytest.approx(270 / (3 + 6 / 3 + 18 / 9))


# What the rest is worth -----------------------------------------------------------------------------------------------


def rounds(losses, *, each=6, num_valid=1000):
    """What the rest is worth after every round of a study whose trials come to these losses."""
    every = [trial_of(n, PLAIN, loss) for n, loss in enumerate(losses)]
    found, rest = [], None
    for end in range(each, len(losses) + 1, each):
        rest = rest_of(History({n: every[n] for n in range(end)}), rest, num_valid=num_valid)
        found.append(rest)
    return found


def test_only_a_search_that_no_longer_gains_is_called_worthless():
    flat = rounds([0.9, 0.5, 0.5001, *[0.5 + 0.0001 * (i % 7) for i in range(60)]])
    first = next(rest for rest in flat if rest.is_worthless)
    assert first.recipes >= 24
    assert first.gain < 0.25 * first.noise
    falling = rounds([1 / (1 + i) for i in range(60)])
    assert not any(rest.is_worthless for rest in falling)


def test_random_searches_stop_only_if_as_many_again_would_gain_little():
    """Of 100 studies of 240 random recipes: where the rest is called worthless, 9 of 10 times it was."""
    rng, judged, right = stream(0, "worth"), 0, 0
    for _ in range(100):
        losses = 0.5 + 0.3 * rng.random(240) ** rng.integers(1, 4)
        found = next((rest for rest in rounds(losses, each=12, num_valid=500) if rest.is_worthless), None)
        if found is not None and found.recipes <= 120:
            judged += 1
            gained = found.best - losses[: 2 * found.recipes].min()
            right += gained < 0.5 * found.noise
    assert judged >= 20
    assert right >= 0.9 * judged


def test_a_round_in_which_nothing_was_trained_changes_nothing_and_a_rest_can_be_kept():
    rest = rounds([0.5 + i / 100 for i in range(12)])[-1]
    trials = {n: trial_of(n, PLAIN.but({"optimizer.lr": (n + 1) * 1e-4}), 0.5 + n / 100) for n in range(12)}
    assert rest_of(History(trials), rest, num_valid=1000) is rest
    assert from_plain(Rest, to_plain(rest), what="the rest") == rest
    assert rest_of(History(), None, num_valid=1000) is None


# Whole studies --------------------------------------------------------------------------------------------------------

TOO_LOW = "optimizer.lr=1e-6..1e-5:log"


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3)).round(3)
    rows = [[*map(str, row), "yes" if row[0] + row[1] > 0 else "no"] for row in x.tolist()]
    path = tmp_path_factory.mktemp("data") / "rows.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["a", "b", "c", "label"], *rows])
    return path


@pytest.fixture(scope="module")
def asked(table, tmp_path_factory):
    """How a small study is asked for."""
    patch = pytest.MonkeyPatch()
    patch.setenv("TAME_CACHE", str(tmp_path_factory.mktemp("cache")))
    own = {"model.width": 8, "model.depth": 1, "model.norm": "none", "table.numbers": "plain"}

    def make(folder, **more):
        about = {"trials": 34, "epochs": 3, "seed": 1, "space": (TOO_LOW,), **more}
        return StudyConfig(data=str(table), target="label", out=str(folder), set=own, **about)

    yield make
    patch.undo()


class Stops(Silent):
    """A watcher that stops the study when it is told something."""

    def __init__(self, words):
        self.words = words

    def note(self, text):
        if self.words in text:
            self.words = "never again"
            raise StoppedError("stopped")


@pytest.fixture(scope="module")
def wide(asked, tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies") / "whole"
    return folder, fit_study(asked(folder), Silent(), inline=True)


def test_a_space_whose_best_lies_outside_is_widened_and_the_report_shows_it(wide):
    folder, result = wide
    found = [f for f in result.findings if f.code == "best_on_edge" and "to" in f.evidence]
    assert found
    assert all(f.evidence["field"] == "optimizer.lr" for f in found)
    told = re.fullmatch(r"(\d+) recipes? (?:was|were) in the new part, (.*): trial \d+, at (.*)", found[0].outcome)
    assert told
    assert int(told[1]) >= 1
    inside = float(told[3]) <= found[0].evidence["to"]  # or the default, which lies beyond all that was asked for
    assert told[2] == ("including the best" if inside else "but not the best")
    assert result.space.dimensions["optimizer.lr"].high >= 1e-4
    assert result.space.dimensions["optimizer.lr"].low == 1e-6
    _, state = read_state(folder)
    later = [t for t in searched(state.history) if t.recipe.optimizer.lr > 1e-5 and t.origin == "model"]
    assert later, "recipes are proposed from the wider space while the study runs"
    page = (folder / "report.html").read_text()
    assert "lies beyond the range of learning rate, at 0.002" in page
    assert found[0].outcome[:40] in page


def test_stopped_as_it_is_widened_and_resumed_a_study_comes_to_the_same_space(wide, asked, tmp_path):
    _, result = wide
    with pytest.raises(StoppedError):
        fit_study(asked(tmp_path / "again"), Stops("beyond the range of optimizer.lr"), inline=True)
    again = resume_study(tmp_path / "again", Silent(), inline=True)
    assert again.space == result.space
    assert [f.title for f in again.findings] == [f.title for f in result.findings]
    assert again.winner.recipe == result.winner.recipe


def test_a_space_that_must_not_grow_stays_and_the_finding_says_so(asked, tmp_path):
    result = fit_study(asked(tmp_path / "study", widen=False, trials=26), Silent(), inline=True)
    (finding,) = [f for f in result.findings if f.code == "best_on_edge"]
    assert finding.outcome.startswith("not widened: --no-widen forbids it")
    assert result.space.dimensions["optimizer.lr"].high == 1e-5
    assert "--no-widen" in result.command


def test_a_search_ends_once_the_rest_is_worthless_and_says_why(asked, tmp_path):
    settings = {"stop_search_early": True, "trials": 400, "space": ("optimizer.lr=1e-9..1e-8:log",), "widen": False}
    heard: list[str] = []

    class Notes(Silent):
        def note(self, text):
            heard.append(text)

    result = fit_study(asked(tmp_path / "study", search="sobol", **settings), Notes(), inline=True)
    assert 24 <= result.rest.recipes < 400
    assert f"the search stops early: {result.rest.stopped_because}" in heard
    (finding,) = [f for f in result.findings if f.code == "worthless_rest"]
    assert finding.outcome == f"the search stopped after {result.rest.recipes} recipes"
    page = (tmp_path / "study" / "report.html").read_text()
    assert f"The search stopped after {result.rest.recipes} recipes because as many epochs again" in page


def test_too_few_recipes_search_fewer_dimensions_and_the_report_says_so(asked, tmp_path):
    result = fit_study(asked(tmp_path / "study", trials=3, epochs=1, space=()), Silent(), inline=True)
    assert set(result.space.dimensions) == {"optimizer.lr", "model.dropout"}
    assert result.searched.words == "2 of 5 dimensions (there are too few recipes for more)"
    assert "Searched 2 of 5 dimensions" in (tmp_path / "study" / "report.html").read_text()
    assert fewer_dimensions(PlanEvent(space={"optimizer.lr": {}})) is None, "a plan of an older study"


def test_where_too_many_diverge_new_recipes_come_from_the_rest_of_the_space(tmp_path):
    base = PLAIN.but({"model.hidden": 64})
    facts = Facts(
        task="binary", num_classes=2, num_valid=100, metric="accuracy", higher_is_better=True, dummy=0.5,
        dummy_error=0.05, guess_loss=0.7,
    )  # fmt: skip
    search = SearchConfig(base=base, cohort=40)
    plan = plain_plan(search, SPACE, facts, folds=(0,), end_s=0.0, whole=False)
    first = SEARCHERS.get("sobol")(History(), SPACE, 0, config=search)
    with begin(StudyConfig(data="x", out=str(tmp_path / "study")), Silent()) as study:
        study.keep(Event("plan", {"base": base.flat(), "space": SPACE.to_json()}), *map(decision_event, first))
        for decision in first:
            loss = None if decision.recipe.optimizer.lr > 1e-2 else 1.0
            study.keep(curve_event(decision.trial, [Point(1, loss, loss, None)]))
        found = act(study, plan, of_space(study))
        assert [event.kind for event in found.events] == ["region", "worth"]
        assert act(study, plan, of_space(study)) == found, "what is not kept is decided again"
        study.keep(*findings_events(found.findings), *found.events)
        assert found.plan.space == region_of(study.state)
        assert space_of(study.state) == SPACE.on(base.flat())
        later = SEARCHERS.get("auto")(study.history, found.plan.space, 0, config=search)
        fresh = [d.recipe.optimizer.lr for d in later if d.kind == "start"]
        assert fresh
        assert max(fresh) <= found.findings[0].evidence["bound"] < 1.5e-2
        assert of_space(study) == [], "it is told once"


def test_the_result_of_a_narrower_region_is_reported():
    evidence = {"field": "optimizer.lr", "side": "high", "bound": 1e-2, "first_after": 2}
    trials = [trial_of(n, PLAIN, None if n == 3 else 0.5, state="diverged" if n == 3 else "complete") for n in range(6)]
    state = State(Fold(History({t.number: t for t in trials})), [Finding("infeasible", "many", "warning", evidence)])
    assert with_outcomes(state)[0].outcome == "of 4 recipes started since then, 1 diverged or failed"


@pytest.mark.parametrize(("side", "old", "to", "rates", "said"), [
    ("high", 1e-4, 1e-3, (5e-5, 2e-4, 1e-3, 2e-3), "2 recipes were in the new part, but not the best: trial 3"),
    ("low", 1e-2, 1e-3, (5e-2, 2e-3, 1e-3, 1e-4), "2 recipes were in the new part, but not the best: trial 3"),
    ("high", 1e-4, 1e-2, (5e-5, 2e-4, 1e-3, 2e-3), "3 recipes were in the new part, including the best: "),
])  # fmt: skip
def test_values_beyond_the_new_part_of_a_range_do_not_count_as_found_by_widening(side, old, to, rates, said):
    ends = {"low": 1e-6, "high": 1.0, side: old}
    evidence = {"field": "optimizer.lr", "side": side, **ends, "to": to}
    recipes = [PLAIN.but({"optimizer.lr": rate}) for rate in rates]
    trials = [trial_of(n, recipe, 1.0 - n / 10) for n, recipe in enumerate(recipes)]
    state = State(Fold(History({t.number: t for t in trials})), [Finding("best_on_edge", "edge", "info", evidence)])
    assert with_outcomes(state)[0].outcome.startswith(said)
