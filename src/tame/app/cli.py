"""The command line. A command parses, calls one function, prints: the result to stdout, everything else to stderr."""

from __future__ import annotations

import sys
import time

STARTED = time.monotonic()  # the clock of --time counts from here
if __name__ == "__main__":
    # Run with -m, Python looks for modules in the current folder first; a json.py among the data must not be run.
    sys.path = sys.path[1:]

import io  # noqa: E402
import json  # noqa: E402
import traceback  # noqa: E402
from collections.abc import Callable, Mapping  # noqa: E402
from dataclasses import fields  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import TYPE_CHECKING, Annotated, Any  # noqa: E402

import typer  # noqa: E402

from tame import __version__  # noqa: E402
from tame.core.config import SEARCHES, StudyConfig, parse_set, parse_time, read_toml  # noqa: E402
from tame.core.errors import BudgetError, StoppedError, TameError, UsageError  # noqa: E402
from tame.core.space_text import read_space  # noqa: E402

if TYPE_CHECKING:
    from tame.core.result import Result

app = typer.Typer(
    name="tame",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    help="Test, Adjust, Monitor, Evaluate: data in, a tuned neural network and an honest report out.",
)

DATA = "a folder of pictures (class/x.jpg, or train/, val/, test/ of such), or a CSV or Parquet table"
DataArgument = Annotated[str, typer.Argument(help=DATA)]
FolderArgument = Annotated[Path, typer.Argument(help="the folder of a study, such as runs/bees-0001")]
JsonOption = Annotated[bool, typer.Option("--json", help="one JSON document on stdout")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="no progress on stderr")]
InlineOption = Annotated[bool, typer.Option("--inline", help="train in this process, for debugging", hidden=True)]
BackboneOption = Annotated[
    str | None, typer.Option(help="a timm name, a weights folder, or none for a small network from scratch")
]
TimeOption = Annotated[str | None, typer.Option(help="wall clock from start to report, such as 90s or 5m")]
MoreTimeOption = Annotated[
    str | None, typer.Option("--time", help="wall clock from now on, where there was too little to train anything")
]
TrialsOption = Annotated[int | None, typer.Option(help="how many recipes are tried")]
EpochsOption = Annotated[int | None, typer.Option(help="the most that one recipe may train")]
MetricOption = Annotated[str | None, typer.Option(help="accuracy, log_loss, roc_auc, rmse, mae, r2 and others")]
TargetOption = Annotated[str | None, typer.Option(help="the column of a table that is predicted")]
GroupsOption = Annotated[str | None, typer.Option(help="a column whose equal values stay on one side of every split")]
OrderOption = Annotated[str | None, typer.Option(help="a column that orders the rows: the latest are the test part")]
SpaceOption = Annotated[
    list[str] | None, typer.Option(help='a TOML file, or a dimension: "optimizer.lr=1e-4..1e-1:log"')
]
WiderOption = Annotated[
    list[str] | None, typer.Option("--space", help="as of fit: dimensions that are new, or wider than before")
]
WidenOption = Annotated[
    bool | None,
    typer.Option("--widen/--no-widen", help="whether a range grows where the best recipes lie on its edge (it does)"),
]
WorthlessOption = Annotated[
    bool | None, typer.Option("--until-worthless", help="end the search once more of it would bring nothing to be seen")
]
SearchOption = Annotated[str | None, typer.Option(help=f"which recipes are tried: {', '.join(SEARCHES)}")]
FirstOption = Annotated[
    list[str] | None, typer.Option(help="the folder of an earlier study, whose best recipes are tried first")
]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="a recipe field that is fixed: optimizer.lr=0.01")]
ValOption = Annotated[str | None, typer.Option(help="the part that chooses: a folder below DATA, or another table")]
TestOption = Annotated[str | None, typer.Option(help="the part that is sealed: a folder below DATA, or another table")]
FoldsOption = Annotated[int | None, typer.Option(help="validate by so many folds")]
SeedOption = Annotated[int | None, typer.Option(help="of everything that is drawn")]
OutOption = Annotated[str | None, typer.Option(help="the study's folder (default runs/NAME-0001)")]
ConfigOption = Annotated[Path | None, typer.Option(help="settings from a TOML file; flags go first")]
TaskOption = Annotated[str | None, typer.Option(help="auto, classification, regression, binary or multiclass")]


