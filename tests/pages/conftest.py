"""A browser, and studies for it to show."""

from __future__ import annotations

import threading

import pytest

from browsing import CHROMIUM, FLAGS, fill
from tame.core.config import StudyConfig
from tame.study.live import Live, Spent
from tame.study.session import begin
from tame.study.state import Silent


@pytest.fixture(scope="module")  # of a session it would hold on to the one loop of asyncio that other tests need
def chromium():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"needs Chromium at {CHROMIUM}; CHROMIUM names another place")
    with sync_api.sync_playwright() as play:
        own = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *FLAGS])
        yield own
        own.close()


@pytest.fixture
def running(tmp_path):
    """A study whose process lives, and what speaks for it."""
    with begin(StudyConfig(data="x", out=str(tmp_path / "runs" / "alive"), time_s=600.0), Silent()) as study:
        speaker = Live(study.folder, lambda: Spent(used_s=3.0, given_s=600.0))
        speaker.phase("stage 3 of 6: searching 4 dimensions")
        fill(study, trials=12, epochs=8)
        is_over = threading.Event()

        def live():
            while not is_over.wait(1.0):
                speaker.beat()

        alive = threading.Thread(target=live, daemon=True)
        alive.start()
        yield study, speaker
        is_over.set()
        alive.join()
        speaker.close()
