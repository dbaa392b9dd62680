"""A recipe: everything that is needed to train one model again.

Its fields are reached by dotted names ("optimizer.lr"), the same in spaces, flags, files and reports. Ranges are
checked when a recipe is made, so that no recipe exists that cannot be trained.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

from tame.core.errors import UsageError, require, unknown

Value = int | float | str | bool


@dataclass(frozen=True, kw_only=True, slots=True)
class InputRecipe:
    size: int = 224  # pixels of one side of the square the network sees
    views: int = 1  # cached views of each picture: 1 is the picture itself, 2 adds its mirror image, more add crops
    crop: float = 0.875  # share of the picture's shorter side that is seen

    def __post_init__(self) -> None:
        require(8 <= self.size <= 1024, f"input.size must be 8 to 1024 pixels, got {self.size}")
        require(0.1 <= self.crop <= 1, f"input.crop must be 0.1 to 1, got {self.crop}")
        require(1 <= self.views <= 16, f"input.views must be 1 to 16, got {self.views}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelRecipe:
    name: str = "head"  # "head" on a backbone's features, or a network from scratch
    hidden: int = 0  # units of the head's hidden layer; 0 is a linear head
    width: int = 16  # channels of the first stage of a network from scratch
    dropout: float = 0.0
    unfrozen: int = 0  # stages of the backbone that are trained, from the last one upward

    def __post_init__(self) -> None:
        require(0 <= self.hidden <= 8192, f"model.hidden must be 0 to 8192, got {self.hidden}")
        require(1 <= self.width <= 512, f"model.width must be 1 to 512, got {self.width}")
        require(0 <= self.dropout < 1, f"model.dropout must be at least 0 and below 1, got {self.dropout}")
        require(0 <= self.unfrozen <= 16, f"model.unfrozen must be 0 to 16, got {self.unfrozen}")


@dataclass(frozen=True, kw_only=True, slots=True)
class LossRecipe:
    name: str = "cross_entropy"
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        require(
            0 <= self.label_smoothing < 1,
            f"loss.label_smoothing must be at least 0 and below 1, got {self.label_smoothing}",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerRecipe:
    name: str = "adamw"
    lr: float = 1e-3
    weight_decay: float = 1e-2
    momentum: float = 0.9  # of sgd; AdamW's first beta

    def __post_init__(self) -> None:
        require(0 < self.lr <= 1e4, f"optimizer.lr must be above 0 and at most 1e4, got {self.lr}")
        require(0 <= self.weight_decay <= 1e4, f"optimizer.weight_decay must be 0 to 1e4, got {self.weight_decay}")
        require(0 <= self.momentum < 1, f"optimizer.momentum must be at least 0 and below 1, got {self.momentum}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleRecipe:
    name: str = "cosine"
    warmup: float = 0.0  # share of all steps in which the rate rises from zero

    def __post_init__(self) -> None:
        require(0 <= self.warmup < 1, f"schedule.warmup must be at least 0 and below 1, got {self.warmup}")


@dataclass(frozen=True, kw_only=True, slots=True)
class AugmentRecipe:
    flip: bool = False  # mirror images, at random
    crop: float = 0.0  # strength of random shifts and scales, as a share of the picture's side

    def __post_init__(self) -> None:
        require(0 <= self.crop <= 0.5, f"augment.crop must be 0 to 0.5, got {self.crop}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    input: InputRecipe = field(default_factory=InputRecipe)
    model: ModelRecipe = field(default_factory=ModelRecipe)
    loss: LossRecipe = field(default_factory=LossRecipe)
    optimizer: OptimizerRecipe = field(default_factory=OptimizerRecipe)
    schedule: ScheduleRecipe = field(default_factory=ScheduleRecipe)
    augment: AugmentRecipe = field(default_factory=AugmentRecipe)
    batch_size: int = 32
    epochs: int = 30
    seed: int = 0  # of the training's own chance; never searched

    def __post_init__(self) -> None:
        require(1 <= self.batch_size <= 1_000_000, f"batch_size must be 1 to 1000000, got {self.batch_size}")
        require(1 <= self.epochs <= 100_000, f"epochs must be 1 to 100000, got {self.epochs}")
        require(0 <= self.seed < 2**63, f"seed must be 0 to 2**63 - 1, got {self.seed}")

    def flat(self) -> dict[str, Value]:
        """Every field by its dotted name."""
        found: dict[str, Value] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if is_dataclass(value):
                found |= {f"{item.name}.{part.name}": getattr(value, part.name) for part in fields(value)}
            else:
                found[item.name] = value
        return found

    def but(self, changes: Mapping[str, Any]) -> Recipe:
        """This recipe with some fields changed, by dotted name ("optimizer.lr").

        Raises UsageError for an unknown name (with the nearest one), a wrong type or a value out of range.
        """
        known = self.flat()
        nested: dict[str, dict[str, Value]] = {}
        for name, value in changes.items():
            short = name.removeprefix("recipe.")
            if short not in known:
                raise UsageError(unknown("recipe field", short, known))
            room, _, leaf = short.rpartition(".")
            nested.setdefault(room, {})[leaf] = _fit(short, value, known[short])
        own: dict[str, Any] = nested.pop("", {})
        for room, values in nested.items():
            own[room] = replace(getattr(self, room), **values)
        return replace(self, **own)

    @classmethod
    def from_flat(cls, values: Mapping[str, Any]) -> Recipe:
        """The recipe whose `flat()` is `values`; missing fields take their defaults."""
        return cls().but(values)

    def key(self) -> str:
        """16 hexadecimal digits, equal for two recipes only if every field is equal."""
        text = json.dumps(self.flat(), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _fit(name: str, value: Any, like: Value) -> Value:
    """`value` in the type of `like`, from text where it comes from a flag. Raises UsageError."""
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
