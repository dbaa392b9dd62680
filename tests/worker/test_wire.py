"""The conversation with a process that trains: what is sent arrives, and what is garbled is refused by its name."""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tame.core.errors import DataError, StorageError, TameError, UsageError, WorkerError
from tame.core.plain import to_plain
from tame.core.probed import Batches, FirstLoss, NotRun, OneBatch, Probed, Reach, Steps, Units, Weights
from tame.core.rate_range import RateRange
from tame.core.recipe import Recipe
from tame.core.records import Point
from tame.trial.commands import (
    Advanced,
    Arranged,
    Asked,
    AskedCopy,
    Chosen,
    Commands,
    DeviceMemory,
    Doing,
    EndedEarly,
    EngineMeasured,
    EngineUse,
    How,
    MemberOf,
    MemoryUse,
    Note,
    PointMeasured,
    Priced,
    Progress,
    Rehearsed,
    Saved,
    Seat,
    StateOf,
    Unsealed,
    Validation,
)
from tame.worker.client import Client
from tame.worker.trainer import Trainer
from tame.worker.wire import (
    COMMANDS,
    MESSAGES,
    Answer,
    Bug,
    Call,
    Failed,
    Start,
    Stop,
    Stopped,
    carry_out,
    handlers_of,
    read_answer,
    read_request,
    read_said,
    request_line,
    said_line,
)

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
WHOLE = st.integers(0, 2**40)
WORDS = st.text(max_size=6)
FOLDS = st.lists(st.none() | st.integers(0, 9), max_size=3)
ROWS = st.lists(WHOLE, max_size=3)
OUTPUTS = st.lists(st.lists(NUMBERS, max_size=3), max_size=3)
PLAIN = st.dictionaries(WORDS, st.recursive(st.none() | st.booleans() | WHOLE | NUMBERS | WORDS, st.lists), max_size=3)
OWN_NAMES = st.sampled_from(["own.width", "own.name", "own.flag"])
RECIPES = st.builds(
    lambda own, rate, epochs, batch: Recipe().but(
        {**own, "optimizer.lr": rate, "epochs": epochs, "batch_size": batch}
    ),
    st.dictionaries(OWN_NAMES, st.integers(-9, 9) | NUMBERS | WORDS | st.booleans(), max_size=3),
    st.floats(1e-9, 1e3), st.integers(1, 100), st.integers(1, 99) | st.just("all"),
)  # fmt: skip
HOWS = st.builds(How, stacked=st.booleans(), onednn=st.booleans(), half=st.booleans())
STATES = st.builds(
    StateOf, trial=WHOLE, recipe=RECIPES, epochs=WHOLE, losses=st.none() | st.lists(st.none() | NUMBERS, max_size=3),
    how=st.none() | HOWS,
)  # fmt: skip
MEMBERS = st.builds(MemberOf, STATES, st.none() | WHOLE)
TARGETS = st.lists(WHOLE, max_size=3) | st.lists(NUMBERS, max_size=3) | OUTPUTS
EXAMPLES = st.builds(
    Unsealed, rows=ROWS, targets=TARGETS, folds=st.lists(st.integers(-1, 9), max_size=3), num_classes=WHOLE,
    task=WORDS, costs=st.none() | OUTPUTS,
)  # fmt: skip
ENGINES = st.builds(
    EngineUse, group=WORDS, members=WHOLE, engine=st.sampled_from(["stacked", "serial"]), why=WORDS
)  # fmt: skip
ASKED = st.builds(Asked, trial=WHOLE, recipe=RECIPES, inherited=WHOLE, how=st.none() | HOWS)
DEVICES = st.none() | st.builds(DeviceMemory, peak_bytes=WHOLE, total_bytes=WHOLE)
USES = st.builds(MemoryUse, process=WHOLE, peak_bytes=st.none() | WHOLE, adds_bytes=WHOLE, device=DEVICES)
MAYBE = st.none() | NUMBERS
NAMES = st.lists(WORDS, max_size=3).map(tuple)
LAYERS = st.builds(Weights, name=WORDS, size=MAYBE, gradient=MAYBE, update=MAYBE)
PROBED = st.builds(
    Probed,
    batches=st.none() | st.builds(Batches, norms=NAMES, batch=WHOLE, last=WHOLE),
    first_loss=st.none() | st.builds(FirstLoss, loss=MAYBE, guess=MAYBE, outputs=MAYBE, inputs=MAYBE),
    units=st.none() | st.lists(st.builds(Units, name=WORDS, count=WHOLE, dead=WHOLE), max_size=2).map(tuple),
    steps=st.none() | st.builds(
        Steps, count=WHOLE, first=MAYBE, last=MAYBE, without=NAMES, frozen=NAMES, frozen_of=WHOLE, numbers=WHOLE,
        weights=st.lists(LAYERS, max_size=2).map(tuple), spread=MAYBE, spread_before=MAYBE,
    ),
    reach=st.none() | st.builds(
        Reach, low=NUMBERS, high=NUMBERS, is_floored=st.booleans(), is_capped=st.booleans(), of=WORDS, missed=NUMBERS
    ),
    one_batch=st.none() | st.builds(
        OneBatch, examples=WHOLE, constant=MAYBE, perfect=MAYBE, lowest=MAYBE,
        rates=st.lists(NUMBERS, max_size=3).map(tuple), steps=WHOLE,
    ),
    not_run=st.lists(st.builds(NotRun, WORDS, WORDS), max_size=2).map(tuple), wall_s=NUMBERS,
)  # fmt: skip
RATES = st.builds(
    RateRange, points=st.lists(st.tuples(NUMBERS, NUMBERS), max_size=3).map(tuple), usual=NUMBERS, steepest=MAYBE,
    lowest=MAYBE, seconds=NUMBERS,
)  # fmt: skip
NOTHING = st.none()
VALUES = {
    "open": (st.fixed_dictionaries({"kind": WORDS, "given": PLAIN}), PLAIN),
    "ask": (st.fixed_dictionaries({"question": WORDS, "given": PLAIN}), PLAIN),
    "tell": (st.fixed_dictionaries({"question": WORDS, "given": PLAIN}), NOTHING),
    "learn": (st.fixed_dictionaries({"examples": EXAMPLES}), NOTHING),
    "check": (
        st.fixed_dictionaries(
            {"recipes": st.lists(RECIPES, max_size=2)},
            optional={"also": st.lists(RECIPES, max_size=1), "given": st.lists(WORDS, max_size=2)},
        ),
        NOTHING,
    ),
    "rehearse": (
        st.fixed_dictionaries({"recipe": RECIPES, "folds": FOLDS}),
        st.builds(Rehearsed, epoch_s=NUMBERS, alone_s=NUMBERS, pair_s=NUMBERS, prepare_s=NUMBERS),
    ),
    "memory": (
        st.fixed_dictionaries(
            {"recipes": st.lists(RECIPES, max_size=2), "folds": FOLDS, "tuning": st.none() | RECIPES,
             "rehearsed": st.none() | RECIPES}
        ),
        USES,
    ),
    "probe": (st.fixed_dictionaries({"recipe": RECIPES, "folds": FOLDS, "limit_s": NUMBERS}), PROBED),
    "rates": (st.fixed_dictionaries({"recipe": RECIPES, "folds": FOLDS, "limit_s": NUMBERS}), RATES),
    "price": (
        st.fixed_dictionaries(
            {"recipes": st.lists(RECIPES, max_size=2), "fold": st.none() | WHOLE, "labels": st.lists(WORDS, max_size=2),
             "row": WHOLE}
        ),
        st.builds(Priced, latency_s=NUMBERS, size_bytes=WHOLE),
    ),
    "slowdown": (st.fixed_dictionaries({"recipe": RECIPES}), NUMBERS),
    "advance": (
        st.fixed_dictionaries(
            {"trials": st.lists(ASKED, max_size=2),
             "folds": FOLDS, "until": WHOLE, "metric": WORDS, "final": st.booleans()}
        ),
        st.builds(Advanced, engines=st.lists(ENGINES, max_size=2).map(tuple), preparing_s=NUMBERS),
    ),
    "advance_together": (
        st.fixed_dictionaries(
            {"trials": st.lists(ASKED, max_size=2), "folds": FOLDS, "until": WHOLE, "metric": WORDS,
             "final": st.booleans(), "seat": st.builds(Seat, number=WHOLE, count=WHOLE, folder=WORDS)}
        ),
        NOTHING,
    ),
    "arrange": (
        st.fixed_dictionaries({"trials": st.lists(ASKED, max_size=2), "folds": FOLDS, "workers": WHOLE}),
        st.builds(
            Arranged, groups=st.lists(ROWS.map(tuple), max_size=2).map(tuple),
            hows=st.lists(HOWS, max_size=2).map(tuple), at_once=WHOLE, is_shared=st.booleans(),
            engines=st.lists(ENGINES, max_size=2).map(tuple), preparing_s=NUMBERS,
        ),
    ),
    "hand_over": (st.fixed_dictionaries({"trials": ROWS}), NOTHING),
    "take_over": (st.fixed_dictionaries({"trials": ROWS}), NOTHING),
    "copy": (
        st.fixed_dictionaries(
            {"trials": st.lists(
                st.builds(AskedCopy, trial=WHOLE, recipe=RECIPES, source=WHOLE, epoch=WHOLE), max_size=2
            ), "folds": FOLDS}
        ),
        NOTHING,
    ),
    "forget": (st.fixed_dictionaries({"trials": ROWS, "keep": ROWS}), NOTHING),
    "validation": (
        st.fixed_dictionaries({"state": STATES, "folds": FOLDS}), st.builds(Validation, rows=ROWS, outputs=OUTPUTS)
    ),
    "train_again": (st.fixed_dictionaries({"members": st.lists(MEMBERS, max_size=2)}), NOTHING),
    "on_fewer": (
        st.fixed_dictionaries({"state": STATES, "folds": FOLDS, "rows": ROWS}),
        st.builds(Validation, rows=ROWS, outputs=OUTPUTS),
    ),
    "network": (
        st.fixed_dictionaries(
            {"members": st.lists(MEMBERS, max_size=2), "labels": st.lists(WORDS, max_size=2)},
            optional={"temperature": NUMBERS, "remembers": st.booleans()},
        ),
        NOTHING,
    ),
    "distances": (st.fixed_dictionaries({"rows": ROWS}), st.lists(NUMBERS, max_size=3)),
    "judge": (st.fixed_dictionaries({"rows": ROWS}), OUTPUTS),
    "deliver": (st.fixed_dictionaries({"folder": WORDS}), st.dictionaries(WORDS, WORDS, max_size=2)),
    "judge_again": (st.fixed_dictionaries({"folder": WORDS, "rows": ROWS}), OUTPUTS),
}  # fmt: skip
POINTS = st.builds(
    Point, st.integers(1, 99), st.none() | NUMBERS, st.none() | NUMBERS, st.none() | NUMBERS, st.none() | NUMBERS
)
SAID = {
    "chosen": st.builds(Chosen, ROWS, HOWS),
    "measured": st.builds(EngineMeasured, WORDS, st.booleans() | st.dictionaries(WORDS, st.none() | NUMBERS)),
    "point": st.builds(PointMeasured, WHOLE, POINTS),
    "end": st.builds(EndedEarly, WHOLE, WHOLE),
    "saved": st.builds(Saved, ROWS),
    "progress": st.builds(Progress, WORDS, WHOLE, WHOLE),
    "note": st.builds(Note, WORDS),
    "doing": st.builds(Doing, WORDS, st.none() | NUMBERS),
}


