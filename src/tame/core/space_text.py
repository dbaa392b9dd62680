"""Dimensions as text and as tables of a TOML file: as users write them and as configs keep them.

optimizer.lr=1e-4..1e-1:log          a range; on a log scale
model.dropout=0..0.5:step=0.1        in steps
model.hidden=0|64|256                a choice
optimizer.lr@sgd=1e-2..1:log         the rate of the optimizer that the label names
optimizer.lr@plain=1e-2..1:log if optimizer.name=momentum|nesterov and optimizer.momentum=0
batch_size=32|64:scientific          with its purpose
own.kind="a|b"|c                     text with special characters goes in double quotes
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tame.core.conditions import PLAIN, check_values, field_of, word
from tame.core.dimensions import ALWAYS, PURPOSES, Choice, Dimension, Float, Int, When
from tame.core.errors import UsageError, require, unknown
from tame.core.recipe import Value
from tame.core.toml_file import read_toml_file

FORM = (
    "write NAME=LOW..HIGH, NAME=LOW..HIGH:log, NAME=LOW..HIGH:step=STEP or NAME=VALUE|VALUE; if it is active only for "
    'some recipes, add " if FIELD=VALUE"'
)
KEYS = ("low", "high", "log", "step", "values", "when", "purpose")  # of a dimension that is a table
_QUOTED = re.compile(r'("(?:[^"\\]|\\.)*")')
_BARE = re.compile(r"[\w./+:-]+")  # text that needs no quotes


def parse_dimension(text: str) -> tuple[str, Dimension]:
    """Name and dimension of "optimizer.lr=1e-4..1e-1:log", "model.hidden=0|64|256" or "epochs=5..40".

    Raises UsageError, which shows the right form.
    """
    name, equals, rest = text.partition("=")
    name = name.strip().removeprefix("recipe.")
    body, *conditions = (part.strip() for part in _split(rest, " if "))
    require(bool(equals and name and body) and len(conditions) <= 1, f"cannot read the space {text!r}: {FORM}")
    asked = _read_conditions(conditions[0], text) if conditions else ALWAYS
    try:
        return name, _read_dimension(field_of(name), body, text, When(asked))
    except UsageError as problem:  # there may be many dimensions, so say which one is wrong
        said = str(problem)
        raise UsageError(said if name in said else f"{name}: {said}") from None


def to_text(name: str, dimension: Dimension) -> str:
    """The text that `parse_dimension` reads as this dimension."""
    own = field_of(name)
    if isinstance(dimension, Choice):
        body = "|".join(_write(own, value) for value in dimension.values)
    else:
        body = f"{dimension.low!r}..{dimension.high!r}" + (":log" if dimension.log else "")
        if dimension.step != (1 if isinstance(dimension, Int) else None):
            body += f":step={dimension.step!r}"
    if dimension.purpose is not None:
        body += f":{dimension.purpose}"
    cases = [f"{field}={'|'.join(_write(field, v) for v in values)}" for field, values in dimension.when.items()]
    return f"{name}={body}" + (f" if {' and '.join(cases)}" if cases else "")


def read_space(path: Path) -> tuple[str, ...]:
    """The dimensions of a TOML file as texts, with or without a [space] table around them.

    Raises UsageError for a file that is missing, is not TOML or has no dimension, and as `texts_of` does.
    """
    form = 'a TOML file of dimensions, or one dimension such as "optimizer.lr=1e-4..1e-1:log"'
    require(not path.is_dir(), f"{path} is a folder; a space is {form}")
    values = read_toml_file(path, what="a TOML file of dimensions")
    own = values.pop("space", None)
    more = f"{path} contains more than a space: {', '.join(values)}; give a file of settings with --config"
    require(own is None or not values, more)
    found = texts_of(values if own is None else own, where=str(path))
    require(bool(found), f"{path} contains no dimension")
    return found


def texts_of(space: object, *, where: str) -> tuple[str, ...]:
    """The dimensions of a [space] table as texts: each is a text, one value, or a table.

    A table holds `low` and `high`, or `values`, and optionally `log`, `step`, `when` and `purpose`. A list of complete
    texts, or a single one, is accepted too. where: the file, for the errors. Raises UsageError for anything else.
    """
    if isinstance(space, str):
        return (space,)
    if isinstance(space, list | tuple):
        wrong = next((each for each in space if not isinstance(each, str)), None)
        require(wrong is None, f'{where}: the space has {wrong!r}; give texts such as "optimizer.lr=1e-4..1e-1:log"')
        return tuple(space)
    if not isinstance(space, Mapping):
        raise UsageError(f"{where}: space must be a table of dimensions, got {space!r}")
    return tuple(_texts(space, "", where))


def flatten(table: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Nested tables as one table with dotted names."""
    found: dict[str, object] = {}
    for name, value in table.items():
        if isinstance(value, Mapping):
            found |= flatten(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def _texts(table: Mapping[str, object], prefix: str, where: str) -> Iterator[str]:
    for key, value in table.items():
        name = f"{prefix}{key}".removeprefix("recipe.")
        if isinstance(value, Mapping) and not _is_dimension(name, value, where):
            yield from _texts(value, f"{name}.", where)
        elif isinstance(value, Mapping):
            yield to_text(name, _from_table(name, value, where))
        elif isinstance(value, str):
            yield f"{name}={value}"
        elif isinstance(value, bool | int | float):
            yield to_text(name, Choice(value))
        else:
            fix = 'write "LOW..HIGH", {low = LOW, high = HIGH} or {values = [VALUE, VALUE]}'
            raise UsageError(f"{where}: {name} is {value!r}; {fix}")


def _is_dimension(name: str, table: Mapping[str, object], where: str) -> bool:
    """Whether a table is a dimension, and not a group of dimensions such as [space.optimizer]."""
    own = field_of(name)
    if own in PLAIN or own.startswith("own."):
        return True
    is_room = own == "own" or any(field.startswith(f"{own}.") for field in PLAIN)
    if not is_room and set(table) & set(KEYS):
        raise UsageError(f"{where}: {unknown('recipe field', own, PLAIN)}")
    return False


def _from_table(name: str, table: Mapping[str, Any], where: str) -> Dimension:
    """The dimension of {low, high, ...} or {values, ...}. Raises UsageError."""
    for key in table:
        if key not in KEYS:
            raise UsageError(f"{where}: {name}: {unknown('key of a dimension', key, KEYS)}")
    is_choice = "values" in table
    wanted = {"values"} if is_choice else {"low", "high"}
    mixed = set(table) & {"low", "high", "log", "step"} if is_choice else wanted - set(table)
    require(not mixed, f"{where}: {name} needs either low and high or values, got {', '.join(table) or 'neither'}")
    try:
        when = table.get("when", {})
        require(isinstance(when, Mapping), f"when must be a table of fields, got {when!r}")
        values = table.get("values", [])
        require(isinstance(values, list), f"values must be a list, got {values!r}")
        own = {key: table[key] for key in ("low", "high", "log", "step") if key in table}
        is_whole = _is_whole(field_of(name), [own[key] for key in ("low", "high", "step") if key in own])
        make: Callable[..., Dimension] = Choice if is_choice else Int if is_whole else Float
        dimension = make(*values, **own, when=flatten(when), purpose=table.get("purpose"))
        check_values(name, dimension)
    except UsageError as problem:
        raise UsageError(f"{where}: {name}: {problem}") from None
    return dimension


def _read_dimension(field: str, body: str, text: str, when: When) -> Dimension:
    if len(_split(body, "..")) > 1:
        return _read_range(field, body, text, when)
    marked = _split(body, ":")
    purpose = next((each for each in PURPOSES if len(marked) > 1 and each == marked[-1].strip()), None)
    body = body if purpose is None else ":".join(marked[:-1])
    return Choice(*(_read_value(field, part, text) for part in _split(body, "|")), when=when, purpose=purpose)


def _read_range(field: str, body: str, text: str, when: When) -> Dimension:
    span, *options = (part.strip() for part in body.split(":"))
    found: dict[str, object] = {}
    for option in filter(None, options):
        known: dict[str, tuple[str, object]] = {each: ("purpose", each) for each in PURPOSES}
        known |= {"log": ("log", True), "linear": ("log", False)}
        is_step = option.startswith("step=")
        right = is_step or option in known
        require(right, f"cannot read the scale {option!r} in {text!r}: write log, linear, step=STEP or nuisance")
        key, value = ("step", _number(option.removeprefix("step=").strip())) if is_step else known[option]
        require(key not in found, f"{text!r} gives its {'scale' if key == 'log' else key} twice")
        found[key] = value
    low, _, high = span.partition("..")
    ends = (_number(low.strip()), _number(high.strip()))
    if any(isinstance(end, str | bool) for end in ends):
        raise UsageError(f"cannot read the range {span!r} in {text!r}: {FORM}")
    is_whole = _is_whole(field, [*ends, *([found["step"]] if "step" in found else [])])
    make: Callable[..., Dimension] = Int if is_whole else Float
    return make(*ends, **found, when=when)


def _is_whole(field: str, numbers: Sequence[object]) -> bool:
    """Whether a range is of whole numbers: by the field's type; for an own field, by how its ends are written."""
    like = PLAIN.get(field)
    if isinstance(like, int) and not isinstance(like, bool):
        return all(isinstance(each, int | float) and float(each).is_integer() for each in numbers[:2])  # 1e1 is whole
    return not isinstance(like, float) and all(isinstance(each, int) for each in numbers)


def _read_conditions(text: str, whole: str) -> dict[str, tuple[Value, ...]]:
    """The condition of "optimizer.name=momentum|nesterov and model.depth=2"."""
    found: dict[str, tuple[Value, ...]] = {}
    for part in _split(text, " and "):
        field, equals, values = part.partition("=")
        field = field.strip().removeprefix("recipe.")
        good = bool(equals and field and values.strip())
        require(good, f'cannot read the condition {text!r} in {whole!r}: write "if FIELD=VALUE and FIELD=VALUE|VALUE"')
        require(field not in found, f"the condition in {whole!r} names {field} twice; write {field}=VALUE|VALUE")
        found[field] = tuple(_read_value(field, each, whole) for each in _split(values, "|"))
    return found


def _read_value(field: str, text: str, whole: str) -> Value:
    """A value in the type of its field; for an own field a number, true, false, or otherwise text."""
    text = text.strip()
    if text.startswith('"'):
        try:
            value = json.loads(text)
        except ValueError:
            raise UsageError(
                f'cannot read the text {text} in {whole!r}: quotes are closed, and \\ stands before "'
            ) from None
        return str(value)
    if not text:  # checked here, so that a long choice does not build its error text for every value
        raise UsageError(f"cannot read the space {whole!r}: a value is missing; {FORM}")
    like = PLAIN.get(field)
    if isinstance(like, str):
        return text
    if isinstance(like, bool):
        return {"true": True, "yes": True, "false": False, "no": False}.get(text.lower(), text)
    return _number(text)


def _write(field: str, value: Value) -> str:
    """The text that `_read_value` reads as this value."""
    if not isinstance(value, str):
        return word(value) if isinstance(value, bool) else repr(value)
    is_bare = bool(_BARE.fullmatch(value)) and ".." not in value and value.rpartition(":")[2] not in PURPOSES
    return value if is_bare and _read_value(field, value, value) == value else json.dumps(value, ensure_ascii=False)


def _number(text: str) -> Value:
    kinds: tuple[Callable[[str], int | float], ...] = (int, float)
    for kind in kinds:
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text.lower(), text)


def _split(text: str, mark: str) -> list[str]:
    """The parts of a text between marks; marks inside double quotes do not count."""
    parts = [""]
    for i, piece in enumerate(_QUOTED.split(text)):
        first, *rest = [piece] if i % 2 else piece.split(mark)
        parts[-1] += first
        parts += rest
    return parts
