"""A delivered model as one file for other programs: what a kind of data gives for it, and what it is compared on."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from tame.core.config import GIVEN, StudyConfig
from tame.core.errors import DataError, UsageError, require
from tame.core.files import read_bytes
from tame.kinds.kind import Known, referred
from tame.kinds.known import KINDS

if TYPE_CHECKING:
    from tame.parts.network import Network
    from tame.parts.operators import Operators

SCHEMA = "tame-onnx/1"  # of what the file says about itself, in its metadata under METADATA
METADATA = "tame"
INSTALL = "pip install 'tame-ml[onnx]'"
SPLIT = "split.csv"
CHECK = "name data to compare on: --check DATA"


@dataclass(frozen=True, slots=True)
class Asked:
    """Examples that the file and TAME are asked about alike. what: these examples, in words, such as "validation rows".

    feeds: the inputs of the file, one mapping for each call; outputs: (n, C) canonical, of all calls, as `tame predict`
    has them; distances: as of `Predicted`; truth: (n,) classes by number, None where they are not known.
    """

    what: str
    feeds: Sequence[Mapping[str, np.ndarray]]
    outputs: np.ndarray
    distances: np.ndarray | None = None
    truth: np.ndarray | None = None


N = TypeVar("N", bound="Operators")


class Write(Protocol):
    """Writes a network down in operators. start: makes these, for inputs of such names.

    Returns them, and the texts about the model that lie in its file.
    """

    def __call__(self, network: Network, start: Callable[[Sequence[str]], N]) -> tuple[N, Mapping[str, str]]: ...


class OfStudy(Protocol):
    """The validation examples of a study. folder: of the study. Raises DataError where its data is gone or changed."""

    def __call__(self, network: Network, config: StudyConfig, known: Known, folder: Path) -> Asked: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxForm:
    """write: the model in operators, and texts about it by name. Raises UsageError for a part that has no form.

    of_study, of_path, of_inputs: examples to compare on, of a study, of a file or folder that the user gives, or given
    from Python; extremes: made ones, from some that were read: outside the training range, missing, unseen, one alone.
    """

    write: Write
    of_study: OfStudy
    of_path: Callable[[Network, Path], Asked]
    of_inputs: Callable[[Network, object], Asked]
    extremes: Callable[[Network, Asked], Sequence[Asked]]


def onnx_form(kind: str) -> OnnxForm:
    """How models of a kind of data become files for other programs. Raises UsageError where they do not."""
    own = KINDS.get(kind)
    instead = f"; {own.words.instead}" if own.words.instead else ""
    require(bool(own.onnx), f"models of {own.words.nouns} can be neither ONNX files nor programs of torch{instead}")
    found: OnnxForm = referred(own.onnx)
    return found


def validation_ids(config: StudyConfig, folder: Path) -> set[str]:
    """The ids of the examples by which a study chose. Raises DataError where its data is gone."""
    here = config.data in GIVEN or Path(config.data).exists()
    require(here, f"{config.data} is not there any more; {CHECK}", error=DataError)
    try:
        text = read_bytes(folder, SPLIT).decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        raise DataError(f"{folder} holds no {SPLIT}; {CHECK}") from None
    return {row["id"] for row in csv.DictReader(io.StringIO(text, newline="")) if row.get("fold")}


def truth_of(network: Network, known: Known, ids: Sequence[str], labels: Sequence[str]) -> np.ndarray | None:
    """(n,) the classes of examples by number, with the edits of a study; None of a regression. labels: as they were."""
    if not network.labels:
        return None
    edited = {each.id: each.label for each in known.edits or () if each.label}
    places = {label: place for place, label in enumerate(network.labels)}
    return np.array([places[edited.get(name, label)] for name, label in zip(ids, labels, strict=True)], dtype=np.int64)


def spaced(num: int, most: int) -> np.ndarray:
    """Rows of so many, at most `most` of them, evenly spaced."""
    return np.unique(np.linspace(0, num - 1, min(num, most)).astype(np.int64))


def require_onnx() -> None:
    """Raises UsageError where a package is missing, with the line that installs it."""
    missing = [name for name in ("onnx", "onnxruntime", "onnxscript") if find_spec(name) is None]
    if missing:
        raise UsageError(f"writing ONNX needs {', '.join(missing)}: {INSTALL}")
