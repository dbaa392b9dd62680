"""Texts in folders by class. What they are trained on is a table with one column of text."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

from tame.core.config import GIVEN, StudyConfig
from tame.core.errors import require
from tame.data.images import ENDINGS as PICTURES
from tame.data.texts import ENDINGS
from tame.kinds.kind import Kind, Words
from tame.kinds.tables.kind import COHORT, TUNING, preset

MOST_LOOKED_AT = 5000  # files, until one is a text or a picture
NAME = "texts"


def claims(config: StudyConfig) -> bool:
    """Whether the data is a folder in which texts lie and no pictures, as far as a look shows."""
    place = Path(config.data)
    if config.data in GIVEN or not place.is_dir() or config.image is not None:
        return False
    every = (name for _, _, names in os.walk(place) for name in names if not name.startswith("."))
    endings = {os.path.splitext(name)[1].lower() for name in islice(every, MOST_LOOKED_AT)}
    return bool(endings & ENDINGS) and not endings & PICTURES


def check(config: StudyConfig) -> None:
    """Raises UsageError for settings that are about pictures and tables."""
    for name in ("target", "text", "groups", "order", "label_pattern"):
        said = f"{name} is for tables and pictures; the label of a text is the name of its folder"
        require(getattr(config, name) is None, said)
    require(not config.columns, "columns are for tables; the label of a text is the name of its folder")
    known = ("auto", "classification", "binary", "multiclass")
    require(config.task in known, f"--task {config.task} is not for texts in folders by class; leave it out")


TEXTS = Kind(
    name=NAME,
    words=Words(
        noun="text",
        new_input="new.txt",
        card_type="text",
        card_task="text",
        takes="It takes texts in files (.txt, .md), in UTF-8, UTF-16 with its mark or cp1252.",
        smaller="a narrower model (--set model.width=64)",
        stranger="a text of something else",
        is_file=True,
    ),
    claims=claims,
    check=check,
    uses=frozenset({"table"}),
    preset=preset,
    cohort=lambda data: COHORT,
    runs=17,
    rehearses_many=True,
    look="tame.kinds.texts.source:look",
    examples="tame.kinds.texts.source:examples",
    has_linear=True,
    ensembles=True,
    tuning=TUNING,
    source="tame.kinds.texts.source:read",
    material="tame.kinds.tables.material:open_material",
    prediction="tame.kinds.texts.prediction:PREDICTION",
    onnx="tame.kinds.texts.onnx_text:ONNX",
)
