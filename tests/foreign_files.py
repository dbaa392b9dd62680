"""Studies of TAME and of Optuna as files, for tests of the exchange."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from tame.core.config import StudyConfig
from tame.core.recipe import Recipe
from tame.core.records import Decision, Event, Point, curve_event, decision_event
from tame.core.space import Choice, Float, Space
from tame.study.session import begin
from tame.study.state import Silent

SPACE = Space(
    {
        "optimizer.name": Choice("adamw", "sgd"),
        "optimizer.lr": Float(1e-3, 1e-1, log=True),
        "optimizer.momentum": Float(0.0, 0.9, when={"optimizer.name": "sgd"}),
        "batch_size": Choice(32, 64),
    }
)
BASE = Recipe().but({"model.name": "mlp", "epochs": 3, "optimizer.lr": 1e-2})


def trial(
    number: int, changes: dict[str, Any], losses: list[float | None], end: str, origin: str = "sobol"
) -> list[Event]:
    """The events of a trial that ends so."""
    points = [Point(i, 0.1, loss, None if loss is None else 1 - loss) for i, loss in enumerate(losses, 1)]
    recipe = BASE.but(changes)
    found = [
        decision_event(Decision("start", number, f"reason {number}", 1, recipe, origin)),
        curve_event(number, points),
    ]
    if end != "diverged":
        found.append(decision_event(Decision(end, number, "the end", len(losses))))  # type: ignore[arg-type]
    return found


def study_at(folder: Path) -> Path:
    """A study that was not trained: its trials end in every way there is."""
    with begin(StudyConfig(data=str(folder / "x.csv"), out=str(folder)), Silent()) as study:
        study.keep(
            Event("plan", {"base": BASE.flat(), "space": SPACE.to_json()}),
            *trial(0, {}, [0.9, 0.8, 0.7], "complete", "default"),
            *trial(1, {"optimizer.lr": 0.5, "optimizer.name": "sgd"}, [0.8, 0.6, 0.5], "complete", "portfolio"),
            *trial(2, {"optimizer.lr": 0.003}, [0.85], "stop"),
            *trial(3, {"batch_size": 64}, [0.82, 0.75], "pause"),
            *trial(4, {"optimizer.lr": 0.09}, [0.9, None], "diverged"),
            *trial(5, {"optimizer.lr": 0.02, "model.depth": 3}, [0.7, 0.3, 0.45], "complete"),
            Event("early_stop", {"trial": 5, "best": 2, "reason": "the weights of epoch 2 were the best"}),
            *trial(6, {"seed": 9}, [0.5, 0.2, 0.1], "complete", "finalist"),
        )
    return folder


def optuna_file(path: Path) -> Path:
    """An Optuna storage with complete, pruned and failed trials of a study named mine."""
    path.write_bytes(storage_of("minimize", "mine"))
    return path


@cache
def storage_of(direction: str, *names: str) -> bytes:
    """An SQLite file of Optuna with these studies, made once."""
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            with_storage(f"sqlite:///{folder}/made.db", direction=direction, name=name)
        return Path(folder, "made.db").read_bytes()


def with_storage(storage: Any, *, direction: str, name: str = "mine") -> None:
    study = optuna.create_study(storage=storage, direction=direction, study_name=name)
    dists = {
        "lr": FloatDistribution(1e-4, 1.0, log=True), "n_layers": IntDistribution(1, 4),
        "opt": CategoricalDistribution(("Adam", "SGD", None)), "dropout": FloatDistribution(0.0, 1.0),
    }  # fmt: skip
    for i in range(6):
        params = {"lr": 10.0 ** -(i % 4), "n_layers": 1 + i % 4, "opt": ("Adam", "SGD", None)[i % 3], "dropout": i / 5}
        if i == 2:
            del params["n_layers"]
        state = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.COMPLETE, TrialState.FAIL)[i % 4]
        study.add_trial(
            optuna.trial.create_trial(
                state=state, value=0.9 - 0.1 * i if state == TrialState.COMPLETE else None, params=params,
                distributions={k: dists[k] for k in params},
                intermediate_values={0: 0.95 - 0.1 * i, 1: 0.9 - 0.1 * i} if i % 2 else {},
            )
        )  # fmt: skip
    if not isinstance(storage, str):
        return
    study._storage._backend.engine.dispose()  # type: ignore[attr-defined]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def written(text: str) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        path.write_text(text)
        return path

    return write
