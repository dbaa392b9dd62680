"""A small table with every kind of column that enters a model, and networks of it that nobody has trained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from tame.core.recipe import Recipe
from tame.core.rng import stream
from tame.data.encode import Encoder
from tame.data.tables import MISSING, Column, Table
from tame.kinds.tables.material import columns_of
from tame.parts.losses import LOSSES
from tame.parts.mlp import build_table_model
from tame.parts.models import init_module
from tame.parts.network import Network

TOWNS = tuple(f"t{number}" for number in range(40))
CLASSES = ("no", "maybe \u2713", "yes")


def made_table(num: int = 400) -> Table:
    """Numbers, days, categories and booleans, with gaps, ties, a heavy value and constants."""
    rng = stream(0, "rows")

    def gaps(values: np.ndarray, share: float = 0.2) -> np.ndarray:
        nothing = np.nan if values.dtype.kind == "f" else MISSING
        return np.where(rng.random(num) < share, nothing, values)

    values = {
        "size": rng.gamma(2, size=num) * 1e5, "gap": gaps(rng.normal(size=num)),
        "paid": np.where(rng.random(num) < 0.7, 0.0, rng.gamma(1, size=num)), "few": rng.integers(0, 4, num) * 1.0,
        "same": gaps(np.full(num, 2.5)), "tiny": rng.normal(size=num) * 1e-30,
        "day": gaps(np.floor(rng.uniform(-4000, 20_000, num)) + 0.25),
        "open": gaps(rng.integers(0, 2, num)), "pair": gaps(rng.integers(0, 2, num)), "plain": rng.integers(0, 2, num),
        "colour": gaps(rng.integers(0, 4, num)), "town": gaps(rng.integers(0, 40, num)),
        "one": gaps(rng.integers(0, 1, num)),
    }  # fmt: skip
    numbers = ("size", "gap", "paid", "few", "same", "tiny")
    categories = {
        "pair": ("left", "right"), "plain": ("a", "b"), "colour": ("red", "green", "blue", "rare \U0001f600"),
        "town": TOWNS, "one": ("only",),
    }  # fmt: skip
    columns = [_number(name, "number", values[name]) for name in numbers]
    columns += [replace(_number("day", "date", values["day"]), reading="iso")]
    columns += [Column("open", "boolean", "words", categories=("yes", "no"))]
    columns += [Column(name, "category", "words", categories=own) for name, own in categories.items()]
    return Table(tuple(columns), values, num)


def _number(name: str, kind: str, values: np.ndarray) -> Column:
    return Column(name, kind, "numbers", low=float(np.nanmin(values)), high=float(np.nanmax(values)))


def made_network(
    changes: dict[str, object] | None = None, labels: tuple[str, ...] = CLASSES, table: Table | None = None
) -> Network:
    """A network of the table with random weights and norms that do something."""
    start = {
        "model.name": "mlp", "model.width": 8, "model.depth": 3, "loss.name": "cross_entropy" if labels else "mse",
        "table.one_hot": 5, "table.bins": 6,
    }  # fmt: skip
    recipe, table = Recipe().but({**start, **(changes or {})}), table or made_table()
    encoder = Encoder.fit(table, np.arange(table.num_rows * 3 // 4), recipe.table)
    columns = columns_of(encoder, recipe)
    module = build_table_model(columns, LOSSES.get(recipe.loss.name).num_outputs(len(labels)), recipe.model)
    init_module(module, seed=recipe.seed)
    chance = torch.Generator().manual_seed(recipe.seed)
    for name, value in [*module.named_buffers(), *module.named_parameters()]:
        if "norms" in name and value.dtype == torch.float32:
            value.data.uniform_(0.5, 1.5, generator=chance)
    with torch.no_grad():
        module.out.weight.mul_(3)
    prepared = {
        "columns": [column.to_json() for column in table.columns], "encoder": encoder.to_json(),
        "model_columns": columns.to_json(), "target": {"shift": 1e9, "scale": 250.0},
    }  # fmt: skip
    arrays = {name: torch.from_numpy(np.array(value)) for name, value in encoder.tensors().items()}
    task = {0: "regression", 2: "binary"}.get(len(labels), "multiclass")
    return Network("table", task, recipe, labels, module.eval(), prepared=prepared, arrays=arrays)


def together(*networks: Network, temperature: float = 1.0) -> Network:
    """Several networks that judge as one."""
    return replace(networks[0], others=networks[1:], temperature=temperature)
