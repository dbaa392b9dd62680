"""Which engine trains what, side by side or one by one, and what happens where memory runs out."""

from __future__ import annotations

import json
import math
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.optim.optimizer import register_optimizer_step_pre_hook

from measurers import ALONE, TOGETHER, Company, OutOfMemory, Told, run_out
from tame.core.errors import StoppedError, StorageError
from tame.core.plain import to_plain
from tame.core.recipe import Recipe
from tame.data.sources import table_of_texts, write_columns
from tame.data.tables import Column, Table
from tame.kinds.tables.commands import Given
from tame.kinds.tables.material import TableMaterial
from tame.trial.choose import Chooser, Measured
from tame.trial.commands import Asked, Chosen, How, MemberOf, Note, PointMeasured, Progress, StateOf, Unsealed
from tame.trial.measurements import Measurements
from tame.trial.measurer import Rehearsals
from tame.trial.own_module import is_out_of_memory
from tame.trial.population import Examples, Member
from tame.trial.serial import Serial
from tame.trial.side_by_side import side_by_side, threads
from tame.trial.stacked import Stacked
from tame.trial.unit import Job, Unit
from tame.worker.environment import usable_cores
from tame.worker.trainer import Trainer

NUM = 60
CPU = torch.device("cpu")


def table_of():
    rng = np.random.default_rng(0)
    values = {"a": rng.normal(size=NUM), "b": rng.normal(size=NUM)}
    return Table(tuple(Column(name, "number", "") for name in values), values, NUM)


def material_of():
    return TableMaterial(table_of(), device=CPU)


def examples_of():
    fold = torch.full((NUM,), -1)
    fold[:12] = 0
    return Examples(torch.arange(NUM) % 2, fold, 2)


def recipe_of(**changes):
    base = {"model.name": "mlp", "model.width": 4, "model.depth": 1, "batch_size": 16, "epochs": 2}
    return Recipe().but(base | changes)


def groups_of(tmp_path, jobs, *, measurer=None, **how):
    chooser = Chooser(Measurements(tmp_path / "engines.json", {}), CPU, measurer=measurer)
    return chooser.groups(material_of(), jobs, [0], range(NUM), examples_of(), **how), chooser


# The choice -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alone", "together", "members", "stacked", "size"),
    [
        (1.0, {4: 0.5, 16: 0.2}, 16, True, 16),
        (1.0, {4: 0.5, 16: 0.2}, 4, True, 4),  # sixteen places would be three quarters empty
        (1.0, {4: 0.5, 16: 0.2}, 8, True, 16),
        (1.0, {4: 0.5, 16: 0.9, 64: math.inf}, 64, True, 4),
        (1.0, {4: 1.5, 16: 1.2}, 64, False, 1),
        (1.0, {}, 1, False, 1),
        (1.0, {1: 0.9}, 1, True, 1),
        (1.0, {1: 1.1}, 1, False, 1),
    ],
)
def test_the_fastest_engine_for_a_number_of_members_is_chosen(alone, together, members, stacked, size):
    choice = Measured(alone, together).choice(members)
    assert (choice.stacked, choice.members) == (stacked, size)
    assert "plain 1000.00 ms" in choice.why


@pytest.mark.parametrize(("stacked_s", "engine"), [(0.5, Stacked), (2.0, Serial)])
def test_a_single_network_is_trained_by_what_is_faster(tmp_path, stacked_s, engine):
    measurer = Told(alone_s=1.0, together_s=stacked_s)
    (group,), chooser = groups_of(tmp_path, [Job(0, recipe_of())], measurer=measurer)
    assert isinstance(group.lanes[0].engine, engine)
    assert chooser.uses()[0].why.endswith(f"plain 1000.00 ms, stacked alone {1e3 * stacked_s:.2f}")


class Refuses(Rehearsals):
    """Someone who must not be asked how long a step takes."""

    def alone(self, engine, member, steps, *, whole=False):
        pytest.fail("measured again")

    def together(self, engine, members, steps):
        pytest.fail("measured again")


