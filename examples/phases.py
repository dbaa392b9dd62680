"""Two phases of training, Adam first and then momentum, each with its own schedule, compared with one phase.

Run it with `python examples/phases.py`. The studies go to runs/arrays-0001 and runs/arrays-0002.
"""

from __future__ import annotations

from sklearn.datasets import load_breast_cancer

import tame

ONE = {"optimizer.name": "adam", "optimizer.lr": 3e-3, "schedule.name": "cosine"}
TWO = {
    "optimizer.name": "adam",
    "optimizer.lr": 3e-3,
    "schedule.name": "constant",
    "then.start": 0.6,
    "then.optimizer": "momentum",
    "then.lr": 1e-2,
    "then.schedule": "cosine",
}

# The training process imports this file again, and must not start these studies a second time.
if __name__ == "__main__":
    X, y = load_breast_cancer(return_X_y=True)
    scores = []
    for title, fixed in (("Adam throughout", ONE), ("Adam, then momentum", TWO)):
        study = tame.fit((X, y), set=fixed, metric="log_loss", epochs=6, trials=2, folds=3, seed=0)
        scores.append(study.score)
        of = f"on {study.score.n} sealed rows, {study.result['winner']['epochs']} epochs"
        print(f"{title}: log loss {study.score.value:.3f} ({study.score.low:.3f} to {study.score.high:.3f}) {of}")
    one, two = scores
    apart = one.high < two.low or two.high < one.low
    print("the intervals lie apart" if apart else "the intervals overlap: no difference was shown")
