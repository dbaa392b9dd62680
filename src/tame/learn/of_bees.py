"""The exercise without code: look, split, a first network, five planted faults, changes, a doctor, an exam."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from sklearn.linear_model import RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier

from tame.core.errors import require, unknown
from tame.core.evaluation import Difference
from tame.core.plain import to_plain
from tame.core.rng import stream
from tame.core.space import Space
from tame.data.array_pictures import same_pictures
from tame.data.split import groups_of
from tame.evaluate.compare import share_interval
from tame.evaluate.networks import loss_difference
from tame.evaluate.score import Judged, difference, score
from tame.evaluate.seeds import beyond_seeds, optimism, seed_noise
from tame.learn.exercise import USUAL, Exercise, How
from tame.learn.seen import VERDICTS, cause, findings_of, verdict
from tame.learn.tutor import Nothing, Plain, Tutor, asked
from tame.monitor.prescriptions import Changed, changes_against, is_treated
from tame.report.evidence import evidence
from tame.report.formats import capital, inert, sentence

SEEDS = (0, 1)
TRIED, CHOSEN_BY = 60, 3  # networks of the second fault; one of so many validation pictures chooses
LONG = 40  # epochs of a training that is too long
FAULTS = ("matrix", "tuned", "copies", "softmax", "scale")
NAMES = {
    "matrix": "Answers and labels are of different pictures", "tuned": "What chose the network is called the test",
    "copies": "Copies of training pictures are in the test", "softmax": "The softmax is taken twice",
    "scale": "The inputs are not scaled",
}  # fmt: skip
CHANGES: dict[str, tuple[str, str | int | float]] = {
    "sigmoid as activation": ("model.activation", "sigmoid"), "hinge loss": ("loss.name", "hinge"),
    "plain descent": ("optimizer.name", "sgd"), "a rate thirty times lower": ("optimizer.lr", 1e-4),
    "a quarter of the epochs": ("epochs", 3), "twice as many units": ("model.width", 16),
}  # fmt: skip
BETS = ("better", "no real difference", "worse")
# What a cure may change here: all that the loop of the exercise knows.
KNOWN = frozenset({
    "regularize.early_stopping", "model.dropout", "optimizer.weight_decay", "loss.label_smoothing", "model.width",
    "optimizer.lr",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """How somebody splits: by "pictures" or by "groups"."""

    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What somebody calls the curve of the first network."""

    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Which of the stories: its place."""

    place: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What somebody thinks is wrong in a story."""

    place: int
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bet:
    """What somebody expects of a change: better, worse or no real difference."""

    change: str = ""
    bet: str


@lru_cache(maxsize=1)
def exercise_of(tutor: Tutor) -> Exercise:
    """The exercise on the learner's pictures, or on drawn ones."""
    return Exercise(tutor.album(), tutor.cache)


@asked("bees", Nothing)
def look(tutor: Tutor, _: Nothing) -> Plain:
    """The pictures, and how many there are of what."""
    own = exercise_of(tutor)
    counts = np.bincount(own.y, minlength=len(own.album.classes)).tolist()
    return {
        "name": own.album.name, "is_drawn": own.album.is_drawn, "classes": own.album.classes, "counts": counts,
        "sheet": own.sheet(), "pairs": len(own.pairs),
        "verdicts": {name: capital(words) for name, words in VERDICTS.items()},
        "faults": NAMES, "many": len(FAULTS), "changes": list(CHANGES), "bets": BETS, "epochs": USUAL.epochs,
    }  # fmt: skip


@asked("split", Split)
def split(tutor: Tutor, given: Split) -> Plain:
    """What a split divides; right is the one by groups."""
    require(given.by in ("pictures", "groups"), unknown("way to split", given.by, ("pictures", "groups")))
    own = exercise_of(tutor)
    alone = np.arange(len(own.y))
    divided = {name: own.divided(own.fifths(groups)) for name, groups in (("pictures", alone), ("groups", own.groups))}
    return {"right": given.by == "groups", "divided": divided, "pairs": len(own.pairs),
            "parts": [len(own.train), len(own.valid), len(own.exam)]}  # fmt: skip


@asked("first", Nothing)
def first(tutor: Tutor, _: Nothing) -> Plain:
    """The curve of the first network from scratch."""
    own = exercise_of(tutor)
    found = own.trained(How())
    return {"curve": {"trial": 0, "points": [point[:3] for point in found.points]},
            "accuracy": _score(own.of_attempt(How(), own.valid)), "guess": own.guessed}  # fmt: skip


@asked("read", Answer)
def read(tutor: Tutor, given: Answer) -> Plain:
    """Whether its curve was called what the doctor calls it."""
    require(given.answer in VERDICTS, unknown("kind of curve", given.answer, VERDICTS))
    exercise = exercise_of(tutor)
    found = findings_of(exercise.as_trial(How()), exercise.seen().facts)
    right, own = verdict(found), cause(found)
    why = "" if own is None else f"{sentence(own.title)} {sentence(evidence(own))}"
    return {"verdict": right, "right": right == given.answer, "why": inert(why)}