def test_measurements_are_cached_for_the_machine(tmp_path):
    jobs = [Job(i, recipe_of(**{"optimizer.lr": 1e-3 * (i + 1)})) for i in range(4)]
    first, _ = groups_of(tmp_path, jobs)
    again, _ = groups_of(tmp_path, jobs, measurer=Refuses())
    assert [type(g.lanes[0].engine) for g in first] == [type(g.lanes[0].engine) for g in again]


def test_a_study_keeps_what_it_measured_and_is_not_asked_again(tmp_path):
    """Whatever has become of what the machine remembers: another study may have measured it on a busy day."""
    jobs, told = [Job(i, recipe_of()) for i in range(4)], {}
    chooser = Chooser(Measurements(tmp_path / "a.json", {}, told.__setitem__), CPU, measurer=TOGETHER)
    chooser.groups(material_of(), jobs, [0], range(NUM), examples_of())
    assert len(told) == 1
    groups_of(tmp_path, jobs, measurer=ALONE)  # in the other file
    again = Chooser(Measurements(tmp_path / "engines.json", told, pytest.fail), CPU, measurer=Refuses())
    (group,) = again.groups(material_of(), jobs, [0], range(NUM), examples_of())
    assert isinstance(group.lanes[0].engine, Stacked)


def test_what_the_machine_remembers_becomes_the_studys_own(tmp_path):
    jobs, told = [Job(i, recipe_of()) for i in range(4)], {}
    groups_of(tmp_path, jobs)
    kept = Measurements(tmp_path / "engines.json", {}, told.__setitem__)
    Chooser(kept, CPU, measurer=Refuses()).groups(material_of(), jobs, [0], range(NUM), examples_of())
    assert told == json.loads((tmp_path / "engines.json").read_text())


@pytest.mark.parametrize("engine", [Serial, Stacked])
def test_what_other_programs_take_from_a_step_does_not_count(tmp_path, monkeypatch, engine):
    """A thread that waits, as for a core on a busy machine, does no work meanwhile."""
    task, member = material_of().task(recipe_of(), range(NUM), examples_of(), [0]), Member(-1, 0, recipe_of())

    def measured():
        own = Rehearsals()
        return own.alone(Serial(task), member, 4) if engine is Serial else own.together(Stacked(task), [member], 4)

    given, waited_s = type(task).batch, 0.03
    measured()  # whatever the first time prepares
    monkeypatch.setattr(type(task), "batch", lambda *args, **how: time.sleep(waited_s) or given(*args, **how))
    assert 0 < measured() < waited_s


DAMAGED = [{}, 3, {"alone": "x", "together": {}}, {"alone": None, "together": {}}, {"alone": 1.0, "together": [1]},
           {"alone": -1.0, "together": {}}, {"alone": 1.0, "together": {"0": 1.0}}]  # fmt: skip


@pytest.mark.parametrize("value", DAMAGED, ids=str)
def test_an_invalid_cached_measurement_is_measured_again(tmp_path, value):
    jobs = [Job(i, recipe_of()) for i in range(4)]
    groups_of(tmp_path, jobs)
    file = tmp_path / "engines.json"
    known = json.loads(file.read_text())
    file.write_text(json.dumps(dict.fromkeys(known, value)))
    groups_of(tmp_path, jobs)
    again = json.loads(file.read_text())
    assert again.keys() == known.keys()
    assert all(each != value and each["alone"] > 0 for each in again.values())


def test_a_file_of_measurements_that_cannot_be_read_or_written_ends_nothing(tmp_path):
    jobs, file = [Job(0, recipe_of())], tmp_path / "engines.json"
    file.write_text("[" * 200_000)
    groups_of(tmp_path, jobs)
    assert json.loads(file.read_text())
    file.unlink()
    file.mkdir()
    assert len(groups_of(tmp_path, jobs)[0]) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["engines.json"], "nothing half written is left"


