"""TAME: Test, Adjust, Monitor, Evaluate. Data in, a tuned neural network and an honest report out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tame.app.api import FittedStudy, fit, load, resume
    from tame.app.estimators import TameClassifier, TameRegressor
    from tame.app.exchange import import_trials, to_optuna
    from tame.core.errors import StoppedError, TameError
    from tame.core.space import Choice, Float, Int

__version__ = "0.1.0"

_PUBLIC = {
    "fit": "tame.app.api",
    "load": "tame.app.api",
    "resume": "tame.app.api",
    "FittedStudy": "tame.app.api",
    "import_trials": "tame.app.exchange",
    "to_optuna": "tame.app.exchange",
    "StoppedError": "tame.core.errors",
    "TameError": "tame.core.errors",
    "TameClassifier": "tame.app.estimators",
    "TameRegressor": "tame.app.estimators",
    "Float": "tame.core.space",
    "Int": "tame.core.space",
    "Choice": "tame.core.space",
}

__all__ = [
    "Choice", "FittedStudy", "Float", "Int", "StoppedError", "TameClassifier", "TameError", "TameRegressor",
    "__version__", "fit", "import_trials", "load", "resume", "to_optuna",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """A public name, loaded when it is first used: `import tame` does no work."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'tame' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
