"""`tame diagnose LOG`: what the doctor finds in the log of another program, with remedies in that program's words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from tame.app.foreign_logs import SHARES, TOOLS, Log, Named, read_log
from tame.app.show import findings_lines
from tame.core.codes import CODES, names_of
from tame.core.errors import require
from tame.core.recipe import Recipe
from tame.core.records import Curve, Finding, Trial
from tame.monitor.case import Facts
from tame.monitor.rules import examine
from tame.report.formats import count, inert

# How the changes are made in each program: the words that the sentences below are put together from.
WORDS: Mapping[str, Mapping[str, str]] = {
    "keras": {
        "stop": "keras.callbacks.EarlyStopping(monitor='val_loss', patience=3, restore_best_weights=True)",
        "regular": "keras.layers.Dropout, or weight_decay in the optimizer",
        "lower": "a smaller learning_rate in the optimizer",
        "higher": "a larger learning_rate in the optimizer",
        "clip": "clipnorm=1.0 in the optimizer",
        "longer": "more epochs in model.fit",
        "larger": "more units or layers",
        "smooth": "label_smoothing=0.1 in keras.losses.CategoricalCrossentropy",
        "shuffle": "shuffle=True in model.fit",
        "valid": "a larger validation_data or validation_split",
        "warmup": "warmup_steps of keras.optimizers.schedules.CosineDecay",
    },
    "lightning": {
        "stop": "EarlyStopping(monitor='val_loss', mode='min') and ModelCheckpoint(monitor='val_loss')",
        "regular": "nn.Dropout, or weight_decay in configure_optimizers",
        "lower": "a smaller lr in configure_optimizers",
        "higher": "a larger lr in configure_optimizers",
        "clip": "Trainer(gradient_clip_val=1.0)",
        "longer": "Trainer(max_epochs=...) with more epochs",
        "larger": "wider or more layers",
        "smooth": "nn.CrossEntropyLoss(label_smoothing=0.1)",
        "shuffle": "DataLoader(shuffle=True)",
        "valid": "a larger val_dataloader",
        "warmup": "torch.optim.lr_scheduler.LinearLR in configure_optimizers",
    },
    "transformers": {
        "stop": "load_best_model_at_end=True in TrainingArguments and EarlyStoppingCallback(early_stopping_patience=3)",
        "regular": "weight_decay in TrainingArguments, or dropout in the model's config",
        "lower": "a smaller learning_rate in TrainingArguments",
        "higher": "a larger learning_rate in TrainingArguments",
        "clip": "max_grad_norm in TrainingArguments",
        "longer": "more num_train_epochs",
        "larger": "a larger checkpoint",
        "smooth": "label_smoothing_factor=0.1 in TrainingArguments",
        "shuffle": "a shuffled train_dataset",
        "valid": "a larger eval_dataset",
        "warmup": "warmup_ratio=0.1 in TrainingArguments",
    },
}
ANYWHERE: Mapping[str, str] = {  # of a table and of TensorBoard, which do not say what trained
    "stop": "keeping the weights of the epoch with the lowest validation loss",
    "regular": "dropout, or weight decay in the optimizer",
    "lower": "a smaller learning rate",
    "higher": "a larger learning rate",
    "clip": "clipped gradients",
    "longer": "more epochs",
    "larger": "wider or more layers",
    "smooth": "label smoothing in the loss",
    "shuffle": "training data that is shuffled in every epoch",
    "valid": "a larger validation part",
    "warmup": "warmup",
}
# By the name of a finding. Those that are not here are the same in every program.
CHANGES: Mapping[str, str] = {
    "overfitting": "{stop}; {regular}; or more data",
    "overconfident": "{smooth}, or {stop}; the predicted classes are as good as before",
    "memorised": "{regular}; augmentation; or more data",
    "underfitting": "{larger}, or better inputs; if larger ones are no better, the inputs say no more",
    "still_improving": "{longer}, or {higher}",
    "rate_too_high": "{lower}; {warmup}; {clip}",
    "rate_too_low": "{higher}, or {longer}",
    "diverged": "{lower}; {warmup}; {clip}",
    "no_better_than_dummy": "check targets and inputs; then {higher} or {larger}",
    "plateau": "{warmup}, or {higher}; and do not judge so early",
    "noisy_validation": "{valid}, or average over the last epochs",
    "periodic": "{shuffle}, or {lower}",
}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A log and what was found in it."""

    file: str
    log: Log
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, object]:
        """The document of `tame diagnose --json`."""
        points = self.log.points
        return {
            "schema": "tame/1", "file": self.file, "tool": self.log.tool, "epochs": len(points),
            "metric": self.log.metric, "remarks": list(self.log.remarks),
            "findings": [each.document() for each in self.findings],
        }  # fmt: skip


def diagnose(
    path: Path, named: Named, *, classes: int | None = None, examples: int | None = None, mute: tuple[str, ...] = ()
) -> Diagnosis:
    """What the rules find in a log.

    classes: of a balanced classification, so that guessing is known; examples: of the validation part. Raises
    UsageError and DataError as `read_log`, and UsageError for a number that cannot be and an unknown finding.
    """
    muted = names_of(mute)
    require(classes is None or classes >= 2, f"a classification has 2 classes or more, got {classes}")
    require(examples is None or examples >= 1, f"a validation part has 1 example or more, got {examples}")
    log = read_log(path, named)
    found = examine(_trial(log), _facts(log, classes, examples))
    told = [
        replace(each, change=change_in(log.tool, each.code), trial=None) for each in found if each.code not in muted
    ]
    return Diagnosis(str(path), log, tuple(told))


def change_in(tool: str, code: str) -> str:
    """What to do about a finding, in the words of a program."""
    return CHANGES[code].format_map(WORDS.get(tool, ANYWHERE)) if code in CHANGES else CODES[code].change


def diagnosis_lines(found: Diagnosis) -> RenderableType:
    """For people: what was read, what was repaired, and the findings."""
    log = found.log
    what = f"{TOOLS[log.tool]}, {count(len(log.points), 'epoch')}"
    what += f", metric {log.metric}" if log.metric else ""
    parts: list[RenderableType] = [Text(inert(f"{found.file}: {what}"), "bold")]
    parts += [Text(inert(f"note: {each}"), "dim") for each in log.remarks]
    parts += findings_lines(found.findings) if found.findings else [Text("no problems found in the curves")]
    return Group(*parts)


def _trial(log: Log) -> Trial:
    """The log as a trial that has ended. Its recipe only says for how many epochs: see knows_recipe."""
    last = log.points[-1].epoch
    recipe = Recipe().but({"epochs": last})
    return Trial(0, recipe, "imported", "a log", "diverged" if log.lost else "complete", last, Curve(log.points))


def _facts(log: Log, classes: int | None, examples: int | None) -> Facts:
    is_share = log.metric in SHARES
    dummy = 1 / classes if classes and is_share else None
    error = None if dummy is None else math.sqrt(dummy * (1 - dummy) / (examples or 1000))
    task = "multiclass" if is_share or classes else "regression"
    return Facts(
        task=task, num_classes=classes or 1, num_valid=examples or 0, metric=log.metric or "loss",
        higher_is_better=is_share, dummy=dummy, dummy_error=error,
        guess_loss=math.log(classes) if classes else None, knows_recipe=False,
    )  # fmt: skip
