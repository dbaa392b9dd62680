"""The protocol of a training process: one JSON document per line, typed values on both sides.

A command is {"do": name, "with": {...}, "id": number}. The reply is any number of {"event": name, ...} and then one of
{"answer": ...}, {"error": {...}}, {"stopped": true} and {"bug": traceback}, each with "of": the number of the command,
so that nothing late is taken for the answer to a later one. A command without a number is answered without one.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, make_dataclass
from typing import TypeVar, get_type_hints

from tame.core.errors import (
    ApartError,
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
from tame.trial.commands import (
    Chosen,
    Commands,
    Doing,
    EndedEarly,
    EngineMeasured,
    Message,
    Note,
    PointMeasured,
    Progress,
    Saved,
)

T = TypeVar("T")
MOST_SHOWN = 80  # characters of an unreadable line
MESSAGES: Mapping[str, type[Message]] = {
    "chosen": Chosen, "measured": EngineMeasured, "point": PointMeasured, "end": EndedEarly, "saved": Saved,
    "progress": Progress, "note": Note, "doing": Doing,
}  # fmt: skip
_NAMES: Mapping[type[Message], str] = {kind: name for name, kind in MESSAGES.items()}
ERRORS: Mapping[str, type[TameError]] = {
    kind.__name__: kind
    for kind in (
        UsageError, DataError, NothingTrainedError, BudgetError, StorageError, RefusedError, WorkerError, ShapeError,
        ApartError,
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Start:
    """Where a training process stores its files. under: a second cache, which is only read.

    measured: what the study has measured of engines so far, by key; share: its cores while other workers train;
    gpu: its own, as CUDA names it.
    """

    cache: str
    study: str | None = None
    under: str | None = None
    measured: Mapping[str, object] = field(default_factory=dict)
    share: int = 0
    gpu: str = ""


@dataclass(frozen=True, slots=True)
class Stop:
    """Requests the end of the work as soon as everything done so far is saved."""


@dataclass(frozen=True, slots=True)
class Call:
    """A command with its plain values."""

    name: str
    values: object


Request = Start | Stop | Call


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a command, in plain values."""

    value: object


@dataclass(frozen=True, slots=True)
class Failed:
    """An error for the user, by the name of its class."""

    type: str
    message: str

    def error(self) -> TameError:
        return ERRORS.get(self.type, TameError)(self.message)


@dataclass(frozen=True, slots=True)
class Stopped:
    """The command ended early because the user stopped the study."""


@dataclass(frozen=True, slots=True)
class Bug:
    """The traceback of a bug in TAME."""

    text: str


Said = Message | Answer | Failed | Stopped | Bug


@dataclass(frozen=True, slots=True)
class Signature:
    """The types of a command. values: a dataclass with a field for each argument."""

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


def request_line(request: Request, number: int = 0) -> str:
    """A line that `read_request` reads. Raises ValueError for numbers that are not finite."""
    if isinstance(request, Stop):
        return _line({"do": "stop"})
    own = {"id": number} if number else {}
    if isinstance(request, Start):
        return _line({"do": "start", "with": to_plain(request), **own})
    return _line({"do": request.name, "with": to_plain(request.values), **own})


def read_request(line: str) -> tuple[Request, int]:
    """The request in this line, and its number. Raises WorkerError if it is not one."""
    found = _document(line, what="a command")
    return _request(found, line), _number(found, "id", what="a command")


def _request(found: Mapping[str, object], line: str) -> Request:
    name = found.get("do")
    if name == "stop":
        return Stop()
    require(isinstance(name, str), f"this is not a command: {line[:MOST_SHOWN]!r}", error=WorkerError)
    values = found.get("with")
    if name == "start":
        return from_plain(Start, values, what="the command 'start'", error=WorkerError)
    return Call(str(name), values)


def carry_out(handlers: Mapping[str, Callable[..., object]], call: Call) -> object:
    """Executes a command and returns its plain answer. handlers: from `handlers_of`.

    Raises WorkerError for an unknown command and for values that do not fit it, and whatever the command raises.
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
    """The functions that execute each command, by its name."""
    return {name: getattr(commands, name) for name in COMMANDS}


def said_line(said: Said, of: int = 0) -> str:
    """A line that `read_said` reads. of: the number of the command. Raises ValueError for numbers that are not
    finite."""
    own: Mapping[str, object] = {"of": of} if of else {}
    match said:
        case Answer(value):
            return _line({"answer": value, **own})
        case Failed():
            return _line({"error": to_plain(said), **own})
        case Stopped():
            return _line({"stopped": True, **own})
        case Bug(text):
            return _line({"bug": text, **own})
        case _:
            return _line({"event": _NAMES[type(said)], **to_plain(said), **own})


def read_said(line: str) -> tuple[Said, int]:
    """The message of a training process, and the number of the command that it is about: 0 if that had none.

    Raises WorkerError if the line is not a message, with its name if it has one.
    """
    found = _document(line, what="a message")
    return _said(found, line), _number(found, "of", what="a message")


def _said(found: Mapping[str, object], line: str) -> Said:
    if "event" in found:
        return _message(found)
    if "answer" in found:
        return Answer(found["answer"])
    if "error" in found:
        return from_plain(Failed, found["error"], what="the message 'error'", error=WorkerError)
    if "stopped" in found:
        return Stopped()
    require("bug" in found, f"this is not a message: {line[:MOST_SHOWN]!r}", error=WorkerError)
    return Bug(str(found["bug"]))


def read_answer(kind: type[T], value: object, *, name: str) -> T:
    """The answer to a command. Raises WorkerError if it does not fit."""
    return from_plain(kind, value, what=f"the answer to the command {name!r}", error=WorkerError)


def _message(found: Mapping[str, object]) -> Message:
    name = found["event"]
    kind = MESSAGES.get(name) if isinstance(name, str) else None
    if kind is None:
        raise WorkerError(unknown("message", name, MESSAGES))
    return from_plain(kind, found, what=f"the message {name!r}", error=WorkerError)


def _number(found: Mapping[str, object], key: str, *, what: str) -> int:
    number = found.get(key, 0)
    require(type(number) is int, f"the number of {what} is damaged: {number!r:.80}", error=WorkerError)
    assert isinstance(number, int)
    return number


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
