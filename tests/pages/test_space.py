"""The space of a study on its page: axes, lines, what mattered, what a wider range costs, and how it is asked for."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("starlette", reason="the extra ui is not installed")

from searching import SPACE, searching_study, try_another
from served_pages import KEY, serving, unpack
from tame.core.errors import UsageError
from tame.core.records import Event
from tame.evaluate.importance import importances
from tame.evaluate.outcomes import outcomes
from tame.pages.library import Library
from tame.pages.space import MOST_BEST, MOST_OTHERS, Measured, cost_words, space_view, wider_text
from tame.study.events import SpaceKept
from tame.study.inbox import Seal, waiting
from tame.study.state import read_state


@pytest.fixture
def searching(tmp_path):
    with searching_study(tmp_path / "runs" / "own") as study:
        yield study


def shelf_of(study):
    library = Library((study.folder.parent,), store_of=lambda folder: None)
    (shelf,) = library.shelves()
    shelf.look()
    return shelf


def test_axes_and_lines_are_those_of_the_trials(searching):
    view = space_view(shelf_of(searching), Measured())
    axes = {axis["name"]: axis for axis in view["axes"]}
    assert set(axes) == set(SPACE.dimensions)
    assert (axes["optimizer.lr"]["low"], axes["optimizer.lr"]["high"], axes["optimizer.lr"]["log"]) == (
        1e-4,
        1e-2,
        True,
    )
    assert [words for _, words in axes["optimizer.name"]["ticks"]] == ["adamw", "sgd"]
    assert view["count"] == len(view["lines"]) == 32
    history = read_state(searching.folder)[1].history
    for line in view["lines"]:
        recipe = history.trials[line["trial"]].recipe.flat()
        for axis, place in zip(view["axes"], line["places"], strict=True):
            assert place == pytest.approx(SPACE.dimensions[axis["name"]].where(recipe[axis["name"]]), abs=1e-4)
    losses = [line["loss"] for line in view["lines"]]
    assert losses == sorted(losses)


def test_what_mattered_is_what_the_report_would_say(searching):
    view = space_view(shelf_of(searching), Measured())
    history = read_state(searching.folder)[1].history
    right = importances(outcomes(history, SPACE), SPACE)
    assert [(each["name"], each["value"]) for each in view["importance"]] == [(o.name, o.value) for o in right.each]
    assert view["importance"][0]["name"] == "optimizer.lr"
    assert view["axes"][0]["name"] == "optimizer.lr"


def test_what_mattered_is_measured_anew_once_there_are_more_trials(searching):
    measured = Measured()

    def counted():
        shelf = shelf_of(searching)
        return space_view(shelf, measured)["count"], next(iter(measured._known.values()))[0]

    assert counted() == (32, 32)
    try_another(searching, 32)
    assert counted() == (33, 32), "one more changes little"
    for number in range(33, 36):
        try_another(searching, number)
    assert counted() == (36, 36)


def test_of_many_trials_the_best_are_drawn_and_a_sample(searching):
    for number in range(32, 600):
        try_another(searching, number)
    view = space_view(shelf_of(searching), Measured())
    assert view["count"] == 600
    assert len(view["lines"]) <= MOST_BEST + MOST_OTHERS
    assert len(json.dumps(view)) < 80_000
    best = sorted(trial.loss for trial in read_state(searching.folder)[1].history.trials.values())[:MOST_BEST]
    assert [line["loss"] for line in view["lines"][:MOST_BEST]] == best


def test_what_a_wider_range_costs_is_counted_on_its_own_scale(searching):
    """Two decades become three: half as much again of 32 recipes, of four epochs of half a second each."""
    said = " ".join(cost_words(shelf_of(searching), "optimizer.lr", low=None, high=0.1))
    assert "1.5 times as long on its log scale" in said
    assert "16 more recipes beside the 32 tried" in said
    assert "about 32 s" in said
    assert "has 6 min 40 s left" in said
    assert "too short" not in said
    assert "too short" in " ".join(cost_words(shelf_of(searching), "optimizer.weight_decay", low=None, high=1.5))


@pytest.mark.parametrize(
    ("name", "ends", "text"),
    [
        ("optimizer.lr", {"low": 1e-5}, "optimizer.lr=1e-05..0.01:log"),
        ("batch_size", {"low": 17}, "batch_size=16..80:step=16"),
        ("batch_size", {"high": 127.2}, "batch_size=32..128:step=16"),
    ],
)
def test_an_edge_is_asked_for_as_a_dimension(searching, name, ends, text):
    state = shelf_of(searching).followed.state
    asked = {"low": None, "high": None, **ends}
    assert wider_text(state, name, **asked) == text


@pytest.mark.parametrize(
    ("name", "ends", "words"),
    [
        ("optimizer.lr", {"high": 1e-3}, "it was"), ("optimizer.lr", {"high": 1e-2}, "already"),
        ("optimizer.lr", {"low": -1.0}, "above 0"), ("optimizer.rl", {"high": 1.0}, "did you mean 'optimizer.lr'"),
        ("optimizer.name", {"high": 1.0}, "a choice"), ("optimizer.lr", {}, "which edge"),
    ],
)  # fmt: skip
def test_what_is_no_wider_range_is_refused_with_the_reason(searching, name, ends, words):
    asked = {"low": None, "high": None, **ends}
    with pytest.raises(UsageError, match=words):
        wider_text(shelf_of(searching).followed.state, name, **asked)


def test_a_wider_space_shows_where_its_edges_were(searching):
    wider = SPACE.widened("optimizer.lr", high=0.1)
    searching.keep(SpaceKept(space=wider.to_json(), reason="asked for while it ran"))
    (axis,) = [axis for axis in space_view(shelf_of(searching), Measured())["axes"] if axis["name"] == "optimizer.lr"]
    assert axis["high"] == 0.1
    assert axis["edges"] == [[pytest.approx(2 / 3), "0.01"]]


def test_the_pages_ask_for_a_wider_range_and_tell_what_came_of_it(searching):
    seal = Seal(key=KEY, study=searching.state.opened.id)
    with serving(searching.folder.parent) as own:
        number = json.loads(own.request("/api/studies")[2])["studies"][0]["id"]
        status, _, body = own.request(f"/api/s/{number}/space/cost?name=optimizer.lr&high=0.1")
        assert (status, len(json.loads(body)["words"])) == (200, 4)
        assert waiting(searching.folder, seal) == [], "the cost is told before anything is asked"
        assert own.request(f"/api/s/{number}/space/cost?name=optimizer.lr&high=nan")[0] == 400
        ask = {"what": "space", "name": "optimizer.lr", "high": 0.1}
        status, _, body = own.change(f"/api/s/{number}/ask", json.dumps({**ask, "high": 1e-3}).encode())
        assert status == 409
        assert "it was" in json.loads(body)["problem"]
        assert own.change(f"/api/s/{number}/ask", json.dumps(ask).encode())[0] == 202
        (found,) = waiting(searching.folder, seal)
        assert found.wish.texts == ("optimizer.lr=0.0001..0.1:log",)
        searching.keep(found.wish)
        searching.keep(Event("answered", {"id": found.wish.id, "done": False, "reason": "the search has ended"}))
        view = json.loads(own.request(f"/api/s/{number}/space")[2])
        assert json.loads(own.request(f"/api/s/{number}/space?after={view['seq']}")[2]) == {"seq": view["seq"]}
        answer = view["answer"]
        assert (answer["words"], answer["reason"]) == ("Refused: search a wider space", "the search has ended")
        assert "learning rate" in own.request(f"/s/{number}/space")[2].decode()


@pytest.mark.parametrize("name", ["pictures", "table", "own"])
def test_a_finished_study_of_an_earlier_version_has_its_page(tmp_path, name):
    folder = unpack(name, tmp_path)
    with serving(folder.parent) as own:
        number = json.loads(own.request("/api/studies")[2])["studies"][0]["id"]
        assert own.request(f"/s/{number}/space")[0] == 200
        view = json.loads(own.request(f"/api/s/{number}/space")[2])
        assert not view["is_open"]
        assert view["axes"]
