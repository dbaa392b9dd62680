"""The laws that every Engine must satisfy. Each law takes a `Bench`.

A bench builds the engine on some examples. Laws about groups run only if the engine supports several members.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from tame.core.errors import StoppedError
from tame.core.recipe import Recipe
from tame.core.records import Point
from tame.store.checkpoints import Checkpoints
from tame.trial.commands import Fold
from tame.trial.member_states import MemberStates
from tame.trial.population import Engine, Examples, Measured, Member, Population, join, joint, nothing, take
from tame.trial.unit import Job, Lane, Unit

Law = Callable[["Bench"], None]


@dataclass(frozen=True, slots=True)
class Bench:
    """What an engine is tested on.

    make: builds the engine on these examples; the inputs of rows in `spoilt` must be changed, to any finite values.
    recipes: of one group and seed, three or more if the engine supports several members. wild: a recipe of the same
    group that diverges, or None. rtol, atol: between the same training in different groups. metric: the metric of
    units.
    """

    make: Callable[[Examples, Sequence[int]], Engine]
    examples: Examples
    recipes: tuple[Recipe, ...]
    wild: Recipe | None
    takes_several: bool
    rtol: float
    atol: float
    metric: str = "accuracy"

    def engine(self) -> Engine:
        return self.make(self.examples, ())

    @property
    def mixes_folds(self) -> bool:
        """Whether one population may have members that leave out different folds."""
        return not self.takes_several or joint(self.examples, self.recipes[0])

    def members(self) -> list[Member]:
        """A member for each recipe: on all examples or without one of the folds, or all without the same fold."""
        folds = [None, *range(int(self.examples.fold.max()) + 1)] if self.mixes_folds else [1]
        return [Member(i, folds[i % len(folds)], recipe) for i, recipe in enumerate(self.recipes)]

    def lanes(self, jobs: Sequence[Job], folds: Sequence[Fold]) -> list[Lane]:
        """These trials on these folds, as many together as the engine supports."""
        every = [Member(job.trial, fold, job.recipe) for fold in folds for job in jobs]
        if not self.takes_several:
            parts = [[member] for member in every]
        elif self.mixes_folds:
            parts = [every]
        else:
            parts = [[member for member in every if member.fold == fold] for fold in folds]
        return [Lane(self.engine(), self.examples, part) for part in parts]


def stopping_and_resuming_equals_never_stopping(bench: Bench) -> None:
    """At every epoch, and through a checkpoint: bit for bit."""
    for members in _units(bench):
        straight = _train(bench, members, 3)
        for stop in (1, 2):
            half = _train(bench, members, stop)
            _same(_advance(bench, half, 3), straight)
            _same(_advance(bench, _through_a_checkpoint(half), 3), straight)


def the_same_training_gives_the_same_result(bench: Bench) -> None:
    for members in _units(bench):
        torch.manual_seed(1)
        first, seen = _watched(bench, members, 2)
        torch.manual_seed(2)
        torch.rand(7)
        again, seen_again = _watched(bench, members, 2)
        _same(first, again)
        for one, other in zip(seen, seen_again, strict=True):
            assert torch.equal(one.outputs, other.outputs)
            assert torch.equal(one.train_loss, other.train_loss)


def training_leaves_torchs_own_chance_alone(bench: Bench) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    _train(bench, _units(bench)[0], 2)
    assert torch.equal(torch.get_rng_state(), before)


def advancing_changes_nothing_that_it_was_given(bench: Bench) -> None:
    population = _train(bench, _units(bench)[0], 1)
    before = {name: value.clone() for name, value in population.tensors.items()}
    further = _advance(bench, population, 2)
    assert population.epoch == 1
    for name, value in before.items():
        assert torch.equal(population.tensors[name], value), name
    changed = [not torch.equal(further.tensors[name], value) for name, value in before.items()]
    assert any(changed), "an epoch of training must change something"
    _same(_advance(bench, population, 1), population)


def every_epoch_is_watched_once_and_in_order(bench: Bench) -> None:
    for members in _units(bench):
        population, seen = _watched(bench, members, 3)
        assert population.epoch == 3
        assert [measured.epoch for measured in seen] == [1, 2, 3]
        validated = torch.stack([bench.examples.validates(member) for member in members]).any(dim=0)
        for measured in seen:
            assert measured.rows.tolist() == validated.nonzero().squeeze(1).tolist()
            assert measured.outputs.shape == (len(members), len(measured.rows), max(bench.examples.num_classes, 1))
            assert measured.train_loss.shape == (len(members),)
        if len(seen[-1].rows):
            found = bench.engine().predict(population, seen[-1].rows)
            torch.testing.assert_close(found, seen[-1].outputs, rtol=1e-6, atol=1e-6)


def training_lowers_the_loss(bench: Bench) -> None:
    for members in _units(bench):
        _, seen = _watched(bench, members, 4)
        assert (seen[-1].train_loss < seen[0].train_loss).all()


def a_members_result_does_not_depend_on_its_company(bench: Bench) -> None:
    if not bench.takes_several:
        return
    members = bench.members()
    together = _train(bench, members, 4)
    for order in ([0], [2, 1], [1, 0, 2], [0, 0, 1]):
        other = _train(bench, [members[i] for i in order], 4)
        for place, i in enumerate(order):
            _close(bench, take(other, [place]), take(together, [i]))


def members_may_come_and_go(bench: Bench) -> None:
    """Dropped, copied and joined between epochs, each continues as if nothing had happened."""
    if not bench.takes_several:
        return
    members = bench.members()
    straight = _train(bench, members, 4)
    half = _train(bench, members, 2)
    _close(bench, _advance(bench, take(half, [2, 0]), 4), take(straight, [2, 0]))
    _close(bench, _advance(bench, take(half, [1, 1]), 4), take(straight, [1, 1]))
    parts = [_train(bench, [member], 2) for member in members]
    _close(bench, _advance(bench, join(parts), 4), straight)


def a_diverged_member_leaves_its_neighbours_unmoved(bench: Bench) -> None:
    """Bit for bit, and it did diverge."""
    if not bench.takes_several or bench.wild is None:
        return
    members = bench.members()
    calm = _train(bench, members, 4)
    crowd = [members[0], replace(members[1], trial=9, recipe=bench.wild), *members[2:]]
    wild, seen = _watched(bench, crowd, 4)
    assert not torch.stack([m.train_loss[1] for m in seen]).isfinite().all(), "the wild recipe should diverge"
    others = [i for i in range(len(members)) if i != 1]
    _same(take(wild, others), take(calm, others))
    for measured in seen:
        assert measured.train_loss[others].isfinite().all()
        assert measured.outputs[others].isfinite().all()


def an_example_never_influences_the_member_that_it_validates(bench: Bench) -> None:
    """Neither its inputs nor its label do; the members that train on it are affected by both."""
    recipe, fold = bench.recipes[0], 1
    rows = bench.examples.validates(Member(0, fold, recipe)).nonzero().squeeze(1).tolist()
    turned = bench.examples.target.clone()
    turned[rows] = (turned[rows] + 1) % bench.examples.num_classes if bench.examples.num_classes else turned[rows] + 9
    relabelled = replace(bench.examples, target=turned)
    for examples, spoilt in ((bench.examples, rows), (relabelled, [])):
        other = replace_make(bench, examples, spoilt)
        for own_fold in (fold, 0):
            member = Member(0, own_fold, recipe)
            beside = Member(1, 0 if bench.mixes_folds else own_fold, recipe)
            units = [[member], [beside, member]] if bench.takes_several else [[member]]
            for unit in units:
                plain, moved = _train(bench, unit, 2), _train(other, unit, 2)
                place = len(unit) - 1
                if own_fold == fold:
                    _same(take(moved, [place]), take(plain, [place]))
                else:
                    assert not _equal(take(moved, [place]), take(plain, [place]))


def members_of_one_seed_share_their_chance(bench: Bench) -> None:
    """Two members of the same recipe are the same network, before and after training, whatever their trial."""
    members = [Member(3, None, bench.recipes[0]), Member(8, None, bench.recipes[0])]
    first, second = (_train(bench, [member], 2) for member in members)
    _same(replace(first, members=second.members), second)
    other = bench.recipes[0].but({"seed": bench.recipes[0].seed + 1})
    assert not _equal(bench.engine().start([Member(3, None, other)]), bench.engine().start(members[:1]))


def a_unit_resumed_from_a_checkpoint_shows_the_same_points(bench: Bench) -> None:
    """As after a kill: new states on the same checkpoints, with nothing else kept; bit for bit."""
    jobs = [Job(i, recipe) for i, recipe in enumerate(bench.recipes)]
    jobs = jobs if bench.takes_several else jobs[:1]
    folds = list(range(int(bench.examples.fold.max()) + 1))
    with tempfile.TemporaryDirectory() as folder:
        straight = _points(bench, MemberStates(Checkpoints(Path(folder, "straight"))), jobs, folds, 3)
        for stop in (1, 2):
            checkpoints = Path(folder, f"at{stop}")
            before = _points(bench, MemberStates(Checkpoints(checkpoints)), jobs, folds, stop)
            after = _points(bench, MemberStates(Checkpoints(checkpoints)), jobs, folds, 3)
            assert before | after == straight
            assert after == straight, "a resumed unit must send all points of its trials again"


def a_unit_that_is_ended_between_two_steps_goes_on_from_its_last_whole_epoch(bench: Bench) -> None:
    """Whichever of its lanes it was in; bit for bit, in the same process and in a new one."""
    jobs = [Job(i, recipe) for i, recipe in enumerate(bench.recipes)]
    jobs = jobs if bench.takes_several else jobs[:1]
    folds = list(range(int(bench.examples.fold.max()) + 1))
    with tempfile.TemporaryDirectory() as folder:
        steps = _Steps()
        straight = _points(bench, MemberStates(Checkpoints(Path(folder, "straight"))), jobs, folds, 3, between=steps)
        assert steps.count % 3 == 0
        each = steps.count // 3
        assert each > 1, "an epoch of one step cannot be ended within"
        for last in sorted({1, each - 1, each + 1, 2 * each - 1}):
            states = MemberStates(Checkpoints(Path(folder, f"at{last}")))
            sent: dict[tuple[int, int], Point] = {}
            with suppress(StoppedError):
                _points(bench, states, jobs, folds, 3, between=_Steps(last), sent=sent)
            assert {epoch for _, epoch in sent} == set(range(1, last // each + 1))
            for own in (states, MemberStates(Checkpoints(Path(folder, f"at{last}")))):
                assert _points(bench, own, jobs, folds, 3) == straight


LAWS: tuple[Law, ...] = (
    stopping_and_resuming_equals_never_stopping,
    the_same_training_gives_the_same_result,
    training_leaves_torchs_own_chance_alone,
    advancing_changes_nothing_that_it_was_given,
    every_epoch_is_watched_once_and_in_order,
    training_lowers_the_loss,
    a_members_result_does_not_depend_on_its_company,
    members_may_come_and_go,
    a_diverged_member_leaves_its_neighbours_unmoved,
    an_example_never_influences_the_member_that_it_validates,
    members_of_one_seed_share_their_chance,
    a_unit_resumed_from_a_checkpoint_shows_the_same_points,
    a_unit_that_is_ended_between_two_steps_goes_on_from_its_last_whole_epoch,
)


def two_engines_agree(fast: Bench, slow: Bench, *, epochs: int) -> None:
    """A fast engine, all members at once, agrees with the reference, one by one: in curves, outputs, parameters,
    buffers and their averages.
    """
    members = fast.members()
    together, seen = _watched(fast, members, epochs)
    for i, member in enumerate(members):
        alone, seen_alone = _watched(slow, [member], epochs)
        found, wanted = _weights(take(together, [i])), _weights(alone)
        found |= _named("judged", fast.engine().module(together, i).state_dict())
        wanted |= _named("judged", slow.engine().module(alone, 0).state_dict())
        assert found.keys() == wanted.keys()
        for name, value in wanted.items():
            torch.testing.assert_close(found[name], value, rtol=fast.rtol, atol=fast.atol)
        own = fast.examples.validates(member)
        for one, other in zip(seen, seen_alone, strict=True):
            torch.testing.assert_close(one.train_loss[i], other.train_loss[0], rtol=fast.rtol, atol=fast.atol)
            outputs = one.outputs[i][own[one.rows]]
            torch.testing.assert_close(outputs, other.outputs[0], rtol=fast.rtol, atol=fast.atol)


def recipes_are_trained_alike(fast: Bench, slow: Bench, *, epochs: int) -> None:
    """The laws for every recipe, in few trainings: both engines agree; stopping after the first epoch and resuming from
    a checkpoint changes no bit in either; and no member is affected by the others.
    """
    two_engines_agree(fast, slow, epochs=epochs)
    members = fast.members()
    together = _train(fast, members, epochs)
    _same(_advance(fast, _through_a_checkpoint(_train(fast, members, 1)), epochs), together)
    alone = members[-1:]
    _close(fast, _train(fast, alone, epochs), take(together, [len(members) - 1]))
    straight = _train(slow, alone, epochs)
    _same(_advance(slow, _through_a_checkpoint(_train(slow, alone, 1)), epochs), straight)


def replace_make(bench: Bench, examples: Examples, spoilt: Sequence[int]) -> Bench:
    """The bench with other examples, some of them with spoilt inputs."""
    return replace(bench, examples=examples, make=lambda own, _: bench.make(own, spoilt))


def _weights(population: Population) -> dict[str, Tensor]:
    """Parameters, buffers and averages of one member, under names that both engines share."""
    rooms = {"param": "module", "buffer": "module", "module": "module", "average": "average"}
    split = {name: name.split(".", 1) for name in population.tensors}
    return {f"{rooms[room]}.{own}": population.tensors[name][0] for name, (room, own) in split.items() if room in rooms}


def _named(room: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{room}.{name}": value for name, value in tensors.items()}


def _units(bench: Bench) -> list[list[Member]]:
    members = bench.members()
    return [members] if bench.takes_several else [[member] for member in members]


def _train(bench: Bench, members: Sequence[Member], until: int) -> Population:
    return _advance(bench, bench.engine().start(members), until)


def _advance(bench: Bench, population: Population, until: int) -> Population:
    return bench.engine().advance(population, until=until, watch=lambda *_: None)


def _watched(bench: Bench, members: Sequence[Member], until: int) -> tuple[Population, list[Measured]]:
    engine, seen = bench.engine(), []

    def watch(population: Population, measured: Measured) -> None:
        assert population.epoch == measured.epoch
        seen.append(measured)

    return engine.advance(engine.start(members), until=until, watch=watch), seen


def _through_a_checkpoint(population: Population) -> Population:
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder))
        checkpoints.save("unit", {name: value.numpy() for name, value in population.tensors.items()}, {})
        loaded, _, _ = checkpoints.load("unit")
    tensors = {name: torch.from_numpy(value.copy()) for name, value in loaded.items()}
    return population.at(population.epoch, tensors)


def _points(
    bench: Bench, states: MemberStates, jobs: Sequence[Job], folds: Sequence[Fold], until: int, *,
    between: Callable[[], None] = nothing, sent: dict[tuple[int, int], Point] | None = None,
) -> dict[tuple[int, int], Point]:  # fmt: skip
    """The points that a unit sends on the way, by trial and epoch."""
    sent = {} if sent is None else sent

    def emit(trial: int, point: Point) -> None:
        sent[trial, point.epoch] = point

    unit = Unit(jobs, bench.lanes(jobs, folds), bench.metric, states, keep_all=True)
    unit.advance(until=until, emit=emit, saved=lambda: None, between=between)
    return sent


class _Steps:
    """Counts the steps of a training, and ends it before the step of this number, counted from 0."""

    def __init__(self, last: int | None = None) -> None:
        self.count = 0
        self._last = last

    def __call__(self) -> None:
        if self.count == self._last:
            raise StoppedError("ended between two steps")
        self.count += 1


def _equal(one: Population, other: Population) -> bool:
    return all(torch.equal(value, other.tensors[name]) for name, value in one.tensors.items())


def _same(one: Population, other: Population) -> None:
    """Equal bit for bit; NaN equals itself."""
    assert one.epoch == other.epoch
    assert one.members == other.members
    assert one.tensors.keys() == other.tensors.keys()
    for name, value in one.tensors.items():
        torch.testing.assert_close(value, other.tensors[name], rtol=0, atol=0, equal_nan=True)


def _close(bench: Bench, one: Population, other: Population) -> None:
    assert [m.recipe for m in one.members] == [m.recipe for m in other.members]
    for name, value in one.tensors.items():
        torch.testing.assert_close(value, other.tensors[name], rtol=bench.rtol, atol=bench.atol)
