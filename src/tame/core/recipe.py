"""A recipe: everything needed to train one model again.

Its fields have dotted names ("optimizer.lr"), the same in spaces, flags, files and reports. Ranges are checked when a
recipe is created, so that every recipe can be trained.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from types import MappingProxyType
from typing import Any, SupportsFloat

from tame.core.errors import UsageError, require, unknown

Value = int | float | str | bool
ALL = "all"  # as a batch size: all examples in one step
MOST_EPOCHS = 100_000
TOLD = frozenset(
    ("model.name", "loss.name", "optimizer.name", "optimizer.lr", "optimizer.weight_decay", "schedule.name",
     "batch_size", "epochs", "seed")
)  # fmt: skip

# Fields that may differ between trials trained in one computation; the others determine shapes and batches.
PER_MEMBER = frozenset(
    (
        "optimizer.lr", "optimizer.weight_decay", "optimizer.momentum", "optimizer.beta2", "optimizer.clip_norm",
        "optimizer.clip_value", "loss.label_smoothing", "loss.class_weights", "loss.delta", "loss.quantile",
        "loss.gamma", "model.dropout", "schedule.name", "schedule.warmup", "schedule.drops", "schedule.factor",
        "schedule.power", "schedule.cycles", "schedule.patience", "then.lr", "then.weight_decay", "then.momentum",
        "then.schedule", "then.warmup", "regularize.l1", "regularize.l2", "regularize.max_norm", "regularize.ema",
        "regularize.swa", "regularize.early_stopping", "adapter.alpha", "adapter.matrices", "epochs",
    )
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class InputRecipe:
    """How a picture or a text is fed to a network."""

    size: int = 224  # side of the square that the network sees, in pixels
    views: int = 1  # cached views of each picture: 1 is the picture itself, 2 adds its mirror image, more add crops
    crop: float = 0.875  # share of the picture's shorter side that is seen
    length: int = 256  # of a text, in tokens, that a language model sees at once in training, or an encoder reads

    def __post_init__(self) -> None:
        _within("input.length", self.length, 8, 32_768, "tokens")
        _within("input.size", self.size, 8, 1024, "pixels")
        _within("input.crop", self.crop, 0.1, 1)
        _within("input.views", self.views, 1, 16)


@dataclass(frozen=True, kw_only=True, slots=True)
class TableRecipe:
    """How the columns of a table become the inputs of a network."""

    scaling: str = "quantile"  # of numeric columns: quantile (to a normal distribution) or standard (z-scores)
    numbers: str = "plain"  # encoding of a number: plain, piecewise or periodic (Gorishniy et al., 2022)
    bins: int = 32  # of a piecewise encoding, per column
    dim: int = 8  # outputs of a periodic embedding per number
    sigma: float = 0.3  # standard deviation of the initial frequencies of a periodic embedding
    one_hot: int = 32  # columns with up to this many categories are one-hot encoded; those with more get an embedding
    texts: str = "tfidf"  # columns of text: tfidf (reduced to a few numbers) or encoder (features of a frozen network)

    def __post_init__(self) -> None:
        _one_of("table.scaling", self.scaling, ("quantile", "standard"))
        _one_of("table.texts", self.texts, ("tfidf", "encoder"))
        _one_of("table.numbers", self.numbers, ("plain", "piecewise", "periodic"))
        _within("table.bins", self.bins, 2, 256)
        _within("table.dim", self.dim, 1, 128)
        _above("table.sigma", self.sigma, 0, 100)
        _within("table.one_hot", self.one_hot, 0, 1000)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelRecipe:
    name: str = "head"  # head (on a backbone's features), linear, mlp, words, a network from scratch, or own
    hidden: int = 0  # units of the head's hidden layer; 0 is a linear head
    width: int = 16  # channels of the first stage of a network from scratch; units of each layer of an mlp
    depth: int = 2  # hidden layers of an mlp
    activation: str = "relu"
    norm: str = "none"  # of an mlp's layers: none, layer or batch
    residual: bool = False  # skip connections around every hidden layer of an mlp but the first
    dropout: float = 0.0
    pooled: int = 0  # last stages of the backbone whose averaged maps are features of the head as well
    unfrozen: int = 0  # stages of the backbone, or blocks of the encoder, that are trained, counted from the last
    stage_rate: float = 1.0  # the rate of each of these, as a share of the rate of the one after it
    thaw: float = 0.0  # share of the epochs within which they begin to be trained one after another, the last one first

    def __post_init__(self) -> None:
        _within("model.hidden", self.hidden, 0, 8192)
        _within("model.width", self.width, 1, 8192)
        _within("model.depth", self.depth, 0, 64)
        _one_of("model.norm", self.norm, ("none", "layer", "batch"))
        _below("model.dropout", self.dropout, 0, 1)
        _within("model.pooled", self.pooled, 0, 4)
        _within("model.unfrozen", self.unfrozen, 0, 16)
        _within("model.stage_rate", self.stage_rate, 0.1, 1)
        _within("model.thaw", self.thaw, 0, 0.9)


@dataclass(frozen=True, kw_only=True, slots=True)
class AdapterRecipe:
    """What is trained beside a frozen language model."""

    name: str = "lora"  # low-rank adaptation (Hu et al., 2021)
    rank: int = 8
    alpha: float = 16.0  # what it adds is scaled by alpha / rank
    matrices: str = "all"  # of each block that have an adapter: qv, attention, mlp or all

    def __post_init__(self) -> None:
        _within("adapter.rank", self.rank, 1, 256)
        _above("adapter.alpha", self.alpha, 0, 1024)
        _one_of("adapter.matrices", self.matrices, ("qv", "attention", "mlp", "all"))


@dataclass(frozen=True, kw_only=True, slots=True)
class LossRecipe:
    name: str = "cross_entropy"
    label_smoothing: float = 0.0
    class_weights: str = "none"  # none, or balanced: every class has the same total weight
    delta: float = 1.0  # where huber turns from squared to absolute, in standard deviations of the target
    quantile: float = 0.5  # the quantile that the quantile loss estimates
    gamma: float = 2.0  # of the focal loss: how much well-classified examples are down-weighted
    costs: str = ""  # of cost_sensitive: a CSV file, or "pizza>bread=0.2, cat>dog=3": true class > predicted class

    def __post_init__(self) -> None:
        _below("loss.label_smoothing", self.label_smoothing, 0, 1)
        _one_of("loss.class_weights", self.class_weights, ("none", "balanced"))
        _above("loss.delta", self.delta, 0, 1e6)
        _within("loss.quantile", self.quantile, 0.001, 0.999)
        _within("loss.gamma", self.gamma, 0, 20)


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerRecipe:
    name: str = "adamw"
    lr: float = 1e-3
    weight_decay: float = 1e-2
    momentum: float = 0.9  # of momentum and nesterov; the first beta of the Adam family
    beta2: float = 0.999  # of the Adam family: decay of the mean squared gradient
    clip_norm: float = 0.0  # largest norm of the gradient of all parameters; 0: no limit
    clip_value: float = 0.0  # largest entry of a gradient; 0: no limit

    def __post_init__(self) -> None:
        _above("optimizer.lr", self.lr, 0, 1e4)
        _within("optimizer.weight_decay", self.weight_decay, 0, 1e4)
        _below("optimizer.momentum", self.momentum, 0, 1)
        _below("optimizer.beta2", self.beta2, 0, 1)
        _within("optimizer.clip_norm", self.clip_norm, 0, 1e6)
        _within("optimizer.clip_value", self.clip_value, 0, 1e6)


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleRecipe:
    name: str = "cosine"
    warmup: float = 0.0  # share of all steps in which the rate rises from zero
    drops: int = 3  # of step: how often the rate falls
    factor: float = 0.1  # of step and plateau: multiplier of each drop; of exponential: multiplier at the end
    power: float = 2.0  # of polynomial
    cycles: int = 3  # of restarts
    patience: int = 5  # of plateau: epochs without a lower validation loss before the rate falls

    def __post_init__(self) -> None:
        _below("schedule.warmup", self.warmup, 0, 1)
        _within("schedule.drops", self.drops, 1, 1000)
        _within("schedule.factor", self.factor, 1e-6, 1)
        _above("schedule.power", self.power, 0, 100)
        _within("schedule.cycles", self.cycles, 1, 1000)
        _within("schedule.patience", self.patience, 1, 100_000)


@dataclass(frozen=True, kw_only=True, slots=True)
class ThenRecipe:
    """A second phase of training, with its own optimizer and schedule, from a share of the epochs on."""

    start: float = 1.0  # share of the epochs after which it begins; 1: never
    optimizer: str = "momentum"
    lr: float = 1e-2
    weight_decay: float = 0.0
    momentum: float = 0.9
    schedule: str = "cosine"
    warmup: float = 0.0  # share of this phase

    def __post_init__(self) -> None:
        _above("then.start", self.start, 0, 1)
        _above("then.lr", self.lr, 0, 1e4)
        _within("then.weight_decay", self.weight_decay, 0, 1e4)
        _below("then.momentum", self.momentum, 0, 1)
        _below("then.warmup", self.warmup, 0, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class RegularizeRecipe:
    """What keeps a network from memorising its examples; decay, dropout and smoothing are set with their parts."""

    l1: float = 0.0  # weight of the sum of absolute weights in the loss
    l2: float = 0.0  # weight of half the sum of squared weights in the loss
    max_norm: float = 0.0  # largest norm of one unit's weights; 0: no limit
    ema: float = 0.0  # decay per step of the averaged weights that are judged; 0: none
    swa: float = 0.0  # share of the epochs, at the end, over which the weights are averaged; 0: none
    mixup: float = 0.0  # alpha of mixing pairs of examples; 0: none
    cutmix: float = 0.0  # alpha of pasting a part of one picture into another; 0: none
    early_stopping: int = 0  # epochs without a lower validation loss after which the best epoch is restored; 0: never

    def __post_init__(self) -> None:
        _within("regularize.l1", self.l1, 0, 1e4)
        _within("regularize.l2", self.l2, 0, 1e4)
        _within("regularize.max_norm", self.max_norm, 0, 1e6)
        _below("regularize.ema", self.ema, 0, 1)
        _below("regularize.swa", self.swa, 0, 1)
        _within("regularize.mixup", self.mixup, 0, 10)
        _within("regularize.cutmix", self.cutmix, 0, 10)
        _within("regularize.early_stopping", self.early_stopping, 0, 100_000)


@dataclass(frozen=True, kw_only=True, slots=True)
class AugmentRecipe:
    flip: bool = False  # random mirror images
    crop: float = 0.0  # strength of random shifts, as a share of the picture's side
    rotation: float = 0.0  # largest random rotation in degrees, either way
    color: float = 0.0  # strength of random changes of brightness, contrast and saturation
    strength: float = 0.0  # of a random augmentation drawn for each picture, 0 (none) to 1
    noise: float = 0.0  # added to a table's numbers, in standard deviations

    def __post_init__(self) -> None:
        _within("augment.crop", self.crop, 0, 0.5)
        _within("augment.rotation", self.rotation, 0, 180, "degrees")
        _within("augment.color", self.color, 0, 1)
        _within("augment.strength", self.strength, 0, 1)
        _within("augment.noise", self.noise, 0, 10)


class _WorkedOut:
    """Values that a search asks thousands of recipes for repeatedly: computed once, and not fields of the recipe."""

    __slots__ = ("_flat", "_key")
    _flat: dict[str, Value]
    _key: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe(_WorkedOut):
    input: InputRecipe = field(default_factory=InputRecipe)
    table: TableRecipe = field(default_factory=TableRecipe)
    model: ModelRecipe = field(default_factory=ModelRecipe)
    adapter: AdapterRecipe = field(default_factory=AdapterRecipe)
    own: Mapping[str, Value] = field(default_factory=lambda: MappingProxyType({}))  # arguments of the user's own model
    loss: LossRecipe = field(default_factory=LossRecipe)
    optimizer: OptimizerRecipe = field(default_factory=OptimizerRecipe)
    schedule: ScheduleRecipe = field(default_factory=ScheduleRecipe)
    then: ThenRecipe = field(default_factory=ThenRecipe)
    regularize: RegularizeRecipe = field(default_factory=RegularizeRecipe)
    augment: AugmentRecipe = field(default_factory=AugmentRecipe)
    batch_size: int | str = 32  # or "all"
    epochs: int = 30
    seed: int = 0  # of the randomness in training; never searched

    def __post_init__(self) -> None:
        if self.batch_size != ALL:
            good = isinstance(self.batch_size, int) and 1 <= self.batch_size <= 1_000_000
            require(good, f'batch_size must be 1 to 1000000 or "all", got {self.batch_size!r}')
        _within("epochs", self.epochs, 1, MOST_EPOCHS)
        require(0 <= self.seed < 2**63, f"seed must be 0 to 2**63 - 1, got {self.seed}")
        if odd := [name for name in self.own if not name.isidentifier()]:
            raise UsageError(f"own.{odd[0]} is not a valid name of a function argument")

    def __hash__(self) -> int:
        return hash(self.key())

    @property
    def is_single(self) -> bool:
        """Whether its first epoch is all, as of a model that is solved at once: it takes longer than one of many."""
        return self.epochs == 1

    def batch(self, num_examples: int) -> int:
        """Examples in a full batch, given the number of training examples."""
        return max(1, num_examples) if self.batch_size == ALL else int(self.batch_size)

    def steps(self, num_examples: int) -> int:
        """Steps of all epochs, given the number of training examples."""
        return self.epochs * max(1, -(-num_examples // self.batch(num_examples)))

    def flat(self) -> dict[str, Value]:
        """Every field by its dotted name."""
        if not hasattr(self, "_flat"):
            object.__setattr__(self, "_flat", self._flattened())
        return dict(self._flat)

    def _flattened(self) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if is_dataclass(value):
                found |= {f"{item.name}.{part.name}": getattr(value, part.name) for part in fields(value)}
            elif isinstance(value, Mapping):
                found |= {f"{item.name}.{name}": own for name, own in value.items()}
            else:
                found[item.name] = value
        return found

    def shown(self) -> dict[str, Value]:
        """The fields worth showing: those of every training, and those that differ from a plain recipe."""
        return {n: v for n, v in self.flat().items() if n in TOLD or n not in _PLAIN or v != _PLAIN[n]}

    def but(self, changes: Mapping[str, object]) -> Recipe:
        """This recipe with some fields changed, by dotted name ("optimizer.lr"). None for a field "own.NAME" takes it
        out, so that the user's function uses its own default.

        Raises UsageError for an unknown name (with the nearest one), a wrong type or a value out of range.
        """
        known = self.flat()
        nested: dict[str, dict[str, Value]] = {}
        gone: set[str] = set()
        for name, value in changes.items():
            short = name.removeprefix("recipe.")
            room, _, leaf = short.rpartition(".")
            if room == "own":
                if value is None:
                    gone.add(leaf)
                else:
                    nested.setdefault(room, {})[leaf] = _own(short, value)
                continue
            if short not in known:
                raise UsageError(f"{unknown('recipe field', short, known)} `tame explain fields` lists all")
            fitted = _batch_size(value) if short == "batch_size" else _fit(short, value, known[short])
            nested.setdefault(room, {})[leaf] = fitted
        own: dict[str, Any] = nested.pop("", {})
        if "own" in nested or gone:
            merged = {**self.own, **nested.pop("own", {})}
            own["own"] = MappingProxyType({name: merged[name] for name in sorted(merged) if name not in gone})
        for room, values in nested.items():
            own[room] = replace(getattr(self, room), **values)
        return replace(self, **own)

    @classmethod
    def from_flat(cls, values: Mapping[str, object]) -> Recipe:
        """The recipe whose `flat()` is `values`; missing fields take their defaults."""
        # Most fields of most recipes are plain, and need no check. In their type: 1 and true are equal, not the same.
        plain = _PLAIN.get
        changes = {
            name: value
            for name, value in values.items()
            if (own := plain(name)) is not value and (own != value or type(own) is not type(value))
        }
        return _PLAIN_RECIPE.but(changes)

    def key(self) -> str:
        """16 hexadecimal digits, equal for two recipes only if every field is equal."""
        if not hasattr(self, "_key"):
            text = json.dumps(self.flat(), sort_keys=True)
            object.__setattr__(self, "_key", hashlib.blake2b(text.encode(), digest_size=8).hexdigest())
        return self._key


# The sentences are made only where something is wrong: reading a study of 10,000 trials checks 600,000 fields.
def _within(name: str, value: float, low: float, high: float, unit: str = "") -> None:
    if not low <= value <= high:
        raise UsageError(f"{name} must be {low:g} to {high:g}{unit and ' ' + unit}, got {value}")


def _below(name: str, value: float, low: float, high: float) -> None:
    if not low <= value < high:
        raise UsageError(f"{name} must be at least {low:g} and below {high:g}, got {value}")


def _above(name: str, value: float, low: float, high: float) -> None:
    if not low < value <= high:
        raise UsageError(f"{name} must be above {low:g} and at most {high:g}, got {value}")


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(unknown(name, value, known))


def _own(name: str, value: object) -> Value:
    """A value for the user's own model: a finite number, text, true or false."""
    if not isinstance(value, (str, int)) and not (isinstance(value, float) and math.isfinite(value)):
        raise UsageError(f"{name} must be a number, text, or true or false, got {value!r}")
    return value


