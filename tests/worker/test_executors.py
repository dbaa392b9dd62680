"""Every executor keeps the laws: this process, and a separate one."""

from __future__ import annotations

import pytest

from tame.testing.executor_laws import LAWS
from tame.worker.inline import InlineExecutor
from tame.worker.process import ProcessExecutor


def in_a_process(place, *, hear):
    return ProcessExecutor(place, hear=hear, log=None, restarted=lambda how: None)


EXECUTORS = {"inline": InlineExecutor, "process": in_a_process}


@pytest.mark.sampled(6)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", EXECUTORS)
def test_every_executor_keeps_the_laws(name, law, tmp_path, one_thread):
    law(EXECUTORS[name], tmp_path)
