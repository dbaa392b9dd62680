"""Pages of the site that the sources say: the Python API, the command line."""

from __future__ import annotations

import doctest
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import typer.core
import typer.main

import tame
from tame.app import cli
from tame.core import errors

# The order of the reference; a public name that is missing here is an error.
ROOMS = {
    "Fit, load, resume": ("fit", "load", "resume", "FittedStudy"),
    "Spaces": ("Float", "Int", "Choice"),
    "In scikit-learn": ("TameClassifier", "TameRegressor"),
    "Other programs": ("import_trials", "to_optuna"),
    "Errors": ("TameError", "StoppedError"),
}
REFERENCE = """# Python

Everything that `import tame` offers. The examples run as they are, one after the other: those that need a study use the
one that the example of `tame.fit` makes. The tests run all of them.
"""
COMMANDS = """# Command line

What `tame COMMAND --help` says, of every command. The result goes to stdout, messages go to stderr; `--json` prints one
document. The [guide](docs/guide.md#commands) has the exit codes.
"""


def reference_page() -> str:
    """The Python API: every public name with its signature, docstring and example."""
    told = {name for names in ROOMS.values() for name in names}
    if told != set(tame.__all__) - {"__version__"}:
        raise KeyError(f"the reference and tame.__all__ differ: {sorted(told ^ (set(tame.__all__) - {'__version__'}))}")
    rooms = [f"## {title}\n\n" + "\n".join(_entry(name) for name in names) for title, names in ROOMS.items()]
    return "\n".join([REFERENCE, *rooms, _exit_codes()])


def _entry(name: str) -> str:
    thing = getattr(tame, name)
    if not inspect.isclass(thing):
        return _directive("function", f"tame.{name}{_signature(thing)}", _markdown(thing))
    members = "\n".join(_members(thing))
    kind, text = ("exception", "") if issubclass(thing, BaseException) else ("class", _signature(thing))
    return _directive(
        kind, f"tame.{name}{text.removesuffix(' -> None')}", f"{_markdown(thing)}\n{members}", fence="::::"
    )


def _members(owner: type) -> Iterator[str]:
    """The public methods and properties that TAME wrote, in the order of the source."""
    seen: dict[str, Any] = {}
    for base in owner.__mro__:
        if base.__module__.startswith("tame.") and not issubclass(base, BaseException):
            seen |= {name: each for name, each in vars(base).items() if name not in seen and not name.startswith("_")}
    for name, each in seen.items():
        if isinstance(each, property) and each.fget is not None:
            kind = inspect.signature(each.fget).return_annotation
            yield _directive("property", name, f":type: {_Text(kind)}\n\n{_markdown(each)}")
        elif inspect.isfunction(each):
            yield _directive("method", f"{name}{_signature(each, bound=True)}", _markdown(each))


def _signature(thing: Callable[..., Any], *, bound: bool = False) -> str:
    """As written in the source, without `self`."""
    found = inspect.signature(thing)
    params = list(found.parameters.values())[1 if bound else 0 :]
    plain = [each.replace(annotation=_Text(each.annotation)) for each in params if not each.name.startswith("_")]
    back = found.return_annotation
    return str(found.replace(parameters=plain, return_annotation=back if back is found.empty else _Text(back)))


class _Text:
    """An annotation that is shown without quotes."""

    def __init__(self, annotation: object) -> None:
        self.text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)

    def __repr__(self) -> str:
        return self.text


def _markdown(thing: Any) -> str:
    """A docstring as Markdown: its examples, parameters and sections as what they are."""
    text = inspect.getdoc(thing)
    if text is None:
        raise ValueError(f"{thing} has no docstring")
    has_own = callable(thing) and not (inspect.isclass(thing) and issubclass(thing, BaseException))
    names = tuple(inspect.signature(thing).parameters) if has_own else ()
    parts = doctest.DocTestParser().parse(text)
    whole = "".join(_code_block(part) if isinstance(part, doctest.Example) else _prose(part, names) for part in parts)
    return whole.replace("```\n```python\n", "")


