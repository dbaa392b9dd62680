"""`tame demo`: draws a picture set and runs a whole study on it, from scratch and offline."""

from __future__ import annotations

from pathlib import Path

from tame.app.drawing.picture import CLASSES
from tame.app.drawing.picture_set import draw
from tame.app.run import fit_study
from tame.core.config import StudyConfig
from tame.core.errors import UsageError
from tame.core.result import Result
from tame.study.state import Watcher

COUNT = 320  # pictures per class


def run_demo(
    watcher: Watcher, *, time_s: float, seed: int, out: str | None, pictures: str | None, started: float
) -> Result:
    """Draws the pictures (once per seed) and fits a small network to them."""
    folder = Path(pictures) if pictures else Path("runs") / f"demo-pictures-{seed}"
    if not folder.exists():
        watcher.phase(f"drawing {COUNT * len(CLASSES):,} pictures of bees, wasps, other insects and nothing")
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = folder.with_name(f".{folder.name}.draft")
        if draft.exists():
            raise UsageError(f"{draft} is left over from an interrupted run; remove it and try again")
        draw(draft, seed=seed, counts=COUNT)
        draft.rename(folder)
    config = StudyConfig(data=str(folder), backbone="none", time_s=time_s, seed=seed, out=out)
    return fit_study(config, watcher, started=started)