def protocol():
    """The commands with their signatures, as the protocol has them."""
    return {name: inspect.signature(method) for name, method in vars(Commands).items() if name in COMMANDS}


@pytest.mark.parametrize("kind", [Client, Trainer])
def test_client_and_server_have_the_commands_of_the_protocol(kind):
    assert {name: inspect.signature(getattr(kind, name)) for name in COMMANDS} == protocol()


def test_every_public_method_of_the_protocol_is_a_command():
    assert set(COMMANDS) == {name for name in dir(Commands) if not name.startswith("_")}
    assert set(COMMANDS) == set(VALUES)
    assert set(MESSAGES) == set(SAID)


@pytest.mark.parametrize("name", sorted(VALUES))
@given(data=st.data())
def test_a_command_and_its_answer_survive_the_wire(name, data):
    """What the one side is asked for and gives is what the other side asks for and gets."""
    strategy, answers = VALUES[name]
    values, answer = data.draw(strategy), data.draw(answers)
    heard = []

    def handler(**given):
        heard.append(given)
        return answer

    def wire(call):
        request, _ = read_request(request_line(call))
        said, _ = read_said(said_line(Answer(carry_out({name: handler}, request))))
        return said.value

    command = getattr(Client(wire), name)
    bound = inspect.signature(command).bind(**values)
    found = command(*bound.args, **bound.kwargs)
    bound.apply_defaults()
    (got,) = heard
    assert json.dumps(to_plain(got)) == json.dumps(to_plain(dict(bound.arguments)))
    assert list(recipes_in(got)) == list(recipes_in(dict(bound.arguments)))
    assert to_plain(found) == to_plain(answer)
    assert type(found) is type(answer)


