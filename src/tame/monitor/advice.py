"""From a finding to the change that it asks for, in words that a user can act on."""

from __future__ import annotations

CHANGES = {
    "overfitting": "more regularisation (weight decay, dropout, augmentation), fewer epochs, or more data",
    "still_improving": "more epochs, or a higher learning rate",
    "rate_too_high": "a lower learning rate, or warmup",
    "rate_too_low": "a higher learning rate, or more epochs",
    "diverged": "a lower learning rate, or warmup",
    "no_better_than_dummy": "check labels and inputs; try a pretrained backbone, a larger input size or a higher rate",
    "best_on_edge": "a wider space",
    "near_duplicates": "they were kept on one side of the split; remove the copies",
    "label_conflict": "decide which label is right",
    "leak": "the copies outside the test part were put aside",
    "skipped_files": "repair or remove the files listed in skipped.csv",
    "imbalance": "judge by balanced_accuracy (--metric), or collect more of the rare classes",
    "small_test": "collect more test pictures: the interval is wide",
}
