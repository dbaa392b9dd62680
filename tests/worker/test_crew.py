"""How many workers there may be, and what each of them is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from tame.core.config import StudyConfig
from tame.core.errors import UsageError
from tame.worker import crew
from tame.worker.crew import Crew, crew_of
from tame.worker.environment import usable_cores
from tame.worker.executor import Place

PLACE = Place(cache=Path("cache"), study=Path("study"))


@pytest.fixture(autouse=True)
def no_gpus(monkeypatch, tmp_path):
    """A machine without GPUs; `machine` gives it some."""
    monkeypatch.delenv(crew.VISIBLE, raising=False)
    monkeypatch.setattr(crew, "DRIVER", tmp_path / "gpus")
    monkeypatch.setattr(crew, "_has_cuda", lambda: True)


def machine(folder, num):
    for number in range(num):
        (folder / "gpus" / f"0000:0{number}:00.0").mkdir(parents=True)


@pytest.mark.parametrize("workers", [1, 2, 3, 64])
def test_cores_are_shared_out(workers):
    own = crew_of(workers)
    assert (own.workers, own.threads, own.gpus) == (workers, max(1, usable_cores() // workers), ())
    assert own.place(PLACE, 0).share == (0 if workers == 1 else own.threads)


def test_more_workers_than_cores_is_said():
    words = crew_of(64).words if usable_cores() < 64 else "some of them wait"
    assert "some of them wait" in words
    assert "wait" not in Crew(workers=usable_cores()).words


def test_each_worker_has_a_gpu_of_its_own(tmp_path):
    machine(tmp_path, 3)
    own = crew_of(2)
    assert [own.place(PLACE, number).gpu for number in range(2)] == ["0", "1"]
    assert own.words == "2 workers train at the same time, on a GPU each"
    with pytest.raises(UsageError, match="4 workers need a GPU each, and there are 3: give --workers 3"):
        crew_of(4)
    assert crew_of(1).place(PLACE, 0) == PLACE, "one takes what torch finds"


@pytest.mark.parametrize(("said", "gpus"), [("2,5", ("2", "5")), ("GPU-a, GPU-b", ("GPU-a", "GPU-b")), ("", ()),
                                            ("0,1,-1,3", ("0", "1"))])  # fmt: skip
def test_gpus_that_the_user_chose_are_those(said, gpus, tmp_path, monkeypatch):
    machine(tmp_path, 8)
    monkeypatch.setenv(crew.VISIBLE, said)
    assert crew_of(2).gpus == gpus


def test_two_workers_never_share_a_gpu(monkeypatch):
    monkeypatch.setenv(crew.VISIBLE, "1,1")
    with pytest.raises(UsageError, match="names a GPU twice"):
        crew_of(2)
    monkeypatch.setenv(crew.VISIBLE, "1")
    with pytest.raises(UsageError, match="there is 1: give --workers 1"):
        crew_of(2)


def test_torch_without_gpus_uses_none(tmp_path, monkeypatch):
    machine(tmp_path, 2)
    monkeypatch.setattr(crew, "_has_cuda", lambda: False)
    assert crew_of(2).gpus == ()


@pytest.mark.parametrize("workers", [0, -1, 65])
def test_there_is_at_least_one_worker_and_not_too_many(workers):
    with pytest.raises(UsageError, match=f"workers must be 1 to 64, got {workers}"):
        StudyConfig(data="x", workers=workers)


@pytest.mark.parametrize("workers", [1.5, "2", True])
def test_a_number_of_workers_is_a_whole_number(workers):
    with pytest.raises(UsageError, match="workers must be a whole number"):
        StudyConfig(data="x", workers=workers)
