"""The engine of linear models on sparse inputs: solved at once, by liblinear, instead of trained step by step.

A text has a few hundred terms out of a hundred thousand. Steps over all weights would cost a thousand times what the
solver takes, and stop short of the minimum that it reaches: there is no rate to search, only the penalty.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from tame.core.errors import require
from tame.core.recipe import Recipe
from tame.parts.losses import LOSSES, mean_loss
from tame.trial.population import (
    Examples,
    Group,
    Groups,
    Measured,
    Member,
    Population,
    Tensors,
    in_room,
    named,
    nothing,
    num_outputs,
)
from tame.trial.settings import Settings

SOLVED = ("cross_entropy", "mse")  # losses whose minimum is found at once
STEPS, CLOSE = 200, 0.01  # of the solver: passes at most, and how near to the minimum it stops
REHEARSED = 800  # examples of a rehearsal
ROOM = "fitted"


@dataclass(frozen=True, slots=True)
class SparseTask:
    """Linear models on sparse rows. x: (N, V) float32."""

    x: sparse.csr_matrix
    examples: Examples
    device: torch.device
    autocast: None = None
    by_fold: None = None
    codes_from: None = None
    eval_batch: int = 8192
    draws: bool = False

    def build(self, member: Member) -> nn.Module:
        return linear_of(self.x.shape[1], num_outputs(member.recipe, self.examples))

    def batch(self, recipe: Recipe, rows: Tensor, *, epoch: int, step: int) -> Tensor:
        return self.views(recipe, rows)[0]

    def views(self, recipe: Recipe, rows: Tensor) -> list[Tensor]:
        """The rows, made dense: for a few of them."""
        return [torch.from_numpy(self.x[rows.cpu().numpy()].toarray())]

    def groups(self, module: nn.Module, recipe: Recipe) -> Groups:
        return [Group(list(module.named_parameters()))]


def linear_of(num_inputs: int, num_outputs: int) -> nn.Linear:
    """A linear model whose weights are all zero."""
    with torch.device("meta"):
        found = nn.Linear(num_inputs, num_outputs)
    found = found.to_empty(device="cpu")
    nn.init.zeros_(found.weight)
    nn.init.zeros_(found.bias)
    return found


def applied(module: nn.Module, x: sparse.csr_matrix) -> Tensor:
    """(n, O) float32 outputs of a linear model for sparse rows."""
    assert isinstance(module, nn.Linear)
    return _products(x, module.weight.detach().cpu(), module.bias.detach().cpu())


def check_solvable(recipe: Recipe) -> None:
    """Raises UsageError for what the solver cannot do."""
    own = recipe.loss
    known = ", ".join(SOLVED)
    require(own.name in SOLVED, f"the linear model on words takes the losses {known}, not {own.name}")
    require(not own.label_smoothing, "the linear model on words knows no label smoothing; set loss.label_smoothing=0")


@dataclass(frozen=True, slots=True)
class Fitted:
    """Solves populations of one member: in its first epoch; further epochs change nothing.

    The minimum is that of the mean loss plus regularize.l2 / 2 times the sum of squared weights; of classes, that of
    each against all others, whose log odds are taken as logits. The bias of a classification is penalised as one more
    weight. Source: Fan et al., LIBLINEAR: A Library for Large Linear Classification (2008).
    """

    task: SparseTask

    def start(self, members: Sequence[Member]) -> Population:
        (member,) = members
        state = self.task.build(member).state_dict()
        return Population((member,), named(ROOM, {name: value[None] for name, value in state.items()}))

    def advance(
        self, population: Population, *, until: int, watch: Callable[[Population, Measured], None],
        between: Callable[[], None] = nothing,
    ) -> Population:  # fmt: skip
        """See Engine."""
        (member,) = population.members
        examples = self.task.examples
        trained = examples.trains(member).nonzero().squeeze(1).cpu()
        validated = examples.validates(member).nonzero().squeeze(1)
        for epoch in range(population.epoch + 1, until + 1):
            between()
            if epoch == 1:
                population = replace(population, tensors=named(ROOM, self._solved(member, trained)))
            population = population.at(epoch, population.tensors)
            loss = self._loss(population, member, trained)
            watch(population, Measured(epoch, loss, self.predict(population, validated), validated))
        return population

    def predict(self, population: Population, rows: Tensor) -> Tensor:
        recipe = population.members[0].recipe
        return LOSSES.get(recipe.loss.name).predict(self._outputs(population, rows))[None]

    def fits(self, population: Population) -> bool:
        return any(name.startswith(f"{ROOM}.") for name in population.tensors)

    def module(self, population: Population, place: int) -> nn.Module:
        module = self.task.build(population.members[place])
        state = in_room(population.tensors, ROOM)
        module.load_state_dict({name: value[place] for name, value in state.items()})
        return module.eval()

    def rehearse(
        self, member: Member, steps: int = 4, *, whole: bool = True, clock: Callable[[], float] = time.perf_counter
    ) -> float:
        """Seconds to solve for this member, from some of its examples. steps, whole: nothing here."""
        trained = self.task.examples.trains(member).nonzero().squeeze(1).cpu()
        some = trained[:: max(1, len(trained) // REHEARSED)]
        begun = clock()
        self._solved(member, some)
        return (clock() - begun) * len(trained) / len(some)

    def _solved(self, member: Member, rows: Tensor) -> Tensors:
        """The weights (1, O, V) and biases (1, O) for these examples."""
        examples, recipe = self.task.examples, member.recipe
        x = self.task.x[rows.numpy()]
        weight = None if examples.weight is None else examples.weight[rows].cpu().numpy()
        if not examples.num_classes:
            aim = examples.aims([member], rows.to(examples.target.device), torch.zeros(1, dtype=torch.float64))
            found, bias = _ridge(x, aim.reshape(-1).cpu().numpy(), recipe, weight)
        else:
            truth = examples.target.cpu()[rows].numpy()
            found, bias = _one_against_all(x, truth, recipe, weight, num_classes=examples.num_classes)
        return {
            "weight": torch.from_numpy(np.ascontiguousarray(found, dtype=np.float32))[None],
            "bias": torch.from_numpy(np.ascontiguousarray(bias, dtype=np.float32))[None],
        }

    def _outputs(self, population: Population, rows: Tensor) -> Tensor:
        own = in_room(population.tensors, ROOM)
        return _products(self.task.x[rows.cpu().numpy()], own["weight"][0], own["bias"][0])

    def _loss(self, population: Population, member: Member, rows: Tensor) -> Tensor:
        """(1,) the mean loss over these examples."""
        examples, recipe = self.task.examples, member.recipe
        outputs = self._outputs(population, rows)[None]
        own = rows.to(examples.target.device)
        target = examples.aims([member], own, outputs).cpu()
        weight = None if examples.weight is None else examples.weight[own].cpu().to(outputs)[None]
        settings = Settings.of([member], examples, outputs[0])
        return mean_loss(recipe.loss.name, outputs, target, settings.loss, weight=weight)


def _products(x: sparse.csr_matrix, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.from_numpy(np.asarray(x @ weight.numpy().T)) + bias


def _ridge(
    x: sparse.csr_matrix, aim: np.ndarray, recipe: Recipe, weight: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.linear_model import Ridge  # takes a second to load

    total = float(len(aim) if weight is None else weight.sum())
    model = Ridge(alpha=max(recipe.regularize.l2, 1e-12) * total / 2, solver="sparse_cg")
    model.fit(x, aim, sample_weight=weight)
    return model.coef_[None], np.array([model.intercept_])


def _one_against_all(
    x: sparse.csr_matrix, truth: np.ndarray, recipe: Recipe, weight: np.ndarray | None, *, num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (C, V) and biases (C,) of logits; of two classes, half of the one model for each."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    total = float(len(truth) if weight is None else weight.sum())
    strength = 1 / (max(recipe.regularize.l2, 1e-12) * total)
    balance = "balanced" if recipe.loss.class_weights == "balanced" else None
    found, bias = np.zeros((num_classes, x.shape[1])), np.zeros(num_classes)
    classes = [1] if num_classes == 2 else range(num_classes)
    for number in classes:
        mine = truth == number
        if mine.all() or not mine.any():  # of a class that the fold does not have, nothing is known but that
            bias[number] = 10.0 if mine.all() else -10.0
            continue
        model = LogisticRegression(
            C=strength, class_weight=balance, random_state=0, max_iter=STEPS, tol=CLOSE, solver="liblinear", dual=True
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the weights hardly move by then
            model.fit(x, mine, sample_weight=weight)
        found[number], bias[number] = model.coef_[0], model.intercept_[0]
    if num_classes == 2:
        return np.stack([-found[1] / 2, found[1] / 2]), np.array([-bias[1] / 2, bias[1] / 2])
    return found, bias
