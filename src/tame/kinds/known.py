"""Every kind of data by name, and which one a study is about. Loads no torch.

Kinds of other packages join by the entry point group "tame.kinds": name = "package.module:KIND".
"""

from __future__ import annotations

from pathlib import Path

from tame.core.config import GIVEN, StudyConfig
from tame.core.errors import UsageError, require
from tame.core.registry import Registry
from tame.kinds.arrays.kind import OWN_ARRAYS
from tame.kinds.kind import Kind
from tame.kinds.pictures.kind import PICTURES
from tame.kinds.tables.kind import TABLES

FIRST = PICTURES.name  # the kind of the first studies, which named none
KINDS: Registry[Kind] = Registry("kind of data", group="tame.kinds")
OURS = (PICTURES, TABLES, OWN_ARRAYS)
for _each in OURS:
    KINDS.add(_each.name)(_each)


def kind_of(config: StudyConfig) -> Kind:
    """The kind of data that a study is about: by what the data is, and of a table by whether it lists pictures.

    A kind of another package goes first, for a file of any ending may be a table. Raises UsageError for data that is
    not there, that two such kinds claim, or that does not fit the other settings.
    """
    if config.data not in GIVEN:
        require(Path(config.data).exists(), f"no file or folder {config.data}")
        others = [name for name in KINDS.names() if KINDS.get(name) not in OURS and KINDS.get(name).claims(config)]
        if len(others) > 1:
            raise UsageError(f"{config.data} is claimed by the kinds {' and '.join(others)}; uninstall one of them")
        if others:
            return _checked(KINDS.get(others[0]), config)
    return _checked(next(kind for kind in OURS if kind.claims(config)), config)


def _checked(kind: Kind, config: StudyConfig) -> Kind:
    kind.check(config)
    return kind
