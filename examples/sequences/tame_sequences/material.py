"""Sequences in the training process: rows of a table with a few numbers."""

from __future__ import annotations

from tame.core.errors import WorkerError
from tame.core.plain import from_plain
from tame.kinds.tables.material import TableMaterial
from tame.trial.commands import Plain
from tame.trial.training_material import Material, Room
from tame_sequences.kind import SEQUENCES
from tame_sequences.source import Given, table_of


def open_material(given: Plain, room: Room) -> tuple[Material, Plain]:
    """Opens sequences for training."""
    asked = from_plain(Given, given, what="'open' of sequences", error=WorkerError)
    return TableMaterial(table_of(asked.sequences), device=room.device, kind=SEQUENCES.name), {}