def _batch_size(value: object) -> int | str:
    """A whole number, or "all"."""
    if isinstance(value, str) and value.strip().lower() == ALL:
        return ALL
    fitted = _fit("batch_size", value, 1)
    assert isinstance(fitted, int)
    return fitted


def _fit(name: str, value: object, like: Value) -> Value:
    """`value` in the type of `like`, parsed if it is text. Raises UsageError."""
    wanted = type(like).__name__
    try:
        if isinstance(like, bool):
            if isinstance(value, str):
                value = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[value.lower()]
            if not isinstance(value, bool):
                raise ValueError
            return value
        if isinstance(like, str):
            if not isinstance(value, str):
                raise ValueError
            return value
        if isinstance(value, bool):
            raise ValueError
        if isinstance(value, str) and re.fullmatch(r"\s*[+-]?[0-9]+\s*", value):
            value = int(value)  # not by way of a float, which holds 53 bits
        if not isinstance(value, int | float | str) and not isinstance(value, SupportsFloat):  # the slow question last
            raise ValueError
        number = float(value)
        if not math.isfinite(number):
            raise ValueError
        if isinstance(like, int):
            if number != int(number):
                raise ValueError
            return int(value) if isinstance(value, int) else int(number)
        return number
    except (ValueError, TypeError, KeyError, OverflowError):
        words = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}[wanted]
        raise UsageError(f"{name} must be {words}, got {value!r}") from None


_PLAIN_RECIPE = Recipe()
_PLAIN = _PLAIN_RECIPE.flat()
