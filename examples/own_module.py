"""A module of your own: TAME searches its width, its dropout and its learning rate, and scores the best one.

Run it with `python examples/own_module.py`; the study goes to runs/arrays-0001, and report.html there shows the result.
"""

from __future__ import annotations

from sklearn.datasets import load_digits
from torch import nn

import tame


def build(width: int, dropout: float) -> nn.Module:
    """A network for the 64 pixels of a digit; its arguments can be searched like the fields of a recipe."""
    return nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, 10))


# The training process imports this file to find `build`, and must not start a study of its own.
if __name__ == "__main__":
    X, y = load_digits(return_X_y=True)
    space = {
        "width": tame.Int(16, 256, log=True),
        "dropout": tame.Float(0.0, 0.5),
        "optimizer.lr": tame.Float(1e-3, 1e-1, log=True),
    }
    study = tame.fit(
        (X / 16, y), model=build, space=space, set={"batch_size": 128}, epochs=6, trials=8, folds=3, seed=0
    )
    score, recipe = study.score, study.result["winner"]["recipe"]
    print(f"accuracy {score.value:.3f} ({score.low:.3f} to {score.high:.3f}) on {score.n} sealed digits")
    print("winner:", {name: recipe[name] for name in ("own.width", "own.dropout", "optimizer.lr")})
    print("the first ten:", [each["label"] for each in study.predict(X[:10] / 16)])
