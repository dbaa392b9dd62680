"""The client side of the commands: converts typed values to plain ones, and the answers back to typed ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from tame.core.plain import to_plain
from tame.core.probed import Probed
from tame.core.rate_range import RateRange
from tame.core.recipe import Recipe
from tame.trial.commands import (
    Advanced,
    Arranged,
    Asked,
    AskedCopy,
    Fold,
    MemberOf,
    MemoryUse,
    Outputs,
    Plain,
    Priced,
    Rehearsed,
    Seat,
    StateOf,
    Unsealed,
    Validation,
)
from tame.worker.wire import Call, read_answer

T = TypeVar("T")


class CarryOut(Protocol):
    """Sends a command with plain values to its executor, and returns the plain answer."""

    def __call__(self, call: Call) -> object: ...


class Client:
    """Commands that are executed elsewhere."""

    def __init__(self, carry_out: CarryOut) -> None:
        self._carry_out = carry_out

    def open(self, kind: str, given: Plain) -> Plain:
        return self._ask(dict[str, object], "open", kind=kind, given=given)

    def ask(self, question: str, given: Plain) -> Plain:
        return self._ask(dict[str, object], "ask", question=question, given=given)

    def tell(self, question: str, given: Plain) -> None:
        self._do("tell", question=question, given=given)

    def learn(self, examples: Unsealed) -> None:
        self._do("learn", examples=examples)

    def check(self, recipes: Sequence[Recipe], *, also: Sequence[Recipe] = (), given: Sequence[str] = ()) -> None:
        self._do("check", recipes=recipes, also=also, given=given)

    def rehearse(self, recipe: Recipe, *, folds: Sequence[Fold]) -> Rehearsed:
        return self._ask(Rehearsed, "rehearse", recipe=recipe, folds=folds)

    def memory(
        self, recipes: Sequence[Recipe], *, folds: Sequence[Fold], tuning: Recipe | None, rehearsed: Recipe | None
    ) -> MemoryUse:
        return self._ask(MemoryUse, "memory", recipes=recipes, folds=folds, tuning=tuning, rehearsed=rehearsed)

    def probe(self, recipe: Recipe, *, folds: Sequence[Fold], limit_s: float) -> Probed:
        return self._ask(Probed, "probe", recipe=recipe, folds=folds, limit_s=limit_s)

    def rates(self, recipe: Recipe, *, folds: Sequence[Fold], limit_s: float) -> RateRange:
        return self._ask(RateRange, "rates", recipe=recipe, folds=folds, limit_s=limit_s)

    def slowdown(self, recipe: Recipe) -> float:
        return self._ask(float, "slowdown", recipe=recipe)

    def advance(
        self, trials: Sequence[Asked], *, folds: Sequence[Fold], until: int, metric: str, final: bool
    ) -> Advanced:
        return self._ask(Advanced, "advance", trials=trials, folds=folds, until=until, metric=metric, final=final)

    def advance_together(
        self, trials: Sequence[Asked], *, folds: Sequence[Fold], until: int, metric: str, final: bool, seat: Seat
    ) -> None:
        self._do(
            "advance_together", trials=trials, folds=folds, until=until, metric=metric, final=final, seat=seat
        )  # fmt: skip

    def arrange(self, trials: Sequence[Asked], *, folds: Sequence[Fold], workers: int) -> Arranged:
        return self._ask(Arranged, "arrange", trials=trials, folds=folds, workers=workers)

    def hand_over(self, trials: Sequence[int]) -> None:
        self._do("hand_over", trials=trials)

    def take_over(self, trials: Sequence[int]) -> None:
        self._do("take_over", trials=trials)

    def copy(self, trials: Sequence[AskedCopy], *, folds: Sequence[Fold]) -> None:
        self._do("copy", trials=trials, folds=folds)

    def forget(self, trials: Sequence[int], *, keep: Sequence[int]) -> None:
        self._do("forget", trials=trials, keep=keep)

    def validation(self, state: StateOf, *, folds: Sequence[Fold]) -> Validation:
        return self._ask(Validation, "validation", state=state, folds=folds)

    def on_fewer(self, state: StateOf, *, folds: Sequence[Fold], rows: Sequence[int]) -> Validation:
        return self._ask(Validation, "on_fewer", state=state, folds=folds, rows=rows)

    def price(self, recipes: Sequence[Recipe], *, fold: Fold, labels: Sequence[str], row: int) -> Priced:
        return self._ask(Priced, "price", recipes=recipes, fold=fold, labels=labels, row=row)

    def train_again(self, members: Sequence[MemberOf]) -> None:
        self._do("train_again", members=members)

    def network(
        self, members: Sequence[MemberOf], *, labels: Sequence[str], temperature: float = 1.0, remembers: bool = False
    ) -> None:
        self._do("network", members=members, labels=labels, temperature=temperature, remembers=remembers)

    def distances(self, rows: Sequence[int]) -> Sequence[float]:
        return self._ask(list[float], "distances", rows=rows)

    def judge(self, rows: Sequence[int]) -> Outputs:
        return self._ask(list[list[float]], "judge", rows=rows)

    def deliver(self, folder: str) -> Mapping[str, str]:
        return self._ask(dict[str, str], "deliver", folder=folder)

    def judge_again(self, folder: str, *, rows: Sequence[int]) -> Outputs:
        return self._ask(list[list[float]], "judge_again", folder=folder, rows=rows)

    def _ask(self, kind: type[T], name: str, /, **values: object) -> T:
        return read_answer(kind, self._carry_out(Call(name, to_plain(values))), name=name)

    def _do(self, name: str, /, **values: object) -> None:
        self._carry_out(Call(name, to_plain(values)))
