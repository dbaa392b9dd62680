"""The report's glossary, with the numbers of the study."""

from __future__ import annotations

from tame.core.answers import ClassAnswers
from tame.core.records import History
from tame.core.result import Result
from tame.report import formats, words
from tame.report.search_section import gap

Term = tuple[str, str, str]
METRICS = {
    "accuracy": "the share of examples whose class is predicted correctly",
    "balanced_accuracy": "the share of correct predictions in each class, averaged over the classes, so that rare "
    "classes count as much as common ones",
    "f1_macro": "the harmonic mean of precision and recall of each class, averaged over the classes",
    "log_loss": "minus the logarithm of the probability given to the true class, averaged; lower is better",
    "roc_auc": "the probability that an example of a class gets a higher score for it than an example of another "
    "class; 0.5 is chance",
    "rmse": "the square root of the mean squared error, in the units of the target; large errors weigh most; lower "
    "is better",
    "mae": "the mean size of the error, in the units of the target; lower is better",
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
            f"A recipe holds all settings that decide how a network is trained. A trial is one training of a recipe. "
            f"This study tried {formats.count(result.trials, 'recipe')} in {formats.duration(result.wall_s)}.",
        ),
        (
            "epoch", "Epoch",
            f"One pass through the training {many}. The winner was trained for "
            f"{formats.count(result.winner.epochs, 'epoch')}, all trials together for {result.epochs:,}.",
        ),
        ("loss", "Loss", _loss(result)),
        ("metric", _capital(formats.metric_name(result.metric)), formats.sentence(METRICS[result.metric])),
    ]  # fmt: skip


def _loss(result: Result) -> str:
    if result.is_regression:
        return (
            "What training minimizes: the distance between predictions and true values, with the target scaled to mean "
            "0 and standard deviation 1. On this scale, always guessing the mean has a squared error of about 1."
        )
    amount = len(result.classes)
    return (
        f"What training minimizes: minus the logarithm of the probability given to the true class, averaged, in "
        f"nats. Giving each of the {amount} classes the same probability has a loss of ln {amount} = "
        f"{formats.number(words.guess_loss(result))}."
    )


def _of_judging(result: Result) -> list[Term]:
    folds, answers = result.data_facts.folds, result.answers
    found = [_validation(result), *_of_test(result), *_of_baselines(result)]
    if folds > 1:
        found.append(
            ("fold", "Fold", f"One of {folds} parts that take turns: train on the others, validate on this one.")
        )
    if isinstance(answers, ClassAnswers) and answers.calibration:
        ece = formats.number(answers.calibration.ece)
        found.append(
            (
                "calibration", "Calibration",
                f"Probabilities are calibrated if about 8 in 10 of the predictions made with a probability of 0.8 are "
                f"correct. The expected calibration error is the mean gap between the two: {ece} here.",
            )
        )  # fmt: skip
    return found


def _validation(result: Result) -> Term:
    many, folds, n = words.noun(result.kind), result.data_facts.folds, result.validation.n
    judged = (
        f"Here the {n:,} {many} outside the test part were split into {folds} folds: each fold was "
        f"predicted by a network trained on the other {folds - 1}."
        if folds > 1
        else f"Here {n:,} {many} that no recipe was trained on."
    )
    return (
        "validation", "Validation",
        f"The data on which recipes are compared. {judged} The winner reached {formats.metric_name(result.metric)} "
        f"{words.validation(result)} ({result.validation.how}).",
    )  # fmt: skip


def _of_test(result: Result) -> list[Term]:
    score, metric, many = result.score, result.metric, words.noun(result.kind)
    reached = f"{formats.metric_name(metric)} {formats.shown(metric, score.value)}"
    return [
        (
            "test", "Sealed test",
            f"{score.n:,} {many} that were not used to train or choose a recipe. At the end their "
            f"{'true values' if result.is_regression else 'labels'} were "
            f"{words.opened(result)}; the winner reached {reached}.",
        ),
        (
            "optimism", "Optimism",
            f"How much better the winner looks on the {many} used to choose it than on new {many}: the best of "
            f"many is partly the luckiest. {formats.sentence(words.optimism(result))}",
        ),
        (
            "interval", "95 % interval",
            f"A test on {score.n:,} {many} depends partly on chance. Intervals like this contain the true value in "
            f"about 95 of 100 studies; here {words.span(score, metric)}. More test {many} would narrow it.",
        ),
    ]  # fmt: skip


def _of_baselines(result: Result) -> list[Term]:
    label, metric, many = words.dummy_label(result), result.metric, words.noun(result.kind)
    reached = f"{formats.metric_name(metric)} {formats.shown(metric, result.baselines.dummy.value)}"
    return [
        (
            "dummy", _capital(label),
            f"The score of a dummy that does not look at the {many} and always predicts the {label}: {reached} "
            f"here. A network must beat it.",
        ),
        (
            "default", "Default recipe",
            f"The recipe used without a search. It is always a finalist, so that the report can say what the search "
            f"was worth: {words.verdict(result)}.",
        ),
    ]  # fmt: skip


def _of_recipes(result: Result, history: History) -> list[Term]:
    own, many = result.winner.recipe, words.noun(result.kind)
    winner = history.trials.get(result.winner.trial)
    rate = result.space.dimensions.get("optimizer.lr")
    searched = f"; searched: {words.setting(rate)}" if rate else ""
    seeds = formats.count(len(result.winner.seeds), "fresh seed")
    found: list[Term] = [
        (
            "overfitting", "Overfitting",
            f"Memorizing the training {many} instead of learning what they have in common: the training loss keeps "
            f"falling while the validation loss rises. {gap(winner)}".strip(),
        ),
        (
            "rate", "Learning rate",
            f"How far the weights move in one step. If it is too high, the loss jumps or diverges; if it is too low, "
            f"training makes little progress. The winner's is {formats.compact(own['optimizer.lr'])}{searched}.",
        ),
        (
            "decay", "Weight decay",
            f"Pulls the weights towards zero, which reduces overfitting: "
            f"{formats.compact(own['optimizer.weight_decay'])} in the winner.",
        ),
        (
            "seed", "Seed",
            f"Sets all random choices of a training: initial weights, order of {many}. One seed can be lucky"
            + (f", so the winner was trained again with {seeds}." if result.winner.is_retrained
               else "; there was no time to train the winner with other seeds."),
        ),
    ]  # fmt: skip
    if result.backbone:
        found.append(
            (
                "backbone", "Backbone, head, fine-tuning",
                f"The backbone ({result.backbone.name}) was pretrained on other pictures. It turns a picture into "
                f"numbers, its features; the head turns these into classes. With a frozen backbone only the head is "
                f"trained; fine-tuning trains the last stages of the backbone as well.",
            )
        )  # fmt: skip
    return found


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
