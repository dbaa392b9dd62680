"""Prints the lowest version of each dependency that pyproject.toml allows, a line each, as constraints for pip."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def floors(text: str) -> Iterator[str]:
    """name==version of every package, those of the extras among them, that states a lowest version."""
    project = tomllib.loads(text)["project"]
    for wanted in (
        *project["dependencies"],
        *(each for own in project["optional-dependencies"].values() for each in own),
    ):
        match = re.fullmatch(r"([A-Za-z0-9_.-]+)(?:\[.*\])?[>=]=([0-9.]+)", wanted)
        if match:
            yield f"{match[1]}=={match[2]}"


if __name__ == "__main__":
    print(*floors(PROJECT.read_text(encoding="utf-8")), sep="\n")