@app.command()
def fit(
    data: DataArgument,
    target: TargetOption = None,
    task: TaskOption = None,
    metric: MetricOption = None,
    time: TimeOption = None,
    trials: TrialsOption = None,
    epochs: EpochsOption = None,
    backbone: BackboneOption = None,
    search: SearchOption = None,
    space: SpaceOption = None,
    widen: WidenOption = None,
    until_worthless: WorthlessOption = None,
    first: FirstOption = None,
    set: SetOption = None,
    val: ValOption = None,
    test: TestOption = None,
    groups: GroupsOption = None,
    order: OrderOption = None,
    folds: FoldsOption = None,
    seed: SeedOption = None,
    out: OutOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
    inline: InlineOption = False,
) -> None:
    """Find the best network for pictures or a table, and say how good it is."""
    wanted = _config(
        config,
        data=data,
        target=target,
        groups=groups,
        order=order,
        task=task,
        metric=metric,
        time_s=None if time is None else parse_time(time),
        trials=trials,
        epochs=epochs,
        backbone=backbone,
        search=search,
        space=_space(space),
        widen=widen,
        until_worthless=until_worthless,
        first=_folders(first),
        set=parse_set(tuple(set)) if set else None,
        val=val,
        test=test,
        folds=folds,
        seed=seed,
        out=out,
    )
    from tame.app.progress import watcher_for
    from tame.app.run import fit_study

    watcher = watcher_for(quiet=quiet)
    _show_result(lambda: fit_study(wanted, watcher, inline=inline, started=STARTED), watcher, as_json=json)


@app.command()
def resume(
    study: FolderArgument,
    time: MoreTimeOption = None,
    space: WiderOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
    inline: InlineOption = False,
) -> None:
    """Go on with a study that was stopped or killed."""
    from tame.app.progress import watcher_for
    from tame.app.run import resume_study
    from tame.study.clock import give_time
    from tame.study.space import ask_for

    if time is not None:
        give_time(study, parse_time(time))
    if wider := _space(space):
        ask_for(study, wider)
    watcher = watcher_for(quiet=quiet)
    _show_result(lambda: resume_study(study, watcher, inline=inline), watcher, as_json=json)


@app.command()
def show(study: FolderArgument, json: JsonOption = False) -> None:
    """Trials, curves, findings and scores of a study."""
    from tame.app.show import state_json, study_table
    from tame.study.state import read_state

    config, state = read_state(study)
    if json:
        _print_json(state_json(study, config, state))
    else:
        _print(study_table(state))


@app.command()
def report(study: FolderArgument) -> None:
    """Write the page of a finished study again."""
    from tame.app.run import write_report
    from tame.core.result import Result
    from tame.study.state import read_state, unfinished

    config, state = read_state(study)
    if state.result is None and (study / "report.html").exists():
        print(study / "report.html")  # nothing usable was trained, and that is what it says
        return
    if state.result is None:
        raise UsageError(unfinished(study, state))
    print(write_report(study, Result.from_json(state.result), state.history, config))


@app.command()
def predict(
    study: Annotated[Path, typer.Argument(help="the folder of a finished study, or its model/ folder")],
    inputs: Annotated[list[Path], typer.Argument(help="pictures, folders of them, or tables")],
    json: JsonOption = False,
    csv: Annotated[bool, typer.Option("--csv", help="comma-separated values on stdout")] = False,
) -> None:
    """Names with probabilities for pictures, names or numbers for the rows of tables."""
    from tame.app.predict import predict_paths, print_csv, print_table

    if json and csv:
        raise UsageError("give --json or --csv, not both")
    found = predict_paths(study, inputs)
    if json:
        _print_json(found.to_json())
    elif csv:
        print_csv(found)
    else:
        print_table(found)


@app.command()
def check(
    data: DataArgument,
    target: TargetOption = None,
    task: TaskOption = None,
    backbone: BackboneOption = None,
    val: ValOption = None,
    test: TestOption = None,
    groups: GroupsOption = None,
    order: OrderOption = None,
    json: JsonOption = False,
) -> None:
    """What is in the data, and what is wrong with it; trains nothing."""
    from tame.app.preview import check_data, print_check

    wanted = _config(
        None, data=data, target=target, task=task, backbone=backbone, val=val, test=test, groups=groups, order=order
    )
    found = check_data(wanted)
    if json:
        _print_json(found)
    else:
        print_check(found)


