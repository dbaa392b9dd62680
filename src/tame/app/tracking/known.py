"""All trackers, by name, and those that a user named."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from tame.app.tracking import mlflow, tensorboard, trackio, wandb  # noqa: F401  registers them
from tame.app.tracking.tracker import FOLDER, TRACKERS, Kind, Named
from tame.core.errors import UsageError, require


def parse_trackers(texts: Sequence[str]) -> tuple[Named, ...]:
    """Trackers from texts such as "tensorboard" and "mlflow=http://127.0.0.1:5000".

    Raises UsageError for an unknown one, one that is named twice, an address where none may be, and a package that is
    not installed.
    """
    found: list[Named] = []
    for text in texts:
        name, equals, address = text.partition("=")
        named = Named(name, address if equals else None)
        kind = named.kind
        require(all(each.name != name for each in found), f"the tracker {name} is named twice")
        require_package(kind)
        if named.address is not None:
            where = f"{name} writes into the study's folder and sends nothing; leave out ={address}"
            require(kind.has_server, where)
            good = address.startswith(("http://", "https://")) and len(address) > len("https://")
            require(good, f"cannot read {text!r}: write {name}=http://HOST:PORT")
        found.append(named)
    return tuple(found)


def require_package(kind: Kind) -> None:
    """Raises UsageError where the package of a tracker is not installed."""
    if importlib.util.find_spec(kind.package) is None:
        raise UsageError(f"this needs {kind.package}; install it with: pip install 'tame-ml[{kind.extra}]'")


def untold(study: Path, trackers: Sequence[Named]) -> list[str]:
    """Trackers that have files in the study's folder and are not among these."""
    named = {each.name for each in trackers}
    return [name for name in TRACKERS.names() if name not in named and (study / FOLDER / name).is_dir()]
