"""The laws of a kind of data: every source reads, splits and seals in the same way, and a model predicts new inputs as
it was scored.

Each law takes a `Sample` of the kind and an empty folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tame.core.config import OPTIONS, StudyConfig
from tame.core.edits import Edit
from tame.core.errors import TameError, UsageError
from tame.core.plain import to_plain
from tame.core.recipe import Recipe
from tame.core.rng import stream_seed
from tame.kinds.examples import examples_of
from tame.kinds.kind import PARTS, Data, Kind, Known, Opened
from tame.kinds.known import KINDS
from tame.kinds.materials import read_model
from tame.parts.network import Build, Network
from tame.trial.commands import Commands, MemberOf, StateOf, Unsealed
from tame.worker.executor import Place
from tame.worker.inline import InlineExecutor

SETTINGS: Mapping[str, object] = {  # about data, that some kinds do not use
    "target": "a", "columns": {"a": "number"}, "groups": "a", "order": "a", "backbone": "none", "val": "a", "test": "a",
}  # fmt: skip
AGREEMENT = 1e-4  # of float32 outputs that are computed twice, in batches of different sizes


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """Data or settings that must be refused. named: a part of the message that says what is wrong or where."""

    config: StudyConfig
    named: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """At least 60 examples of a kind of data, some of which are the same.

    same: pairs of ids of examples that are the same, where the kind can tell; bad: what must be refused; predict:
    canonical outputs (n, C) of a delivered model for the inputs of these ids, by way of files or arrays as users have
    them. twice: makes in an empty folder a sample of which every example is there twice, as its `same` says, and the
    first of these pairs under two labels. keep: puts arrays into a study's folder, where they come from Python; build:
    makes a module of the user's own. takes: which of `SETTINGS` the kind uses; it must refuse the others.
    """

    kind: Kind
    config: StudyConfig
    same: tuple[tuple[str, str], ...]
    bad: tuple[Bad, ...]
    predict: Callable[[Network, Sequence[str], Path], np.ndarray]
    twice: Callable[[Path], Sample]
    keep: Callable[[Path], None] = lambda folder: None
    build: Build | None = None
    takes: frozenset[str] = frozenset()


Law = Callable[[Sample, Path], None]


def every_example_is_in_one_part(sample: Sample, folder: Path) -> None:
    opened, _ = _read(sample, folder)
    data = opened.data
    num, split = len(data.ids), data.split
    assert len(set(data.ids)) == num > 0
    assert {len(split.part), len(split.fold), len(data.targets), len(opened.groups)} == {num}
    rows = [row for row, part in enumerate(split.part) if part in PARTS]
    assert sorted(rows) == list(range(num))
    assert data.sealed.rows == tuple(split.rows("test"))
    assert len(data.sealed.rows) > 0
    folds = np.array(split.fold)
    assert set(folds[folds >= 0].tolist()) == set(range(split.folds)), "every fold must validate some"
    assert (folds[split.rows("test", "aside")] == -1).all()
    assert (folds[split.rows("val")] == 0).all()


def targets_of_the_test_part_are_sealed(sample: Sample, folder: Path) -> None:
    data = _read(sample, folder)[0].data
    unknown = data.targets < 0 if data.classes else np.isnan(data.targets)
    assert np.flatnonzero(unknown).tolist() == list(data.sealed.rows)
    opened: list[int] = []
    labels = data.sealed.open(opened.append)
    assert opened == [len(labels)] == [len(data.sealed.rows)]


def the_same_seed_makes_the_same_split(sample: Sample, folder: Path) -> None:
    (first, _), (again, _) = _read(sample, folder / "1"), _read(sample, folder / "2")
    assert first.data.ids == again.data.ids
    assert first.data.split == again.data.split
    np.testing.assert_array_equal(first.data.targets, again.data.targets)
    assert to_plain(first.facts) == to_plain(again.facts)
    other, _ = _read(replace(sample, config=replace(sample.config, seed=sample.config.seed + 1)), folder / "3")
    parts, others = (list(zip(each.data.ids, each.data.split.part, strict=True)) for each in (first, other))
    assert parts != others, "another seed must give another split"


def what_is_the_same_is_on_one_side(sample: Sample, folder: Path) -> None:
    opened, _ = _read(sample, folder)
    split, place = opened.data.split, {name: row for row, name in enumerate(opened.data.ids)}
    for a, b in sample.same:
        assert opened.groups[place[a]] == opened.groups[place[b]], f"{a} and {b} are the same"
    for group in np.unique(opened.groups):
        rows = [int(row) for row in np.flatnonzero(opened.groups == group) if split.part[row] != "aside"]
        assert len({split.part[row] for row in rows}) <= 1
        assert len({split.fold[row] for row in rows}) <= 1


def no_identical_input_is_on_two_sides_however_many_there_are(sample: Sample, folder: Path) -> None:
    where = folder / "twice"
    where.mkdir(parents=True)
    twice = sample.twice(where)
    opened, _ = _read(twice, folder)
    split, place = opened.data.split, {name: row for row, name in enumerate(opened.data.ids)}
    assert {name for pair in twice.same for name in pair} == set(place), "every example is there twice"
    for pair in twice.same:
        a, b = (place[name] for name in pair)
        assert opened.groups[a] == opened.groups[b], f"{pair[0]} and {pair[1]} are the same"
        assert (split.part[a], split.fold[a]) == (split.part[b], split.fold[b]), f"{pair} is parted"
    assert not opened.data.twins
    codes = {each.code for each in opened.findings}
    assert codes & {"duplicate_rows", "near_duplicates"}, "copies are told"
    assert "label_conflict" in codes, "the same input under two labels is told"


def a_study_that_goes_on_finds_the_same(sample: Sample, folder: Path) -> None:
    first, _ = _read(sample, folder / "1")
    again, _ = _read(sample, folder / "2", known=Known(to_plain(first.facts)))
    assert again.data.split == first.data.split
    if first.facts.digests:
        other = {**to_plain(first.facts), "digests": ["another"]}
        said = _refusal(sample, folder / "3", known=Known(other))
        assert "changed since the study began" in said


def what_is_bad_is_named(sample: Sample, folder: Path) -> None:
    for number, bad in enumerate(sample.bad):
        assert bad.named in _refusal(replace(sample, config=bad.config), folder / str(number))


def a_setting_that_it_does_not_use_is_refused(sample: Sample, folder: Path) -> None:
    assert sample.takes <= set(SETTINGS)
    for name in sorted(set(SETTINGS) - sample.takes):
        config = StudyConfig.from_json({**sample.config.to_json(), name: SETTINGS[name]})
        said = ""
        try:
            sample.kind.check(config)
        except UsageError as problem:
            said = str(problem)
        assert (OPTIONS[name].flag or name) in said, f"{name} is not refused by its name"


def what_a_study_keeps_of_its_data_tells_the_parts(sample: Sample, folder: Path) -> None:
    opened, _ = _read(sample, folder)
    facts, split = opened.facts, opened.data.split
    assert facts.kind == opened.data.kind
    assert tuple(facts.classes) == opened.data.classes
    assert (facts.split, facts.folds) == (split.how, split.folds)
    parts = {part: len(split.rows(part)) for part in dict.fromkeys(split.part)}
    assert {part: sum(own.values()) for part, own in facts.counts.items()} == parts


def edits_change_nothing_but_what_they_say(sample: Sample, folder: Path) -> None:
    opened, _ = _read(sample, folder / "1")
    data, known = opened.data, Known(to_plain(opened.facts))
    examples = examples_of(sample.kind, sample.config, known, folder / "1" / "study")
    if examples is None or data.shares is not None:  # such a kind applies none, and a study with edits of it is refused
        return
    assert tuple(examples.ids) == data.ids
    before = _labels(data)
    shown = [text if data.classes else float(text) for text in examples.labels]
    assert [before[row] for row in sorted(before)] == [shown[row] for row in sorted(before)], "as it is trained on"
    gone, *_ = left = [data.split.rows("train")[0], data.split.rows("test")[0]]
    changed = [data.split.rows("train")[1], data.split.rows("test")[1]]
    to = {row: next((name for name in data.classes if name != before[row]), "77") for row in changed}
    edits = [Edit(id=data.ids[row], action="exclude", digest=examples.digest_of(row)) for row in left]
    edits += [Edit(id=data.ids[row], action="label", label=to[row], digest=examples.digest_of(row)) for row in changed]
    again, _ = _read(sample, folder / "2", known=Known(edits=tuple(edits)))
    assert again.edited is not None
    assert again.edited.sealed == (data.ids[left[1]], data.ids[changed[1]])
    split = again.data.split
    assert split.part == tuple("excluded" if row in left else part for row, part in enumerate(data.split.part))
    assert split.fold == tuple(-1 if row in left else fold for row, fold in enumerate(data.split.fold))
    after = {**before, **{row: label if data.classes else float(label) for row, label in to.items()}}
    assert _labels(again.data) == {row: label for row, label in after.items() if row not in left}
    parts = {part: len(split.rows(part)) for part in dict.fromkeys(split.part)}
    assert {part: sum(own.values()) for part, own in again.facts.counts.items()} == parts
    wrong = replace(edits[0], digest="another")
    assert f"{data.ids[gone]} is not the one" in _refusal(sample, folder / "3", known=Known(edits=(wrong,)))


def a_model_says_of_new_inputs_what_it_was_scored_by(sample: Sample, folder: Path) -> None:
    opened, commands = _read(sample, folder)
    data = opened.data
    commands.learn(
        Unsealed(
            rows=data.rows, targets=data.learnt().tolist(), folds=[data.split.fold[row] for row in data.rows],
            num_classes=len(data.classes), task=data.task,
        )
    )  # fmt: skip
    seed = stream_seed(sample.config.seed, "training") % 2**31
    base = (
        KINDS.get(data.kind).preset(replace(sample.config, epochs=1), data, (), seed=seed).base.but(sample.config.set)
    )
    recipe: Recipe = base.but({"epochs": 1})
    commands.network([MemberOf(StateOf(trial=0, recipe=recipe, epochs=1), None)], labels=data.classes)
    rows = list(data.sealed.rows)
    scored = np.array(commands.judge(rows))
    commands.deliver(str(folder / "model"))
    network = read_model(folder / "model", sample.build)
    predicted = sample.predict(network, [data.ids[row] for row in rows], folder)
    np.testing.assert_allclose(predicted, scored, rtol=AGREEMENT, atol=AGREEMENT)


LAWS: tuple[Law, ...] = (
    every_example_is_in_one_part,
    targets_of_the_test_part_are_sealed,
    the_same_seed_makes_the_same_split,
    what_is_the_same_is_on_one_side,
    no_identical_input_is_on_two_sides_however_many_there_are,
    a_study_that_goes_on_finds_the_same,
    what_is_bad_is_named,
    a_setting_that_it_does_not_use_is_refused,
    what_a_study_keeps_of_its_data_tells_the_parts,
    edits_change_nothing_but_what_they_say,
    a_model_says_of_new_inputs_what_it_was_scored_by,
)


def _read(sample: Sample, folder: Path, known: Known | None = None) -> tuple[Opened, Commands]:
    """What the source returns, and the worker in which it has opened the data."""
    study = folder / "study"
    study.mkdir(parents=True)
    sample.keep(study)
    place = Place(cache=folder / "cache", study=study, under=None)
    commands = InlineExecutor(place, hear=lambda message: None, build=sample.build).commands
    sample.kind.check(sample.config)
    opened = sample.kind.read(sample.config, known or Known(), commands, phase=lambda text: None, folder=study)
    return opened, commands


def _labels(data: Data) -> dict[int, object]:
    """The label of each example that is trained on, chosen by or tested: the name of its class, or its number."""
    sealed = zip(data.sealed.rows, data.sealed.open(lambda n: None).tolist(), strict=True)
    values = {**{row: data.targets[row] for row in data.rows}, **dict(sealed)}
    return {row: data.classes[int(value)] if data.classes else float(value) for row, value in values.items()}


def _refusal(sample: Sample, folder: Path, known: Known | None = None) -> str:
    """The message with which the data or the settings of a sample are refused, as they must be."""
    try:
        _read(sample, folder, known)
    except TameError as problem:
        return str(problem)
    raise AssertionError(f"{sample.config.data} was not refused")
