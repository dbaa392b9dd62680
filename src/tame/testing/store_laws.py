"""The laws that every Store must satisfy, wherever it keeps its events.

Each law takes a function that opens the same store, which is empty at first; it may be called again after `close`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tame.core.errors import UsageError
from tame.core.records import Event
from tame.store.protocol import Store

Opener = Callable[[], Store]
Law = Callable[[Opener], None]

_ODD: tuple[Mapping[str, object], ...] = (
    {},
    {"": None},
    {"text": "é 漢 \U0001f600 \u202e \x00 \x1f \x7f \ufeff \n \\ ' \" ; -- %s :x ? {0}"},
    {"lone surrogate": "\udc80", "\ud800": 1},
    {"numbers": [0, -1, 2**53 + 1, -(2**80), 10**300, 0.1, 1e-320, 1.7976931348623157e308, -0.0, True, False, None]},
    {"long": "x" * 100_000},
    {"same value": [[[]], {}, [{}], {"a": {"a": {"a": [1, "1", 1.5]}}}]},
)


def what_is_appended_comes_back(open_store: Opener) -> None:
    store = open_store()
    sent = [Event("first", {"a": 1}), Event("second", {"b": [1.5, None, "x"]})]
    stored = store.append("study", sent)
    assert [(event.kind, event.data) for event in stored] == [(event.kind, event.data) for event in sent]
    assert store.events("study") == stored
    assert all(event.at.endswith("+00:00") for event in stored)
    store.close()


def ids_rise_by_one_and_nothing_changes(open_store: Opener) -> None:
    store = open_store()
    seen: list[Event] = []
    for size in (1, 3, 0, 2):
        new = store.append("study", [Event("kind", {"size": size, "i": i}) for i in range(size)])
        seen += new
        assert store.events("study") == seen
        assert [event.id for event in seen] == list(range(1, len(seen) + 1))
    store.close()


def studies_do_not_mix(open_store: Opener) -> None:
    store = open_store()
    names = ["b", "a", "B", "a ", "É", "E\u0301", "漢 \U0001f600", "'; drop table event; --", "%s", "x" * 200]
    for turn in range(2):
        for name in names:
            (stored,) = store.append(name, [Event("kind", {"name": name})])
            assert stored.id == turn + 1
    assert store.studies() == names
    for name in names:
        assert [event.data for event in store.events(name)] == [{"name": name}] * 2
    store.close()


def events_after_an_id_are_the_rest(open_store: Opener) -> None:
    store = open_store()
    stored = store.append("study", [Event("kind", {"i": i}) for i in range(5)])
    for after in range(8):
        assert store.events("study", after) == stored[after:]
    _raises(ValueError, store.events, "study", -1)
    store.close()


def an_unknown_study_has_no_events(open_store: Opener) -> None:
    store = open_store()
    assert store.studies() == []
    assert store.events("nobody") == []
    assert store.append("nobody", []) == []
    assert store.studies() == []
    store.close()


def odd_data_comes_back_as_it_was(open_store: Opener) -> None:
    store = open_store()
    deep: object = 0
    for _ in range(200):
        deep = [deep]
    store.append("study", [Event("odd", data) for data in (*_ODD, {"deep": deep})])
    assert [repr(event.data) for event in store.events("study")] == [repr(data) for data in (*_ODD, {"deep": deep})]
    (stored,) = store.append("study", [Event("odd", {"tuple": (1, 2)})])
    assert stored.data == {"tuple": [1, 2]}
    assert store.events("study")[-1] == stored
    store.close()


def what_json_cannot_hold_is_refused_and_nothing_is_stored(open_store: Opener) -> None:
    store = open_store()
    good = Event("good", {})
    for bad in (float("nan"), float("inf"), -float("inf")):
        _raises(ValueError, store.append, "study", [good, Event("bad", {"x": [bad]})])
    _raises(ValueError, store.append, "study", [good, Event("", {})])
    _raises(ValueError, store.append, "study", [good, Event("two\nlines", {})])
    _raises(ValueError, store.append, "study", [good, Event("stored already", {}, id=1)])
    for name in ("", "x" * 201, "a\0b", "a\nb", "\udc80"):
        _raises(UsageError, store.append, name, [good])
        _raises(UsageError, store.events, name)
    assert store.studies() == []
    assert store.append("study", [good])[0].id == 1
    store.close()


def nobody_can_change_what_is_stored(open_store: Opener) -> None:
    store = open_store()
    own = [1]
    stored = store.append("study", [Event("kind", {"list": own})])
    own.append(2)
    for number, event in enumerate((stored[0], store.events("study")[0]), 3):
        kept = event.data["list"]
        assert isinstance(kept, list)
        kept.append(number)
    assert store.events("study")[0].data == {"list": [1]}
    store.close()


def a_store_opened_again_is_the_same(open_store: Opener) -> None:
    store = open_store()
    stored = {name: store.append(name, [Event("kind", data) for data in _ODD]) for name in ("b", "a")}
    store.close()
    store = open_store()
    assert store.studies() == ["b", "a"]
    assert {name: store.events(name) for name in stored} == stored
    assert store.append("b", [Event("next", {})])[0].id == len(_ODD) + 1
    store.close()


LAWS: tuple[Law, ...] = (
    what_is_appended_comes_back,
    ids_rise_by_one_and_nothing_changes,
    studies_do_not_mix,
    events_after_an_id_are_the_rest,
    an_unknown_study_has_no_events,
    odd_data_comes_back_as_it_was,
    what_json_cannot_hold_is_refused_and_nothing_is_stored,
    nobody_can_change_what_is_stored,
    a_store_opened_again_is_the_same,
)


def _raises(kind: type[Exception], act: Callable[..., object], *arguments: object) -> None:
    try:
        act(*arguments)
    except kind:
        return
    raise AssertionError(f"no {kind.__name__} was raised")
