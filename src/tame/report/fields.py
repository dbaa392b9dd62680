"""What people call the fields of a recipe: one table for the terminal, the report, the plan and `tame explain`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tame.core.conditions import field_of


class Field(NamedTuple):
    """A field's name for people, and what it sets. head: a shorter name, for a narrow column."""

    name: str
    about: str
    head: str = ""


FIELDS: Mapping[str, Field] = {
    "input.size": Field("picture size", "side of the square input picture, in pixels", "size"),
    "input.views": Field("views", "views of each picture used in training: the picture, its mirror image, crops"),
    "input.crop": Field("crop", "share of the picture's shorter side that is used"),
    "input.length": Field(
        "text length", "tokens that a language model sees at once in training, or an encoder reads", "length"
    ),
    "adapter.name": Field("adapter", "what is trained beside a frozen language model"),
    "adapter.rank": Field("adapter rank", "rank of the trained matrices: how much an adapter can change", "rank"),
    "adapter.alpha": Field("adapter alpha", "what an adapter adds is scaled by alpha / rank"),
    "adapter.matrices": Field("adapted matrices", "which matrices of each block have an adapter", "matrices"),
    "table.scaling": Field(
        "scaling of numbers", "how numeric columns are scaled: to a normal distribution, or by mean and spread"
    ),
    "table.numbers": Field(
        "encoding of numbers", "how numbers are encoded: plain, piecewise linear, or periodic"
    ),
    "table.bins": Field("bins", "pieces that a column's range is divided into"),
    "table.dim": Field("periodic dimensions", "dimensions of a periodic embedding"),
    "table.sigma": Field("periodic spread", "spread of the initial frequencies of a periodic embedding"),
    "table.one_hot": Field(
        "one-hot limit", "most categories that are encoded one-hot; columns with more are embedded"
    ),
    "table.texts": Field("texts", "how columns of text enter: by their words, or by the features of an encoder"),
    "model.name": Field(
        "model",
        "what is trained: a head on a backbone's features, a linear model, an MLP, words (a linear model on the words "
        "of texts), or a complete network",
    ),
    "model.hidden": Field("hidden units", "units in the head's hidden layer; 0 is a linear head", "hidden"),
    "model.width": Field(
        "width", "units per layer, or channels in the first stage of a network from scratch", "width"
    ),
    "model.depth": Field("depth", "hidden layers", "depth"),
    "model.activation": Field("activation", "activation function after each layer"),
    "model.norm": Field("normalization", "normalization of each layer's output"),
    "model.residual": Field("skip connections", "whether each hidden layer has a skip connection"),
    "model.dropout": Field("dropout", "share of units switched off at random in each training step", "dropout"),
    "model.pooled": Field(
        "averaged stages", "last stages of the backbone whose averaged maps are features of the head as well", "stages"
    ),
    "model.unfrozen": Field(
        "fine-tuned stages", "stages of the backbone, or blocks of the encoder, that are trained too"
    ),
    "model.stage_rate": Field(
        "rate of earlier stages", "the learning rate of each fine-tuned stage, as a share of that of the stage after it"
    ),
    "model.thaw": Field(
        "thawing", "share of the epochs within which fine-tuned stages begin to be trained, the last one first"
    ),
    "loss.name": Field("loss", "the loss that training minimizes"),
    "loss.label_smoothing": Field("label smoothing", "share of the target spread over all classes"),
    "loss.class_weights": Field(
        "class weights", "whether all classes get the same total weight, however rare they are"
    ),
    "loss.delta": Field(
        "Huber delta",
        "where the Huber loss changes from squared to absolute error, in standard deviations of the target",
    ),
    "loss.quantile": Field("quantile", "the quantile that the quantile loss estimates"),
    "loss.gamma": Field("focal gamma", "how strongly the focal loss down-weights easy examples"),
    "loss.costs": Field("costs of mistakes", "costs of confusing one class with another"),
    "optimizer.name": Field("optimizer", "the method that changes the weights after each batch"),
    "optimizer.lr": Field("learning rate", "size of a step", "rate"),
    "optimizer.weight_decay": Field("weight decay", "how strongly weights are pulled towards zero", "decay"),
    "optimizer.momentum": Field("momentum", "how much of the previous step's direction is kept"),
    "optimizer.beta2": Field("beta2", "decay of the running mean of squared gradients"),
    "optimizer.clip_norm": Field("gradient norm limit", "largest norm of the whole gradient; 0: no limit"),
    "optimizer.clip_value": Field("gradient entry limit", "largest absolute entry of a gradient; 0: no limit"),
    "schedule.name": Field("schedule", "how the learning rate changes during training"),
    "schedule.warmup": Field("warmup", "share of the steps in which the rate rises from zero"),
    "schedule.drops": Field("rate drops", "how often a stepwise schedule lowers the rate"),
    "schedule.factor": Field("rate factor", "what a drop of the schedule multiplies the rate by"),
    "schedule.power": Field("schedule power", "power of a polynomial schedule"),
    "schedule.cycles": Field("rate cycles", "how often the schedule starts again from the full rate"),
    "schedule.patience": Field(
        "schedule patience", "epochs without a lower validation loss before the rate is lowered"
    ),
    "then.start": Field(
        "second phase start", "share of the epochs after which a second phase of training begins; 1: never"
    ),
    "then.optimizer": Field("second optimizer", "the optimizer of the second phase"),
    "then.lr": Field("second learning rate", "the learning rate of the second phase"),
    "then.weight_decay": Field("second weight decay", "the weight decay of the second phase"),
    "then.momentum": Field("second momentum", "the momentum of the second phase"),
    "then.schedule": Field("second schedule", "how the learning rate changes in the second phase"),
    "then.warmup": Field("second warmup", "share of the second phase in which its rate rises from zero"),
    "regularize.l1": Field("L1 penalty", "weight of the sum of absolute weights in the loss"),
    "regularize.l2": Field("L2 penalty", "weight of half the sum of squared weights in the loss"),
    "regularize.max_norm": Field("weight norm limit", "largest norm of the weights of a unit; 0: no limit"),
    "regularize.ema": Field("weight averaging (EMA)", "decay of the averaged weights that are evaluated; 0: none"),
    "regularize.swa": Field(
        "weight averaging (SWA)", "share of the epochs, the last ones, over which weights are averaged; 0: none"
    ),
    "regularize.mixup": Field("mixup", "strength of mixing pairs of examples; 0: none"),
    "regularize.cutmix": Field("cutmix", "strength of pasting part of one picture into another; 0: none"),
    "regularize.early_stopping": Field(
        "early stopping", "epochs without a lower validation loss after which the best epoch is restored; 0: never"
    ),
    "augment.flip": Field("random mirroring", "random mirroring in training"),
    "augment.crop": Field(
        "random shifts", "random shifts and scaling in training, as a share of the side"
    ),
    "augment.rotation": Field(
        "random rotation", "largest random rotation in training, in degrees, in either direction"
    ),
    "augment.color": Field(
        "random colours", "strength of random changes of brightness, contrast and saturation"
    ),
    "augment.strength": Field(
        "random augmentation", "strength of a random augmentation of each picture, from 0 (none) to 1"
    ),
    "augment.noise": Field("random noise", "noise added to a table's numbers in training, in standard deviations"),
    "batch_size": Field("batch size", "examples per step", "batch"),
    "epochs": Field("epochs", "passes through the training examples"),
    "seed": Field("seed", "seed for all random choices of a training; never searched"),
}  # fmt: skip
COLUMNS = (  # of a table of trials, the most important first
    "input.size", "optimizer.lr", "adapter.rank", "adapter.matrices", "input.length", "optimizer.weight_decay",
    "model.width", "model.depth", "batch_size",
    "model.dropout", "model.hidden",
)  # fmt: skip


def name_of(field: str) -> str:
    """What people call this field: learning rate; of a model of their own, the name of its argument."""
    known = FIELDS.get(field)
    return field.removeprefix("own.") if known is None else known.name


def names_of(dimensions: Iterable[str]) -> dict[str, str]:
    """What people call these dimensions. Where two would have the same name, each keeps its own, dotted one."""
    named = {name: name_of(field_of(name)) for name in dimensions}
    every = list(named.values())
    return {name: own if every.count(own) == 1 else name for name, own in named.items()}


def in_plain_words(text: str) -> str:
    """The text with the people's names of the fields that it mentions by their dotted ones."""
    return " ".join(_plain(word) for word in text.split(" "))


def _plain(word: str) -> str:
    bare = word.rstrip(",.;:")
    return f"{FIELDS[bare].name}{word[len(bare) :]}" if "." in bare and bare in FIELDS else word