@dataclass(frozen=True, slots=True)
class Story:
    """A planted fault. told: what somebody reports, without naming it; check: what shows it; fixed: what is true."""

    told: str
    check: str
    fixed: str


@asked("story", Fault)
def story(tutor: Tutor, given: Fault) -> Plain:
    """What somebody reports, in words."""
    return {"told": _story(exercise_of(tutor), _name(given.place)).told}


@asked("found", Found)
def found_fault(tutor: Tutor, given: Found) -> Plain:
    """Whether the fault was found, what shows it, and what is true instead."""
    require(given.answer in NAMES, unknown("fault", given.answer, NAMES))
    name = _name(given.place)
    own = _story(exercise_of(tutor), name)
    return {"right": given.answer == name, "name": name, "check": own.check, "fixed": own.fixed}


def _name(place: int) -> str:
    require(0 <= place < len(FAULTS), f"there are {len(FAULTS)} faults")
    return [FAULTS[each] for each in stream(0, "exercise", "faults").permutation(len(FAULTS))][place]


@lru_cache(maxsize=8)
def _story(own: Exercise, name: str) -> Story:
    return STORIES[name](own)


def _matrix(own: Exercise) -> Story:
    answers = own.of_attempt(How(), own.valid)
    truth, other = own.y[own.valid], stream(1, "exercise", "pass").permutation(len(own.valid))
    agree = answers.outputs.argmax(axis=1) == truth[other]
    accuracy = score("accuracy", answers, how="", seed=0)
    return Story(
        f"The network is right about {_share(answers.right)}. Its confusion matrix was made by a second pass, with a "
        f"loader that shuffles: on its diagonal are {_share(agree)}.",
        f"The accuracy is {accuracy.value:.3f}, but the confusion matrix gives {agree.mean():.3f}: two numbers of one "
        "result that contradict each other. TAME compares them before it reports anything.",
        "One pass that collects both answers and labels, or a loader that does not shuffle.",
    )


def _tuned(own: Exercise) -> Story:
    few = own.valid[::CHOSEN_BY]
    others = np.setdiff1d(own.valid, few)
    flat = own.x.flatten(1).double().numpy() / 255
    outputs = [_random_network(own, flat, seed) for seed in range(TRIED)]
    on_few = [score("accuracy", own.judged(each, few), how="", seed=0) for each in outputs]
    best = max(range(TRIED), key=lambda place: on_few[place].value)
    held = score("accuracy", own.judged(outputs[best], others), how="", seed=0)
    apart = optimism("accuracy", on_few[best], held, None, networks=0)
    return Story(
        f"{TRIED} networks were tried. The best of them has a test accuracy of {_said(on_few[best])}.",
        f"On pictures that chose nothing it has {_said(held)}; promised too much: {_apart(apart)}. TAME seals the "
        "test part, keeps its opening on record, and compares what validation promised with what the test gave.",
        "A third part that is opened once, when nothing is left to choose.",
    )


def _random_network(own: Exercise, flat: np.ndarray, seed: int) -> np.ndarray:
    """(n, C) outputs of a network whose first layer stays as it was drawn."""
    hidden = np.maximum(flat @ stream(seed, "exercise", "random").normal(size=(flat.shape[1], 40)), 0)
    fitted = RidgeClassifier().fit(hidden[own.train], own.y[own.train])
    found = fitted.decision_function(hidden).reshape(len(flat), -1)
    return np.concatenate([-found, found], axis=1) if found.shape[1] == 1 else found


def _copied(own: Exercise) -> Story:
    work = np.flatnonzero(~np.isin(np.arange(len(own.y)), own.exam))
    x = own.x[work].permute(0, 2, 3, 1).numpy()
    twice, y = np.concatenate([x, np.clip(x * 1.1, 0, 255).astype(np.uint8)]), np.tile(own.y[work], 2)
    pairs = same_pictures(twice)[0]
    groups = groups_of(len(twice), pairs)
    rows, said = twice.reshape(len(twice), -1) / 255, []
    for each in (np.arange(len(twice)), groups):
        fold = own.fifths(each, y)
        by_heart = KNeighborsClassifier(1).fit(rows[fold > 0], y[fold > 0])
        said.append(_share(by_heart.predict(rows[fold == 0]) == y[fold == 0], groups[fold == 0]))
    return Story(
        "To have more pictures, each was added once more, a little brighter; then all were split at random. A method "
        f"that answers with the label of the most similar training picture is right about {said[0]}.",
        f"{len(pairs)} pairs show the same picture. Split by groups, the same method is right about {said[1]}. TAME "
        "looks for copies before it splits, also turned, mirrored and brighter ones.",
        "Split first, by groups, and change the training part alone.",
    )


