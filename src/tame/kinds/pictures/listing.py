"""Which pictures a study is about, wherever they are listed: in folders by class, in a table, in their own names, or in
the study's folder, where they were given from Python. Decodes nothing.
"""

from __future__ import annotations

from pathlib import Path

from tame.core.config import PICTURES, StudyConfig
from tame.core.errors import require
from tame.data.image_lists import is_list, metadata_files, read_list
from tame.data.image_names import read_names
from tame.data.images import Listing, scan
from tame.kinds.pictures.given import read_given


def listing_of(config: StudyConfig, folder: Path | None) -> Listing:
    """The pictures of a study. folder: its own; None before there is one. Raises DataError and UsageError."""
    if config.data == PICTURES:
        assert folder is not None, "pictures given from Python lie in the study's folder"
        return read_given(folder)
    if config.label_pattern is not None:
        return read_names(config)
    if _is_listed(config):
        return read_list(config)
    return scan(Path(config.data), val=config.val, test=config.test)


def claims_file(config: StudyConfig) -> bool:
    """Whether the data is a table that lists pictures."""
    return is_list(config)


def check_place(config: StudyConfig) -> None:
    """Raises UsageError for settings about tables where the data is a folder that no table lists."""
    if config.label_pattern is None and _is_listed(config):
        return
    what = f"{config.data} is a folder"
    mend = "list the pictures in a table with their numbers, or read these from their names with --label-pattern"
    require(config.task != "regression", f"{what}, whose classes are not numbers to predict: {mend}")
    for name in ("target", "image", "text", "groups", "order"):
        require(getattr(config, name) is None, f"--{name} names a column of a table; {what}")
    require(not config.columns, f"--column says what a column of a table is; {what}")


def _is_listed(config: StudyConfig) -> bool:
    return not Path(config.data).is_dir() or bool(metadata_files(config))
