"""Texts that a language model is adapted to: a folder of them, foretold token by token."""

from __future__ import annotations

from pathlib import Path

from tame.adjust import portfolio
from tame.adjust.portfolio import Preset
from tame.core.config import LANGUAGE, NONE, StudyConfig
from tame.core.errors import require
from tame.kinds.kind import Data, Kind, Words
from tame.kinds.language.commands import LANGUAGE_MODEL

COHORT = 12  # recipes that start together


def preset(config: StudyConfig, data: Data, sizes: tuple[int, ...], *, seed: int) -> Preset:
    """Adapters beside the frozen model."""
    assert data.blocks is not None
    own = data.blocks
    epochs = config.epochs or own.epochs
    return portfolio.language(own.block, batch=own.batch, epochs=epochs, seed=seed, parameters=own.parameters)


def claims(config: StudyConfig) -> bool:
    """Whether that is what was asked for: no data says so by itself."""
    return config.task == LANGUAGE


def check(config: StudyConfig) -> None:
    """Raises UsageError for settings that are not for language models, or without a model to begin with."""
    said = "a language model is adapted, not trained from nothing: give its folder with --backbone FOLDER"
    require(config.backbone not in (None, NONE), said)
    for name in ("target", "image", "label_pattern", "groups", "order", "folds", "model"):
        require(getattr(config, name) is None, f"{name} is not for a language model: a text is its own target")
    require(not config.columns, "a language model takes one column, that of the texts: give it with --text alone")
    folder = config.text is not None and Path(config.data).is_dir()
    require(not folder, f"--text names a column of a table; {config.data} is a folder, of which each file is a text")
    require(not config.more_data, "more_data is not for language models; leave it out")


LANGUAGE_MODELS = Kind(
    name=LANGUAGE_MODEL,
    words=Words(
        noun="passage",
        new_input="--prompt 'The first words'",
        card_type="text",
        card_task="text-generation",
        takes="It takes the beginning of a text and writes on. It sounds like the texts it was trained on; what it "
        "writes is neither true nor advice.",
        smaller="shorter blocks (--set input.length=64) or a smaller batch (--set batch_size=1)",
        instead="a language model is written with --merged",
    ),
    claims=claims,
    check=check,
    uses=frozenset({"input", "adapter"}),
    preset=preset,
    cohort=lambda data: COHORT,
    runs=6,
    most_epochs=64,
    least_s=15.0,
    source="tame.kinds.language.source:read",
    material="tame.kinds.language.material:open_material",
    prediction="tame.kinds.language.prediction:PREDICTION",
    look="tame.kinds.language.source:look",
)