def _softmaxed(own: Exercise) -> Story:
    soft, plain = own.of_attempt(How(softmax=True), own.valid), own.of_attempt(How(), own.valid)
    loss = score("log_loss", soft, how="", seed=0)
    apart = difference("log_loss", soft, plain, seed=0)
    return Story(
        "The network ends with probabilities, as in books, and is trained with the cross-entropy of a library. Nothing "
        f"fails. Its loss on the validation pictures is {_said(loss)}; guessing has {own.guessed:.3f}.",
        f"The loss with it minus that without: {_apart(apart)}. The cross-entropy of libraries takes logits and has a "
        "softmax in it; with numbers from 0 to 1 it can never get low. TAME refuses a network that ends like this.",
        "Leave the softmax out, and apply it where probabilities are to be read.",
    )


def _unscaled(own: Exercise) -> Story:
    raw, plain = own.of_attempt(How(raw=True), own.valid), own.of_attempt(How(), own.valid)
    begun = own.trained(How(raw=True)).first
    apart = difference("log_loss", raw, plain, seed=0)
    return Story(
        f"The pictures are given as they come from their files. Before the first step the loss is {begun:.3f}; "
        f"guessing has {own.guessed:.3f}.",
        f"Scaled, the same network begins at {own.trained(How()).first:.3f}. At the end, the loss unscaled minus "
        f"scaled is {_apart(apart)}. First weights are made for inputs near one. TAME compares the loss of the "
        "untrained network with that of guessing.",
        "Subtract the mean of the training pictures, and divide by their standard deviation.",
    )


STORIES: dict[str, Callable[[Exercise], Story]] = {
    "matrix": _matrix, "tuned": _tuned, "copies": _copied, "softmax": _softmaxed, "scale": _unscaled,
}  # fmt: skip


@asked("change", Bet)
def change(tutor: Tutor, given: Bet) -> Plain:
    """What one change does, with several seeds; right is who said so before."""
    require(given.change in CHANGES, unknown("change", given.change, CHANGES))
    bet, (field, to) = _bet(given), CHANGES[given.change]
    found = _effect(exercise_of(tutor), Changed(field, to), How())
    return {**_told(found), "right": bet == _outcome(found)}


@asked("doctor", Bet)
def doctor(tutor: Tutor, given: Bet) -> Plain:
    """What the doctor says of a training that is too long, the first change that it prescribes, and what that does."""
    bet = _bet(given)
    own, long = exercise_of(tutor), How(USUAL.but({"epochs": LONG}))
    findings = findings_of(own.as_trial(long), own.seen().facts)
    curve = {"trial": 0, "points": [point[:3] for point in own.trained(long).points]}
    treated = next((each for each in findings if is_treated(each.code)), None)
    steps, unknown_here = long.recipe.steps(len(own.train)), frozenset(USUAL.flat()) - KNOWN
    tried = [] if treated is None else changes_against(
        long.recipe, treated, Space({}), steps=steps, fixed=unknown_here
    )  # fmt: skip
    if treated is None or not tried:
        return {"curve": curve, "finding": None}
    found = _effect(own, tried[0], long)
    return {
        **_told(found), "curve": curve, "finding": inert(sentence(treated.title)), "field": tried[0].field,
        "to": tried[0].to, "right": bet == _outcome(found),
    }  # fmt: skip


@asked("exam", Bet)
def exam(tutor: Tutor, given: Bet) -> Plain:
    """The pictures that nothing has seen: the network from scratch, and a head on a pretrained one."""
    bet, own = _bet(given), exercise_of(tutor)
    scratch, pretrained = own.of_attempt(How(), own.exam), own.judged(own.pretrained, own.exam)
    found = difference("accuracy", pretrained, scratch, seed=0)
    return {**_told(found), "scratch": _score(scratch), "pretrained": _score(pretrained),
            "right": bet == _outcome(found)}  # fmt: skip


def _effect(own: Exercise, change_: Changed, before: How) -> Difference:
    """How much more accurate a network is with one change, over the pictures and the seeds."""
    pair = [
        [own.of_attempt(How(recipe.but({"seed": seed})), own.valid) for seed in SEEDS]
        for recipe in (before.recipe, before.recipe.but({change_.field: change_.to}))
    ]
    found = loss_difference("accuracy", pair[1], pair[0], seed=0, how="the mean of several seeds")
    return beyond_seeds(found, seed_noise("accuracy", pair), networks=2 / len(SEEDS))


def _bet(given: Bet) -> str:
    require(given.bet in BETS, unknown("outcome", given.bet, BETS))
    return given.bet


def _outcome(found: Difference) -> str:
    return "no real difference" if not found.is_real else "better" if found.value > 0 else "worse"


def _told(found: Difference) -> Plain:
    return {"outcome": _outcome(found), "value": found.value, "low": found.low, "high": found.high, "n": found.n}


def _score(answers: Judged) -> Plain:
    found: Plain = to_plain(score("accuracy", answers, how="", seed=0))
    return found


def _said(found: object) -> str:
    """A score in words."""
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f}, {found.n} pictures)"  # type: ignore[attr-defined]


def _apart(found: Difference) -> str:
    return f"{found.value:+.3f} ({found.low:+.3f} to {found.high:+.3f})"


def _share(right: np.ndarray, groups: np.ndarray | None = None) -> str:
    low, high = share_interval(right, groups)
    return f"{right.mean():.3f} ({low:.3f} to {high:.3f}, {len(right)} pictures)"
