"""The command line. A command parses, calls one function, prints: the result to stdout, everything else to stderr."""

from __future__ import annotations

import errno
import sys
import time

STARTED = time.monotonic()  # the clock of --time counts from here
if __name__ == "__main__" and not sys.flags.safe_path:
    # With -m, Python looks for modules in the current folder first, unless -P is given; a json.py there must not run.
    sys.path = sys.path[1:]

import traceback  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from contextlib import contextmanager  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Annotated  # noqa: E402

import typer  # noqa: E402

from tame import __version__  # noqa: E402
from tame.app.commands import (  # noqa: E402
    AGAIN,
    CHECK,
    FIT,
    OF_CHECK,
    OF_DIAGNOSE,
    OF_EXPLAIN,
    OF_FIT,
    OF_LEARN,
    OF_PREDICT,
    OF_SHOW,
    PLAN,
    START,
    FolderArgument,
    InlineOption,
    JsonOption,
    LimitOption,
    MoreTimeOption,
    OutOption,
    QuietOption,
    RayOption,
    SeedOption,
    StoreOption,
    TimeOption,
    TrackOption,
    WiderOption,
    WorkersOption,
    app,
    command,
    print_json,
    print_rich,
    require_whole,
    say,
    show_result,
)
from tame.app.console import guard_stdout, inert_exits  # noqa: E402
from tame.app.flags import with_settings  # noqa: E402
from tame.app.import_command import import_  # noqa: E402
from tame.app.learning_commands import explain, learn  # noqa: E402
from tame.app.studies_commands import studies  # noqa: E402
from tame.core.config import OPTIONS, StudyConfig  # noqa: E402
from tame.core.errors import NothingTrainedError, StorageError, TameError, UsageError, require  # noqa: E402
from tame.core.objectives import parse_limits  # noqa: E402
from tame.core.options import parse_space, parse_time  # noqa: E402
from tame.store.disk import disk_failure  # noqa: E402


@command(epilog=OF_FIT)
@with_settings(FIT, file=True)
def fit(
    config: StudyConfig, track: TrackOption = None, json: JsonOption = False, quiet: QuietOption = False,
    inline: InlineOption = False,
) -> None:  # fmt: skip
    """Find the best network for pictures, a table or texts, and report how good it is."""
    from tame.app.progress import watching
    from tame.app.run import fit_study
    from tame.app.tracking.known import parse_trackers

    trackers = parse_trackers(track or ())
    ends = None if config.clock_s is None else STARTED + config.clock_s
    with _telling_failures(as_json=json), watching(quiet=quiet, ends=ends) as watcher:
        result = fit_study(config, watcher, inline=inline, started=STARTED, trackers=trackers)
    show_result(result, as_json=json)


@command()
def resume(
    study: FolderArgument,
    time: MoreTimeOption = None,
    space: WiderOption = None,
    data: Annotated[str | None, typer.Option(help=AGAIN.format("the data"), metavar="DATA")] = None,
    backbone: Annotated[str | None, typer.Option(help=AGAIN.format("the backbone"), metavar="NAME")] = None,
    val: Annotated[str | None, typer.Option(help=AGAIN.format("--val"), metavar="PART")] = None,
    test: Annotated[str | None, typer.Option(help=AGAIN.format("--test"), metavar="PART")] = None,
    costs: Annotated[str | None, typer.Option(help=AGAIN.format("loss.costs"), metavar="COSTS")] = None,
    start_from: Annotated[list[str] | None, typer.Option(help=AGAIN.format("--start-from"), metavar="STUDY")] = None,
    workers: WorkersOption = None,
    ray: RayOption = None,
    limit: LimitOption = None,
    store: StoreOption = None,
    track: TrackOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
    inline: InlineOption = False,
) -> None:
    """Continue a study that was stopped or killed."""
    from tame.app.own_stores import store_of
    from tame.app.own_studies import Outside
    from tame.app.progress import watching
    from tame.app.run import resume_study
    from tame.app.tracking.known import parse_trackers
    from tame.study.clock import give_time
    from tame.study.pricing import set_limits
    from tame.study.space import ask_for

    trackers = parse_trackers(track or ())
    earlier = tuple(start_from) if start_from else None
    outside = Outside(data=data, backbone=backbone, val=val, test=test, costs=costs, start_from=earlier)
    address = store_of(study, store)
    set_limits(study, parse_limits(limit or ()), store=address)
    if time is not None:
        give_time(study, parse_time(time), store=address)
    if wider := parse_space(space or ()):
        ask_for(study, wider, store=address)
    with _telling_failures(as_json=json, store=address), watching(quiet=quiet) as watcher:
        result = resume_study(
            study, watcher, inline=inline, outside=outside, store=address, workers=workers, ray=ray, trackers=trackers
        )
    show_result(result, as_json=json)