@pytest.mark.parametrize(("begun", "engine"), [(True, Stacked), (False, Serial)])
def test_a_trial_continues_in_the_engine_that_it_started_in(tmp_path, begun, engine):
    jobs = [Job(i, recipe_of()) for i in range(3)]
    groups, _ = groups_of(tmp_path, jobs, begun=lambda trial: begun)
    assert {type(lane.engine) for group in groups for lane in group.lanes} == {engine}
    assert sorted(job.trial for group in groups for job in group.jobs) == [0, 1, 2]


def test_there_are_as_many_groups_as_cores_to_train_them(tmp_path):
    jobs = [Job(i, recipe_of()) for i in range(8)]
    groups, _ = groups_of(tmp_path, jobs, measurer=TOGETHER, begun=lambda trial: True, at_least=2)
    assert [len(group.jobs) for group in groups] == [4, 4]


def test_groups_that_take_longest_come_first(tmp_path):
    """So that no core is left alone with a long one at the end; a step of few examples takes as long as of many."""
    sizes = [32, 2, 32, 2, 32, 2]
    jobs = [Job(i, recipe_of(batch_size=size)) for i, size in enumerate(sizes)]
    groups, _ = groups_of(tmp_path, jobs, measurer=TOGETHER, at_least=2)
    found = [job.recipe.batch_size for group in groups for job in group.jobs]
    assert found == [2, 2, 2, 32, 32, 32]


def test_what_is_solved_at_once_comes_before_all_networks(tmp_path):
    """So that there is a model however soon the clock ends."""
    texts = TableMaterial(table_of_texts([f"letter {i} of {i % 2}" for i in range(NUM)]), device=CPU)
    recipes = [recipe_of(), recipe_of(**{"model.name": "words", "epochs": 1}), recipe_of(batch_size=2)]
    jobs = [Job(i, recipe) for i, recipe in enumerate(recipes)]
    chooser = Chooser(Measurements(tmp_path / "engines.json", {}), CPU, measurer=TOGETHER)
    groups = chooser.groups(texts, jobs, [0], range(NUM), examples_of())
    assert [job.trial for group in groups for job in group.jobs] == [1, 2, 0]


# Side by side ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [False, True])
def test_jobs_of_one_library_run_together_and_begin_with_that_of_the_first(first):
    begun = []

    def job(number):
        def run(send):
            begun.append(number)
            return True

        return run

    side_by_side([job(i) for i in range(4)], cores=1, emit=begun.append, onednn=[first, not first, first, not first])
    assert begun == [0, 2, 1, 3]


@pytest.mark.parametrize("cores", [1, 2, 3])
def test_messages_come_from_the_calling_thread_and_failures_are_counted(cores):
    heard = []

    def emit(message):
        heard.append((message["job"], threading.current_thread() is threading.main_thread()))

    def job(number):
        def run(send):
            for _ in range(5):
                send({"job": number})
            return number != 2

        return run

    assert side_by_side([job(i) for i in range(4)], cores=cores, emit=emit) == [2]
    assert sorted(heard) == [(i, True) for i in range(4) for _ in range(5)]


@pytest.mark.parametrize("cores", [1, 2])
def test_a_stop_ends_all_jobs_and_a_fault_of_one_is_raised(cores):
    ended = []

    def endless(send):
        try:
            while True:
                send({})
        finally:
            ended.append(1)

    def stop(message):
        raise StoppedError("stopped")

    with pytest.raises(StoppedError):
        side_by_side([endless, endless, endless], cores=cores, emit=stop)
    assert 1 <= len(ended) <= cores

    def faulty(send):
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        side_by_side([faulty, endless] if cores > 1 else [faulty], cores=cores, emit=lambda message: None)


