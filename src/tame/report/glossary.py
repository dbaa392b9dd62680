"""The glossary: what each word means, and what it comes to in a study. The report and `tame explain` share it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tame.core.evaluation import ClassAnswers
from tame.core.records import History
from tame.core.result import Result
from tame.report import formats, words
from tame.report.search_section import gap

METRICS = {
    "accuracy": "the share of examples whose class is predicted correctly",
    "balanced_accuracy": "the share of correct predictions in each class, averaged over the classes, so that rare "
    "classes count as much as common ones",
    "f1_macro": "the harmonic mean of precision and recall of each class, averaged over the classes",
    "log_loss": "minus the logarithm of the probability given to the true class, averaged; lower is better",
    "roc_auc": "the probability that an example of a class gets a higher score for it than an example of another "
    "class; 0.5 is chance",
    "average_precision": "the precision among the examples that rank at least as high as an example of a class, "
    "averaged over the examples of that class; of two classes it is that of the second, or of the first if less than a "
    "third of the examples are of it, so that it is about the rare one; the share of the class is chance",
    "rmse": "the square root of the mean squared error, in the units of the target; large errors weigh most; lower "
    "is better",
    "mae": "the mean size of the error, in the units of the target; lower is better",
    "r2": "the share of the target's variance that the predictions explain; 0 is as good as always guessing the mean, "
    "1 is perfect",
    "bits_per_character": "how many bits a character of a text takes if the model foretells it: comparable between "
    "models with different tokens; lower is better",
}
# Of each word its name and what it means. {many}: what examples are called, {one}: one of them.
MEANINGS: Mapping[str, tuple[str, str]] = {
    "study": (
        "Study",
        "All that is done for one data set: reading and splitting it, the search, the finalists, the sealed test. Its "
        "folder holds the model, the report and a record of every event.",
    ),
    "recipe": (
        "Recipe and trial",
        "A recipe holds all settings that decide how a network is trained. A trial is one training of a recipe.",
    ),
    "space": ("Space", "The fields of a recipe that are searched, each with the values it may have."),
    "epoch": ("Epoch", "One pass through the training {many}."),
    "loss": (
        "Loss",
        "What training minimizes: how far the predictions are from the truth, averaged over the {many}.",
    ),
    "metric": ("Metric", "The number by which the model is judged in the end."),
    "validation": ("Validation", "The data on which recipes are compared; no recipe is trained on it."),
    "test": (
        "Sealed test",
        "{many} that are not used to train or choose a recipe. The part is opened at the end, once, to score the "
        "winner.",
    ),
    "optimism": (
        "Optimism",
        "How much better the winner looks on the {many} used to choose it than on new {many}: the best of many is "
        "partly the luckiest.",
    ),
    "interval": (
        "95 % interval",
        "A score on few {many} depends partly on chance. Intervals like this contain the true value in about 95 of 100 "
        "studies; more test {many} make it narrower.",
    ),
    "dummy": (
        "Dummy",
        "The score of always predicting the same, without a look at the {many}: the most common class, or the mean or "
        "median of the training data. A network must beat it.",
    ),
    "default": (
        "Default recipe",
        "The recipe used without a search. It is always a finalist, so that the report can say what the search was "
        "worth.",
    ),
    "finalist": (
        "Finalist",
        "One of the best recipes of the search, trained again with fresh seeds, so that the winner is not just the "
        "luckiest.",
    ),
    "fold": ("Fold", "One of the parts that take turns: train on the others, validate on this one."),
    "calibration": (
        "Calibration",
        "Probabilities are calibrated if about 8 in 10 of the predictions made with a probability of 0.8 are correct. "
        "The expected calibration error is the mean gap between the two; on few {many} chance alone puts it "
        "above zero.",
    ),
    "overfitting": (
        "Overfitting",
        "Memorizing the training {many} instead of learning what they have in common: the training loss keeps falling "
        "while the validation loss rises.",
    ),
    "rate": (
        "Learning rate",
        "How far the weights move in one step. If it is too high, the loss jumps or diverges; if it is too low, "
        "training makes little progress.",
    ),
    "decay": ("Weight decay", "Pulls the weights towards zero, which reduces overfitting."),
    "seed": (
        "Seed",
        "Sets all random choices of a training: initial weights, order of {many}. One seed can be lucky.",
    ),
    "backbone": (
        "Backbone, head, fine-tuning",
        "A backbone was pretrained on other pictures; of texts it is called an encoder. It turns an example into "
        "numbers, its features; the head turns these into an answer. With a frozen backbone only the head is trained; "
        "fine-tuning trains the last stages of the backbone as well.",
    ),
    "finding": (
        "Finding",
        "Something that is wrong with the data, the space or a training, with the numbers that show it and what to "
        "change.",
    ),
    "remedy": (
        "Remedy",
        "One setting changed against a finding. It is trained beside the trial with the finding, with the same seeds, "
        "and kept as a candidate if it lowers the validation loss by more than chance does.",
    ),
    "states": (
        "Waits, trained, stopped early, diverged",
        "What became of a trial. It waits until it is its turn again; it is trained once all its epochs are done; it "
        "is stopped early if others of its age are better or the time is up; it has diverged if its loss is no longer "
        "a number.",
    ),
    "origins": (
        "Known good, even spread, predicted good",
        "Why a recipe was tried. Known good: such recipes often work. Even spread: it fills the space evenly. "
        "Predicted good: the results of earlier trials speak for it.",
    ),
}  # fmt: skip
PAGE = (  # what the report explains, in its order, if the study has it
    "recipe", "epoch", "loss", "metric", "validation", "test", "optimism", "interval", "dummy", "default", "fold",
    "calibration", "overfitting", "rate", "decay", "seed", "remedy", "states", "origins", "backbone",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Term:
    """A word of the glossary. own: what it comes to in a study, "" without one."""

    anchor: str
    name: str
    meaning: str
    own: str = ""


def general_terms() -> list[Term]:
    """Every word, without a study."""
    return [Term(anchor, name, _filled(meaning, "examples")) for anchor, (name, meaning) in MEANINGS.items()]


def terms(result: Result, history: History) -> list[Term]:
    """The words that matter in a study, each with its numbers."""
    own = numbers(result, history)
    many = words.noun(result.kind)
    names = {
        "metric": formats.capital(formats.metric_name(result.metric)),
        "dummy": formats.capital(words.dummy_label(result)),
    }
    meanings = {"metric": formats.sentence(METRICS[result.metric])}
    return [
        Term(
            anchor, names.get(anchor, MEANINGS[anchor][0]),
            meanings.get(anchor, _filled(MEANINGS[anchor][1], many)), own[anchor],
        )
        for anchor in PAGE
        if anchor in own
    ]  # fmt: skip


def numbers(result: Result, history: History) -> dict[str, str]:
    """What each word comes to in this study; without the words that it has no use for."""
    many, folds, answers = words.noun(result.kind), result.data_facts.folds, result.answers
    winner, rate = history.trials.get(result.winner.trial), result.space.dimensions.get("optimizer.lr")
    recipe = result.winner.recipe
    reached = f"{formats.metric_name(result.metric)} {formats.shown(result.metric, result.score.value)}"
    found = {
        "recipe": f"This study tried {formats.count(result.trials, 'recipe')} in {formats.duration(result.wall_s)}.",
        "epoch": f"The winner was trained for {formats.count(result.winner.epochs, 'epoch')}, all trials together for "
        f"{result.epochs:,}.",
        "loss": _loss(result),
        "metric": f"The winner reached {reached}.",
        "validation": _validation(result),
        "test": f"Here {result.score.n:,} {many}, {words.opened(result)}; the winner reached {reached}.",
        "optimism": formats.sentence(words.optimism(result)),
        "interval": f"Here {words.span(result.score, result.metric)}, on {result.score.n:,} {many}.",
        "dummy": f"It reached {formats.shown(result.metric, result.baselines.dummy.value)} here.",
        "default": formats.sentence(words.verdict(result)),
        "overfitting": gap(winner),
        "rate": f"The winner's is {formats.compact(recipe['optimizer.lr'])}"
        f"{f'; searched: {words.setting(rate)}' if rate else ''}.",
        "decay": f"The winner's is {formats.compact(recipe['optimizer.weight_decay'])}.",
        "seed": _seeds(result),
        "states": f"Here: {words.states_of(result)}.",
        "origins": "",
    }
    if result.cases:
        tried = [each for case in result.cases for each in case.remedies]
        kept = sum(each.kept for each in tried)
        found["remedy"] = f"Tried here: {len(tried):,}; kept: {kept:,}."
    if folds > 1:
        found["fold"] = f"Here there are {folds}."
    if isinstance(answers, ClassAnswers) and answers.calibration:
        found["calibration"] = f"It is {formats.number(answers.calibration.ece)} here."
    if result.backbone:
        found["backbone"] = f"Here the backbone is {result.backbone.name}."
    elif result.fine_tuning is not None:
        found["backbone"] = "Here an encoder read the texts."
    return found


def _loss(result: Result) -> str:
    guess = formats.number(words.guess_loss(result))
    if result.is_regression:
        return (
            "Here it is the distance between predictions and true values, with the target scaled to mean 0 and "
            "standard deviation 1. On this scale, always guessing the mean has a squared error of about 1."
        )
    if result.is_language_model:
        return f"Here it is how many bits a character takes. Before the model was adapted it was {guess}."
    amount = len(result.classes)
    return (
        f"Here it is minus the logarithm of the probability given to the true class, in nats. Giving each of the "
        f"{amount} classes the same probability has a loss of ln {amount} = {guess}."
    )


def _validation(result: Result) -> str:
    many, folds, n = words.noun(result.kind), result.data_facts.folds, result.validation.n
    judged = (
        f"Here the {n:,} {many} outside the test part were split into {folds} folds: each fold was "
        f"predicted by a network trained on the other {folds - 1}."
        if folds > 1
        else f"Here {n:,} {many}."
    )
    reached = f"{formats.metric_name(result.metric)} {words.validation(result)} ({result.validation.how})"
    return f"{judged} The winner reached {reached}."


def _seeds(result: Result) -> str:
    seeds = formats.count(len(result.winner.seeds), "fresh seed")
    if result.winner.is_retrained:
        return f"The winner was trained again with {seeds}."
    if result.winner.is_fine_tuned:
        return "The winner was fine-tuned with one seed."
    return "There was no time to train the winner with other seeds."


def _filled(meaning: str, many: str) -> str:
    return formats.capital(meaning.replace("{many}", many))
