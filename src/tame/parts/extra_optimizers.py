"""Optimizers by name from the packages of the extra `optim`: schedulefree and pytorch_optimizer.

pytorch_optimizer adapts the code of many authors under different licences, so a name is accepted only after its licence
was reviewed. TAME accepts those that run with plain gradients, survive a checkpoint unchanged, and have a licence in
ALLOWED.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch

from tame.core.errors import UsageError, require
from tame.core.recipe import OptimizerRecipe
from tame.parts.optimizer_rules import Named, unnamed

ALLOWED = frozenset(("Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause"))

_MOMENTUM = frozenset(("lr", "weight_decay", "momentum"))
_ADAM = _MOMENTUM | {"beta2"}
_ADAPTED = "pytorch_optimizer"


@dataclass(frozen=True, slots=True)
class Extra:
    """The package of an optimizer, the licence of its original code, and its hyperparameters."""

    package: str
    kind: str
    licence: str
    uses: frozenset[str] = _ADAM


EXTRA: Mapping[str, Extra] = MappingProxyType(
    {
        "adabelief": Extra(_ADAPTED, "AdaBelief", "BSD-2-Clause"),
        "adai": Extra(_ADAPTED, "Adai", "MIT"),
        "dadaptadagrad": Extra(_ADAPTED, "DAdaptAdaGrad", "MIT", _MOMENTUM),
        "dadaptadam": Extra(_ADAPTED, "DAdaptAdam", "MIT"),
        "dadaptsgd": Extra(_ADAPTED, "DAdaptSGD", "MIT", _MOMENTUM),
        "laprop": Extra(_ADAPTED, "LaProp", "MIT"),
        "madgrad": Extra(_ADAPTED, "MADGRAD", "MIT", _MOMENTUM),
        "prodigy": Extra(_ADAPTED, "Prodigy", "MIT"),
        "radam": Extra(_ADAPTED, "RAdam", "Apache-2.0"),
        "radamschedulefree": Extra("schedulefree", "RAdamScheduleFree", "Apache-2.0"),
        "soap": Extra(_ADAPTED, "SOAP", "MIT"),
    }
)
"""The optimizers that TAME takes from these packages, by name.

D-Adaptation and Prodigy find one rate for all groups; lr of the first group multiplies it, and is usually 1.
"""

REFUSED: Mapping[str, str] = MappingProxyType({"fromage": "CC-BY-NC-SA-4.0", "nero": "CC-BY-NC-SA-4.0"})
"""The licences of optimizers in the packages that TAME does not use."""


def require_looked_at(name: str) -> None:
    """Raises UsageError if pytorch_optimizer is installed and has that name: its licence was not reviewed."""
    if importlib.util.find_spec(_ADAPTED) is None:
        return
    held = importlib.import_module(_ADAPTED).get_supported_optimizers()
    require(
        name not in held,
        f"optimizer {name!r} is in {_ADAPTED}, but the licence of its original code was not reviewed; "
        f"TAME uses {', '.join(sorted(EXTRA))}",
    )


def extra_optimizer(named: Named, recipe: OptimizerRecipe) -> torch.optim.Optimizer:
    """The optimizer of that name, a key of EXTRA or REFUSED. Raises UsageError if it must not or cannot be used."""
    licence = REFUSED.get(recipe.name) or EXTRA[recipe.name].licence
    require(
        licence in ALLOWED,
        f"optimizer {recipe.name!r} is based on code under {licence}; TAME uses only {', '.join(sorted(ALLOWED))}",
    )
    extra = EXTRA[recipe.name]
    try:
        package = importlib.import_module(extra.package)
    except ModuleNotFoundError as error:
        if error.name != extra.package:
            raise
        raise UsageError(
            f"optimizer {recipe.name!r} needs the package {extra.package}: pip install tame-ml[optim]"
        ) from None
    values: dict[str, object] = {"lr": recipe.lr, "weight_decay": recipe.weight_decay}
    if "beta2" in extra.uses:
        values["betas"] = (recipe.momentum, recipe.beta2)
    else:
        values["momentum"] = recipe.momentum
    found: torch.optim.Optimizer = getattr(package, extra.kind)(unnamed(named), **values)
    return found
