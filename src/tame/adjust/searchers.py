"""All searchers by name. A module that registers one is imported here, and nowhere else."""

from __future__ import annotations

from tame.adjust import asha, grid, hyperband, model_based, population_based, sampling, thaw
from tame.adjust.searcher import SEARCHERS, Decide, SearchConfig

__all__ = ["MODULES", "SEARCHERS", "WHOLE", "Decide", "compared_after", "require_installed"]

# Searchers that train every trial to its end: under a clock, fewer of them start together.
WHOLE = frozenset({"gp", "grid", "pbt", "random", "sobol", "tpe"})
FROM_OPTUNA = frozenset({"gp", "tpe"})
MODULES = (asha, grid, hyperband, model_based, population_based, sampling, thaw)


def compared_after(name: str, config: SearchConfig) -> tuple[int, ...]:
    """The epochs after which a searcher compares trials; the last one is all epochs."""
    if name == "pbt":
        return population_based.marks_of(config.base.epochs)
    if name in ("asha", "hyperband"):
        return config.all_rungs
    return (config.base.epochs,) if name in WHOLE else config.rungs


def require_installed(name: str) -> None:
    """Raises UsageError for a searcher of a package that is not installed."""
    if name in FROM_OPTUNA:
        model_based.require_optuna(f"the search {name!r}")
