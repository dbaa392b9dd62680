"""A delivered model of texts for other programs: that of a table with one column."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tame.core.config import StudyConfig
from tame.core.errors import DataError, require
from tame.core.text import printable
from tame.data.sources import table_of_texts, take_rows
from tame.data.texts import UnreadableText, read_text
from tame.kinds.kind import Known
from tame.kinds.onnx import CHECK, Asked, OnnxForm, validation_ids
from tame.kinds.tables.onnx_table import asked, extremes, known_classes, write
from tame.kinds.texts.prediction import files_of, given_texts
from tame.kinds.texts.source import read_texts
from tame.parts.network import Network


def of_study(network: Network, config: StudyConfig, known: Known, folder: Path) -> Asked:
    """The validation texts of a study. Raises DataError where its data is gone or changed."""
    wanted = validation_ids(config, folder)
    found, _ = read_texts(config)
    known.require_same(found.digests, "texts")
    rows = np.flatnonzero([name in wanted for name in found.ids])
    require(len(rows) > 0, f"no validation text of the study is in {config.data}; {CHECK}", error=DataError)
    truth = known_classes(network, known, found, rows)
    return asked(network, take_rows(found.table, rows), what="validation texts", truth=truth)


def of_path(network: Network, path: Path) -> Asked:
    """The texts of a folder, or one. Raises UsageError and DataError."""
    texts = _read(files_of([path]))
    require(bool(texts), f"{printable(os.fspath(path))} holds no texts (.txt, .md)", error=DataError)
    return asked(network, table_of_texts(texts), what=f"texts of {printable(path.name)}")


def of_inputs(network: Network, x: object) -> Asked:
    """Texts that are given from Python. Raises UsageError for anything else."""
    return asked(network, table_of_texts(given_texts(x)), what="texts given")


def _read(files: Sequence[Path]) -> list[str]:
    found = []
    for file in files:
        try:
            found.append(read_text(os.path.realpath(file)).content)
        except UnreadableText as problem:
            raise DataError(f"{printable(os.fspath(file))}: {problem}") from None
    return found


ONNX = OnnxForm(write=write, of_study=of_study, of_path=of_path, of_inputs=of_inputs, extremes=extremes)
