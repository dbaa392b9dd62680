"""The report's glossary, with the numbers of the study."""

from __future__ import annotations

from tame.core.answers import ClassAnswers
from tame.core.records import History
from tame.core.result import Result
from tame.report import formats, words
from tame.report.search_section import gap

Term = tuple[str, str, str]
METRICS = {
    "accuracy": "the share of examples whose class is named rightly",
    "balanced_accuracy": "the share that is named rightly in each class, averaged over the classes, so that rare ones "
    "count as much as common ones",
    "f1_macro": "for each class the harmonic mean of how many of its examples are found and how many of those named so "
    "are right, averaged over the classes",
    "log_loss": "minus the logarithm of the probability given to the right class, averaged; less is better",
    "roc_auc": "the probability that an example of a class is given a higher probability of it than one of another "
    "class; 0.5 is chance",
    "rmse": "the square root of the mean squared error, in the units of the target; large errors weigh most; less is "
    "better",
    "mae": "the mean size of the error, in the units of the target; less is better",
    "r2": "the share of the target's variance that the predictions explain; 0 is as good as always guessing the mean, "
    "1 is perfect",
}


def terms(result: Result, history: History) -> list[Term]:
    """The glossary: anchor, term, meaning."""
    return [*_of_training(result), *_of_judging(result), *_of_recipes(result, history)]


def _of_training(result: Result) -> list[Term]:
    many = words.noun(result.kind)
    return [
        (
            "recipe", "Recipe and trial",
            f"A recipe is everything that decides how a network is trained; a trial is a recipe being trained. "
            f"This study tried {formats.count(result.trials, 'recipe')} in {formats.duration(result.wall_s)}.",
        ),
        (
            "epoch", "Epoch",
            f"One pass through the training {many}. The winner was trained for "
            f"{formats.count(result.winner.epochs, 'epoch')}; all trials together for {result.epochs:,}.",
        ),
        ("loss", "Loss", _loss(result)),
        ("metric", _capital(formats.metric_name(result.metric)), formats.sentence(METRICS[result.metric])),
    ]  # fmt: skip


def _loss(result: Result) -> str:
    if result.is_regression:
        return (
            "What training makes small: how far the predictions lie from the truth, on the target scaled to mean 0 and "
            "standard deviation 1. The squared error of always guessing the mean is about 1 there."
        )
    amount = len(result.classes)
    return (
        f"What training makes small: minus the logarithm of the probability given to the right class, averaged, in "
        f"nats. Giving every one of the {amount} classes the same probability costs ln {amount} = "
        f"{formats.number(words.guess_loss(result))}."
    )


def _of_judging(result: Result) -> list[Term]:
    folds, answers = result.data_facts.folds, result.answers
    found = [_validation(result), *_of_test(result), *_of_baselines(result)]
    if folds > 1:
        found.append(("fold", "Fold", f"One of {folds} parts that take turns: learn from the others, judge this one."))
    if isinstance(answers, ClassAnswers) and answers.calibration:
        ece = formats.number(answers.calibration.ece)
        found.append(
            (
                "calibration", "Calibration",
                f"Probabilities are calibrated if of all answers given with 0.8 about 8 in 10 are right. The expected "
                f"calibration error is the mean distance between the two: {ece} here.",
            )
        )  # fmt: skip
    return found


def _validation(result: Result) -> Term:
    many, folds, n = words.noun(result.kind), result.data_facts.folds, result.validation.n
    judged = (
        f"Here the {n:,} {many} outside the test part were divided into {folds} folds: each fold was "
        f"judged by a network that had learnt from the other {folds - 1}."
        if folds > 1
        else f"Here {n:,} {many} that no recipe learnt from."
    )
    return (
        "validation", "Validation",
        f"What recipes are compared on. {judged} The winner reached {formats.metric_name(result.metric)} "
        f"{words.validation(result)} ({result.validation.how}).",
    )  # fmt: skip


def _of_test(result: Result) -> list[Term]:
    score, metric, many = result.score, result.metric, words.noun(result.kind)
    reached = f"{formats.metric_name(metric)} {formats.shown(metric, score.value)}"
    return [
        (
            "test", "Sealed test",
            f"{score.n:,} {many} that took no part in learning or choosing. At the end their "
            f"{'true values' if result.is_regression else 'labels'} were "
            f"{words.opened(result)}; the winner reached {reached}.",
        ),
        (
            "optimism", "Optimism",
            f"How much better a winner looks on the {many} that chose it than on {many} that did not: the best of "
            f"many is partly the luckiest. {formats.sentence(words.optimism(result))}",
        ),
        (
            "interval", "95 % interval",
            f"A test of {score.n:,} {many} leaves room for chance. Intervals made this way hold the true value in "
            f"about 95 of 100 studies; here {words.span(score, metric)}. More test {many} would make it narrower.",
        ),
    ]  # fmt: skip


def _of_baselines(result: Result) -> list[Term]:
    label, metric = words.dummy_label(result), result.metric
    reached = f"{formats.metric_name(metric)} {formats.shown(metric, result.baselines.dummy.value)}"
    return [
        (
            "dummy", _capital(label),
            f"What is reached without looking at {words.a_noun(result.kind)}, by always giving the {label}: {reached} "
            f"here. A network must beat it.",
        ),
        (
            "default", "Default recipe",
            f"The recipe that is used when nothing is searched. It is always a finalist, so that the search has to "
            f"show what it was worth: {words.verdict(result)}.",
        ),
    ]  # fmt: skip


def _of_recipes(result: Result, history: History) -> list[Term]:
    own, many = result.winner.recipe, words.noun(result.kind)
    winner = history.trials.get(result.winner.trial)
    rate = result.space.dimensions.get("optimizer.lr")
    searched = f"; searched was {words.setting(rate)}" if rate else ""
    seeds = formats.count(len(result.winner.seeds), "fresh seed")
    found: list[Term] = [
        (
            "overfitting", "Overfitting",
            f"Learning the training {many} instead of what they have in common: the training loss falls on while the "
            f"validation loss rises. {gap(winner)}".strip(),
        ),
        (
            "rate", "Learning rate",
            f"How far the weights move in one step: too high and the loss jumps or grows without bound, too low and "
            f"little is learnt. The winner's is {formats.compact(own['optimizer.lr'])}{searched}.",
        ),
        (
            "decay", "Weight decay",
            f"A pull of the weights towards zero, against overfitting: "
            f"{formats.compact(own['optimizer.weight_decay'])} in the winner.",
        ),
        (
            "seed", "Seed",
            f"Where chance starts: first weights, order of {many}. One seed can be lucky"
            + (f", so the winner was trained again with {seeds}." if result.winner.is_retrained
               else "; there was no time here to train the winner with others."),
        ),
    ]  # fmt: skip
    if result.backbone:
        found.append(
            (
                "backbone", "Backbone, head, fine-tuning",
                f"The backbone ({result.backbone.name}) was trained on other pictures before and turns a picture "
                f"into numbers, its features; the head turns these into classes. With a frozen backbone only the head "
                f"learns; fine-tuning trains the last stages of the backbone as well.",
            )
        )  # fmt: skip
    return found


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
