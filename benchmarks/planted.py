"""Does the doctor name the cause of faults planted in real trainings? Prints one JSON line.

Small networks are trained in plain PyTorch on made tables, with a fault in the recipe, the data or the network, and
without one. Their curves are what TAME measures: the training loss is the mean over the batches of an epoch, with
dropout and smoothing; validation has neither. Named: one of the right causes is among the findings. Another: a warning
or a problem of another kind is. Of healthy runs, every warning and problem is a false alarm.
Usage: python benchmarks/planted.py [--seeds 5] [--only NAME]
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from features import git, machine
from torch import nn

from tame.core.recipe import Recipe
from tame.core.records import Curve, Finding, Point, Trial
from tame.monitor.case import Facts
from tame.monitor.rules import examine

VALID, COLUMNS, CLASSES = 300, 20, 5


@dataclass(frozen=True, kw_only=True)
class Plant:
    """A training and the causes that may be named for it; none for a healthy one."""

    causes: tuple[str, ...] = ()
    rows: int = 600
    labels: str = "learnable"  # learnable, product (of the signs of two columns) or random
    wrong: float = 0.0  # share of labels drawn at random
    width: int = 64
    depth: int = 2
    optimizer: str = "adamw"
    lr: float = 1e-3
    decay: float = 1e-2  # of adamw
    dropout: float = 0.0
    smoothing: float = 0.0
    epochs: int = 30
    weights: str = "usual"  # usual, zero, or dead: no unit is ever active
    squashed: str = ""  # softmax or sigmoid: what the outputs go through before the loss


HIGH, LOW, NOISE = ("rate_too_high", "diverged"), ("rate_too_low",), ("learning_noise",)
BY_HEART = ("memorised", "overfitting")  # too few epochs to see whether the validation loss rises
STRONG, DUMMY, SQUASHED = ("over_regularised",), ("no_better_than_dummy",), ("squashed_outputs",)
PLANTS = {
    "overfitting, wrong labels": Plant(causes=("overfitting",), width=256, rows=200, wrong=0.2, epochs=60),
    "overfitting, few rows": Plant(causes=("overfitting",), width=256, rows=100, epochs=80),
    "overfitting, wide": Plant(causes=("overfitting",), width=256, rows=300, wrong=0.1, lr=3e-3, epochs=40),
    "memorised, deep": Plant(causes=BY_HEART, width=512, depth=3, rows=200, epochs=8, lr=2e-3),
    "memorised, wide": Plant(causes=BY_HEART, width=1024, rows=150, epochs=6, lr=3e-3),
    "memorised, deep and wide": Plant(causes=BY_HEART, width=1024, depth=3, rows=150, epochs=7, lr=2e-3),
    "memorised, few rows": Plant(causes=BY_HEART, width=512, depth=3, rows=120, epochs=10, lr=2e-3),
    "rate too high, adamw 1": Plant(causes=HIGH, lr=1.0),
    "rate too high, sgd 5": Plant(causes=HIGH, optimizer="sgd", lr=5.0),
    "rate too high, adam 0.1": Plant(causes=HIGH, optimizer="adam", lr=0.1),
    "rate too high, momentum 0.5": Plant(causes=HIGH, optimizer="momentum", lr=0.5),
    "rate too low, adamw 1e-5": Plant(causes=LOW, lr=1e-5),
    "rate too low, adamw 1e-7": Plant(causes=LOW, lr=1e-7),
    "rate too low, sgd 1e-4": Plant(causes=LOW, optimizer="sgd", lr=1e-4),
    "rate too low, momentum 1e-5": Plant(causes=LOW, optimizer="momentum", lr=1e-5),
    "random labels": Plant(causes=NOISE, labels="random"),
    "random labels, wide": Plant(causes=NOISE, labels="random", rows=300, width=256, epochs=60),
    "random labels, many": Plant(causes=NOISE, labels="random", rows=2000, epochs=20),
    "undertrained, 6 epochs": Plant(causes=("still_improving",), epochs=6, rows=1500, lr=5e-4),
    "undertrained, 3 epochs": Plant(causes=("still_improving",), epochs=3, rows=1500),
    "undertrained, slow": Plant(causes=("still_improving", *LOW), epochs=10, optimizer="sgd", lr=0.02),
    "underfitting, one unit": Plant(causes=("underfitting", "still_improving"), width=1, rows=2000),
    "underfitting, linear": Plant(causes=("underfitting", *DUMMY), depth=0, labels="product", rows=2000),
    "underfitting, one unit alone": Plant(causes=("underfitting",), width=1, depth=1, rows=3000, epochs=40, lr=1e-2),
    "underfitting, long": Plant(causes=("underfitting",), width=1, depth=1, rows=3000, epochs=60, lr=5e-3),
    "underfitting, many rows": Plant(causes=("underfitting",), width=1, depth=1, rows=5000, epochs=30, lr=5e-3),
    "decay 100": Plant(causes=STRONG, decay=100.0),
    "decay 10": Plant(causes=STRONG, decay=10.0, rows=1500),
    "dropout 0.95": Plant(causes=STRONG, dropout=0.95),
    "all weights zero": Plant(causes=DUMMY, weights="zero"),
    "dead units": Plant(causes=DUMMY, weights="dead"),
    "softmax before the loss": Plant(causes=SQUASHED, squashed="softmax", rows=2000, epochs=40, lr=3e-3),
    "softmax, wide": Plant(causes=SQUASHED, squashed="softmax", rows=600, width=256, epochs=60, lr=3e-3),
    "softmax, momentum": Plant(causes=SQUASHED, squashed="softmax", rows=2000, epochs=40, optimizer="momentum", lr=0.1),
    "softmax, two classes": Plant(
        causes=SQUASHED, squashed="softmax", labels="product", rows=2000, width=128, epochs=40, lr=3e-3
    ),
    "sigmoid before the loss": Plant(causes=SQUASHED, squashed="sigmoid", rows=2000, epochs=40, lr=3e-3),
    "healthy": Plant(rows=2000, epochs=15, lr=5e-4),
    "healthy, dropout": Plant(rows=1500, dropout=0.5, epochs=25),
    "healthy, smoothing 0.3": Plant(rows=2000, smoothing=0.3, epochs=15),
    "healthy, smoothing 0.6": Plant(rows=2000, smoothing=0.6, epochs=15),
    "healthy, momentum": Plant(rows=2000, optimizer="momentum", lr=1e-2, epochs=15),
    "healthy, linear": Plant(rows=2000, depth=0, lr=1e-2, epochs=15),
    "healthy, linear and long": Plant(rows=1000, depth=0, lr=3e-2, epochs=40),
    "healthy, wrong labels": Plant(rows=3000, depth=1, width=16, wrong=0.3, epochs=12),
    "healthy, hard": Plant(rows=3000, depth=0, wrong=0.6, epochs=12, lr=3e-3),
}


@dataclass
class Row:
    """What was said about the runs of a plant."""

    named: int = 0
    another: int = 0
    said: Counter[str] = field(default_factory=Counter)

    def count(self, found: Sequence[Finding], causes: Collection[str]) -> None:
        """Counts one run: whether its cause was named, and whether another was."""
        self.named += any(each.code in causes for each in found)
        self.another += any(each.severity != "info" and each.code not in causes for each in found)


def totals(rows: Mapping[str, Row], causes: Mapping[str, Collection[str]], seeds: int) -> dict[str, dict[str, int]]:
    """What was said of plants that have a cause, and of healthy ones."""
    sick = [row for name, row in rows.items() if causes[name]]
    well = [row for name, row in rows.items() if not causes[name]]
    return {
        "sick": {"runs": seeds * len(sick), "named": sum(row.named for row in sick),
                 "another": sum(row.another for row in sick)},
        "healthy": {"runs": seeds * len(well), "false_alarms": sum(row.another for row in well)},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", default="", help="plants whose name contains this")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows: dict[str, Row] = {}
    for name, plant in PLANTS.items():
        if given.only not in name:
            continue
        row = rows[name] = Row()
        for seed in range(given.seeds):
            found = examine(*trained(plant, seed))
            row.count(found, plant.causes)
            row.said["+".join(each.code for each in found) or "silent"] += 1
    causes = {name: plant.causes for name, plant in PLANTS.items()}
    print(json.dumps({
        "benchmark": "planted", "commit": git("rev-parse", "HEAD"), "seeds": given.seeds,
        **totals(rows, causes, given.seeds),
        "plants": {name: {**vars(row), "said": dict(row.said)} for name, row in rows.items()},
        "machine": machine(),
    }))  # fmt: skip


def made(plant: Plant, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and their labels, those of validation last."""
    chance = torch.Generator().manual_seed(seed)
    x = torch.randn(plant.rows + VALID, COLUMNS, generator=chance)
    if plant.labels == "product":
        return x, (x[:, 0] * x[:, 1] > 0).long()
    hidden = torch.tanh(x @ torch.randn(COLUMNS, 16, generator=chance)) @ torch.randn(16, CLASSES, generator=chance)
    y = (1.5 * hidden + 0.5 * x @ torch.randn(COLUMNS, CLASSES, generator=chance)).argmax(1)
    drawn = torch.randint(0, CLASSES, y.shape, generator=chance)
    is_drawn = torch.rand(y.shape, generator=chance) < (1.0 if plant.labels == "random" else plant.wrong)
    return x, torch.where(is_drawn, drawn, y)


