"""Processes that train one network together end with the weights that one process alone ends with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from torch import nn

import tuned_together
from processes import wait_for
from tame.core.errors import ApartError, StoppedError
from tame.core.recipe import Recipe
from tame.trial.commands import Seat
from tame.trial.ranks import can_meet, meeting, sees_parts
from tame.trial.serial import Serial
from tame.worker.environment import LOOPBACK
from tame.worker.sockets import can_tell, listening

pytestmark = pytest.mark.skipif(not can_meet(), reason="processes of this system do not train together")

CPU = torch.device("cpu")
CHANGES = {
    "plain": {},
    "classes and examples count differently": {"loss.class_weights": "balanced", "weighted": True},
    "mixed": {"regularize.mixup": 0.4, "regularize.cutmix": 0.4, "weighted": True},
    "penalised and clipped": {"regularize.l2": 1e-2, "optimizer.clip_norm": 0.5},
    "averaged": {"regularize.ema": 0.9, "schedule.name": "cosine"},
    "batches of three": {"batch_size": 3},
}


def start(number, count, folder, changes, out):
    command = [sys.executable, tuned_together.__file__, str(number), str(count), str(folder), json.dumps(changes), out]
    return subprocess.Popen(command, env={**os.environ, **LOOPBACK}, stderr=subprocess.PIPE, text=True)


def trained(count, folder, changes):
    """What each of so many processes has found."""
    folder.mkdir()
    outs = [folder.parent / f"{count}-{number}.npz" for number in range(count)]
    processes = [start(number, count, folder, changes, out) for number, out in enumerate(outs)]
    for process in processes:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
    return [dict(np.load(out)) for out in outs]


@pytest.mark.parametrize("name", CHANGES)
def test_several_processes_make_the_update_of_one(name, tmp_path):
    """With 37 examples in batches of 8, of which some have a number that cannot be divided; one batch has one alone."""
    (alone,) = trained(1, tmp_path / "one", CHANGES[name])
    count = 4 if name == "batches of three" else 2  # some then see no example of a batch
    first, *others = trained(count, tmp_path / "several", CHANGES[name])
    assert set(first) == set(alone)
    for key, value in alone.items():  # float32
        np.testing.assert_allclose(first[key], value, rtol=1e-4, atol=1e-5, err_msg=key)
    for other in others:
        assert all(np.array_equal(other[key], value) for key, value in first.items()), "bit for bit on all of them"


def test_the_update_is_not_that_of_a_part():
    """What the comparison above would not let pass: one process that sees half of each batch."""
    recipe = Recipe().but(tuned_together.BASE)

    class Half:
        number, count = 0, 2

        def part(self, places):
            return torch.tensor_split(places, 2)[0]

        def add(self, tensors):
            pass

        def of_the_first(self, tensors, epoch):
            return tensors

    task = tuned_together.tuned_task(recipe)
    whole, half = (tuned_together.train(Serial(task, ranks=ranks), recipe) for ranks in (None, Half()))
    name = "module.upper.0.weight"
    assert np.abs(whole[name] - half[name]).max() > 1e-3


@pytest.mark.skipif(not can_tell(), reason="sockets are looked at as Linux shows them")
def test_they_listen_to_this_machine_alone(tmp_path):
    changes, found = {"epochs": 400}, []
    processes = [start(number, 2, tmp_path, changes, tmp_path / f"{number}.npz") for number in range(2)]
    try:
        wait_for(lambda: found.extend(listening([each.pid for each in processes])) or len(found) > 1)
        assert all(each.is_local for each in found), [each.words for each in found]
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_one_that_is_killed_ends_the_others_with_an_error(tmp_path):
    processes = [start(number, 2, tmp_path, {"epochs": 4000}, tmp_path / f"{number}.npz") for number in range(2)]
    wait_for(lambda: (tmp_path / "store").exists())
    time.sleep(1)
    processes[1].kill()
    _, said = processes[0].communicate(timeout=60)
    processes[1].communicate()
    assert "ApartError: a process that trained with this one is gone" in said
    assert processes[0].returncode == 1


def test_who_waits_shows_signs_of_life_and_ends_when_asked(tmp_path):
    calls = []

    def pulse():
        calls.append(1)
        if len(calls) == 3:
            raise StoppedError("stopped by the user")

    with pytest.raises(StoppedError), meeting(Seat(number=0, count=2, folder=str(tmp_path)), CPU, pulse):
        pytest.fail("nobody else came")
    assert len(calls) == 3


@pytest.mark.parametrize("moment", ["before", "meanwhile"])
def test_who_comes_where_nobody_is_any_more_does_not_wait(moment, tmp_path):
    folder = tmp_path / "gone"
    if moment == "meanwhile":
        folder.mkdir()

    def pulse():
        for each in folder.iterdir():
            each.unlink()
        folder.rmdir()

    with pytest.raises(ApartError, match="gone"), meeting(Seat(number=0, count=2, folder=str(folder)), CPU, pulse):
        pytest.fail("nobody else came")


def test_norms_over_the_examples_are_refused_in_training():
    module = tuned_together.upper_part()
    assert not sees_parts(module.train())
    assert sees_parts(module.eval())
    assert sees_parts(nn.LayerNorm(3).train())


def test_processes_at_different_epochs_do_not_go_on(tmp_path):
    code = """
import sys, torch
from tame.trial.commands import Seat
from tame.trial.population import nothing
from tame.trial.ranks import meeting
number, folder = int(sys.argv[1]), sys.argv[2]
with meeting(Seat(number=number, count=2, folder=folder), torch.device("cpu"), nothing) as ranks:
    ranks.of_the_first({"w": torch.zeros(2)}, 3 + number)
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(number), str(tmp_path)], env={**os.environ, **LOOPBACK},
            stderr=subprocess.PIPE, text=True,
        )
        for number in range(2)
    ]  # fmt: skip
    said = [process.communicate(timeout=60)[1] for process in processes]
    assert any("are at different epochs: [3, 4]" in each for each in said), said
