"""The conversation with a process that trains: one JSON document a line, typed values on both sides.

A command goes as {"do": name, "with": {...}}. What comes back are any number of {"event": name, ...} and then one of
{"answer": ...}, {"error": {...}}, {"stopped": true} and {"bug": traceback}.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, make_dataclass
from typing import TypeVar, get_type_hints

from tame.core.errors import (
    BudgetError,
    DataError,
    NothingTrainedError,
    RefusedError,
    ShapeError,
    StorageError,
    TameError,
    UsageError,
    WorkerError,
    require,
    unknown,
)
from tame.core.plain import from_plain, to_plain
from tame.trial.commands import Commands, Doing, EndedEarly, Message, Note, PointMeasured, Progress, Saved

T = TypeVar("T")
MOST_SHOWN = 80  # characters of what cannot be understood
MESSAGES: Mapping[str, type[Message]] = {
    "point": PointMeasured, "end": EndedEarly, "saved": Saved, "progress": Progress, "note": Note, "doing": Doing,
}  # fmt: skip
_NAMES: Mapping[type[Message], str] = {kind: name for name, kind in MESSAGES.items()}
ERRORS: Mapping[str, type[TameError]] = {
    kind.__name__: kind
    for kind in (
        UsageError, DataError, NothingTrainedError, BudgetError, StorageError, RefusedError, WorkerError, ShapeError,
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Start:
    """Where a process that trains keeps what it makes. under: another cache, which is read too."""

    cache: str
    study: str | None = None
    under: str | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """Asks for the end of the work as soon as all that was done is kept."""


@dataclass(frozen=True, slots=True)
class Call:
    """A command with its values, as they came."""

    name: str
    values: object


Request = Start | Stop | Call


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command gives, in plain values."""

    value: object


@dataclass(frozen=True, slots=True)
class Failed:
    """An error that a user can meet, by the name of its class."""

    type: str
    message: str

    def error(self) -> TameError:
        return ERRORS.get(self.type, TameError)(self.message)


@dataclass(frozen=True, slots=True)
class Stopped:
    """The command has ended early, since the user stopped the study."""


@dataclass(frozen=True, slots=True)
class Bug:
    """A traceback."""

    text: str


Said = Message | Answer | Failed | Stopped | Bug


@dataclass(frozen=True, slots=True)
class Signature:
    """What a command takes and gives. values: a dataclass with a field for each of its arguments."""

    values: type[object]
    answer: type[object]

    @classmethod
    def of(cls, name: str, method: Callable[..., object]) -> Signature:
        hints = get_type_hints(method)
        own = [each for each in inspect.signature(method).parameters.values() if each.name != "self"]
        made = [
            (each.name, hints[each.name], field(default=MISSING if each.default is each.empty else each.default))
            for each in own
        ]
        return cls(make_dataclass(name, made, frozen=True, kw_only=True), hints["return"])


COMMANDS: Mapping[str, Signature] = {
    name: Signature.of(name, method)
    for name, method in vars(Commands).items()
    if inspect.isfunction(method) and not name.startswith("_")
}


def request_line(request: Request) -> str:
    """A line that `read_request` reads. Raises ValueError for numbers that are not finite."""
    if isinstance(request, Stop):
        return _line({"do": "stop"})
    if isinstance(request, Start):
        return _line({"do": "start", "with": to_plain(request)})
    return _line({"do": request.name, "with": to_plain(request.values)})


def read_request(line: str) -> Request:
    """What a coordinator asks for. Raises WorkerError for what is none of it."""
    found = _document(line, what="a command")
    name = found.get("do")
    if name == "stop":
        return Stop()
    require(isinstance(name, str), f"this is no command: {line[:MOST_SHOWN]!r}", error=WorkerError)
    values = found.get("with")
    if name == "start":
        return from_plain(Start, values, what="the command 'start'", error=WorkerError)
    return Call(str(name), values)


def carry_out(handlers: Mapping[str, Callable[..., object]], call: Call) -> object:
    """The plain answer to a command. handlers: of `handlers_of`.

    Raises WorkerError for a command that does not exist and for values that do not fit it, and what the command raises.
    """
    signature = COMMANDS.get(call.name)
    if signature is None:
        raise WorkerError(unknown("command", call.name, COMMANDS))
    known = [each.name for each in fields(signature.values)]  # type: ignore[arg-type]
    extra = [name for name in call.values if name not in known] if isinstance(call.values, Mapping) else []
    if extra:
        raise WorkerError(unknown(f"value of the command {call.name!r}", extra[0], known))
    given = from_plain(signature.values, call.values, what=f"the command {call.name!r}", error=WorkerError)
    return to_plain(handlers[call.name](**{name: getattr(given, name) for name in known}))


def handlers_of(commands: Commands) -> Mapping[str, Callable[..., object]]:
    """What carries out each command, by its name."""
    return {name: getattr(commands, name) for name in COMMANDS}


def said_line(said: Said) -> str:
    """A line that `read_said` reads. Raises ValueError for numbers that are not finite."""
    match said:
        case Answer(value):
            return _line({"answer": value})
        case Failed():
            return _line({"error": to_plain(said)})
        case Stopped():
            return _line({"stopped": True})
        case Bug(text):
            return _line({"bug": text})
        case _:
            return _line({"event": _NAMES[type(said)], **to_plain(said)})


def read_said(line: str) -> Said:
    """What a process that trains says. Raises WorkerError for what is none of it, with its name where it has one."""
    found = _document(line, what="a message")
    if "event" in found:
        return _message(found)
    if "answer" in found:
        return Answer(found["answer"])
    if "error" in found:
        return from_plain(Failed, found["error"], what="the message 'error'", error=WorkerError)
    if "stopped" in found:
        return Stopped()
    require("bug" in found, f"this is no message: {line[:MOST_SHOWN]!r}", error=WorkerError)
    return Bug(str(found["bug"]))


def read_answer(kind: type[T], value: object, *, name: str) -> T:
    """The answer to a command. Raises WorkerError where it does not fit."""
    return from_plain(kind, value, what=f"the answer to the command {name!r}", error=WorkerError)


def _message(found: Mapping[str, object]) -> Message:
    name = found["event"]
    kind = MESSAGES.get(name) if isinstance(name, str) else None
    if kind is None:
        raise WorkerError(unknown("message", name, MESSAGES))
    return from_plain(kind, found, what=f"the message {name!r}", error=WorkerError)


def _document(line: str, *, what: str) -> Mapping[str, object]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise WorkerError(f"this is not {what}: {line[:MOST_SHOWN]!r}")
    return found


def _line(document: Mapping[str, object]) -> str:
    return json.dumps(document, allow_nan=False) + "\n"
