"""Opens the test part once, and writes the winner as a model that must predict as it did when scored."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tame.core.config import LANGUAGE
from tame.core.errors import StorageError
from tame.core.records import Trial
from tame.core.result_parts import Delivered
from tame.core.sums import CARD, SUMS, write_sums
from tame.evaluate.score import Judged, judged_from, open_test
from tame.kinds.kind import Data
from tame.kinds.known import KINDS
from tame.kinds.linear import ask_linear
from tame.kinds.trees import TreesAnswer, ask_trees
from tame.study import events
from tame.study.clock_shares import CHECKED, LEAST_LINEAR_S, trees_s
from tame.study.delivered import MODEL
from tame.study.ensemble import Chosen
from tame.study.finalist import Finalist, epochs_on_all, state_of
from tame.study.session import Study
from tame.trial.commands import MemberOf

MOST_FAMILIAR = 20_000  # examples whose distances are measured for the page on the data
TOLERANCE = 1e-3  # of a probability; the same weights on the same machine differ by less
TIE = 1e-5  # of a probability, that rounding may make of none


@dataclass(frozen=True, slots=True)
class Tested:
    """default: None if the default recipe diverged; distances: how unlike the training examples those of the test part
    are, above 1 where one is flagged; None where that is not known. trained_on: the same of other examples, by row;
    empty where that is not known or would take long."""

    winner: Judged
    default: Judged | None
    linear: Judged | None = None  # of a linear model; None where the inputs suit none
    trees: Judged | None = None  # of gradient boosting; None where it was not asked for, or there was no time
    iterations: int = 0  # of it
    single: Judged | None = None  # of one network of the winner, where several are delivered
    distances: np.ndarray | None = None
    trained_on: Mapping[int, float] = field(default_factory=dict)


def open_sealed(study: Study, data: Data, chosen: Chosen, default: Finalist | None) -> Tested:
    """The predictions of what is delivered and of the default for the sealed part, made before its labels are read.

    A study that was killed after the opening evaluates the same weights again; the event records the first opening.
    """
    rows = list(data.sealed.rows)
    ids = [data.ids[row] for row in rows]
    only = not chosen.is_ensemble
    beside = None if default is chosen.winner and only else default
    asked = dict.fromkeys((*chosen.trials, *(beside.trials[:1] if beside else ())))
    study.worker.train_again([_member(study, data, trial) for trial in asked])
    other = None
    if beside is not None:
        _choose(study, data, Chosen(beside))
        other = np.array(study.worker.judge(rows))
    single = None
    if chosen.is_ensemble:
        _choose(study, data, Chosen(chosen.winner))
        single = np.array(study.worker.judge(rows))
    _choose(study, data, chosen, remembers=True)
    outputs = np.array(study.worker.judge(rows))
    linear, trees = _linear(study, data, rows, chosen.winner), _trees(study, data, rows)
    distances = np.array(study.worker.distances(rows))
    trained_on = _distances_of_learnt(study, data, chosen) if len(distances) else {}
    first, *rest = (trial.number for trial in chosen.trials)

    def record(count: int) -> None:
        study.keep(
            events.SealOpened(
                n=count, trial=first, used_s=study.used_s, members=(first, *rest) if rest else None,
                temperature=None if chosen.temperature == 1.0 else chosen.temperature,
            )
        )  # fmt: skip

    groups, weights = data.groups_of(rows), data.weights_of(rows)
    own = open_test(data.sealed, ids, outputs, record, task=data.task, groups=groups, weights=weights)

    def judged(found: np.ndarray | None) -> Judged | None:
        if found is None:
            return None
        return judged_from(data.task, ids, own.truth, found, groups=groups, weights=weights)

    same = default is chosen.winner and only
    return Tested(
        own, own if same else judged(other), judged(linear), single=judged(single),
        trees=None if trees is None else judged(np.array(trees.outputs)), iterations=trees.iterations if trees else 0,
        distances=distances if len(distances) else None, trained_on=trained_on,
    )  # fmt: skip


def _distances_of_learnt(study: Study, data: Data, chosen: Chosen) -> dict[int, float]:
    """How unlike the others each example outside the test part is."""
    # The features of a fine-tuned network are not kept: they would be computed for this alone.
    if chosen.winner.recipe.model.unfrozen or len(data.rows) > MOST_FAMILIAR:
        return {}
    found = study.worker.distances(data.rows)
    return dict(zip(data.rows, found, strict=True)) if len(found) else {}


def _linear(study: Study, data: Data, rows: Sequence[int], winner: Finalist) -> np.ndarray | None:
    """Outputs of a linear model for these rows; None where the kind of data has none."""
    if data.kind not in KINDS.names() or not KINDS.get(data.kind).has_linear:
        return None
    if study.left_s < LEAST_LINEAR_S:
        study.watcher.note("there was no time for a linear model of the same inputs, to compare with")
        return None
    seen = winner.recipe.input
    return ask_linear(study.worker, data, rows, size=seen.size, crop=seen.crop, seed=study.config.seed)


def _trees(study: Study, data: Data, rows: Sequence[int]) -> TreesAnswer | None:
    """Gradient boosting for these rows, where it was asked for."""
    if study.config.baseline is None:
        return None
    clock = study.config.clock_s
    limit_s = None if clock is None else min(trees_s(clock), study.left_s)
    if limit_s is not None and limit_s < LEAST_LINEAR_S:
        study.watcher.note("there was no time for --baseline trees")
        return None
    return ask_trees(study.worker, data, rows, seed=study.config.seed, limit_s=limit_s)


def _choose(study: Study, data: Data, chosen: Chosen, *, remembers: bool = False) -> None:
    """Selects what is evaluated and delivered. remembers: as of the command."""
    members = [_member(study, data, trial) for trial in chosen.trials]
    study.worker.network(members, labels=data.classes, temperature=chosen.temperature, remembers=remembers)


def _member(study: Study, data: Data, trial: Trial) -> MemberOf:
    """The network of a trial that is evaluated and delivered: with folds, the one trained on all examples."""
    state = replace(state_of(study, trial), epochs=epochs_on_all(data, trial))
    return MemberOf(state, None if data.whole else 0)


def deliver_again(study: Study, data: Data) -> Delivered:
    """Writes the model of a finished study again, from the weights that were scored; the test part stays closed."""
    opened = study.state.test_opened
    assert opened is not None, "a finished study has opened its test part"
    members = [_member(study, data, study.history.trials[number]) for number in opened.trials]
    study.worker.train_again(members)
    temperature = 1.0 if opened.temperature is None else float(opened.temperature)
    study.worker.network(members, labels=data.classes, temperature=temperature, remembers=True)
    return deliver(study, data)


def deliver(study: Study, data: Data) -> Delivered:
    """Writes the model, loads it again from its folder, and compares the predictions of both on test examples."""
    study.stage(6, "writing the model and checking its predictions")
    folder = study.folder / MODEL
    files = dict(study.worker.deliver(str(folder)))
    rows = list(data.sealed.rows)[:CHECKED]
    ids = [data.ids[row] for row in rows]
    blank = np.zeros(len(rows))
    before = judged_from(data.task, ids, blank, np.array(study.worker.judge(rows)))
    loaded = [np.array(study.worker.judge_again(str(folder), rows=rows))]
    if study.build is not None and study.executor.pid != os.getpid():  # and in the process that predicts
        loaded.append(KINDS.get(data.kind).own().judge(folder, study.folder, study.build, rows))
    apart = max(difference_of(data, before, judged_from(data.task, ids, blank, outputs)) for outputs in loaded)
    if apart > TOLERANCE:
        raise StorageError(
            f"the model in {folder} does not predict like the network that was scored (difference {apart:.2g})"
        )
    study.keep(events.Delivered(files=files, checked=len(rows), largest_difference=apart))
    return Delivered(folder=str(folder), files=files, checked=len(rows), largest_difference=apart)


def difference_of(data: Data, before: Judged, after: Judged) -> float:
    """How far two judgements are apart: of a probability, or in spreads of the target; 1 where a class differs.

    Of classes that are equally likely but for rounding, either may be the one that is predicted.
    """
    apart = float(np.abs(before.outputs - after.outputs).max())
    if data.task == LANGUAGE:
        return apart
    if data.task == "regression":
        return apart / max(float(np.std(data.learnt())), 1e-12)
    second, first = np.sort(before.outputs, axis=1)[:, -2:].T
    other = before.predicted != after.predicted
    return 1.0 if (other & (first - second > TIE)).any() else apart


def add_card(study: Study, text: str) -> None:
    """Writes the model card beside the model; hashes cover it as they cover the model."""
    folder = study.folder / MODEL
    study.write(f"{MODEL}/{CARD}", text)
    kept = study.state.delivered or events.Delivered()
    files = {**kept.files, CARD: hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()}
    try:
        write_sums(folder, files)
    except OSError as problem:
        raise StorageError(f"{folder / SUMS} cannot be written: {problem.strerror}") from None
    if files != dict(kept.files):
        study.keep(replace(kept, files=files))