def recipes_in(value):
    """Every recipe in some values, in their order, as a recipe that compares by its fields."""
    if isinstance(value, Recipe):
        yield value
    elif isinstance(value, dict):
        yield from (own for each in value.values() for own in recipes_in(each))
    elif isinstance(value, list | tuple):
        yield from (own for each in value for own in recipes_in(each))
    elif hasattr(value, "__dataclass_fields__"):
        yield from (own for each in fields(value) for own in recipes_in(getattr(value, each.name)))


@pytest.mark.parametrize("name", sorted(SAID))
@given(data=st.data())
def test_a_message_survives_the_wire(name, data):
    message = data.draw(SAID[name])
    line = said_line(message)
    assert line.count("\n") == 1
    assert json.loads(line)["event"] == name
    assert read_said(line) == (message, 0)


@pytest.mark.parametrize(
    "said", [Answer({"a": [1, None]}), Answer(None), Failed("DataError", "bad"), Stopped(), Bug("Traceback\n")]
)
def test_the_end_of_a_command_survives_the_wire(said):
    assert read_said(said_line(said)) == (said, 0)
    assert read_said(said_line(said, 7)) == (said, 7)


@pytest.mark.parametrize("request_", [Start("cache"), Start("c", "s", "u"), Stop(), Call("judge", {"rows": [1]})])
def test_a_request_survives_the_wire(request_):
    assert read_request(request_line(request_)) == (request_, 0)
    number = 0 if isinstance(request_, Stop) else 7
    assert read_request(request_line(request_, 7)) == (request_, number)


