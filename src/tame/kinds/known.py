"""Every kind of data by name, and which one a study is about. Loads no torch.

Kinds of other packages join by the entry point group "tame.kinds": name = "package.module:KIND".
"""

from __future__ import annotations

from pathlib import Path

from tame.core.config import ARRAYS, GIVEN, StudyConfig
from tame.core.errors import UsageError, require
from tame.core.registry import Registry
from tame.kinds.arrays.kind import OWN_ARRAYS
from tame.kinds.kind import Kind
from tame.kinds.language.kind import LANGUAGE_MODELS
from tame.kinds.pictures.kind import PICTURES
from tame.kinds.tables.kind import TABLES
from tame.kinds.texts.kind import TEXTS

FIRST = PICTURES.name  # the kind of the first studies, which named none


def require_kind(name: str, part: object) -> None:
    """Raises UsageError for what is not a kind of data of that name, as files will have it."""
    require(isinstance(part, Kind), f"it is not a Kind, but {type(part).__name__}")
    assert isinstance(part, Kind)
    require(part.name == name, f"it calls itself {part.name!r}; its entry point must have the same name")


KINDS: Registry[Kind] = Registry("kind of data", group="tame.kinds", check=require_kind)
OURS = (LANGUAGE_MODELS, TEXTS, PICTURES, TABLES, OWN_ARRAYS)  # the first that claims the data has it
for _each in OURS:
    KINDS.add(_each.name)(_each)


def kind_of(config: StudyConfig) -> Kind:
    """The kind of data that a study is about: by what the data is, and of a table by whether it lists pictures.

    A kind of another package goes first, for a file of any ending may be a table. Raises UsageError for data that is
    not there, that two such kinds claim, or that does not fit the other settings.
    """
    if config.data not in GIVEN:
        require(Path(config.data).exists(), f"no file or folder {config.data}")
        others = [name for name in KINDS.names() if KINDS.get(name) not in OURS and _claims(KINDS.get(name), config)]
        if len(others) > 1:
            raise UsageError(f"{config.data} is claimed by the kinds {' and '.join(others)}; uninstall one of them")
        if others:
            return _checked(KINDS.get(others[0]), config)
    return _checked(next(kind for kind in OURS if kind.claims(config)), config)


def reader_of(config: StudyConfig, name: str) -> Kind:
    """The kind that reads the data of a study that goes on, by the name of its kind; what is installed since then
    changes nothing. Raises UsageError for data that is not there."""
    if config.data == ARRAYS:  # which may have become a table
        return OWN_ARRAYS
    if config.data in GIVEN:
        return KINDS.get(name)
    require(Path(config.data).exists(), f"no file or folder {config.data}")
    return KINDS.get(name)


def _claims(kind: Kind, config: StudyConfig) -> bool:
    """Whether a kind of another package claims the data. Raises UsageError where its code fails."""
    try:
        return bool(kind.claims(config))
    except Exception as problem:
        why = f"{type(problem).__name__}: {problem}"
        raise UsageError(
            f"the kind of data {kind.name!r} cannot tell whether {config.data} is its own: {why}"
        ) from problem


def _checked(kind: Kind, config: StudyConfig) -> Kind:
    kind.check(config)
    becomes_table = config.data == ARRAYS and config.model is None
    only = "an ensemble is of networks for tables"
    require(not config.ensemble or kind.ensembles or becomes_table, f"{only}; leave out --ensemble")
    only = "trees are a baseline for tables with other columns than texts"
    require(not config.baseline or kind.has_trees or becomes_table, f"{only}; leave out --baseline")
    return kind
