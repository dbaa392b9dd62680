"""What the user asks of a running study is done between two rounds, or refused with the reason; both are events.

A request that cannot wait, such as a pause, also ends what is being trained at its next word, with all that was
measured kept; afterwards the same training goes on.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import cast

from tame.core.codes import CODES
from tame.core.edits import EDITS, Edit, text_of
from tame.core.errors import StoppedError, TameError, UsageError, unknown
from tame.core.options import write_time
from tame.core.recipe import Recipe
from tame.core.records import Event
from tame.report.formats import inert
from tame.study.events import Answered, Asked, Wish
from tame.study.inbox import ASKED, Seal, is_anything_waiting, remove, waiting
from tame.study.live import Live, Spent, Told
from tame.study.plan import Plan
from tame.study.session import Study
from tame.study.space import planned, region_of, why_closed, wider_events, wider_with
from tame.study.state import State
from tame.study.trainable import check

URGENT: tuple[Wish, ...] = ("pause", "go_on", "stop")
LOOK_S = 0.5  # between two looks into the inbox
BEAT_S = 1.0  # between two signs of life while nothing else is said
WAIT_S = 0.1  # between two looks while the study is paused
WHILE_RUNNING = "asked for while it ran"


def heeded(study: Study, plan: Plan) -> Plan:
    """The plan after everything that the user has asked for: with more time, or a wider space."""
    before = study.state.space
    heed(study)
    own = planned(study.state)
    until = math.inf if own.search_until_s is None else own.search_until_s + study.state.extra_s
    space = plan.space if study.state.space is before else region_of(study.state)
    return replace(plan, space=space, search_until_s=until)


def heed(study: Study, *, urgent: bool = False) -> None:
    """Does what the user has asked for, or refuses it. urgent: only what cannot wait; then the rest stays in the inbox.

    A paused study waits here, and its clock stands still. Raises StoppedError where it is stopped meanwhile.
    """
    study.is_called = False
    _take_up(study, only=URGENT if urgent else None)
    while study.state.is_paused:
        if study.is_stopping:
            raise StoppedError("stopped by the user")
        begun = time.monotonic()
        time.sleep(WAIT_S)
        study.stand_still(time.monotonic() - begun)
        _take_up(study)


def go_on(study: Study) -> None:
    """Ends a pause in which an earlier process of the study ended: whoever resumes it wants it to go on."""
    if study.state.is_paused:
        own = Asked(id=f"{study.state.asked.id if study.state.asked else ''} resumed", what="go_on")
        study.keep(own, Answered(id=own.id, done=True, reason="the study was resumed", used_s=study.used_s))


@contextmanager
def attended(study: Study, key: bytes | None) -> Iterator[None]:
    """Within it, whoever looks on sees what goes on, and the inbox is looked into.

    key: the user's own, with which requests are proved; None where there is none, so that nothing is followed.
    """

    def spent() -> Spent:
        return Spent(used_s=study.used_s, given_s=study.config.clock_s, is_paused=study.state.is_paused)

    live, before, ended = Live(study.folder, spent), study.watcher, threading.Event()
    opened = study.state.opened
    if key is not None and opened is not None and opened.id is not None:
        study.seal = Seal(key=key, study=opened.id)
    study.watcher = Told(before, live)
    attendant = threading.Thread(target=_attend, args=(study, live, ended), daemon=True)
    attendant.start()
    try:
        yield
    finally:
        ended.set()
        attendant.join()
        live.close()
        study.watcher = before


def _attend(study: Study, live: Live, ended: threading.Event) -> None:
    beat = 0.0
    while not ended.wait(LOOK_S):
        if time.monotonic() - beat >= BEAT_S:
            beat = time.monotonic()
            live.beat()
        if study.seal is not None and is_anything_waiting(study.folder):
            _call(study, study.seal)


def _call(study: Study, seal: Seal) -> None:
    """Ends what is being trained where something waits that cannot."""
    try:
        found = waiting(study.folder, seal)
    except TameError:
        return  # who takes the requests up says so
    if any(each.wish is not None and each.wish.what in URGENT for each in found):
        study.call()


def heed_edits(study: Study, key: bytes) -> None:
    """Does what was asked for the next study, where no process works on this one. key: as of `attended`."""
    opened = study.state.opened
    if opened is None or opened.id is None:
        return
    study.seal = Seal(key=key, study=opened.id)
    while any(each.wish is not None and each.wish.what == "edit" for each in waiting(study.folder, study.seal)):
        _take_up(study, only=("edit",))


def _take_up(study: Study, *, only: Sequence[Wish] | None = None) -> None:
    """only: what is done or refused now; the rest stays in the inbox. None: everything."""
    if study.seal is None:
        return
    try:
        found = waiting(study.folder, study.seal)
    except TameError as problem:
        study.watcher.note(f"what was asked of this study cannot be read: {problem}")
        study.seal = None  # said once
        return
    for each in found:
        wish = each.wish
        if wish is None:
            if each.problem:
                study.watcher.note(f"{ASKED}/{inert(each.name)} was not followed: {inert(each.problem)}")
            remove(study.folder, each.name)
        elif wish.id in study.state.wishes:
            remove(study.folder, each.name)  # a process that was killed has taken it up
        elif only is None or wish.what in only:
            _answer(study, wish)
            remove(study.folder, each.name)


def _answer(study: Study, wish: Asked) -> None:
    """Does it or refuses it, with both events and what follows from them in one transaction."""
    effects: Sequence[Event] = ()
    reason = _refusal(study, wish)
    if not reason and wish.what == "space":
        reason, effects = _wider(study, wish.texts or ())
    answered = Answered(id=wish.id, done=not reason, reason=reason or _done(wish), used_s=study.used_s)
    study.keep(wish, *effects, answered)
    if answered.done:
        study.follow(wish)
        if wish.what == "edit":
            study.write(EDITS, text_of(study.state.edits))
    study.watcher.note(f"you asked to {_words(wish)}: {answered.reason}")


def _refusal(study: Study, wish: Asked) -> str:
    """Why a request cannot be done; "" if nothing is known against it."""
    state = study.state
    is_over = state.search_ended is not None or state.finalists is not None or state.stop_asked
    match wish.what:
        case "pause":
            return "it is paused already" if state.is_paused else ""
        case "go_on":
            return "" if state.is_paused else "it is not paused"
        case "stop":
            if is_over:
                return "the search has ended already"
            measured = any(trial.curve.points for trial in study.history.trials.values())
            return "" if measured else "nothing has been trained yet, so there is nothing to evaluate"
        case "time":
            if study.config.clock_s is None:
                return "this study has no clock: it ends with its trials"
            return "the search has ended, so more time would not be used" if is_over else ""
        case "mute":
            if wish.code not in CODES:
                return unknown("finding", wish.code, CODES)
            return "it is left out already" if wish.code in state.left_out else ""
        case "space":
            return "the search has ended" if is_over else why_closed(study)
        case "edit":
            assert wish.edit is not None, "an edit that was read says what it is"
            return _odd_edit(state, wish.edit)


def _odd_edit(state: State, edit: Edit) -> str:
    if state.data is None:
        return "its data has not been read yet"
    if edit.part == "test" and state.test_opened is None:
        return "the test part is sealed"
    own = next((each for each in state.edits if each.id == edit.id), None)
    if edit.action == "undo":
        return "" if own is not None else "it was not edited"
    if own is not None and (own.action, own.label) == (edit.action, edit.label):
        return "it is edited so already"
    classes = [str(name) for name in cast(Sequence[object], state.data.get("classes") or ())]
    return unknown("class", edit.label, classes) if edit.label and classes and edit.label not in classes else ""


def _wider(study: Study, texts: Sequence[str]) -> tuple[str, list[Event]]:
    """Why the space cannot be widened in this way, or the event that widens it."""
    try:
        space = wider_with(study, texts)
        check(study, Recipe.from_flat(planned(study.state).base), space)
        events = wider_events(study.state, space, reason=WHILE_RUNNING, evidence={"texts": list(texts)})
    except UsageError as problem:
        return str(problem), []
    return ("", events) if events else ("the space is as wide already", [])


def _words(wish: Asked) -> str:
    match wish.what:
        case "time":
            return f"give it {write_time(float(wish.seconds or 0))[0]} more"
        case "mute":
            return f"leave out {wish.code}"
        case "space":
            return f"search {', '.join(wish.texts or ())} too"
        case "stop":
            return "stop and evaluate"
        case "edit":
            return "edit an example" if wish.edit is None else f"edit {inert(wish.edit.id)}"
        case _:
            return wish.what.replace("_", " ")


def _done(wish: Asked) -> str:
    return {
        "pause": "it waits, and its clock stands still", "go_on": "it goes on",
        "stop": "the search ends, and what it found is evaluated", "time": "the search goes on for longer",
        "mute": "it is left out from here on", "space": "new recipes come from the wider space",
        "edit": f"it is in {EDITS}, for the next study",
    }[wish.what]  # fmt: skip
