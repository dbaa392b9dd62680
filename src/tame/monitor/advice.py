"""From a finding to the change that it asks for, in words that a user can act on."""

from __future__ import annotations

CHANGES = {
    "overfitting": "more regularisation (weight decay, dropout, augmentation), fewer epochs, or more data",
    "overconfident": "where probabilities matter: label smoothing, fewer epochs, or calibrated probabilities; "
    "the classes that are named did not suffer",
    "still_improving": "more epochs, or a higher learning rate",
    "rate_too_high": "a lower learning rate, or warmup",
    "rate_too_low": "a higher learning rate, or more epochs",
    "diverged": "a lower learning rate, or warmup",
    "no_better_than_dummy": "check targets and inputs; try a higher rate or a larger network, "
    "for pictures a pretrained backbone or a larger input size",
    "best_on_edge": "a wider space",
    "infeasible": "no setting that was searched tells them apart: look for a fault in the model or the data",
    "linear_range": "a log range",
    "cut_short": "more time (--time), or fewer epochs (--set epochs=...): what is compared should come to its end",
    "worthless_rest": "end such a search early: --stop-search-early",
    "near_duplicates": "they were kept on one side of the split; remove the copies",
    "label_conflict": "decide which label is right",
    "leak": "the copies outside the test part were put aside",
    "skipped_files": "repair or remove the files listed in skipped.csv",
    "imbalance": "judge by balanced_accuracy (--metric), or collect more of the rare classes",
    "small_test": "collect more examples for the test: the interval is wide",
    "target_leak": "leave the column out if it is not known when a prediction is made",
    "skipped_rows": "give these rows a target, or remove them",
    "identifier_columns": "they were left out, since a network would learn them by heart; if rows of one identifier "
    "belong together, give it with --groups",
    "constant_columns": "they were left out, since they say nothing; find out why they do not vary",
    "unseen_categories": "they are treated as unknown; collect examples of them for training",
    "few_rows": "collect more rows, and read the interval before the score",
    "duplicate_rows": "remove the copies, unless rows can be equal by chance",
    "infinite_values": "they were treated as missing; find out how they came to be",
}
