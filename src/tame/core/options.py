"""One setting of a study as people write it: flag, help, and how a text becomes a value and back.

`StudyConfig` has one per field. The command line, TOML files and the command that reproduces a study are built from
them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Literal

from tame.core.errors import UsageError, require
from tame.core.recipe import Recipe, Value
from tame.core.space_text import read_space

Kind = Literal["argument", "text", "whole", "switch", "texts"]
Texts = tuple[str, ...]
OPTION = "option"  # the key of a field's metadata
YES, NO = "true", "false"


@dataclass(frozen=True, slots=True)
class Option:
    """How one setting is written. Without `read`, `write` and `toml`, its kind decides.

    kind: the command's argument, one text, one whole number, a switch, or one text per use of the flag. older: its
    former name; it still works everywhere, and config.json keeps it. read: from the texts on
    the command line; write: the inverse. toml: from a value of a TOML file, and the file's name for the errors.
    """

    help: str
    _: KW_ONLY
    kind: Kind = "text"
    metavar: str | None = None
    group: str | None = None  # panel of the help; None: general options
    flag: str = ""  # without dashes; "": the name of the field
    older: str = ""
    has_no: bool = False  # whether a switch also has --no-FLAG
    repeated: Literal["always", "given", "never"] = "given"  # when the command that reproduces a study contains it
    read: Callable[[Texts], object] | None = None
    write: Callable[[object], Texts] | None = None
    toml: Callable[[object, str], object] | None = None

    @property
    def metadata(self) -> Mapping[str, Option]:
        """What the field of a dataclass holds of its option."""
        return {OPTION: self}

    def value_of(self, texts: Texts) -> object:
        """The value of these texts. Raises UsageError."""
        if self.read is not None:
            return self.read(texts)
        if self.kind == "texts":
            return texts
        last = texts[-1]
        return int(last) if self.kind == "whole" else last == YES if self.kind == "switch" else last

    def texts_of(self, value: object) -> Texts:
        """The texts that `value_of` turns into this value."""
        if self.write is not None:
            return self.write(value)
        if isinstance(value, bool):
            return (YES if value else NO,)
        return tuple(map(str, value)) if isinstance(value, tuple | list) else (str(value),)

    def words(self, name: str, value: object) -> list[str]:
        """The words of a command line that set the field `name` to this value."""
        flag = self.flag_of(name)
        texts = self.texts_of(value)
        if self.kind == "switch":
            return [f"--{flag}" if texts == (YES,) else f"--no-{flag}"]
        return [word for text in texts for word in (f"--{flag}", text)]

    def flag_of(self, name: str) -> str:
        """The flag of the field `name`, without its dashes."""
        return self.flag or name.replace("_", "-")


_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_NUMBER = r"\d+(?:\.\d+)?"
_TIME = re.compile("".join(f"(?:({_NUMBER}){unit})?" for unit in _UNITS), re.ASCII)


def parse_time(text: str) -> float:
    """Seconds of "90", "90s", "5m", "1h30m" or "1.5h". Raises UsageError, also for "1h30"."""
    plain = text.strip().lower()
    if re.fullmatch(_NUMBER, plain, re.ASCII):
        plain += "s"
    found = _TIME.fullmatch(plain) if plain else None
    if found is None:
        raise UsageError(f"cannot read the time {text!r:.60}; write it as 90s, 5m or 1h30m")
    seconds = sum(float(number or 0) * unit for number, unit in zip(found.groups(), _UNITS.values(), strict=True))
    require(0 < seconds < math.inf, f"the time must be above 0 seconds and finite, got {text!r:.60}")
    return seconds


def read_time(texts: Texts) -> float:
    """Seconds of the last text, which wins."""
    return parse_time(texts[-1])


def write_time(seconds: object) -> Texts:
    """Seconds as `parse_time` reads them: without an exponent, every digit kept."""
    assert isinstance(seconds, int | float)
    text = format(Decimal(repr(seconds)), "f")
    return (f"{text.rstrip('0').rstrip('.') if '.' in text else text}s",)


def parse_set(texts: Sequence[str]) -> dict[str, Value]:
    """Recipe fields of ("optimizer.lr=0.01", ...). Raises UsageError for a wrong form or an unknown field."""
    found: dict[str, Value] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        require(bool(equals), f"cannot read {text!r}: write FIELD=VALUE, such as optimizer.lr=0.01")
        short = name.strip().removeprefix("recipe.")
        require(short not in found, f"{short} is set twice")
        found[short] = Recipe().but({short: value.strip()}).flat()[short]
    return found


def write_set(values: object) -> Texts:
    """Recipe fields as `parse_set` reads them."""
    assert isinstance(values, Mapping)
    return tuple(f"{name}={value}" for name, value in values.items())


def parse_space(texts: Sequence[str]) -> Texts:
    """Dimensions as texts; a text that ends in .toml or names an existing file is read as a file."""
    found: list[str] = []
    for text in texts:
        is_file = text.endswith(".toml") or (bool(text) and "=" not in text and Path(text).exists())
        found += read_space(Path(text)) if is_file else [text]
    return tuple(found)


def whole_paths(folders: Sequence[str | Path]) -> Texts:
    """Absolute paths of these folders."""
    return tuple(str(Path(each).resolve()) for each in folders)