def test_torch_gets_its_threads_back():
    before = torch.get_num_threads()
    with threads(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


# Memory ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [2, 3, 16])
def test_gradients_added_up_over_parts_of_a_batch_are_those_of_the_batch(parts):
    recipe = recipe_of(**{"model.dropout": 0.3, "optimizer.clip_norm": 0.5, "regularize.l2": 1e-3})
    task = material_of().task(recipe, range(NUM), examples_of(), [0])
    task = replace(task, x=task.x.double())
    member = Member(0, 0, recipe)
    whole, split = (
        engine.advance(engine.start([member]), until=2, watch=lambda *_: None)
        for engine in (Serial(task), Serial(task, parts))
    )
    for name, value in whole.tensors.items():
        torch.testing.assert_close(split.tensors[name], value, rtol=1e-9, atol=1e-11)


def trainer_of(tmp_path, heard, **how):
    """how: a measurer, and what trains a unit."""
    trainer = Trainer(cache=tmp_path / "cache", study=tmp_path / "study", emit=heard.append, **how)
    columns = tmp_path / "columns.npz"
    tmp_path.mkdir(exist_ok=True)
    write_columns(columns, table_of())
    trainer.open("table", to_plain(Given(files=(), arrays=str(columns), columns=table_of().columns, kept=())))
    examples = examples_of()
    trainer.learn(
        Unsealed(
            rows=range(NUM), targets=examples.target.tolist(), folds=examples.fold.tolist(), num_classes=2,
            task="binary",
        )
    )  # fmt: skip
    return trainer


def advance(trainer, num_trials):
    trials = [Asked(trial=i, recipe=recipe_of()) for i in range(num_trials)]
    return trainer.advance(trials, folds=[0], until=2, metric="accuracy", final=False)


def delivered(trainer, number, folder):
    member = MemberOf(StateOf(trial=number, recipe=recipe_of(seed=number), epochs=2), None)
    trainer.network([member], labels=["no", "yes"])
    trainer.deliver(str(folder))
    return member, load_file(folder / "model.safetensors")


def test_on_all_rows_a_network_is_the_trial_again_and_on_fewer_another(tmp_path):
    trainer = trainer_of(tmp_path, heard := [], measurer=ALONE)
    trainer.advance([Asked(trial=0, recipe=recipe_of())], folds=[0], until=2, metric="accuracy", final=False)
    how = next(message.how for message in heard if isinstance(message, Chosen))
    state = StateOf(trial=0, recipe=recipe_of(), epochs=2, how=how)
    whole, again = trainer.validation(state, folds=[0]), trainer.on_fewer(state, folds=[0], rows=range(NUM))
    assert again.rows == whole.rows == list(range(12))
    np.testing.assert_allclose(again.outputs, whole.outputs, rtol=0, atol=1e-6)  # float32
    fewer = trainer.on_fewer(state, folds=[0], rows=range(12, 36))
    assert fewer.rows == whole.rows
    assert np.abs(np.array(fewer.outputs) - whole.outputs).max() > 1e-4
    others = trainer.on_fewer(state, folds=[0], rows=range(36, 60))
    assert np.abs(np.array(fewer.outputs) - others.outputs).max() > 1e-4, "as many, but others"
    np.testing.assert_array_equal(trainer.validation(state, folds=[0]).outputs, whole.outputs)


def test_members_judge_together_by_the_mean_of_their_probabilities(tmp_path):
    trainer = trainer_of(tmp_path, [], measurer=ALONE)
    members = [MemberOf(StateOf(trial=i, recipe=recipe_of(seed=i), epochs=2), None) for i in (0, 1)]
    each = []
    for member in members:
        trainer.network([member], labels=["no", "yes"])
        each.append(torch.tensor(trainer.judge(range(NUM)), dtype=torch.float64).softmax(dim=1))
        assert trainer.distances(range(NUM)) == []
    trainer.network(members, labels=["no", "yes"], temperature=2.0, remembers=True)
    mean = ((each[0] + each[1]) / 2).sqrt()
    outputs = torch.tensor(trainer.judge(range(NUM)), dtype=torch.float64)
    torch.testing.assert_close(outputs.softmax(dim=1), mean / mean.sum(dim=1, keepdim=True), rtol=1e-5, atol=1e-6)
    trainer.deliver(str(tmp_path / "model"))
    again = torch.tensor(trainer.judge_again(str(tmp_path / "model"), rows=range(NUM)), dtype=torch.float64)
    torch.testing.assert_close(again, outputs, rtol=0, atol=1e-6)
    assert trainer.distances(range(NUM)) == [], "60 examples are too few to tell what is unlike them"


def test_what_is_delivered_is_trained_side_by_side_with_the_same_result(tmp_path):
    heard, one_by_one = [], trainer_of(tmp_path / "a", [], measurer=ALONE)
    found = [delivered(one_by_one, number, tmp_path / f"one{number}") for number in (0, 1)]
    together = trainer_of(tmp_path / "b", heard, measurer=ALONE)
    together.train_again([member for member, _ in found])
    said = [(each.what, each.done, each.total) for each in heard if isinstance(each, Progress)]
    assert sorted(said) == [("epochs of what is delivered", epoch, 2) for epoch in (1, 1, 2, 2)]
    steps = []
    listening = register_optimizer_step_pre_hook(lambda *_: steps.append(1))
    try:
        again = [delivered(together, number, tmp_path / f"both{number}")[1] for number in (0, 1)]
    finally:
        listening.remove()
    assert not steps, "trained once more"
    for (_, before), after in zip(found, again, strict=True):
        assert all(torch.equal(value, after[name]) for name, value in before.items())


def points_of(heard):
    return {(each.trial, each.point.epoch): each.point for each in heard if isinstance(each, PointMeasured)}


def test_a_trial_keeps_the_way_in_which_it_began(tmp_path):
    """A trial that is asked for again without the others, and measured otherwise, has the same numbers."""
    heard, again, otherwise = [], [], []
    recipe = recipe_of(**{"model.width": 48, "model.depth": 2, "epochs": 8})
    whole = [Asked(trial=number, recipe=recipe) for number in range(4)]
    trainer = trainer_of(tmp_path / "first", heard, measurer=Company(least=4))
    trainer.advance(whole, folds=[0], until=8, metric="accuracy", final=False)
    (chosen,) = [each for each in heard if isinstance(each, Chosen)]
    assert (sorted(chosen.trials), chosen.how.stacked) == ([0, 1, 2, 3], True)
    for folder, messages, how in (("again", again, chosen.how), ("otherwise", otherwise, None)):
        trainer = trainer_of(tmp_path / folder, messages, measurer=ALONE)
        asked = [Asked(trial=3, recipe=recipe, how=how)]
        trainer.advance(asked, folds=[0], until=8, metric="accuracy", final=False)
    assert points_of(again) == {key: point for key, point in points_of(heard).items() if key[0] == 3}
    assert not [each for each in again if isinstance(each, Chosen)], "it was chosen before"
    assert [each.how.stacked for each in otherwise if isinstance(each, Chosen)] == [False]
    assert points_of(otherwise) != points_of(again), "the engines differ in their last digits"


def test_a_process_that_is_restarted_in_the_middle_chooses_as_the_one_before(tmp_path):
    """Some of its trials have a checkpoint by then, and some have none."""
    jobs = [Job(i, recipe_of()) for i in range(4)]
    measurer = Company(least=4)
    whole, _ = groups_of(tmp_path, jobs, measurer=measurer)
    again, _ = groups_of(tmp_path, jobs, measurer=measurer, begun=lambda trial: True if trial < 3 else None)
    assert {group.how for group in whole} == {group.how for group in again} == {How(stacked=True)}


@pytest.mark.parametrize("stacked", [True, False])
def test_what_is_judged_is_trained_again_in_the_way_in_which_it_began(stacked, tmp_path):
    found = {}
    for place, measurer, how in (
        ("first", TOGETHER if stacked else ALONE, None),
        ("again", ALONE if stacked else TOGETHER, How(stacked=stacked)),
    ):
        trainer = trainer_of(tmp_path / place, [], measurer=measurer)
        state = StateOf(trial=0, recipe=recipe_of(), epochs=2, how=how)
        found[place] = trainer.validation(state, folds=[0]).outputs
    assert found["first"] == found["again"]


def test_if_memory_runs_out_groups_are_halved_and_no_trial_is_lost(tmp_path):
    heard = []

    def short(unit, **how):
        if len(unit.jobs) > 1:
            run_out()
        Unit.advance(unit, **how)

    advance(trainer_of(tmp_path, heard, measurer=TOGETHER, run=short), 4)
    points = [(message.trial, message.point.epoch) for message in heard if isinstance(message, PointMeasured)]
    assert sorted(points) == [(trial, epoch) for trial in range(4) for epoch in (1, 2)]
    notes = [message.text for message in heard if isinstance(message, Note)]
    assert any("half as many now" in note for note in notes)


def test_if_one_network_is_too_large_gradients_are_accumulated_or_an_error_says_so(tmp_path):
    heard = []

    def short(unit, **how):
        engine = unit.lanes[0].engine
        if not isinstance(engine, Serial) or engine.parts < 4:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        Unit.advance(unit, **how)

    advance(trainer_of(tmp_path, heard, run=short), 1)
    notes = [message.text for message in heard if isinstance(message, Note)]
    assert notes[-1].endswith("gradients are accumulated over 4 parts of a batch now")
    assert [message.point.epoch for message in heard if isinstance(message, PointMeasured)] == [1, 2]

    def never(unit, **how):
        run_out()

    with pytest.raises(StorageError, match="memory ran out with trial 0 alone"):
        advance(trainer_of(tmp_path / "other", [], run=never), 1)


def test_groups_that_do_not_fit_while_they_are_measured_are_not_used(tmp_path):
    jobs = [Job(i, recipe_of()) for i in range(8)]
    groups, chooser = groups_of(tmp_path, jobs, measurer=OutOfMemory(parts=1))
    assert [len(group.jobs) for group in groups] == [1] * 8
    assert {each.engine for each in chooser.uses()} == {"serial"}


def test_a_network_that_does_not_fit_while_it_is_measured_is_trained_in_parts(tmp_path):
    short = OutOfMemory(parts=4)
    groups, chooser = groups_of(tmp_path, [Job(i, recipe_of()) for i in range(2)], measurer=short)
    assert len(groups) == 2
    company, alone = chooser.epoch_s(material_of(), recipe_of(), [0], range(NUM), examples_of())
    assert 0 < company == alone < math.inf
    groups, chooser = groups_of(tmp_path, [Job(0, recipe_of())], measurer=short)
    task = groups[0].lanes[0].engine.task
    assert chooser.rehearse(task, Member(0, 0, recipe_of())) < math.inf
    assert (
        "4 parts of a batch"
        in chooser.choice(material_of(), recipe_of(), [0], range(NUM), examples_of(), members=4).why
    )
    short.parts = math.inf
    with pytest.raises(StorageError, match="memory ran out with a single network"):
        chooser.rehearse(task, Member(0, 0, recipe_of()))


def test_other_faults_are_not_mistaken_for_a_lack_of_memory():
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not is_out_of_memory(RuntimeError("shapes cannot be multiplied"))


def test_workers_share_out_cores_and_count_the_groups_of_all_in_memory(tmp_path):
    """Small steps run one on a core; of a worker's cores those of its share while others train, and all when alone."""
    cores = usable_cores()
    alone, one = (trainer_of(tmp_path / str(share), [], share=share)._bench for share in (0, 1))
    recipes = [recipe_of()]
    assert (alone.cores(recipes), alone.in_all(recipes)) == (cores, cores)
    assert (one.cores(recipes), one.cores(recipes, share=one.share), one.in_all(recipes)) == (cores, 1, cores)
    with one.threads(1, share=one.share):
        assert torch.get_num_threads() == 1
