"""A small table with columns of text, and networks of it that nobody has trained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from tame.core.recipe import Recipe
from tame.data.tables import MISSING, Column, Table
from tame.kinds.tables.material import columns_of
from tame.kinds.tables.row_encoder import RowEncoder
from tame.kinds.tables.text_columns import CountedTexts
from tame.kinds.tables.text_features import FrozenTexts, no_encoder
from tame.parts.encoders import TextEncoder
from tame.parts.losses import LOSSES
from tame.parts.mlp import build_table_model
from tame.parts.models import init_module
from tame.parts.network import Network
from tame.trial.fitted import linear_of

SAID = ("the rent is due", "the cat sat on the mat, good cat", "good Straße and bad \U0001f600", "rent rent RENT no")
WORDS = {"model.name": "words"}
TFIDF = {"table.texts": "tfidf"}
ENCODED = {"table.texts": "encoder", "input.length": 8}


def made_table(num: int = 40) -> Table:
    """A number and two columns of text, each with gaps."""
    rng = np.random.default_rng(0)
    texts = tuple(f"{SAID[place % 4]} number {place}" for place in range(20))
    values = {
        "stars": rng.integers(0, 5, num) * 1.0, "review": np.arange(num) % 20, "note": rng.integers(0, 4, num),
    }  # fmt: skip
    values["review"][3], values["note"][[2, 5]] = MISSING, MISSING
    columns = (
        Column("stars", "number", "", low=0.0, high=4.0), Column("review", "text", ""), Column("note", "text", ""),
    )  # fmt: skip
    return Table(columns, values, num, texts={"review": texts, "note": SAID})


TABLE = made_table()


def made_network(
    changes: dict[str, object], labels: tuple[str, ...] = ("no", "yes"), *, table: Table = TABLE,
    encoder: TextEncoder | None = None, kind: str = "table",
) -> Network:  # fmt: skip
    """A network of the table with random weights, fitted on three quarters of its rows."""
    loss = "cross_entropy" if labels else "mse"
    recipe = Recipe().but({"model.name": "mlp", "model.width": 8, "loss.name": loss, **changes})
    rows = np.arange(table.num_rows * 3 // 4)
    frozen = no_encoder if encoder is None else FrozenTexts(encoder, device=torch.device("cpu"))
    own = RowEncoder.fit(table, rows, recipe, counted=CountedTexts(table), featured=frozen)
    columns, num = columns_of(own, recipe), LOSSES.get(recipe.loss.name).num_outputs(len(labels))
    if recipe.model.name == "words":
        width = own.sparse(table, rows).shape[1]
        module = linear_of(width, num)
        columns = replace(columns, dense=width)
        with torch.no_grad():
            module.weight.normal_(generator=torch.Generator().manual_seed(recipe.seed))
    else:
        module = build_table_model(columns, num, recipe.model)
        init_module(module, seed=recipe.seed)
    prepared = {
        "columns": [column.to_json() for column in table.columns], **own.to_json(), "model_columns": columns.to_json(),
        "target": {"shift": 5.0, "scale": 2.0},
    }  # fmt: skip
    arrays = {name: torch.from_numpy(np.array(value)) for name, value in own.arrays().items()}
    task = "binary" if labels else "regression"
    return Network(
        kind, task, recipe, labels, module.eval(), prepared=prepared, arrays=arrays,
        texts=encoder if recipe.table.texts == "encoder" else None,
    )  # fmt: skip
