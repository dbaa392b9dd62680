"""What is known to work for each kind of model, as data with reasons: the TOML files in `spaces/`.

A file contains a base recipe ([base]), recipes to try first ([[portfolio]], in order, as `changes` of the base), and
the dimensions worth searching ([space]), each with `why` and its `source` if it has one. `only` names the case in
which an entry applies; the caller says which cases apply. `rank` orders the dimensions by how much they matter, from 1
on: with few recipes only the first are searched.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib.resources import files
from typing import Any

from tame.core.dimensions import Choice, Dimension, Float, Int
from tame.core.errors import UsageError, require, unknown
from tame.core.plain import from_plain
from tame.core.recipe import Recipe, Value
from tame.core.space import Space

KINDS = ("heads", "scratch", "tables", "texts", "own", "language")
PARTS = ("base", "portfolio", "space")
LAST_RANK = 1000  # of a dimension without a rank
ABOUT = ("why", "source", "only")  # keys that describe an entry


@dataclass(frozen=True, slots=True)
class Tried:
    """A recipe to try first, as changes of the base. source: the runs or the paper it comes from, if any."""

    changes: Mapping[str, Value]
    why: str
    source: str = ""
    only: str = ""  # the case in which it applies; "" for every case


@dataclass(frozen=True, slots=True)
class Searched:
    """A dimension worth searching. source and only: as for Tried; rank: 1 for what matters most."""

    dimension: Dimension
    why: str
    source: str = ""
    only: str = ""
    rank: int = LAST_RANK


@dataclass(frozen=True, slots=True)
class Known:
    """What is known to work for a kind of model."""

    base: Mapping[str, Value]
    portfolio: tuple[Tried, ...]
    space: Mapping[str, Searched]


@cache
def known(kind: str) -> Known:
    """What is known about a kind of model, in all cases. Raises UsageError for an invalid entry."""
    text = files("tame.adjust").joinpath("spaces", f"{kind}.toml").read_text(encoding="utf-8")
    return read_known(tomllib.loads(text), where=f"{kind}.toml")


def given(found: Known, cases: Collection[str] = ()) -> Known:
    """The part of what is known that applies in these cases."""
    kept = {name: each for name, each in found.space.items() if not each.only or each.only in cases}
    return Known(found.base, tuple(each for each in found.portfolio if not each.only or each.only in cases), kept)


def without(found: Known, name: str) -> Known:
    """What is known without changes of this field; recipes that change nothing else are left out."""
    tried = [replace(each, changes={n: v for n, v in each.changes.items() if n != name}) for each in found.portfolio]
    return replace(found, portfolio=tuple(each for each in tried if each.changes))


def read_known(table: Mapping[str, object], *, where: str) -> Known:
    """The content of a table of [base], [[portfolio]] and [space]. Raises UsageError for unknown keys or no reason."""
    for key in table:
        require(key in PARTS, f"{where}: {unknown('part', key, PARTS)}")
    read = partial(from_plain, what=where, error=UsageError)
    base = read(dict[str, Value], table.get("base", {}))
    listed = read(list[dict[str, object]], table.get("portfolio", []))
    named = read(dict[str, dict[str, Any]], table.get("space", {}))
    Recipe().but(base)
    tried = tuple(_tried(each, f"{where}: entry {i + 1} of the portfolio") for i, each in enumerate(listed))
    searched = {name: _searched(each, f"{where}: {name}") for name, each in named.items()}
    Space({name: each.dimension for name, each in searched.items()}, base=Recipe().but(base).flat())
    return Known(base, tried, searched)


def _tried(entry: Mapping[str, object], where: str) -> Tried:
    _check_keys(entry, ("changes", *ABOUT), where)
    require(isinstance(entry.get("changes"), Mapping) and bool(entry["changes"]), f"{where} has no changes")
    return from_plain(Tried, entry, what=where, error=UsageError)


def _searched(entry: Mapping[str, Any], where: str) -> Searched:
    of_kind = ("values",) if "values" in entry else ("low", "high", "log", "step")
    _check_keys(entry, (*of_kind, "when", "purpose", "rank", *ABOUT), where)
    own = {key: value for key, value in entry.items() if key not in (*ABOUT, "rank")}
    rank = entry.get("rank", LAST_RANK)
    require(type(rank) is int and rank >= 1, f"{where}: the rank must be a whole number from 1 on, got {rank!r}")
    if "values" in own:
        dimension: Dimension = Choice(*own.pop("values"), **own)
    else:
        kind = Int if all(isinstance(own[key], int) for key in ("low", "high")) else Float
        dimension = kind(**own)
    why, source, only = (entry.get(key, "") for key in ABOUT)
    return Searched(dimension, why, source, only, rank)


def _check_keys(entry: Mapping[str, object], keys: Collection[str], where: str) -> None:
    for key in entry:
        require(key in keys, f"{where}: {unknown('key', key, keys)}")
    require(bool(entry.get("why")), f"{where} does not say why")