def network(plant: Plant, classes: int) -> nn.Module:
    layers: list[nn.Module] = []
    inputs = COLUMNS
    for _ in range(plant.depth):
        layers += [nn.Linear(inputs, plant.width), nn.ReLU(), nn.Dropout(plant.dropout)]
        inputs = plant.width
    last = {"softmax": [nn.Softmax(dim=1)], "sigmoid": [nn.Sigmoid()]}.get(plant.squashed, [])
    net = nn.Sequential(*layers, nn.Linear(inputs, classes), *last)
    for layer in net:
        if isinstance(layer, nn.Linear) and plant.weights == "zero":
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.Linear) and plant.weights == "dead":
            nn.init.constant_(layer.bias, -50.0)
    return net


def trained(plant: Plant, seed: int) -> tuple[Trial, Facts]:
    """The trial of a training and what the rules know besides."""
    torch.manual_seed(seed)
    x, y = made(plant, seed)
    classes = int(y.max()) + 1
    net, loss = network(plant, classes), nn.CrossEntropyLoss(label_smoothing=plant.smoothing)
    rate = plant.lr
    optimizer: torch.optim.Optimizer = {
        "adamw": lambda: torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=plant.decay),
        "adam": lambda: torch.optim.Adam(net.parameters(), lr=rate),
        "sgd": lambda: torch.optim.SGD(net.parameters(), lr=rate),
        "momentum": lambda: torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9),
    }[plant.optimizer]()
    points: list[Point] = []
    for epoch in range(1, plant.epochs + 1):
        net.train()
        total = 0.0
        for rows in torch.randperm(plant.rows).split(32):
            own = loss(net(x[rows]), y[rows])
            optimizer.zero_grad()
            own.backward()
            optimizer.step()
            total += float(own.detach()) * len(rows)
        net.eval()
        with torch.no_grad():
            logits = net(x[plant.rows :])
        truth = y[plant.rows :]
        valid, accuracy = nn.functional.cross_entropy(logits, truth), (logits.argmax(1) == truth).float().mean()
        points.append(Point(epoch, _finite(total / plant.rows), _finite(float(valid)), float(accuracy)))
        if points[-1].is_lost:
            break
    recipe = Recipe().but({
        "epochs": plant.epochs, "optimizer.name": plant.optimizer, "optimizer.lr": plant.lr, "model.name": "mlp",
        "optimizer.weight_decay": plant.decay if plant.optimizer == "adamw" else 0.0, "model.dropout": plant.dropout,
        "loss.label_smoothing": plant.smoothing,
    })  # fmt: skip
    state = "diverged" if points[-1].is_lost else "complete"
    trial = Trial(0, recipe, "grid", "planted", state, plant.epochs, Curve(tuple(points)))  # type: ignore[arg-type]
    return trial, facts_of(y, plant.rows, classes)


def facts_of(y: torch.Tensor, rows: int, classes: int) -> Facts:
    shares = torch.bincount(y[:rows], minlength=classes).double() / rows
    dummy = float((y[rows:] == int(shares.argmax())).double().mean())
    return Facts(
        task="binary" if classes == 2 else "multiclass", num_classes=classes, num_valid=VALID, metric="accuracy",
        higher_is_better=True, dummy=dummy, dummy_error=math.sqrt(dummy * (1 - dummy) / VALID),
        guess_loss=float(-(shares * shares.clamp_min(1e-12).log()).sum()),
    )  # fmt: skip


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


if __name__ == "__main__":
    main()
