"""Every kind of data by name, and which one a study is about. Loads no torch."""

from __future__ import annotations

from pathlib import Path

from tame.core.config import ARRAYS, StudyConfig
from tame.core.errors import require
from tame.core.registry import Registry
from tame.kinds.arrays.kind import ARRAYS_KIND
from tame.kinds.kind import Kind
from tame.kinds.pictures.kind import PICTURES
from tame.kinds.tables.kind import TABLES

KINDS: Registry[Kind] = Registry("kind of data")
for _kind in (PICTURES, TABLES, ARRAYS_KIND):
    KINDS.add(_kind.name)(_kind)


def kind_of(config: StudyConfig) -> str:
    """images, table or arrays: by what the data is, and not by what is in it. Raises UsageError."""
    if config.data == ARRAYS:
        for name in ("target", "groups", "order", "val", "test", "backbone"):
            require(getattr(config, name) is None, f"{name} is for files and folders; arrays come as (X, y) alone")
        require(config.task not in ("images", "table"), f"arrays are no {config.task} task")
        return "arrays"
    path = Path(config.data)
    require(path.exists(), f"no file or folder {config.data}")
    kind = "images" if path.is_dir() else "table"
    if kind == "images":
        for name in ("target", "groups", "order"):
            require(getattr(config, name) is None, f"--{name} names a column of a table; {config.data} is a folder")
        require(config.task in ("auto", "images", "classification"), f"a folder of pictures is no {config.task} task")
    else:
        require(config.backbone is None, "a backbone is for pictures; leave out --backbone")
        require(config.task != "images", f"{config.data} is a file; pictures come in a folder")
    return kind
