"""Opens what a study is about, whatever kind of data it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tame.kinds.arrays.source import open_arrays
from tame.kinds.kind import Data, Port
from tame.kinds.known import kind_of
from tame.kinds.pictures.source import open_pictures
from tame.kinds.tables.source import open_table
from tame.study.session import Study


@dataclass(frozen=True, slots=True)
class _Port:
    """The worker of a study, as a kind of data sees it."""

    study: Study

    def open(self, kind: str, given: Mapping[str, object]) -> object:
        return self.study.ask("open", kind=kind, given=given)

    def ask(self, question: str, given: Mapping[str, object]) -> object:
        return self.study.ask("ask", question=question, given=given)


def port_of(study: Study) -> Port:
    """The worker of a study, as a kind of data sees it."""
    return _Port(study)


def open_data(study: Study) -> Data:
    """Reads, judges and splits the data, and hands the worker what is not sealed. Raises DataError."""
    openers = {"images": open_pictures, "table": open_table, "arrays": open_arrays}
    return openers[kind_of(study.config)](study)
