"""The options of a command, made from the fields of `StudyConfig`, the only place with names, help and types."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Concatenate, ParamSpec

import typer

from tame.core.config import OPTIONS, OUTPUT, PANELS, StudyConfig, config_of
from tame.core.options import NO, YES, Kind, Option, Texts

P = ParamSpec("P")
Given = str | int | bool | list[str] | Path | None  # as Typer parses it
FILE = "settings from a TOML file, DATA too; options on the command line win"
TYPES: dict[Kind, object] = {
    "argument": str, "text": str | None, "whole": int | None, "switch": bool | None, "texts": list[str] | None,
}  # fmt: skip


def in_panels(names: Iterable[str]) -> tuple[str, ...]:
    """These fields in the order of the panels of the help."""
    return tuple(sorted(names, key=lambda name: ("", *PANELS).index(OPTIONS[name].group or "")))


def with_settings(
    names: Iterable[str], *, file: bool = False
) -> Callable[[Callable[Concatenate[StudyConfig, P], None]], Callable[..., None]]:
    """A decorator that fills the first argument of a command, the settings, from the options of these fields.

    file: whether to add --config. The other arguments of the command follow these options, unchanged.
    """

    def decorate(command: Callable[Concatenate[StudyConfig, P], None]) -> Callable[..., None]:
        params = [each for name in names for each in _parameters(name, OPTIONS[name], in_file=file)]
        own = [each.name for each in params]
        if file:
            params.append(
                _parameter(
                    "config", Annotated[Path | None, typer.Option(help=FILE, metavar="FILE", rich_help_panel=OUTPUT)]
                )
            )

        def parsed(**given: Given) -> None:
            texts: dict[str, Texts] = {}
            for key in own:
                name = _FIELD.get(key, key)
                texts[name] = texts.get(name, ()) + _texts(given.pop(key))
            path = given.pop("config", None) if file else None
            assert path is None or isinstance(path, Path)
            command(config_of(texts, path), **given)  # type: ignore[arg-type, call-arg]

        first, *others = signature(command, eval_str=True).parameters.values()
        assert first.annotation is StudyConfig
        whole = [*params, *(each.replace(kind=Parameter.KEYWORD_ONLY) for each in others)]
        parsed.__signature__ = Signature(whole)  # type: ignore[attr-defined]
        parsed.__annotations__ = {each.name: each.annotation for each in whole}
        parsed.__name__, parsed.__doc__ = command.__name__, command.__doc__
        return parsed

    return decorate


_FIELD = {each.older: name for name, each in OPTIONS.items() if each.older}


def _parameters(name: str, own: Option, *, in_file: bool) -> list[Parameter]:
    """The parameter of a field, and a hidden one for its older name. in_file: whether a file may give it instead."""
    kind = TYPES[own.kind]
    if own.kind == "argument" and in_file:
        return [_parameter(name, Annotated[str | None, typer.Argument(help=own.help, metavar=own.metavar)])]
    if own.kind == "argument":
        return [_parameter(name, Annotated[kind, typer.Argument(help=own.help, metavar=own.metavar)], Parameter.empty)]
    flag = f"--{own.flag_of(name)}"
    option = typer.Option(
        f"{flag}/--no-{flag[2:]}" if own.has_no else flag,
        help=own.help, metavar=own.metavar, rich_help_panel=own.group,
    )  # fmt: skip
    found = [_parameter(name, Annotated[kind, option])]
    if own.older:
        before = typer.Option(f"--{own.older.replace('_', '-')}", hidden=True)
        found.append(_parameter(own.older, Annotated[kind, before]))
    return found


def _parameter(name: str, annotation: object, default: object = None) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _texts(given: Given) -> Texts:
    if given is None:
        return ()
    if isinstance(given, bool):
        return (YES if given else NO,)
    return tuple(given) if isinstance(given, list) else (str(given),)