@contextmanager
def _telling_failures(*, as_json: bool, store: str | None = None) -> Iterator[None]:
    """Where all trials failed there is no result, but a state to show: a program gets the document of `tame show`."""
    try:
        yield
    except NothingTrainedError as problem:
        if as_json and problem.study is not None:
            show(problem.study, store=store, json=True)
        raise


@command(epilog=OF_SHOW)
def show(
    study: FolderArgument,
    details: Annotated[bool, typer.Option("--details", help="also how it was trained")] = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Show the scores, findings and trials of a study."""
    from tame.app.own_stores import store_of
    from tame.app.show import state_json, study_table
    from tame.study.state import read_state, readable
    from tame.study.summary import read_shown

    address, mattered = store_of(study, store), None
    if json:
        (config, state), summary = read_state(study, store=address), None
    else:
        config, state, summary = read_shown(study, store=address)
    with readable(study):
        if state.result is None and (json or state.imported is not None):
            from tame.app.importance import what_mattered_in

            mattered = what_mattered_in(state)
        if json:
            print_json(state_json(study, config, state, mattered=mattered))
        else:
            print_rich(study_table(state, mattered=mattered, details=details, summary=summary))


@command()
def report(study: FolderArgument, store: StoreOption = None) -> None:
    """Write the report of a finished study again."""
    from tame.app.progress import watching
    from tame.app.run import report_study

    with watching(quiet=False) as watcher:
        page = report_study(study, watcher, store=store)
    print(page)


@command(epilog=OF_PREDICT)
def predict(
    study: Annotated[
        Path, typer.Argument(help="the folder of a finished study, or its model/ folder", metavar="STUDY")
    ],
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(help="pictures, folders or lists (CSV) of pictures, or tables", metavar="INPUT"),
    ] = None,
    prompt: Annotated[
        str | None, typer.Option(help="for a language model: the beginning of a text, which it goes on", metavar="TEXT")
    ] = None,
    tokens: Annotated[
        int | None, typer.Option(help="how many tokens it writes at most (default: 80)", metavar="N")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="0 writes what is likeliest (default: 0.8)", metavar="T")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="of what it draws (default: 0)", metavar="N")] = None,
    json: JsonOption = False,
    csv: Annotated[bool, typer.Option("--csv", help="comma-separated values on stdout, as they are")] = False,
    safe_csv: Annotated[
        bool,
        typer.Option("--safe-csv", help="as --csv, for a spreadsheet: nothing in it is run as a formula"),
    ] = False,
    sure: Annotated[
        float | None,
        typer.Option(help="say that the class is not known below this probability, such as 0.95", metavar="P"),
    ] = None,
    store: StoreOption = None,
) -> None:
    """Names with probabilities for pictures, names or numbers for the rows of tables, text after a prompt."""
    from tame.app.predict import predict_paths, print_csv, print_remarks, print_table

    if prompt is not None:
        if inputs or csv or safe_csv or sure is not None:
            only = "--prompt is for a language model, which takes it alone"
            raise UsageError(f"{only}: leave out either it or inputs, --csv, --safe-csv and --sure")
        _write(study, prompt, tokens, temperature, seed, json=json, store=store)
        return
    given = next((name for name, value in (("tokens", tokens), ("temperature", temperature), ("seed", seed))
                  if value is not None), "")  # fmt: skip
    if given:
        raise UsageError(f"--{given} is for what a language model writes; give --prompt as well")
    if not inputs:
        raise UsageError("give what to predict: pictures, folders or tables; or --prompt for a language model")
    if json + csv + safe_csv > 1:
        raise UsageError("give one of --json, --csv and --safe-csv")
    found = predict_paths(study, inputs, store=store, sure=sure)
    print_remarks(found)
    if json:
        print_json(found.to_json())
    elif csv or safe_csv:
        print_csv(found, safe=safe_csv)
    else:
        print_table(found)


def _write(
    study: Path, prompt: str, tokens: int | None, temperature: float | None, seed: int | None, *, json: bool,
    store: str | None,
) -> None:  # fmt: skip
    """Prints what a language model writes, as it writes it; with --json all of it at the end."""
    from tame.app.writing import remark, write

    pieces = write(study, prompt, tokens=tokens, temperature=temperature, seed=seed or 0, store=store)
    if json:
        print_json({"schema": "tame/1", "model": str(study), "prompt": prompt, "written": "".join(pieces)})
    else:
        for place, piece in enumerate(pieces):  # the first one shows that the prompt is taken
            print(f"{prompt}{piece}" if place == 0 else piece, end="", flush=True)
        print()
    print(remark(), file=sys.stderr)


@command(epilog=OF_CHECK)
@with_settings(CHECK)
def check(config: StudyConfig, json: JsonOption = False) -> None:
    """Show what is in the data and what is wrong with it; trains nothing."""
    from tame.app.preview import check_data, print_check

    found = check_data(config)
    if json:
        print_json(found.to_json())
    else:
        print_check(found)


@command()
@with_settings(PLAN, file=True)
def plan(
    config: StudyConfig,
    rate: Annotated[bool, typer.Option("--rate", help="also try rising learning rates, a step at each")] = False,
    json: JsonOption = False,
) -> None:
    """Show the split, the space and a forecast of the cost; writes nothing."""
    from tame.app.preview import plan_study, print_plan

    found = plan_study(config, rate=rate)
    if json:
        print_json(found.to_json())
    else:
        print_plan(found)


@command()
def verify(study: FolderArgument, store: StoreOption = None, json: JsonOption = False) -> None:
    """Check whatever can be checked of a study: hashes, events, checksums, model and result."""
    from tame.app.verify import verify as verified

    found = verified(study, store=store)
    if json:
        print_json(found.to_json())
    else:
        for each in found.checks:
            print(f"{'WRONG' if each.problem else 'sound'}  {each.what}: {each.problem or each.found}")
        if found.unchecked:
            print(f"not checked: {', '.join(found.unchecked)}; no result comes from these")
    if found.problems:
        raise StorageError(f"{study}: {len(found.problems)} of {len(found.checks)} checks found something wrong")


command("import")(import_)


@command()
def export(
    study: FolderArgument,
    optuna: Annotated[
        Path | None, typer.Option(help="the SQLite file to write, for Optuna and its dashboard", metavar="FILE")
    ] = None,
    merged: Annotated[
        Path | None,
        typer.Option(help="a folder to write: a language model in Hugging Face's format", metavar="FOLDER"),
    ] = None,
    onnx: Annotated[
        Path | None,
        typer.Option(help="the file to write: the model, for programs without TAME", metavar="FILE"),
    ] = None,
    tensorboard: Annotated[
        Path | None,
        typer.Option(help="a folder to write: the trials as event files for TensorBoard", metavar="FOLDER"),
    ] = None,
    hub: Annotated[
        Path | None,
        typer.Option(help="a folder to write: model and card, as Hugging Face's Hub takes them", metavar="FOLDER"),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="with --hub: the Hub's name of the data, OWNER/NAME", metavar="NAME")
    ] = None,
    pt2: Annotated[
        Path | None, typer.Option(help="the same as a program that torch runs, of torch.export", metavar="FILE")
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="with --onnx: weights in 8 bits, if the accuracy bears it")
    ] = False,
    check: Annotated[
        Path | None,
        typer.Option(help="with --onnx or --pt2: what to compare on (default: the validation part)", metavar="DATA"),
    ] = None,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Export the trials of a study, or its model, for another program."""
    if sum(each is not None for each in (optuna, merged, onnx, pt2, tensorboard, hub)) != 1:
        raise UsageError(
            "give one thing to write: --optuna FILE or --tensorboard FOLDER (the trials), --onnx FILE, --pt2 FILE or "
            "--hub FOLDER (the model), or --merged FOLDER (a language model)"
        )
    require(hub is not None or dataset is None, "--dataset goes with --hub")
    file = onnx or pt2
    require(file is not None or not (check or int8), "--check and --int8 go with --onnx and --pt2")
    if file is not None:
        from tame.app.model_files import export_model
        from tame.report.delivered_section import of_export

        written = export_model(study, file, to="onnx" if onnx else "pt2", int8=int8, check=check, store=store)
        if json:
            print_json(written.to_json())
        else:
            say(of_export(written))
            print(file)
    if optuna is not None:
        from tame.app.exchange import export_optuna

        _say_written(study, export_optuna(study, optuna, store=store), as_json=json)
    if hub is not None:
        from tame.app.hub import export_hub

        _say_written(study, export_hub(study, hub, dataset=dataset or "", store=store), as_json=json)
    if tensorboard is not None:
        from tame.app.own_stores import store_of
        from tame.app.tracking.known import parse_trackers
        from tame.app.tracking.tracking import write_all
        from tame.study.record import require_study

        require_study(study)
        store_of(study, store)  # remembered: another process reads it
        written_to = write_all(study, parse_trackers(["tensorboard"])[0], tensorboard)
        _say_written(study, written_to, as_json=json)
    if merged is not None:
        from tame.app.merged import export_merged

        said = export_merged(study, merged, store=store)
        _say_written(study, merged if json else said, as_json=json)


def _say_written(study: Path, where: Path | str, *, as_json: bool) -> None:
    if as_json:
        print_json({"schema": "tame/1", "study": str(study), "written": str(where)})
    else:
        print(where)


command(epilog=OF_EXPLAIN)(explain)
command(epilog=OF_LEARN)(learn)


@command(epilog=OF_DIAGNOSE)
def diagnose(
    log: Annotated[
        Path,
        typer.Argument(
            help="a log: CSV, a Keras history, trainer_state.json, or TensorBoard's event files", metavar="LOG"
        ),
    ],
    train: Annotated[str, typer.Option(help="the column of the training loss", metavar="COLUMN")] = "",
    valid: Annotated[str, typer.Option(help="the column of the validation loss", metavar="COLUMN")] = "",
    metric: Annotated[str, typer.Option(help="the column of the validation metric", metavar="COLUMN")] = "",
    classes: Annotated[
        int | None, typer.Option(help="number of classes, equally frequent, so that guessing is known", metavar="N")
    ] = None,
    examples: Annotated[int | None, typer.Option(help="number of validation examples", metavar="N")] = None,
    mute: Annotated[list[str] | None, typer.Option(help=OPTIONS["mute"].help, metavar="CODE")] = None,
    json: JsonOption = False,
) -> None:
    """Find what went wrong in a training of another program, from its log."""
    from tame.app.diagnose import diagnose as diagnosed
    from tame.app.diagnose import diagnosis_lines
    from tame.app.foreign_logs import Named

    named = Named(train=train, valid=valid, metric=metric)
    found = diagnosed(log, named, classes=classes, examples=examples, mute=tuple(mute or ()))
    if json:
        print_json(found.to_json())
    else:
        print_rich(diagnosis_lines(found))


@command()
def doctor(json: JsonOption = False) -> None:
    """Show versions, devices, storage and limits of this machine."""
    from tame.app.doctor import examine_machine, print_machine

    found = examine_machine()
    if json:
        print_json(found.to_json())
    else:
        print_machine(found)


@command()
def demo(
    time: TimeOption = "74s",
    seed: SeedOption = 0,
    out: OutOption = None,
    pictures: Annotated[
        str | None, typer.Option(help="folder for the pictures (default: runs/demo-insects-SEED)", metavar="FOLDER")
    ] = None,
    table: Annotated[bool, typer.Option("--table", help="draw a table of measured insects instead")] = False,
    text: Annotated[bool, typer.Option("--text", help="write letters to a botanic garden instead")] = False,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="open the report in a browser")] = True,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Draw pictures of bees, wasps, other insects and nothing, faults included, and run a whole study, offline."""
    from tame.app.browser import open_page
    from tame.app.demo import run_demo, run_table_demo, run_text_demo
    from tame.app.progress import watching

    seconds = parse_time(time)
    require(not (table and text), "give --table or --text, not both")
    require(not (pictures and (table or text)), f"--pictures is not for --{'table' if table else 'text'}; leave it out")
    with watching(quiet=quiet, ends=STARTED + seconds) as watcher:
        if table or text:
            run = run_text_demo if text else run_table_demo
            found = run(watcher, time_s=seconds, seed=seed, out=out, started=STARTED)
        else:
            found = run_demo(watcher, time_s=seconds, seed=seed, out=out, pictures=pictures, started=STARTED)
    if json:
        print_json(found.to_json())
    else:
        print_rich(found.lines())
        if browser and not quiet:
            open_page(Path(found.result.report))
    require_whole(found.result)


PortOption = Annotated[int, typer.Option(min=0, max=65535, help="port to begin with; 0: any that is free", metavar="N")]
BrowserOption = Annotated[bool, typer.Option("--browser/--no-browser", help="open the pages in a browser")]
LookOption = Annotated[bool, typer.Option("--read-only", help="only show: nothing can be asked of a study")]


@command()
def ui(
    folder: Annotated[Path, typer.Argument(help="a folder of studies, or a study", metavar="FOLDER")] = Path("runs"),
    port: PortOption = 8263,
    browser: BrowserOption = True,
    read_only: LookOption = False,
) -> None:
    """Show studies in the browser, on this machine only, and steer those that run."""
    from tame.app.ui import show_pages

    show_pages(folder, port=port, browser=browser, read_only=read_only)


@command()
def watch(
    study: FolderArgument, port: PortOption = 8263, browser: BrowserOption = True, read_only: LookOption = False
) -> None:
    """Watch one study in the browser, as tame ui does for all."""
    from tame.app.ui import show_pages
    from tame.study.record import require_study

    require_study(study)
    show_pages(study, port=port, browser=browser, read_only=read_only)


app.add_typer(studies)


@app.callback(invoke_without_command=True)
def top(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="print the version")] = False,
) -> None:
    if version:
        print(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(START)


NO_NAME = (errno.ENAMETOOLONG, errno.ELOOP)  # what can be no file's name, wherever one is asked for


def main() -> None:
    """The entry point: every TameError becomes one line on stderr and an exit code."""
    guard_stdout()
    try:
        with inert_exits():
            _run()
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)


def _run() -> None:
    try:
        app(standalone_mode=False)
        sys.stdout.flush()  # here its failure is still reported
    except TameError as problem:
        say(f"tame: {problem}")
        sys.exit(problem.exit_code)
    except typer.Exit as ended:
        sys.exit(ended.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        raise
    except Exception as problem:
        if (failed := disk_failure(problem)) is not None:
            name = getattr(problem, "filename", None) or "a file"
            say(f"tame: {name} cannot be read or written: {failed}")
            sys.exit(StorageError.exit_code)
        if isinstance(problem, OSError) and problem.errno in NO_NAME:
            say(
                f"tame: {str(problem.filename)[:60]!r}... is not the name of a file: {(problem.strerror or '').lower()}"
            )
            sys.exit(UsageError.exit_code)
        show_usage = getattr(problem, "show", None)
        if callable(show_usage):  # raised by the parser for a wrong command line
            show_usage()
            sys.exit(2)
        from tame.app.run import say_bug

        say(f"tame: {say_bug(None, ''.join(traceback.format_exception(problem)))}")
        sys.exit(1)


if __name__ == "__main__":
    main()
