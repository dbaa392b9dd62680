"""Everything that the doctor can find, by name: its number, why it matters, and the change that it asks for.

Numbers never change and are never given twice: 100 data, 200 set-up, 300 curves, 400 the search, 500 the score.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tame.core.errors import UsageError, unknown

FAMILIES: Mapping[int, str] = {1: "data", 2: "set-up", 3: "curves", 4: "search", 5: "score"}


@dataclass(frozen=True, slots=True)
class Code:
    """One kind of finding. title: in a few words; why: two sentences; change: what to do, "" if each says its own."""

    number: int
    title: str
    why: str
    change: str = ""

    @property
    def id(self) -> str:
        """As people and programs name it: TAME301."""
        return f"TAME{self.number}"

    @property
    def family(self) -> str:
        return FAMILIES[self.number // 100]


CODES: Mapping[str, Code] = {
    "near_duplicates": Code(
        101,
        "nearly equal examples",
        "Examples that are copies of each other count more than once, in training and in the score. If they lay on "
        "both sides of a split, the score would measure memory.",
        "they were kept on one side of the split; remove the copies",
    ),
    "duplicate_rows": Code(
        102,
        "identical rows",
        "Identical rows count more than once, in training and in the score. If they lay on both sides of a split, the "
        "score would measure memory.",
        "they were kept on one side of the split; remove the copies",
    ),
    "equal_by_chance": Code(
        103,
        "rows that are equal by chance",
        "With few different values, some rows equal others without being copies. They are part of the task, but a "
        "score without them tells how the network does on what it has not seen.",
        "nothing: there are few different values; beside the score stands the one without such rows",
    ),
    "label_conflict": Code(
        104,
        "one input under two labels",
        "No network can be right about both examples. Each such pair costs accuracy and teaches nothing.",
        "decide which label is right",
    ),
    "suspect_labels": Code(
        105,
        "labels that may be wrong",
        "A network trained on wrong labels learns them or wastes its capacity on them. In the test part they make the "
        "score worse than the network is.",
        "look at these examples, and correct the labels that are wrong",
    ),
    "leak": Code(
        106,
        "copies of test examples in the training data",
        "A network knows by heart what it was trained on. Copies in the test part would make the score better than it "
        "will be on new examples.",
        "the copies outside the test part were put aside",
    ),
    "target_leak": Code(
        107,
        "a column gives the target away",
        "A column that is only known together with the target makes every score too good. In use it will be missing, "
        "and the network is worth nothing.",
        "leave the column out if its value is not known at prediction time",
    ),
    "skipped_files": Code(
        108,
        "files that could not be read",
        "What cannot be read is not trained on. If one class has more such files than others, the rest is no fair "
        "sample.",
        "repair or remove these files; skipped.csv in the study's folder and tame check list them",
    ),
    "skipped_rows": Code(
        109,
        "rows without a target",
        "A row without a target cannot be learned from or scored. If the target is missing for a reason, the rest is "
        "no fair sample.",
        "give these rows a target, or remove them",
    ),
    "imbalance": Code(
        110,
        "one class is much more frequent than another",
        "A network that never names the rare class still has a high accuracy. What is rare is often what matters.",
        "use --metric balanced_accuracy, or collect more examples of the rare classes",
    ),
    "identifier_columns": Code(
        111,
        "columns that name the row",
        "A value that occurs once says nothing about new rows. A network would learn it by heart.",
        "they were left out, since a network would learn them by heart; if rows of one identifier "
        "belong together, give it with --groups",
    ),
    "constant_columns": Code(
        112,
        "columns that never vary",
        "A column with one value says nothing. Often it shows that something went wrong when the data was collected.",
        "they were left out, since they say nothing; find out why they do not vary",
    ),
    "unseen_categories": Code(
        113,
        "categories that only the test part has",
        "A network knows nothing about a category that it never saw. Its predictions there are guesses from the other "
        "columns.",
        "they are treated as unknown; collect examples of them for training",
    ),
    "infinite_values": Code(
        114,
        "infinite numbers",
        "An infinite number is mostly a division by zero or an overflow. No network can take it in.",
        "they were treated as missing; find out how they came to be",
    ),
    "few_rows": Code(
        115,
        "few rows",
        "With so few rows, chance decides much of what is learned and most of the score. The interval says how much.",
        "collect more rows, and read the interval before the score",
    ),
    "small_test": Code(
        116,
        "a small test part",
        "A score from few examples has a wide interval. Differences smaller than that interval cannot be seen.",
        "collect more test examples, because the interval is wide",
    ),
    "shortcut": Code(
        117,
        "something beside the content gives a class away",
        "A network takes the easiest way to the answer, and here that is how the pictures were made or kept. On new "
        "pictures, made in one way, it will be wrong.",
        "make or collect the pictures of all classes in one way; if the trait belongs to the class, as a colour may, "
        "mute this",
    ),
    "parts_differ": Code(
        118,
        "training and later data differ",
        "A network is only good for data like that which it was trained on. Where the parts can be told apart by their "
        "inputs, its score may be worse than validation promises, and so may its use.",
        "find out how the parts came to differ, and leave out or repair what tells them apart",
    ),
    "sentinel_values": Code(
        119,
        "a value that may stand for a missing one",
        "Read as a number, a mark such as -999 pulls scales and weights to where no real value is. What it means, that "
        "a value is not known, is lost.",
        "empty these cells if the value marks what is not known, so that they count as missing",
    ),
    "group_column": Code(
        120,
        "rows that may belong together",
        "Rows of one patient, user or device are alike. If they lie on both sides of the split, the score tells how "
        "well the network knows these, not how it does on new ones.",
        "give the column with --groups if the network will meet new ones",
    ),
    "small_classes": Code(
        121,
        "classes with very few examples",
        "From a handful of examples a class can hardly be learned, and what is said about it rests on one or two of "
        "them. Averages over classes count each such class as much as a large one.",
        "collect more examples of these classes, or join or leave them out",
    ),
    "unscaled_inputs": Code(
        122,
        "inputs on very different scales",
        "A module of your own gets its inputs as they are. Where some are a thousand times as large as others, one "
        "learning rate cannot suit all weights, and training is slow or diverges.",
        "scale the inputs to a mean of 0 and a standard deviation of 1, by what the training rows have",
    ),
    "overlapping_windows": Code(
        123,
        "rows that are windows of one series",
        "A window that overlaps another shows the network much of what it is judged on. If they lay on both sides of a "
        "split, the score would measure memory.",
        "those of a series were kept on one side of the split, of a long one in blocks whose edges overlap",
    ),
    "row_order": Code(
        124,
        "the order of the rows tells of the target",
        "Rows that lie near each other in the file have targets alike, as they have where data is gathered over time "
        "or in parts. A split at random then puts neighbours on both sides, and the score may be better than it will "
        "be on rows of another time or place.",
        "if the rows follow each other in time, give that column with --order, so that later rows judge; if they come "
        "from several places or devices, name them with --groups",
    ),
    "squashed_outputs": Code(
        201,
        "outputs that cannot be logits",
        "The loss turns outputs into probabilities itself and needs numbers without bounds. After a softmax, a sigmoid "
        "or a tanh it can never get low, and its gradient is small where it should be large.",
        "let forward() return what comes before the last softmax, sigmoid, tanh or ReLU",
    ),
    "large_first_loss": Code(
        202,
        "a first loss far above guessing",
        "An untrained network should know nothing, and so be as good as guessing. If it is surely wrong instead, the "
        "first epochs are spent on making its outputs small again.",
        "scale the inputs, initialise the weights smaller (the last layer first), or normalise between layers",
    ),
    "cannot_overfit_batch": Code(
        203,
        "a few examples cannot be learned by heart",
        "A sound network learns a handful of examples in a few steps. If it cannot, forward() loses what tells them "
        "apart, or no useful gradient reaches the weights.",
        "check forward(): whether it mixes the examples of a batch, detaches, rounds or rescales",
    ),
    "no_gradient": Code(
        204,
        "parameters without a gradient",
        "What gets no gradient stays as it was drawn, so a part of the network is not trained. Mostly forward() does "
        "not use it, or a detach(), a no_grad() or a rounding cuts it off.",
        "use these parameters in forward() without cutting the gradient, or set requires_grad=False if that is meant",
    ),
    "frozen_parameters": Code(
        205,
        "frozen parameters",
        "Frozen weights are not trained, which is right for a pretrained part that is kept. Of random weights it is "
        "mostly an oversight.",
        "nothing, if that is meant; else set requires_grad=True",
    ),
    "dead_units": Code(
        206,
        "units that are never active",
        "A rectified unit that is zero for every example passes no gradient, so it stays as it is. A layer of them "
        "cuts off everything before it.",
        "initialise biases with zero and weights for the activation used, scale the inputs, or use a leaky activation",
    ),
    "constant_outputs": Code(
        207,
        "outputs that do not depend on the input",
        "A network that answers the same to everything can be no better than guessing. The way from the input to the "
        "output is broken, or the weights were all set to zero.",
        "check forward() and the initial weights: follow two different examples through the layers",
    ),
    "vanishing_gradients": Code(
        208,
        "vanishing gradients",
        "The first layers get so little of the gradient that they hardly move, so the network learns with its last "
        "layers alone. Each layer in between shrinks it.",
        "use normalisation or skip connections, ReLU or GELU in place of sigmoids, initial weights that fit, or fewer "
        "layers",
    ),
    "exploding_gradients": Code(
        209,
        "exploding gradients",
        "Gradients that are many times as large as the weights throw them far away in one step. Each layer in between "
        "makes them grow.",
        "use normalisation, smaller initial weights, or limits on the gradient (--set optimizer.clip_norm=1)",
    ),
    "update_ratio": Code(
        210,
        "steps too large or too small for the weights",
        "A step that changes the weights by about a thousandth of their size learns without losing what is known. Far "
        "larger ones throw the weights away, far smaller ones get nowhere.",
        "use another learning rate",
    ),
    "small_batch_norm": Code(
        211,
        "batch norm on tiny batches",
        "Batch norm takes mean and variance from the batch, and of a few examples they are mostly noise. What is "
        "judged with the averages of training then differs from what was trained.",
        "use larger batches (8 examples or more), or group or layer norm",
    ),
    "not_probed": Code(
        212,
        "parts of the rehearsal that were not run",
        "Before the search, a network of your own is tried for two seconds at most. What was not looked at may be "
        "sound or not.",
        "nothing; if training goes wrong, try the network on a few examples yourself",
    ),
    "overfitting": Code(
        301,
        "overfitting",
        "From some epoch on the network learns what is true of the training examples alone, and gets worse on others. "
        "The weights of the end are then not the best that were seen.",
        "use more regularization (weight decay, dropout, augmentation), fewer epochs, or more data",
    ),
    "overconfident": Code(
        302,
        "overconfidence",
        "The classes are predicted as well as before, but mistakes get ever higher probabilities. Whoever acts on the "
        "probabilities is misled.",
        "if probabilities matter, use label smoothing, fewer epochs, or calibrated probabilities; "
        "the predicted classes are as good as before",
    ),
    "underfitting": Code(
        303,
        "underfitting",
        "Training and validation are equally far from good, so more epochs or more data of this kind will hardly help. "
        "Either the network cannot express the answer, or the inputs do not hold it.",
        "use a larger network, or better inputs; if larger ones are no better, the inputs say no more",
    ),
    "over_regularised": Code(
        304,
        "too much regularization",
        "What keeps a network from memorising can keep it from learning at all. Then the training loss is as bad as "
        "that of validation.",
        "use less of it: weaker dropout, weight decay, smoothing or augmentation",
    ),
    "still_improving": Code(
        305,
        "still improving at the end",
        "The validation loss was falling when training ended, so the network could be better. With a fixed budget, a "
        "higher rate gets there sooner.",
        "train for more epochs, or use a higher learning rate",
    ),
    "rate_too_high": Code(
        306,
        "learning rate too high",
        "Steps that are too large jump over what they aim at, or throw the weights to where nothing moves any more. "
        "What was learned before is lost, and more epochs do not help.",
        "use a lower learning rate, or warmup",
    ),
    "rate_too_low": Code(
        307,
        "learning rate too low",
        "The loss falls so slowly that training ends long before anything has been learned. The network is not at "
        "fault: it never got there.",
        "use a higher learning rate, or train for more epochs",
    ),
    "diverged": Code(
        308,
        "diverged",
        "A loss that is not a number comes from weights that are not numbers. Nothing can be learned from there on.",
        "use a lower learning rate, or warmup",
    ),
    "no_better_than_dummy": Code(
        309,
        "no better than guessing",
        "Always giving the same answer does as well, so nothing of use was learned. The cause lies in the data, the "
        "network or the training, and no other number matters before it is found.",
        "check targets and inputs; try a higher learning rate or a larger network, "
        "and for pictures a pretrained backbone or a larger input size",
    ),
    "memorised": Code(
        310,
        "memorised",
        "The network knows its training examples by heart, so training on can teach it nothing. What it has learned "
        "for others it learned long before.",
        "use more regularization or augmentation, fewer epochs, or more data",
    ),
    "learning_noise": Code(
        311,
        "learning noise",
        "What the network learns is true of the training examples alone. Either the labels are wrong or shuffled, or "
        "the inputs do not tell the target.",
        "check that inputs and labels belong together; a simple model on a few examples shows whether they do",
    ),
    "plateau": Code(
        312,
        "plateau",
        "The loss stood still far above what it reached later, so those epochs were lost. Judged earlier, this recipe "
        "would have looked worse than it is.",
        "use warmup, a higher rate or another initialization, and do not judge so early",
    ),
    "noisy_validation": Code(
        313,
        "noisy validation",
        "So few examples decide which epoch and which recipe look best that chance decides with them. The best value "
        "seen is better than the truth.",
        "use a larger validation part or folds (--folds), or average over the last epochs",
    ),
    "periodic": Code(
        314,
        "a loss that rises and falls regularly",
        "A cycle that the schedule does not make comes from the order of the data, or from a rate at the edge of what "
        "is stable. Where training ends in the cycle decides how good the result is.",
        "shuffle the training data in every epoch, or use a lower learning rate",
    ),
    "best_on_edge": Code(
        401,
        "the best recipes lie on the edge of the space",
        "Beyond the edge there may be better ones that the search was not allowed to try. A range is a guess, and this "
        "one was too narrow.",
        "search a wider space",
    ),
    "infeasible": Code(
        402,
        "many recipes cannot be trained",
        "Trials that diverge or fail cost time and say little. Where they lie together, the space can leave them out.",
        "no searched setting explains which ones; look for a fault in the model or the data",
    ),
    "linear_range": Code(
        403,
        "a linear range over several decades",
        "On a linear scale almost all recipes lie in the highest decade. The others are hardly tried.",
        "use a log range",
    ),
    "cut_short": Code(
        404,
        "a training that the clock ended",
        "The network was not trained to its end, and a schedule that lowers the rate had not lowered it yet. With more "
        "time the same recipe is mostly better.",
        "give the study more time (--time), or use fewer epochs (--set epochs=...), so that training can finish",
    ),
    "worthless_rest": Code(
        405,
        "further trials are unlikely to help",
        "What more recipes are expected to gain is less than what another seed changes. The time is better spent on "
        "data.",
        "stop such a search early with --stop-search-early",
    ),
    "fine_tuning": Code(
        406,
        "fine-tuning",
        "Training the last stages of a backbone, or the last blocks of an encoder, can gain much or lose what it knew. "
        "So both are compared on the same examples, and the better one is kept.",
    ),
    "memory_short": Code(
        407,
        "little memory",
        "Training that needs more memory than there is slows down or is ended by the system. It is better to know "
        "before.",
    ),
    "score_without_twins": Code(
        501,
        "a score that rests on rows seen in training",
        "Rows that equal training rows are easier than new ones. The score without them tells how the network does on "
        "what it has not seen.",
        "where new examples will be as different from the training data as these, read the second score",
    ),
    "failing_class": Code(
        502,
        "a class that is not recognized",
        "The score is an average, and this class hardly counts in it. Whoever needs the class cannot use the network.",
        "collect more examples of the class, choose by balanced accuracy (--metric balanced_accuracy), or look at what "
        "it is mistaken for",
    ),
    "worse_than_guessing": Code(
        503,
        "probabilities that are worse than guessing",
        "Giving every example the shares of the classes has a lower loss than these probabilities. The predicted "
        "classes may still be good, but the probabilities mislead whoever acts on them.",
        "use only the predicted classes, or train with label smoothing or for fewer epochs",
    ),
    "miscalibrated": Code(
        504,
        "probabilities that are off",
        "Of what the network says with 80 %, not 80 % is right. It is further off than chance explains on so many "
        "examples.",
        "do not take the probabilities at their word; use label smoothing or fewer epochs, or calibrate them",
    ),
    "validation_above_test": Code(
        505,
        "a better score in validation than in the test",
        "The difference is more than the noise of both explains. The search has fitted the validation examples, or the "
        "test part is of another kind.",
        "believe the score of the test; if the parts should be alike, find out how they differ",
    ),
    "no_better_than_linear": Code(
        506,
        "no better than a linear model",
        "A linear model of the same inputs does as well, and is simpler, faster and easier to explain. What a network "
        "could add was not found, or is not there.",
        "use the linear model, or give the search more time",
    ),
    "few_decide": Code(
        507,
        "a score that few examples decide",
        "A handful of examples or groups makes most of the score. Others would give another score, and the interval "
        "may be too narrow.",
        "look at these examples, and test on more or on more groups",
    ),
    "test_too_small": Code(
        508,
        "a test part too small for the claim",
        "The network looks better than guessing, but on so few test examples chance could have made that. Whether it "
        "is any good is not known.",
        "test on more examples; how many the evidence says",
    ),
    "trees_are_better": Code(
        509,
        "gradient boosting is better",
        "Trees on the same rows do better than the networks, by more than chance. TAME delivers networks only, never "
        "trees.",
        "use gradient boosting for this table, or give the search more time",
    ),
}

_ID = re.compile(r"TAME\d{3}", re.IGNORECASE)


def name_of(asked: str) -> str:
    """The name of a finding, asked for by its name or number: overfitting for TAME301.

    Raises UsageError for one that there is not, with a near one.
    """
    plain = asked.strip()
    if _ID.fullmatch(plain):
        for name, code in CODES.items():
            if code.id == plain.upper():
                return name
    name = plain.lower().replace(" ", "_").replace("-", "_")
    if name in CODES:
        return name
    known = [code.id for code in CODES.values()] if plain.upper().startswith("TAME") else list(CODES)
    raise UsageError(unknown("finding", plain.upper() if plain.upper().startswith("TAME") else plain, known))


def names_of(asked: Iterable[str]) -> tuple[str, ...]:
    """The names of several, each once. Raises UsageError."""
    if isinstance(asked, str):
        raise UsageError(f"mute must be a list of findings such as ['TAME301'], got {asked!r}")
    return tuple(dict.fromkeys(name_of(each) for each in asked))


def muted_in_toml(value: object, where: str) -> tuple[str, ...]:
    """The findings that a TOML file leaves out: one text, or a list of them. Raises UsageError for anything else."""
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise UsageError(f'{where}: mute must be a list of findings such as ["TAME301"], got {value!r}')
    return tuple(listed)


def id_of(name: str) -> str:
    """The number of a finding by its name; "" for one of another package."""
    return CODES[name].id if name in CODES else ""
