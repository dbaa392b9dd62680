"""From tables to the report: does `tame fit` keep its promises on real tables within its time?

Runs the command line as a user would, for several seeds (each with its own split if no test part is given), and prints
one JSON line: the test metrics and the wall time of each run, their means, and peak memory.

With `--rivals` it does so on sixteen small and middling tables, each beside gradient boosting, a random forest and a
linear model of scikit-learn on the same rows, and prints a table in Markdown: accuracy or RMSE of each, the mean rank,
and how far each is behind the best at worst. Each result is kept in `--out` as a JSON line, so that the benchmark goes
on where it was stopped. The rivals have the settings of scikit-learn, but for the linear model, whose penalty is chosen
by cross-validation, and the forest's 500 trees; each takes seconds.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from main_job import SHARED, TAME, about
from scipy.stats import rankdata
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

TABLES = SHARED / "data" / "tables"
JOBS = {  # the file, the target, the sealed file, the time, and the goal
    "adult": ("adult_train.csv", "income", "adult_test.csv", "2m", {"accuracy": 0.866, "log_loss": 0.287}),
    "abalone": ("abalone.csv", "rings", None, "1m", {"rmse": 2.12}),
    "phoneme": ("phoneme.csv", "label", None, "1m", {"accuracy": 0.895}),
}
NAMES = ("tame", "gradient boosting", "random forest", "linear")
MOST_TEST = 4000  # rows
POINT = 0.01  # of accuracy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", default="", help="which of them, separated by commas; all if nothing is said")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rivals", action="store_true", help="beside other models, on sixteen tables")
    parser.add_argument("--time", default="1m", help="of each study, with --rivals")
    parser.add_argument(
        "--trials", type=int, help="of each study, instead of a time: the same however busy the machine"
    )
    parser.add_argument("--out", type=Path, default=Path("tables.jsonl"), help="results of --rivals, one a line")
    parser.add_argument("--set", nargs="*", default=[], help="further words for tame fit, with --rivals")
    given = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="tame-bench-"))
    try:
        if given.rivals:
            chosen = given.tables.split(",") if given.tables else list(RACES)
            budget = ["--time", given.time] if given.trials is None else ["--trials", str(given.trials)]
            race(chosen, given.seeds, [*budget, *given.set], given.out, work)
        else:
            alone(given.tables.split(",") if given.tables else list(JOBS), given.seeds, work)
    finally:
        shutil.rmtree(work)


def alone(tables: Iterable[str], seeds: int, work: Path) -> None:
    """Studies of these tables, beside their goals."""
    found = {}
    for name in tables:
        runs = [fit(name, seed, work) for seed in range(seeds)]
        aims = JOBS[name][-1]
        means = {metric: round(statistics.mean(run["metrics"][metric] for run in runs), 4) for metric in aims}
        found[name] = {"means": means, "aims": aims, "slowest_s": max(run["wall_s"] for run in runs), "runs": runs}
    print(json.dumps({"benchmark": "tables", **about(), "tables": found}))


def fit(name: str, seed: int, work: Path) -> dict[str, object]:
    """One run of the command line, timed externally."""
    table, target, sealed, limit, _ = JOBS[name]
    words = ["--time", limit, *(["--test", str(TABLES / sealed)] if sealed else [])]
    run = run_tame(TABLES / table, target, seed, work / f"{name}-{seed}", words)
    print(json.dumps({"table": name, **run}), file=sys.stderr)
    return run


def run_tame(table: Path, target: str, seed: int, out: Path, words: Sequence[str]) -> dict[str, object]:
    """What a study of a table gave."""
    command = [str(TAME), "fit", str(table), "--target", target, "--seed", str(seed)]
    command += ["--out", str(out), "--json", "--quiet", *words]
    begun = time.perf_counter()
    environment = {**os.environ, "TAME_CACHE": str(out.parent / "cache")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    wall_s = time.perf_counter() - begun
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
    result = json.loads(done.stdout)
    default, ensemble = result["baselines"]["default"], result.get("ensemble")
    return {
        "seed": seed, "wall_s": round(wall_s, 1), "metrics": {n: round(v, 4) for n, v in result["metrics"].items()},
        "score": result["score"], "validation": result["validation"]["value"], "trials": result["trials"],
        "epochs": result["epochs"], "from_trial": result["winner"]["from_trial"],
        "default": None if default is None else default["value"],
        "ensemble": None if ensemble is None else {"members": len(ensemble["members"]), "kept": ensemble["kept"]},
        "peak_gib": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20, 2),
    }  # fmt: skip


# Beside other models --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rows:
    """A table as columns of text by name, with its target; "" is missing. words: which columns are categories."""

    columns: Mapping[str, Sequence[str]]
    target: str
    words: frozenset[str] = frozenset()
    is_regression: bool = False

    def __len__(self) -> int:
        return len(self.columns[self.target])


@dataclass(frozen=True)
class Race:
    """load: the table; rows: that are trained on, at most, where there are more."""

    load: Callable[[], Rows]
    rows: int | None = None


def of_sklearn(load: Callable[[], object], *, is_regression: bool = False) -> Callable[[], Rows]:
    def read() -> Rows:
        own = load()
        x, y = own.data, own.target  # type: ignore[attr-defined]
        columns = {f"x{place}": [f"{value:.6g}" for value in x[:, place]] for place in range(x.shape[1])}
        labels = [f"{value:g}" if is_regression else f"class {int(value)}" for value in y]
        return Rows({**columns, "target": labels}, "target", is_regression=is_regression)

    return read


def of_file(name: str, target: str, words: Iterable[str] = (), *, is_regression: bool = False) -> Callable[[], Rows]:
    def read() -> Rows:
        with (TABLES / name).open(newline="") as file:
            lines = list(csv.DictReader(file))
        columns = {column: ["" if line[column] == "?" else line[column] for line in lines] for column in lines[0]}
        return Rows(columns, target, frozenset(words), is_regression)

    return read


ADULT = of_file("adult_train.csv", "income", (
    "workclass", "education", "marital_status", "occupation", "relationship", "race", "sex", "native_country",
))  # fmt: skip
RINGS = of_file("abalone.csv", "rings", ("sex",), is_regression=True)
PHONEME = of_file("phoneme.csv", "label")
RACES = {
    "iris": Race(of_sklearn(load_iris)),
    "wine": Race(of_sklearn(load_wine)),
    "breast_cancer": Race(of_sklearn(load_breast_cancer)),
    "breast_cancer_150": Race(of_sklearn(load_breast_cancer), 150),
    "digits": Race(of_sklearn(load_digits)),
    "digits_300": Race(of_sklearn(load_digits), 300),
    "diabetes": Race(of_sklearn(load_diabetes, is_regression=True)),
    "abalone": Race(RINGS),
    "abalone_300": Race(RINGS, 300),
    "abalone_sex": Race(of_file("abalone.csv", "sex"), 2000),
    "phoneme": Race(PHONEME),
    "phoneme_300": Race(PHONEME, 300),
    "phoneme_1000": Race(PHONEME, 1000),
    "adult_300": Race(ADULT, 300),
    "adult_1000": Race(ADULT, 1000),
    "adult_5000": Race(ADULT, 5000),
}


def race(tables: Sequence[str], seeds: int, words: list[str], out: Path, work: Path) -> None:
    """Every table with every seed, those that `out` does not have yet, and a table of all. words: for tame fit."""
    done = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    known = {(each["table"], each["seed"], *each["words"]) for each in done}
    for seed in range(seeds):
        for name in tables:
            if (name, seed, *words) in known:
                continue
            own = {"table": name, "seed": seed, "words": words}
            found = {**own, **judged(RACES[name], seed, work / f"{name}-{seed}", words)}
            with out.open("a") as file:
                file.write(json.dumps(found) + "\n")
            print(json.dumps(found), file=sys.stderr)
            done.append(found)
    wanted = [each for each in done if each["words"] == words]
    print(in_markdown([each for each in wanted if each["table"] in tables and each["seed"] < seeds]))


def judged(own: Race, seed: int, folder: Path, more: Sequence[str]) -> dict[str, object]:
    """What each model says of the same rows of one table: accuracy, or RMSE."""
    rows = own.load()
    train, test = parted(rows, own.rows, seed)
    folder.mkdir(parents=True)
    for name, part in (("train", train), ("test", test)):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            lines = zip(*([column[row] for row in part] for column in rows.columns.values()), strict=True)
            csv.writer(file).writerows([list(rows.columns), *lines])
    task = "regression" if rows.is_regression else "classification"
    words = ["--test", str(folder / "test.csv"), "--task", task, *more]
    words += ["--metric", "rmse" if rows.is_regression else "accuracy"]
    run = run_tame(folder / "train.csv", rows.target, seed, folder / "study", words)
    metric = "rmse" if rows.is_regression else "accuracy"
    scores = {"tame": run["metrics"][metric], **rivals(rows, train, test, seed)}  # type: ignore[index]
    about_run = {name: run[name] for name in ("wall_s", "trials", "epochs", "validation", "ensemble", "metrics")}
    return {"metric": metric, "rows": len(train), "test": len(test), "scores": scores, **about_run}


def parted(rows: Rows, most: int | None, seed: int) -> tuple[list[int], list[int]]:
    """Rows to train on and to judge by: a fifth, or what is left over where fewer are trained on."""
    order = np.random.default_rng(seed).permutation(len(rows)).tolist()
    count = len(rows) - len(rows) // 5 if most is None else most
    return sorted(order[:count]), sorted(order[count : count + MOST_TEST])


def rivals(rows: Rows, train: Sequence[int], test: Sequence[int], seed: int) -> dict[str, float]:
    names = [name for name in rows.columns if name != rows.target]
    is_word = [name in rows.words for name in names]
    words, numbers = (np.flatnonzero(np.array(is_word) == kind).tolist() for kind in (True, False))
    x = np.empty((len(rows), len(names)), dtype=object)
    for place, name in enumerate(names):
        x[:, place] = [cell if is_word[place] else float(cell) if cell else np.nan for cell in rows.columns[name]]
    y = np.array(
        [float(cell) for cell in rows.columns[rows.target]] if rows.is_regression else rows.columns[rows.target]
    )
    unknown = {"handle_unknown": "use_encoded_value", "unknown_value": np.nan, "encoded_missing_value": np.nan}
    codes = make_column_transformer((OrdinalEncoder(**unknown), words), ("passthrough", numbers))
    whole = make_pipeline(SimpleImputer(), StandardScaler())
    flat = make_column_transformer((OneHotEncoder(handle_unknown="ignore", min_frequency=5), words), (whole, numbers))
    is_code = [place < len(words) for place in range(len(names))]
    logistic = LogisticRegression(max_iter=300)
    if rows.is_regression:
        models = {
            "gradient boosting": (
                codes,
                HistGradientBoostingRegressor(categorical_features=is_code, random_state=seed),
            ),
            "random forest": (flat, RandomForestRegressor(500, n_jobs=-1, random_state=seed)),
            "linear": (flat, RidgeCV(np.logspace(-3, 4, 15))),
        }
    else:
        models = {
            "gradient boosting": (
                codes,
                HistGradientBoostingClassifier(categorical_features=is_code, random_state=seed),
            ),
            "random forest": (flat, RandomForestClassifier(500, n_jobs=-1, random_state=seed)),
            "linear": (
                flat,
                GridSearchCV(logistic, {"C": np.logspace(-3, 3, 7)}, scoring="neg_log_loss"),
            ),
        }
    found = {}
    for name, (columns, model) in models.items():
        said = make_pipeline(columns, model).fit(x[train], y[train]).predict(x[test])
        right = np.sqrt(np.mean((said - y[test]) ** 2)) if rows.is_regression else np.mean(said == y[test])
        found[name] = round(float(right), 4)
    return found


def in_markdown(done: Sequence[Mapping[str, object]]) -> str:
    """The mean of each table, the mean rank over all, and how far each is behind the best of a table at worst."""
    lines = [f"| table | rows | {' | '.join(NAMES)} |", f"|---|---|{'---|' * len(NAMES)}"]
    ranks, points, shares = [], [], []
    for table in dict.fromkeys(str(each["table"]) for each in done):
        own = [each for each in done if each["table"] == table]
        scores = np.mean([[each["scores"][name] for name in NAMES] for each in own], axis=0)  # type: ignore[index]
        is_rmse = own[0]["metric"] == "rmse"
        ranks.append(rankdata(scores if is_rmse else -scores))
        (shares if is_rmse else points).append(scores / scores.min() - 1 if is_rmse else scores.max() - scores)
        best = scores.min() if is_rmse else scores.max()
        cells = [f"**{value:.4g}**" if value == best else f"{value:.4g}" for value in scores]
        lines.append(f"| {table} | {own[0]['rows']:,} | {' | '.join(cells)} |")
    lines.append(f"| **mean rank** | | {' | '.join(f'{value:.2f}' for value in np.mean(ranks, axis=0))} |")
    for what, values, form in (
        ("most points of accuracy behind the best", points, lambda gap: f"{gap / POINT:.1f}"),
        ("RMSE above the best, at most", shares, lambda gap: f"{gap:.1%}"),
    ):
        if values:
            lines.append(f"| {what} | | {' | '.join(map(form, np.max(values, axis=0)))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