def _code_block(example: doctest.Example) -> str:
    lines = example.source.rstrip("\n").split("\n")
    shown = "".join(f"{'...' if number else '>>>'} {line}".rstrip() + "\n" for number, line in enumerate(lines))
    return f"```python\n{shown}{example.want}```\n"


def _prose(text: str, names: Sequence[str]) -> str:
    """Sections that are underlined, and parameters (`name : what`, or `name: what` in a sentence), as Markdown."""
    if not text.strip():
        return text.replace("\n", "", 1)
    text = re.sub(r"^(\w[\w ]*)\n-{3,}$", r"**\1**\n", text, flags=re.MULTILINE)
    text = re.sub(r"^([\w, ]+) : ", r"- `\1`: ", text, flags=re.MULTILINE)
    return "\n\n".join(_listed(each, names) for each in text.split("\n\n")) if names else text


def _listed(paragraph: str, names: Sequence[str]) -> str:
    """A paragraph that tells of parameters as a list of them, with what is raised behind it."""
    any_of = "|".join(names)
    before, *told = re.split(rf"(?:(?<=\s)|^)((?:{any_of})(?:,\s(?:{any_of}))*):\s", paragraph)
    if not told:
        return paragraph
    items, raised = [], ""
    for name, what in zip(told[::2], told[1::2], strict=True):
        what, word, errors_ = what.partition("Raises ")
        raised = f"\n\n{word}{errors_}" if word else raised
        items.append(f"- `{' '.join(name.split())}`: {' '.join(what.split()).rstrip(';')}")
    return f"{before}\n\n" + "\n".join(items) + raised


def _directive(kind: str, head: str, body: str, *, fence: str = ":::") -> str:
    return f"{fence}{{py:{kind}}} {head}\n{body.strip()}\n{fence}\n"


def _exit_codes() -> str:
    kinds = [each for each in vars(errors).values() if inspect.isclass(each) and issubclass(each, errors.TameError)]
    rows = [f"| `{each.__name__}` | {each.exit_code} | {inspect.getdoc(each)} |" for each in kinds]
    head = "All errors are in `tame.core.errors`. Each has the exit code that the command line ends with:\n\n"
    return head + "\n".join(["| error | `exit_code` | when |", "|---|---|---|", *rows]) + "\n"


def commands_page() -> str:
    """Every command with its usage, arguments, options by panel, and examples."""
    group = typer.main.get_command(cli.app)
    assert isinstance(group, typer.core.TyperGroup)
    context = typer.Context(group, info_name="tame")
    return "\n".join([COMMANDS, *_commands(group, context)])


def _commands(group: typer.core.TyperGroup, context: typer.Context) -> list[str]:
    """The commands of a group, and of the groups in it."""
    found = []
    for name, own in group.commands.items():
        found.append(_command(name, own, context))
        if isinstance(own, typer.core.TyperGroup):
            found += _commands(own, typer.Context(own, info_name=name, parent=context))
    return found


def _command(name: str, command: Any, parent: typer.Context) -> str:
    context = typer.Context(command, info_name=name, parent=parent)
    arguments, panels = [], dict[str, list[str]]()
    for param in command.get_params(context):
        record = None if param.hidden else param.get_help_record(context)
        if record is None:
            continue
        if is_argument := isinstance(param, typer.core.TyperArgument):
            arguments += param.get_usage_pieces(context)
        shown = param.metavar if is_argument else record[0]
        panel = param.rich_help_panel or ("Arguments" if is_argument else "Options")
        panels.setdefault(panel, []).append(f"| `{' '.join(shown.split())}` | {_cell(record[1])} |")
    path = context.command_path
    usage = f"```sh\n{' '.join([path, *arguments, '[OPTIONS]'])}\n```\n"
    parts = [f"## {path}\n", f"{inspect.cleandoc(command.help)}\n", usage]
    parts += ["\n".join([f"| {panel} | |", "|---|---|", *rows, ""]) for panel, rows in panels.items()]
    if command.epilog:
        examples = command.epilog.removeprefix("Examples:\n")
        parts.append(f"```sh\n{inspect.cleandoc(examples)}\n```\n")
    return "\n".join(parts)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|").replace("<", r"\<")
