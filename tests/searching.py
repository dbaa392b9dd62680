"""A study that searches, and whose loss is set by its rate alone."""

from __future__ import annotations

import math
import threading
from contextlib import contextmanager

from tame.core.config import StudyConfig
from tame.core.recipe import Recipe
from tame.core.records import Decision, Point, curve_event, decision_event
from tame.core.space import Choice, Float, Int, Space
from tame.study.events import Forecast, PlanEvent
from tame.study.live import Live, Spent
from tame.study.session import begin
from tame.study.state import Silent

SPACE = Space({
    "optimizer.lr": Float(1e-4, 1e-2, log=True), "batch_size": Int(32, 80, step=16),
    "optimizer.weight_decay": Float(0.0, 0.1), "optimizer.name": Choice("adamw", "sgd"),
})  # fmt: skip


@contextmanager
def searching_study(folder):
    """A study that lives and has tried 32 recipes, after 100 of 500 s of its search."""
    with begin(StudyConfig(data="x", out=str(folder), time_s=600.0), Silent()) as study:
        study.keep(PlanEvent(space=SPACE.to_json(), base=Recipe().flat(), search_until_s=500.0), Forecast(mean_s=0.5))
        for number in range(32):
            try_another(study, number)
        speaker, ended = Live(study.folder, lambda: Spent(used_s=100.0, given_s=600.0)), threading.Event()
        speaker.phase("searching")
        beats = threading.Thread(target=_beat, args=(speaker, ended), daemon=True)
        beats.start()
        try:
            yield study
        finally:
            ended.set()
            beats.join()
            speaker.close()


def _beat(speaker, ended):
    """Gives signs of life, as a process that trains does."""
    while not ended.wait(1.0):
        speaker.beat()


def try_another(study, number):
    """A recipe that is trained to its end."""
    rate = 10 ** -(2 + 2 * (number * 0.618 % 1))
    recipe = Recipe().but({
        "optimizer.lr": rate, "batch_size": 32 + 16 * (number % 4), "optimizer.name": ("adamw", "sgd")[number // 2 % 2],
        "optimizer.weight_decay": 0.1 * (number * 0.37 % 1), "epochs": 4, "seed": number,
    })  # fmt: skip
    study.keep(decision_event(Decision("start", number, "tried", 4, recipe, "default" if number == 0 else "sobol")))
    loss = abs(math.log10(rate) + 3)
    study.keep(curve_event(number, [Point(e, loss, loss + 0.1 / e, 0.5) for e in range(1, 5)]))
    study.keep(decision_event(Decision("complete", number, "trained to its end", 4)))
