"""What the process that trains is given of a table. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass

from tame.data.tables import Column


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A table, its columns as they were understood. kept: rows of the files, one after the other.

    arrays: where the values lie, if somebody has read them already; a process that is started again later reads the
    files. beside: columns of the files that are no features: target, groups, order; encoder: of its texts, a name or a
    folder; None: none; kind: of data, which may be one that is turned into columns.
    """

    files: tuple[str, ...]
    arrays: str | None
    columns: tuple[Column, ...]
    kept: tuple[int, ...]
    beside: tuple[str, ...] = ()
    encoder: str | None = None
    kind: str = "table"
