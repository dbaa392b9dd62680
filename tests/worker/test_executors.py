"""Every executor keeps the laws: this process, a separate one, and several."""

from __future__ import annotations

import pytest

from tame.testing.executor_laws import LAWS
from tame.worker.crew import Crew
from tame.worker.executors import process_executor
from tame.worker.inline import InlineExecutor
from tame.worker.process import ProcessExecutor
from tame.worker.watch import Patience


def in_a_process(place, *, hear):
    return ProcessExecutor(place, hear=hear, log=None, restarted=lambda how: None)


def in_a_pool(place, *, hear):
    return process_executor(
        place, hear=hear, log=None, restarted=lambda how: None, patience=Patience, crew=Crew(workers=2)
    )


EXECUTORS = {"inline": InlineExecutor, "process": in_a_process, "pool": in_a_pool}


@pytest.mark.sampled(8)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", EXECUTORS)
def test_every_executor_keeps_the_laws(name, law, tmp_path, one_thread):
    law(EXECUTORS[name], tmp_path)
