"""`tame studies`: a list where no other word is given, and what else is done with whole studies."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tame.app.commands import Command, Commands, JsonOption, print_json, print_rich, say

LIST = "list"
OF_STUDIES = """\
Examples:
  tame studies
  tame studies earlier/runs --json
  tame studies compare runs/bees-0001 runs/bees-0002
  tame studies archive runs/bees-0001 bees.tame.zip
  tame studies import bees.tame.zip --out runs/bees"""


class _ListByDefault(Commands):
    """Where the first word is no command, it is the folder to list."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        helps = {"--help", *self.commands}
        if not args or args[0] not in helps:
            args = [LIST, *args]
        return super().parse_args(ctx, args)


studies = typer.Typer(
    name="studies", cls=_ListByDefault, add_completion=False, pretty_exceptions_enable=False, epilog=OF_STUDIES,
    help="List, compare, archive and import studies; a folder alone, or nothing, lists.",
)  # fmt: skip
command = partial(studies.command, cls=Command)


@command(LIST)
def list_(
    folder: Annotated[Path, typer.Argument(help="a folder of studies", metavar="FOLDER")] = Path("runs"),
    json: JsonOption = False,
) -> None:
    """The studies of a folder: state, score with its interval, kind, size, age."""
    from tame.app.studies import list_studies, studies_json, studies_lines

    found = list_studies(folder)
    if json:
        print_json(studies_json(folder, found))
    else:
        print_rich(studies_lines(folder, found))


@command()
def compare(
    a: Annotated[Path, typer.Argument(help="a finished study", metavar="STUDY")],
    b: Annotated[Path, typer.Argument(help="another one", metavar="STUDY")],
    json: JsonOption = False,
) -> None:
    """Two finished studies beside each other, paired where they were tested on the same examples."""
    from tame.app.studies import compare_studies, compared_lines

    found = compare_studies(a, b)
    if json:
        print_json(found)
    else:
        print_rich(compared_lines(found))


@command()
def archive(
    study: Annotated[Path, typer.Argument(help="the folder of a study", metavar="STUDY")],
    file: Annotated[Path, typer.Argument(help="the file to write, such as bees.tame.zip", metavar="FILE")],
    json: JsonOption = False,
) -> None:
    """Write a study as one file, without its data, to keep it or to pass it on."""
    from tame.app.archive import archive as archived
    from tame.app.studies import size_words

    found = archived(study, file)
    if json:
        print_json(found.to_json())
    else:
        say(
            f"{found.files:,} files of {study} in {size_words(found.size_bytes)}, without data and report; names of "
            "examples, classes and columns are in it, and of texts those that the report quotes"
        )
        print(file)


@command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="a file that tame studies archive has written", metavar="FILE")],
    out: Annotated[
        Path | None, typer.Option(help="folder for the study (default: runs/NAME)", metavar="FOLDER")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Take a study out of an archive, after the checks of tame verify."""
    from tame.app.archive import import_archive

    found = import_archive(file, out)
    if json:
        print_json(found.to_json())
    else:
        print(found.study)
