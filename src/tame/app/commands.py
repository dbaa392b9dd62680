"""What all commands share: how they are declared, their common arguments and examples, and how they print."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from tame.app.console import ResultConsole, raw, wrapped
from tame.app.flags import in_panels
from tame.core.config import OPTIONS, OUTPUT
from tame.core.errors import BudgetError, StoppedError
from tame.core.json_text import indented

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tame.core.result import Result


class Argument(typer.core.TyperArgument):
    """An argument whose help names no type of Python, and which a usage line shows as other programs do."""

    def display_type_rich(self, ctx: typer.Context) -> str | None:  # type: ignore[override]
        return None

    def get_usage_pieces(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        own = self.metavar or (self.name or "").upper()
        return [(own if self.required else f"[{own}]") + ("..." if self.nargs != 1 else "")]


def _without_types(params: Iterable[object]) -> None:
    """Keeps types of Python out of the help of what typer has made; it cannot be told of which class to make it."""
    for each in params:
        if isinstance(each, typer.core.TyperArgument):
            each.__class__ = Argument
        elif isinstance(each, typer.core.TyperOption) and each.is_flag:
            each.metavar = ""


class Command(typer.core.TyperCommand):
    """A command whose help names no types of Python."""

    def get_params(self, ctx: typer.Context) -> list[Any]:  # type: ignore[override]
        params = super().get_params(ctx)
        _without_types(params)
        return params


class Commands(typer.core.TyperGroup):
    """The commands. A stop ends here with its words and exit code: typer would take it for a bare Ctrl-C."""

    def get_params(self, ctx: typer.Context) -> list[Any]:  # type: ignore[override]
        params = super().get_params(ctx)
        _without_types(params)
        return params

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        try:
            return super().invoke(ctx)
        except StoppedError as stopped:
            say(str(stopped))
            sys.exit(stopped.exit_code)
        except KeyboardInterrupt:
            sys.exit(130)


app = typer.Typer(
    name="tame",
    cls=Commands,
    add_completion=True,
    pretty_exceptions_enable=False,
    help="Test, Adjust, Monitor, Evaluate: data in, a tuned neural network and an honest report out.",
)

command = partial(app.command, cls=Command)

START = """\
TAME tunes a neural network for your data, and says honestly how good it is.
Five ways to begin:

  tame demo                          all of it on drawn pictures, in a minute
  tame check DATA                    what is in your data, and wrong with it
  tame fit photos/ --time 5m         photographs, in one folder per class
  tame fit data.csv --target COLUMN  a table
  tame explain WORD                  what a word means, such as overfitting

All commands: tame --help. With a module of your own: tame.fit(...) in Python."""
OF_FIT = """\
Examples:
  tame fit photos/ --time 5m
  tame fit data.csv --target price --groups customer --metric mae
  tame fit photos/ --trials 64 --space "optimizer.lr=1e-4..1e-1:log" --seed 1"""
OF_PREDICT = """\
Examples:
  tame predict runs/photos-0001 new.jpg
  tame predict runs/photos-0001 new.jpg --sure 0.95
  tame predict runs/photos-0001 folder/ --json
  tame predict runs/data.csv-0001 later.csv --csv > answers.csv"""
OF_CHECK = """\
Examples:
  tame check photos/
  tame check data.csv --target price
  tame check data.csv --target price --column year=category --column id=ignore"""
OF_SHOW = """\
Examples:
  tame show runs/photos-0001
  tame show runs/photos-0001 --details
  tame show runs/photos-0001 --json"""
OF_DIAGNOSE = """\
Examples:
  tame diagnose history.json
  tame diagnose lightning_logs/version_0/metrics.csv --classes 10
  tame diagnose runs/Nov29_12-00/"""
OF_EXPLAIN = """\
Examples:
  tame explain overfitting
  tame explain learning rate --study runs/photos-0001
  tame explain fields"""
OF_LEARN = """\
Examples:
  tame learn
  tame learn rate --study runs/photos-0001
  tame learn fit --test"""
FIT = in_panels(OPTIONS)
AFTERWARDS = (
    "widen", "doctor", "stop_search_early", "ensemble", "out", "store", "workers", "ray", "objective", "limit",
)  # fmt: skip
PLAN = tuple(name for name in FIT if name not in AFTERWARDS)  # what a plan depends on
CHECK = (
    "data", "task", "target", "image", "text", "label_pattern", "columns", "groups", "order", "backbone", "val", "test",
    "edits", "mute",
)  # fmt: skip
AGAIN = "{} again, for a study that you did not start on this machine"
FolderArgument = Annotated[Path, typer.Argument(help="the folder of a study, such as runs/bees-0001", metavar="STUDY")]
StoreOption = Annotated[str | None, typer.Option("--store", help=AGAIN.format("--store"), metavar="ADDRESS")]
JsonOption = Annotated[bool, typer.Option("--json", help="one JSON document on stdout", rich_help_panel=OUTPUT)]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="no progress on stderr", rich_help_panel=OUTPUT)]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", help="as in tame fit, from here on (default: as it was started)", metavar="N")
]
LimitOption = Annotated[
    list[str] | None,
    typer.Option("--limit", help="what the delivered model may take from here on: latency=20ms", metavar="NAME=AMOUNT"),
]
RayOption = Annotated[
    str | None,
    typer.Option("--ray", help="as in tame fit, from here on (default: as it was started)", metavar="ADDRESS"),
]
TrackOption = Annotated[
    list[str] | None,
    typer.Option(
        "--track",
        help="tell tensorboard, mlflow, wandb or trackio what happens, in the study's folder; "
        "mlflow=http://HOST:PORT sends it there",
        metavar="TRACKER",
        rich_help_panel=OUTPUT,
    ),
]
InlineOption = Annotated[bool, typer.Option("--inline", help="train in this process, for debugging", hidden=True)]
MoreTimeOption = Annotated[
    str | None,
    typer.Option(
        "--time", help="wall clock from now; only if there was too little time to train anything", metavar="TIME"
    ),
]
WiderOption = Annotated[
    list[str] | None,
    typer.Option("--space", help="new dimensions or wider ones, as in tame fit", metavar="SPACE"),
]
TimeOption = Annotated[str, typer.Option(help=OPTIONS["time_s"].help, metavar="TIME")]
SeedOption = Annotated[int, typer.Option(help=OPTIONS["seed"].help, metavar="N")]
OutOption = Annotated[str | None, typer.Option(help=OPTIONS["out"].help, metavar="FOLDER")]


def show_result(result: Result, *, as_json: bool) -> None:
    if as_json:
        from tame.report.next_steps import document

        print_json(document(result))
    else:
        from tame.app.show import result_lines

        print_rich(result_lines(result))
    require_whole(result)


def require_whole(result: Result) -> None:
    """Raises BudgetError where time ran out before any recipe was trained to its end."""
    if not result.whole:
        own = f"{result.winner.epochs} of {result.winner.recipe['epochs']} epochs"
        said = f"time ran out before any recipe was trained to the end; the delivered model was trained for {own}"
        raise BudgetError(f"{said}: start again with a longer --time")


def print_json(value: Mapping[str, object]) -> None:
    out = raw(sys.stdout)  # JSON in ASCII holds no control characters, and stays as it is
    out.write(indented(value).replace("\x7f", "\\u007f") + "\n")
    out.flush()


def print_rich(what: RenderableType) -> None:
    ResultConsole().print(what)


def say(text: str) -> None:
    with suppress(OSError):  # a closed terminal
        print(wrapped(text) if raw(sys.stderr).isatty() else text, file=sys.stderr)
