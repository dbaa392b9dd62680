"""Opens what a study is about, whatever kind of data it is."""

from __future__ import annotations

from tame.kinds.arrays.source import open_arrays
from tame.kinds.kind import Data, Port
from tame.kinds.known import kind_of
from tame.kinds.pictures.source import open_pictures
from tame.kinds.tables.source import open_table
from tame.study.session import Study


def port_of(study: Study) -> Port:
    """The worker of a study, as a kind of data sees it."""
    return study.worker


def open_data(study: Study) -> Data:
    """Reads, judges and splits the data, and hands the worker what is not sealed. Raises DataError."""
    openers = {"images": open_pictures, "table": open_table, "arrays": open_arrays}
    return openers[kind_of(study.config)](study)
