"""The command that takes the trials of another program."""

from __future__ import annotations

from typing import Annotated

import typer

from tame.app.commands import JsonOption, print_json, print_rich


def import_(
    source: Annotated[
        str, typer.Argument(help="an Optuna storage (SQLite or journal file), or a table of results", metavar="SOURCE")
    ],
    out: Annotated[str, typer.Option(help="folder for the new study", metavar="STUDY")],
    study: Annotated[
        str | None, typer.Option(help="which study, if the source contains several", metavar="NAME")
    ] = None,
    map: Annotated[
        list[str] | None, typer.Option("--map", help="a parameter is a field: lr=optimizer.lr", metavar="NAME=FIELD")
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="the column with the results, or the name of the value", metavar="NAME")
    ] = None,
    mode: Annotated[str | None, typer.Option(help="min or max, if the source does not say", metavar="MODE")] = None,
    json: JsonOption = False,
) -> None:
    """Turn the trials of another program into a study, for tame show and tame fit --start-from."""
    from tame.app.exchange import import_trials, parse_map
    from tame.app.show import imported_lines

    found = import_trials(source, out=out, study=study, map=parse_map(map or []), metric=metric, mode=mode)
    if json:
        print_json(found.to_json())
    else:
        print_rich(imported_lines(found))
