"""The evidence of a finding and the heading of its change, in words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tame.core.records import Finding
from tame.kinds.known import FIRST
from tame.report.formats import compact, listed, short
from tame.report.words import noun

MOST_SUSPECTS = 3  # examples whose labels may be wrong that a sentence names
BY_COLUMN = ("target_leak", "shortcut", "group_column")  # whose evidence is said column by column
SURE = {"low": "a guess: there is little to go by", "medium": "likely, not certain"}  # how sure a finding is
DONE = {  # whose change says what was done while the data was read
    "leak", "near_duplicates", "identifier_columns", "constant_columns", "unseen_categories", "duplicate_rows",
    "infinite_values",
}  # fmt: skip


def evidence(finding: Finding, kind: str = FIRST) -> str:
    """The numbers behind a finding in a sentence; as a plain list if the code has no sentence here."""
    values = finding.evidence
    counts = {name: each for name, each in values.items() if isinstance(each, int)}
    if finding.code == "imbalance" and values and len(counts) == len(values):
        ordered = sorted(counts.items(), key=lambda item: -item[1])
        return "; ".join(f"{short(name, 40)} {amount:,}" for name, amount in [ordered[0], ordered[-1]])
    columns = values.get("columns")
    if finding.code in BY_COLUMN and isinstance(columns, Sequence):
        found = [f"{short(str(each['column']), 40)}: {each['evidence']}" for each in columns]
        return short("; ".join(found), 300)
    if finding.code == "sentinel_values" and isinstance(columns, Sequence):
        found = [
            f"{short(str(each['column']), 40)} is {each['value']} in {each['rows']:,} {noun(kind)}, all others lie "
            f"between {each['low']} and {each['high']}"
            for each in columns
        ]
        return short("; ".join(found), 300)
    suspects = values.get("pictures", values.get("rows"))
    if finding.code == "suspect_labels" and isinstance(suspects, Sequence):
        return _suspects(values, suspects, noun(kind))
    plain = {key.replace(".", "_"): _bytes(key, value) or _short(value) for key, value in values.items()}
    # Older findings do not say how the dummy guesses: they were all from classification.
    known = {"guess": "always predicting the most common class", **plain, "examples": noun(kind)}
    for sentence in _SENTENCES.get(finding.code, ()):
        if set(_PLACES.findall(sentence)) <= known.keys():
            return sentence.format_map(known)
    return "; ".join(f"{key.replace('_', ' ')}: {_short(value)}" for key, value in values.items())


def _suspects(values: Mapping[str, object], suspects: Sequence[Mapping[str, object]], nouns: str) -> str:
    """Which labels may be wrong, and where that was shown in number, how."""
    looks = [
        f"{short(str(each.get('picture', each.get('row'))), 60)} looks like {short(str(each['looks_like']), 40)}"
        for each in suspects
    ]
    said = f"for example {listed(looks[:MOST_SUSPECTS])}"
    if "sure" not in values:
        return said
    share = compact(values["share"])
    return f"{share} of the {compact(values['sure'])} {nouns} that are easiest to tell contradict their labels; {said}"


def to_do(finding: Finding) -> str:
    """What stands before the change of a finding: whether the study made it, or it is left to the reader."""
    return "Change" if finding.outcome else "What was done" if finding.code in DONE else "For you to do"


# For each code the sentences that may show its evidence: the first one whose values are all known is used.
_SENTENCES: Mapping[str, tuple[str, ...]] = {
    "row_order": (
        "the place in the file tells {told} of what is to be known of the target: of {rows_low} {share_low} are "
        "{name}, of {rows_high} {share_high}",
        "the place in the file tells {told} of what is to be known of the target: its mean is {mean_low} in {rows_low} "
        "and {mean_high} in {rows_high}",
    ),
    "squashed_outputs": (
        "the outputs stay between {low} and {high}, so the loss cannot fall below {floor}",
        "the outputs stay between {low} and {high}; {missed} of the targets lie beyond",
        "training loss {last_train_loss}, validation loss {last_valid_loss}; outputs between 0 and 1 leave at least "
        "{floor_loss}",
        "outputs between {low} and {high} were reached",
    ),
    "large_first_loss": (
        "a first loss of {first_loss}, where outputs of zero have {guess_loss}; standard deviation of the outputs "
        "{outputs}, of the inputs {inputs}",
    ),
    "cannot_overfit_batch": (
        "after {steps} steps on {n} {examples} at rates of {rates}, the lowest loss was {lowest_loss}; one answer "
        "for all has {constant_loss}, a perfect one {perfect_loss}",
    ),
    "no_gradient": ("no step gave {parameters} a gradient",),
    "frozen_parameters": ("{share} of the weights lie in {parameters}",),
    "dead_units": ("zero for every example: {layers}",),
    "constant_outputs": ("after {steps} steps the outputs differ between examples by {spread} of the largest output",),
    "vanishing_gradients": (
        "gradient over weights of {first_layer} relative to that of {last_layer}: {ratio}; the largest is {largest}",
    ),
    "exploding_gradients": (
        "gradient over weights, layer by layer, was {layers}; the first ones get {growth} times what later ones get",
    ),
    "update_ratio": (
        "a step changes the weights by {ratio} of their size; usual is 0.001, between 0.00001 and 0.1; loss "
        "{first_loss} before and {last_loss} after {steps} steps",
    ),
    "not_probed": ("what was not run: {probes}",),
    "small_batch_norm": ("batches of {batch_size}, the last one of {last_batch}; layers: {norms}",),
    "overfitting": (
        "validation loss was lowest in epoch {since_epoch} ({lowest_valid_loss}) and {last_valid_loss} "
        "at the end; training loss was {last_train_loss} by then",
    ),
    "overconfident": (
        "validation loss was lowest in epoch {since_epoch} ({lowest_valid_loss}) and {last_valid_loss} "
        "at the end; the metric ended at {last_valid_metric}",
    ),
    "still_improving": (
        "validation loss {last_valid_loss} after {epochs} epochs; it fell by {fall_over_last_fifth} of "
        "its value over the last fifth of them",
    ),
    "rate_too_high": (
        "the training loss rose in {share_of_epochs_that_rose} of all epochs, by more than its noise of "
        "{noise_of_train_loss}; first {first_train_loss}, at last {last_train_loss}",
        "the training loss was lowest in epoch {since_epoch} ({lowest_train_loss}) and {last_train_loss} at the end, "
        "and the validation loss rose with it",
        "the training loss has stayed at {last_train_loss} since epoch {since_epoch}",
        "{valid_metric} after all epochs, where the dummy has {dummy}, at {times_the_usual_rate} times the rate that "
        "usually works",
        # Of earlier versions.
        "the training loss rose in {share_of_epochs_that_rose} of all epochs and reached "
        "{highest_train_loss}; guessing has a loss of {loss_of_guessing}; learning rate {optimizer_lr}",
    ),
    "rate_too_low": (
        "the training loss fell from {first_train_loss} to {last_train_loss} in {epochs} epochs, "
        "{share_of_fall_in_second_half} of that in the second half of them",
        "the training loss ended at {last_train_loss}; guessing has a loss of {loss_of_guessing}; "
        "learning rate {optimizer_lr}",
    ),
    "diverged": (
        "a loss in epoch {epoch} was not finite; learning rate {optimizer_lr}",
        "a loss in epoch {epoch} was not finite",
    ),
    "no_better_than_dummy": ("{valid_metric} on {n} validation {examples}; {guess} has {dummy}",),
    "underfitting": (
        "training loss {last_train_loss}, validation loss {last_valid_loss}: no gap; {learned} of the way from "
        "guessing to perfection",
    ),
    "over_regularised": (
        "{field} is {value}; training loss {last_train_loss}, validation loss {last_valid_loss}: no gap; {learned} of "
        "the way from guessing to perfection",
    ),
    "memorised": ("training loss {last_train_loss}, validation loss {last_valid_loss}",),
    "learning_noise": (
        "the training loss fell from {first_train_loss} to {last_train_loss}; on validation {examples} the network has "
        "{valid_metric}, the dummy {dummy}",
    ),
    "plateau": (
        "the training loss was {train_loss} from epoch {since_epoch} to {until_epoch}, and {last_train_loss} at the "
        "end",
    ),
    "noisy_validation": (
        "standard deviation from epoch to epoch {noise}, on {n} {examples}; {needed} would bring it to 0.01",
    ),
    "periodic": ("a cycle of {epochs} epochs makes {share_of_variance} of the variance around the trend",),
    "best_on_edge": ("the best values of {field} are {best_values}; the searched range is {low} to {high}",),
    "infeasible": (
        "{lost} of {begun} recipes that started there failed, {lost_beyond} of the {beyond} beyond it",
        "{lost} of {begun} recipes that started diverged or failed",
    ),
    "linear_range": ("{field} from {low} to {high}",),
    "worthless_rest": (
        "after {recipes} recipes and {epochs} epochs the best validation loss was {best}; expected gain "
        "{gain}, noise {noise}",
    ),
    "near_duplicates": ("for example {pairs}",),
    "label_conflict": ("for example {pairs}",),
    "leak": ("for example {pictures}",),
    "skipped_files": ("for example {first}",),
    "identifier_columns": ("columns: {columns}",),
    "constant_columns": ("columns: {columns}",),
    "skipped_rows": ("{count} {examples} without a target",),
    "duplicate_rows": ("{rows} of {of} {examples} have an identical copy",),
    "overlapping_windows": (
        "{rows} of {of} {examples} overlap others; {cut} of them lie in series too long for one side, cut into blocks",
    ),
    "equal_by_chance": (
        "{rows} of {of} {examples} equal another; chance alone gives about {by_chance}, from how often each value "
        "occurs; {in_test} of the test part equal one that is trained on",
    ),
    "parts_differ": (
        "told apart with an area under the ROC curve of {area} (standard error {error}; 0.5 is chance), by column: "
        "{columns}",
    ),
    "small_classes": ("{classes}",),
    "unscaled_inputs": (
        "the standard deviation of {smallest} is {smallest_spread}, that of {largest} {largest_spread}",
    ),
    "failing_class": ("{classes}; recognized at most {high} of the first with 95 % confidence",),
    "worse_than_guessing": ("{log_loss} against {guessing}: higher by {by} ({low} to {high})",),
    "miscalibrated": (
        "off by {ece} on average; a calibrated network shows {usual} on {n} {examples}, and hardly ever {limit}; it "
        "says {confidence} and is right in {right}",
    ),
    "validation_above_test": (
        "{metric} {validation} on {n_validation} validation {examples}, {test} on {n} of the test; the difference of "
        "{low} to {high} counts the noise of both",
    ),
    "no_better_than_linear": (
        "{metric} of the network {network}, of a linear model {linear} on the same {n} {examples}; difference {by} "
        "({low} to {high})",
    ),
    "trees_are_better": (
        "{metric} of the network {network}, of gradient boosting {trees} on the same {n} {examples}; difference {by} "
        "({low} to {high})",
    ),
    "few_decide": ("{metric} on {n} {examples}: {why}",),
    "test_too_small": (
        "better than guessing by {by} ({low} to {high}) on {n} {examples}; about {needed} would show such a difference",
    ),
    "score_without_twins": ("{metric} on all {n} {examples} {with_twins}; on {n_without} without a twin {without}",),
    "infinite_values": ("for example {notes}",),
    "few_rows": ("{rows} {examples}",),
    "small_test": ("{n} test {examples}",),
    "fine_tuning": ("trial {trial} minus trial {frozen_trial} on the same {n} {examples}: {value} ({low} to {high})",),
    "cut_short": ("trial {trial} was at epoch {epochs} of {of} when the time ran out",),
    "unseen_categories": (
        "columns: {columns}",
        "{count} {examples}",
    ),
    "memory_short": ("about {needs_bytes} is needed; {available_bytes} is available",),
}
_PLACES = re.compile(r"{(\w+)}")


def _bytes(key: str, value: object) -> str:
    """So many gigabytes, of what counts bytes; else ""."""
    return f"{value / 1e9:.1f} GB" if key.endswith("_bytes") and isinstance(value, int) else ""


def _short(value: object) -> str:
    """A value of a finding as text; of a list of lists or of long texts, only the first entry."""
    if isinstance(value, Sequence) and not isinstance(value, str) and value:
        first = value[0]
        if all(isinstance(each, str) and len(each) <= 24 for each in value):
            return listed(list(value))
        if isinstance(first, str):
            return short(first, 90)
        if isinstance(first, Mapping):
            return short("; ".join(compact(each) for each in value[:3]), 300)
        if isinstance(first, Sequence):
            return listed([short(str(each), 40) for each in first])
    return short(compact(value), 90)