@pytest.mark.parametrize("kind", [UsageError, DataError, StorageError, WorkerError])
def test_an_error_keeps_its_class_and_one_that_is_not_known_is_still_one_for_the_user(kind):
    assert type(Failed(kind.__name__, "words").error()) is kind
    assert type(Failed("SystemExit", "words").error()) is TameError
    assert str(Failed("SystemExit", "words").error()) == "words"


@pytest.mark.parametrize("line", ["", "no json", "[1]", "7", '{"answ', '{"with": {}}', '{"do": 7}', "[" * 100_000])
def test_an_invalid_line_is_refused(line):
    with pytest.raises(WorkerError, match=r"this is not a command|this is not a command"):
        read_request(line)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Loading weights ...", "this is not a message: 'Loading weights"),
        ("{}", "this is not a message"),
        ('{"event": "poin", "trial": 1}', "no message named 'poin'; did you mean 'point'?"),
        ('{"event": ["point"]}', "no message named"),
        ('{"event": "point", "trial": 1}', "the message 'point' is damaged: .*`point`"),
        ('{"event": "point", "trial": "1", "point": {}}', "the message 'point' is damaged"),
        ('{"event": "progress", "what": "x", "done": 1, "total": null}', r"'progress' is damaged: .*\$\.total"),
        ('{"event": "doing", "what": "x", "limit_s": "1"}', "the message 'doing' is damaged"),
        ('{"error": "words"}', "the message 'error' is damaged"),
    ],
)
def test_a_garbled_message_is_refused_with_its_name(line, words):
    with pytest.raises(WorkerError, match=words):
        read_said(line)


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("judgement", {}, "no command named 'judgement'"),
        ("_kept", {}, "no command named '_kept'"),
        ("__init__", {}, "no command named '__init__'"),
        ("judge", {"rows": "1"}, "the command 'judge' is damaged: .*rows"),
        ("judge", {}, "the command 'judge' is damaged: .*`rows`"),
        ("judge", None, "the command 'judge' is damaged"),
        ("judge", {"rows": [], "row": []}, "no value of the command 'judge' named 'row'; did you mean 'rows'?"),
        ("forget", {"trials": [1.5], "keep": []}, "the command 'forget' is damaged"),
        ("rehearse", {"recipe": {"epochs": "3"}, "folds": [0]}, "the command 'rehearse' is damaged: .*epochs"),
    ],
)
def test_a_command_that_does_not_exist_or_fit_is_refused_with_its_name(name, values, words):
    handlers = handlers_of(Client(lambda call: pytest.fail("it was carried out")))
    with pytest.raises(WorkerError, match=words):
        carry_out(handlers, Call(name, values))


def test_a_recipe_out_of_range_is_refused_as_it_is_where_a_user_gives_it():
    with pytest.raises(UsageError, match=r"epochs must be 1 to"):
        carry_out({}, Call("rehearse", {"recipe": {"epochs": 0}, "folds": [0]}))


def test_an_answer_that_does_not_fit_is_refused_with_the_name_of_the_command():
    with pytest.raises(WorkerError, match=re.escape("the answer to the command 'rehearse' is damaged")):
        read_answer(Rehearsed, {"epoch_s": 1.0}, name="rehearse")


def test_numbers_that_are_not_finite_do_not_go_through():
    with pytest.raises(ValueError, match="Out of range float values"):
        said_line(Answer([float("nan")]))
