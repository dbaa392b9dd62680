"""The commands that explain: words of the report, and how training works."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tame.app.commands import JsonOption, print_json, print_rich
from tame.core.errors import require


def explain(
    word: Annotated[
        list[str] | None, typer.Argument(help="a word of the report; words lists them", metavar="WORD")
    ] = None,
    study: Annotated[
        Path | None, typer.Option(help="a finished study, whose numbers are told", metavar="STUDY")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Explain a word: of the report, a metric, a field of a recipe, a finding."""
    from tame.app.explained import explained, explained_lines

    found = explained(" ".join(word or ["words"]), study)
    if json:
        print_json(found.to_json())
    else:
        print_rich(explained_lines(found))


def learn(
    name: Annotated[str | None, typer.Argument(help="a lesson, such as descent", metavar="LESSON")] = None,
    study: Annotated[
        Path | None, typer.Option(help="the study it is about (default: the newest in runs/)", metavar="STUDY")
    ] = None,
    test: Annotated[bool, typer.Option("--test", help="be asked about your study")] = False,
    cards: Annotated[bool, typer.Option("--cards", help="words that are due today")] = False,
    forget: Annotated[bool, typer.Option("--forget", help="delete what is kept of your answers")] = False,
    seed: Annotated[int | None, typer.Option(help="of the questions, to get the same again", metavar="N")] = None,
    json: JsonOption = False,
) -> None:
    """Learn how training works, on your own study: lessons, questions, words."""
    from tame.app import learn as own

    require(test + cards + forget + json <= 1, "--test, --cards, --forget and --json are four different things")
    require(name is not None or not (test or study or seed is not None), "which lesson? tame learn lists them")
    require(name is None or not (cards or forget), "--cards and --forget are of all lessons; leave the lesson out")
    if forget:
        print(own.forget())
    elif cards:
        own.turn_cards(_tell)
    elif test and name is not None:
        own.test_me(name, study, seed=seed, say=_tell)
    elif json:
        print_json(own.lessons_json() if name is None else own.read_lesson(name, study).to_json())
    else:
        print_rich(own.list_lessons() if name is None else own.read_lesson(name, study).lines())


def _tell(text: str) -> None:
    from rich.text import Text

    print_rich(Text(text))
