"""A study that somebody watches is the study that nobody watched."""

from __future__ import annotations

import json
import sqlite3

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the extra ui is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")

from browsing import opened, study_in
from made_spaces import linear
from served_pages import serving
from tame.app.run import fit_study
from tame.core.config import ARRAYS, INLINE, StudyConfig
from tame.data.arrays import read_arrays
from tame.kinds.arrays.source import keep_arrays
from tame.study.state import Silent, read_state

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)


class Opens(Silent):
    """Opens the page of a study once it has begun, and asks the store again and again for the lock of a writer."""

    def __init__(self, page, served, folder):
        self.page, self.served, self.folder, self.waits = page, served, folder, 0

    def history(self, history):
        if self.page.url.endswith("/"):
            self.page.goto(f"http://{self.served.host}/s/{study_in(self.served)}")
        with sqlite3.connect(self.folder / "study.db", timeout=5) as other:
            other.execute("BEGIN IMMEDIATE")
            other.execute("ROLLBACK")
        other.close()
        self.waits += 1


def fitted(folder, watcher):
    arrays = read_arrays(X, Y)
    config = StudyConfig(
        data=ARRAYS, model=INLINE, out=str(folder), trials=12, epochs=6, folds=2, set={"batch_size": 30}, widen=False,
        doctor=False, space=("optimizer.lr=0.01..0.5:log", "own.bias=true|false"),
    )  # fmt: skip
    return fit_study(config, watcher, keep=lambda to: keep_arrays(arrays, "auto", to, plain=True), build=linear)


def curves_of(folder):
    return {n: (t.recipe, t.curve, t.state) for n, t in read_state(folder)[1].history.trials.items()}


@pytest.mark.slow
def test_a_study_that_is_watched_ends_as_one_that_is_not(chromium, tmp_path, monkeypatch, one_thread):
    monkeypatch.setenv("TAME_CACHE", str(tmp_path / "cache"))
    plain, runs = tmp_path / "plain", tmp_path / "runs"
    runs.mkdir()
    result = fitted(plain, Silent())
    with serving(runs) as own, opened(chromium, own) as page:
        watcher = Opens(page, own, runs / "watched")
        watched = fitted(runs / "watched", watcher)
        page.wait_for_selector(".chip:has-text('finished')", timeout=20_000)
        page.wait_for_selector(".seal.open")
        state = json.loads(own.request(f"/api/s/{study_in(own)}/state")[2])
        assert state["view"]["problem"] == ""
    assert watcher.waits > 2
    assert curves_of(runs / "watched") == curves_of(plain)
    assert (watched.score, watched.winner) == (result.score, result.winner)