@app.command()
def plan(
    data: DataArgument,
    target: TargetOption = None,
    task: TaskOption = None,
    metric: MetricOption = None,
    time: TimeOption = None,
    trials: TrialsOption = None,
    epochs: EpochsOption = None,
    backbone: BackboneOption = None,
    search: SearchOption = None,
    space: SpaceOption = None,
    first: FirstOption = None,
    set: SetOption = None,
    val: ValOption = None,
    test: TestOption = None,
    groups: GroupsOption = None,
    order: OrderOption = None,
    folds: FoldsOption = None,
    seed: SeedOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """The split, the space and the cost forecast; writes nothing."""
    from tame.app.preview import plan_study, print_plan

    wanted = _config(
        config,
        data=data,
        target=target,
        groups=groups,
        order=order,
        task=task,
        metric=metric,
        time_s=None if time is None else parse_time(time),
        trials=trials,
        epochs=epochs,
        backbone=backbone,
        search=search,
        space=_space(space),
        first=_folders(first),
        set=parse_set(tuple(set)) if set else None,
        val=val,
        test=test,
        folds=folds,
        seed=seed,
    )
    found = plan_study(wanted)
    if json:
        _print_json(found)
    else:
        print_plan(found)


@app.command("import")
def import_(
    source: Annotated[str, typer.Argument(help="an Optuna storage (SQLite or journal file), or a table of results")],
    out: Annotated[str, typer.Option(help="the folder of the study that is made")],
    study: Annotated[str | None, typer.Option(help="which study, where the source holds several")] = None,
    map: Annotated[list[str] | None, typer.Option("--map", help="NAME=FIELD, such as lr=optimizer.lr")] = None,
    metric: Annotated[str | None, typer.Option(help="the column of results, or what the value is called")] = None,
    mode: Annotated[str | None, typer.Option(help="min or max, where the source does not tell")] = None,
    json: JsonOption = False,
) -> None:
    """Make a study of trials that another program has made, for tame show and tame fit --first."""
    from tame.app.exchange import import_trials, parse_map
    from tame.app.show import imported_lines

    found = import_trials(source, out=out, study=study, map=parse_map(map or []), metric=metric, mode=mode)
    if json:
        _print_json(found.to_json())
    else:
        _print(imported_lines(found.to_json()))


@app.command()
def export(
    study: FolderArgument,
    optuna: Annotated[Path, typer.Option(help="the SQLite file that is made, for Optuna and its dashboard")],
) -> None:
    """Write the trials of a study for another program."""
    from tame.app.exchange import export_optuna

    print(export_optuna(study, optuna))


@app.command()
def doctor(json: JsonOption = False) -> None:
    """Versions, devices, storage and limits of this machine."""
    from tame.app.doctor import examine_machine, print_machine

    found = examine_machine()
    if json:
        _print_json(found)
    else:
        print_machine(found)


@app.command()
def demo(
    time: TimeOption = "60s",
    seed: SeedOption = 0,
    out: OutOption = None,
    pictures: Annotated[
        str | None, typer.Option(help="where the pictures are drawn (default: below the study)")
    ] = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Draw a picture set of bees, wasps, other insects and nothing, and run the whole job on it, offline."""
    from tame.app.demo import run_demo
    from tame.app.progress import watcher_for

    watcher = watcher_for(quiet=quiet)
    seconds = parse_time(time or "60s")
    run = lambda: run_demo(watcher, time_s=seconds, seed=seed or 0, out=out, pictures=pictures, started=STARTED)  # noqa: E731
    _show_result(run, watcher, as_json=json)


@app.callback(invoke_without_command=True)
def top(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="print the version")] = False
) -> None:
    if version:
        print(__version__)
        raise typer.Exit


def main() -> None:
    """The entry point: every error of ours becomes one line on stderr and its exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # where the terminal is not UTF-8, as stderr does it
    try:
        app(standalone_mode=False)
    except StoppedError as stopped:
        _say(str(stopped))
        sys.exit(stopped.exit_code)
    except TameError as problem:
        _say(f"tame: {problem}")
        sys.exit(problem.exit_code)
    except typer.Exit as ended:
        sys.exit(ended.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)
    except Exception as problem:
        show_usage = getattr(problem, "show", None)
        if callable(show_usage):  # what the parser raises for a wrong command line
            show_usage()
            sys.exit(2)
        from tame.app.run import say_bug

        _say(f"tame: {say_bug(None, ''.join(traceback.format_exception(problem)))}")
        sys.exit(1)


def _config(path: Path | None, **flags: Any) -> StudyConfig:
    """The config of flags over file over defaults. Raises UsageError."""
    given = {name: value for name, value in flags.items() if value is not None}
    values = {**(read_toml(path) if path else {}), **given}
    known = {item.name for item in fields(StudyConfig)}
    return StudyConfig(**{name: value for name, value in values.items() if name in known})


def _space(texts: list[str] | None) -> tuple[str, ...] | None:
    """Dimensions of the flags; what ends in .toml or is there under this name is a file of them."""
    if not texts:
        return None
    found: list[str] = []
    for text in texts:
        is_file = text.endswith(".toml") or (bool(text) and "=" not in text and Path(text).exists())
        found += read_space(Path(text)) if is_file else [text]
    return tuple(found)


def _folders(first: list[str] | None) -> tuple[str, ...] | None:
    """Whole paths of the folders of earlier studies."""
    return tuple(str(Path(each).resolve()) for each in first) if first else None


def _show_result(run: Callable[[], Result], watcher: Any, *, as_json: bool) -> None:
    try:
        result = run()
    finally:
        close = getattr(watcher, "close", None)
        if close:
            close()
    if as_json:
        _print_json(result.to_json())
    else:
        from tame.app.show import result_lines

        _print(result_lines(result))
    if not result.whole:
        own = f"{result.winner.epochs} of {result.winner.recipe['epochs']} epochs"
        said = f"the time ended before a first recipe was trained to its end; what is delivered was trained for {own}"
        raise BudgetError(f"{said}: begin again with a longer --time")


def _print_json(value: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(value, indent=1, ensure_ascii=True, allow_nan=False) + "\n")
    sys.stdout.flush()


def _print(what: Any) -> None:
    from tame.app.console import ResultConsole

    console = ResultConsole()
    console.print(what)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    main()
