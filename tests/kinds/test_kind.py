"""What the code of a kind of data returns is checked before anything trains on it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from tame.core.errors import UsageError
from tame.data.split import Sealed, Split
from tame.kinds.kind import Data, Opened

NUM = 10
PARTS = ("train",) * 6 + ("test",) * 2 + ("aside",) * 2
SPLIT = Split(PARTS, (0, 1, 0, 1, 0, 1, -1, -1, -1, -1), 2, "by hand")
SOUND = {
    "kind": "things", "task": "binary", "metric": "accuracy", "classes": ("a", "b"), "ids": tuple("abcdefghij"),
    "targets": np.array([0, 1, 0, 1, 0, 1, -1, -1, 0, 1]), "split": SPLIT, "sealed": Sealed((6, 7), (0, 1)),
}  # fmt: skip


@dataclass(frozen=True)
class Facts:
    kind: str = "things"


def folds(*fold):
    return replace(SPLIT, fold=fold)


WRONG = {
    "rows of the test part are trained on": ({"split": replace(SPLIT, part=("train",) * NUM)}, "not the part which is"),
    "nothing is sealed": ({"sealed": Sealed((), ())}, "not the part which is sealed"),
    "other rows are sealed": ({"sealed": Sealed((0, 1), (0, 1))}, "not the part which is sealed"),
    "a part is not known": ({"split": replace(SPLIT, part=("blue",) * NUM)}, "in a part 'blue'; known are train"),
    "a test row validates": ({"split": folds(0, 1, 0, 1, 0, 1, 0, -1, -1, -1)}, "also chosen by"),
    "a fold is not there": ({"split": folds(0, 1, 0, 1, 0, 2, -1, -1, -1, -1)}, "in fold 2, but 2 folds"),
    "targets of the test part are open": ({"targets": np.array([0, 1] * 5)}, "that are not hidden"),
    "numbers of the test part are open": ({"task": "regression", "classes": (), "targets": np.ones(NUM)}, "not hidden"),
    "shares of the test part are open": ({"shares": np.ones((NUM, 2))}, "shares that are not hidden"),
    "a target is missing": ({"targets": np.full(NUM, -1)}, "without a target"),
    "targets are too few": ({"targets": SOUND["targets"][:7]}, "10 examples, but 7 targets"),
    "parts are too few": ({"split": replace(SPLIT, part=PARTS[:9])}, "10 examples, but 9 parts"),
    "an id is there twice": ({"ids": ("same",) * NUM}, "two examples with one id"),
    "the task is not known": ({"task": "clustering"}, "'clustering'; known are binary, multiclass, regression"),
}  # fmt: skip


def test_sound_data_is_taken():
    data = Data(**SOUND)
    assert data.rows == [0, 1, 2, 3, 4, 5]
    assert len(Opened(data=data, facts=Facts(), groups=np.arange(NUM)).groups) == NUM


@pytest.mark.parametrize("name", WRONG)
def test_data_that_cannot_be_judged_honestly_is_refused(name):
    change, said = WRONG[name]
    with pytest.raises(UsageError, match=f"the source of the kind of data 'things' returned .*{said}"):
        Data(**{**SOUND, **change})


@pytest.mark.parametrize(
    ("change", "said"),
    [({"facts": None}, "facts"), ({"facts": {"kind": "things"}}, "facts"), ({"facts": Facts("others")}, "facts"),
     ({"groups": np.arange(5)}, "10 examples, but 5 groups")],
)  # fmt: skip
def test_what_is_said_of_the_data_must_fit_it(change, said):
    with pytest.raises(UsageError, match=f"'things' returned .*{said}"):
        Opened(**{"data": Data(**SOUND), "facts": Facts(), "groups": np.arange(NUM), **change})
