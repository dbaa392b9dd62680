"""Trials of other programs, read-only: an Optuna storage (SQLite or journal), or a table of results."""

from __future__ import annotations

import re
from pathlib import Path

from tame.adjust.model_based import require_optuna
from tame.app.foreign_study import ForeignStudy
from tame.app.optuna_storages import read_journal, read_sqlite
from tame.app.results_tables import read_results
from tame.core.errors import DataError, require

SQLITE_MAGIC = b"SQLite format 3\x00"


def read_foreign(source: str, *, study: str | None = None, metric: str | None = None) -> ForeignStudy:
    """The trials of a source: the path of an Optuna SQLite or journal file, sqlite:///PATH, or a CSV or Parquet table.

    study: which of several; metric: the column of a table with the results, else the name of the value.
    Raises DataError for a missing, broken, empty or unsupported source, UsageError for an unknown name and for a file
    of Optuna's without Optuna, RefusedError for a database that would have code run.
    """
    path = _path(source)
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as problem:
        raise DataError(f"{path} cannot be read: {problem.strerror}") from None
    if head.startswith(SQLITE_MAGIC):
        require_optuna(f"{path}, a storage of Optuna,")
        return read_sqlite(path, study=study, metric=metric)
    if head.lstrip()[:1] == b"{":
        require_optuna(f"{path}, a journal of Optuna,")
        return read_journal(path, study=study, metric=metric)
    require(study is None, f"{path} is a table of results and has no named studies; leave out --study")
    return read_results(path, metric=metric)


def _path(source: str) -> Path:
    """The file of a path or of an address sqlite:///PATH. Raises UsageError for another address."""
    address = re.match(r"([a-zA-Z][a-zA-Z0-9+.-]*)://", source)
    if address is None:
        path = Path(source)
    else:
        way = "copy the study into a file with optuna.copy_study and import that"
        is_file = address[1].lower() in ("sqlite", "sqlite+pysqlite") and source[address.end() :].startswith("/")
        require(is_file, f"cannot read the address {address[0]}...: give a file or sqlite:///PATH; {way}")
        path = Path(source[address.end() + 1 :].partition("?")[0])
    require(path.exists(), f"there is no file {path}", error=DataError)
    require(path.is_file(), f"{path} is not a file; give an Optuna storage, a journal or a table", error=DataError)
    return path
