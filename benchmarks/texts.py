"""Texts: how well are they told apart, and how well does a small model learn their language?

Runs the command line as a user would. Each set of labelled texts is cut into a training and a test part by this script
(copies left out), and what stands beside TAME is fitted to the same parts in the same run: words and characters with a
linear model (scikit-learn), and for few texts the frozen encoder with logistic regression. Differences are paired. Of
language models the model before it was adapted is scored on the same sealed passages, and a fixed other text is read
before and after. Each run is told as a JSON line on stderr when it ends; the line at the end holds all runs and means.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

SHARED = Path(__file__).resolve().parents[2] / "shared"
TEXTS = SHARED / "data" / "texts"
TAME = [sys.executable, "-m", "tame.app.cli"]
OTHERS = ("Rating", "Age", "Positive Feedback Count", "Clothing ID", "Division Name", "Department Name", "Class Name")


@dataclass(frozen=True)
class Labelled:
    """A set of labelled texts. rows: of a random part of it; left_out: columns that are not learned from; encodes:
    whether the frozen encoder with logistic regression stands beside it."""

    files: Sequence[str]
    texts: Sequence[str]
    target: str
    time: str
    rows: int | None = None
    left_out: Sequence[str] = ()
    words: Sequence[str] = ()
    encodes: bool = False


CLOTHING = ("Title", "Review Text")
SETS: Mapping[str, Labelled] = {
    "sms_spam": Labelled(["sms_spam.csv"], ["message"], "label", "60s"),
    "banking77": Labelled(["banking77/train.csv", "banking77/test.csv"], ["text"], "category", "3m"),
    "banking77_words": Labelled(
        ["banking77/train.csv", "banking77/test.csv"], ["text"], "category", "3m", words=["--backbone", "none"]
    ),
    "banking77_2500": Labelled(
        ["banking77/train.csv", "banking77/test.csv"], ["text"], "category", "60s", rows=2500, encodes=True
    ),
    "clothing": Labelled(["clothing_reviews.csv"], CLOTHING, "Recommended IND", "60s", left_out=OTHERS),
    "clothing_all": Labelled(["clothing_reviews.csv"], CLOTHING, "Recommended IND", "60s", left_out=OTHERS[:1]),
}  # fmt: skip


@dataclass(frozen=True)
class Language:
    """A language model and the texts that it is adapted to."""

    backbone: str
    time: str
    data: str = "contracts"


MODELS: Mapping[str, Language] = {
    "stories260K": Language("stories260K", "60s"),
    "smollm2": Language("smollm2/smollm2-135m-instruct", "2m"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", choices=[*SETS, *MODELS], metavar="NAME", help=", ".join((*SETS, *MODELS)))
    parser.add_argument("--time", help="instead of that of the set")
    parser.add_argument("--seeds", type=int, default=3, help="so many, from --first on")
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    found: dict[str, object] = {
        "benchmark": "texts", "cores": os.cpu_count(), "machine": platform.machine(), "torch": torch.__version__,
    }  # fmt: skip
    for name in given.names:
        runs = []
        for seed in range(given.first, given.first + given.seeds):
            with tempfile.TemporaryDirectory(prefix="tame-bench-") as work:
                if name in SETS:
                    runs.append(told_apart(SETS[name], seed, given.time or SETS[name].time, Path(work)))
                else:
                    runs.append(adapted(MODELS[name], seed, given.time or MODELS[name].time, Path(work)))
            print(json.dumps({"set": name, **runs[-1]}), file=sys.stderr, flush=True)
        numbers = [
            key for key, value in runs[0].items() if isinstance(value, float) and all(key in run for run in runs)
        ]
        means = {key: round(statistics.fmean(float(run[key]) for run in runs), 4) for key in numbers}
        found[name] = {"time": given.time or (SETS | MODELS)[name].time, **means, "runs": runs}
    print(json.dumps(found))


def told_apart(own: Labelled, seed: int, limit: str, work: Path) -> dict[str, float | int]:
    """One run on labelled texts: TAME's accuracy, and that of others on the same test part."""
    train, test = parts(own, seed)
    for name, frame in (("train", train), ("test", test)):
        frame.to_csv(work / f"{name}.csv", index=False)
    words = ["--target", own.target, "--test", str(work / "test.csv"), *own.words]
    words += [word for name in own.left_out for word in ("--column", f"{name}=ignore")]
    result, wall_s = fitted([str(work / "train.csv"), *words], seed, limit, work / "study")
    truth = test[own.target].astype(str).to_numpy()
    command = [*TAME, "predict", str(work / "study"), str(work / "test.csv"), "--json"]
    said = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    right = np.array([each["label"] for each in said["predictions"]]) == truth
    found: dict[str, float | int] = {
        "seed": seed, "n": len(test), "accuracy": round(float(right.mean()), 4), "wall_s": round(wall_s, 1),
        "f1": round(result["metrics"]["f1_macro"], 4), "recipes": result["trials"],
    }  # fmt: skip
    tuned = result["fine_tuning"] or {}  # the gain is on the validation examples, over the best network without it
    if tuned.get("difference"):
        found |= {"tuned": int(tuned["kept"]), "tuning_gain": round(float(tuned["difference"]["value"]), 4)}
    others = {"words": by_words(own, train, test, seed)}
    if own.encodes:
        others["encoder"] = by_encoder(own, train, test, seed)
    for name, answers in others.items():
        other = answers == truth
        low, high = paired(right, other, seed)
        found |= {name: round(float(other.mean()), 4), f"over_{name}_low": low, f"over_{name}_high": high}
    return found


def parts(own: Labelled, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and test rows, four to one in each class, without rows whose texts are there already."""
    frame = pd.concat([pd.read_csv(TEXTS / name, keep_default_na=False) for name in own.files])
    text = frame[list(own.texts)].agg(" ".join, axis=1).str.lower().str.replace(r"\W+", " ", regex=True)
    frame = frame[~text.duplicated()].sample(frac=1, random_state=seed)
    frame = frame if own.rows is None else frame.iloc[: own.rows]
    place = frame.groupby(own.target).cumcount() % 5
    return frame[place != 0], frame[place == 0]


def by_words(own: Labelled, train: pd.DataFrame, test: pd.DataFrame, seed: int) -> np.ndarray:
    """What a linear support vector machine on words and characters says, its strictness chosen on an eighth."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union
    from sklearn.svm import LinearSVC

    def fit_and_say(learnt: pd.DataFrame, judged: pd.DataFrame, strictness: float) -> np.ndarray:
        both = make_union(
            TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True),
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=2, sublinear_tf=True),
        )
        texts = [each[list(own.texts)].agg(" ".join, axis=1) for each in (learnt, judged)]
        x = both.fit_transform(texts[0])
        model = LinearSVC(C=strictness, random_state=seed).fit(x, learnt[own.target].astype(str))
        return np.asarray(model.predict(both.transform(texts[1])))

    some, rest = train.iloc[::8], train.drop(train.index[::8])
    truth = some[own.target].astype(str).to_numpy()
    best = max((0.1, 0.3, 1.0, 3.0), key=lambda own_c: float((fit_and_say(rest, some, own_c) == truth).mean()))
    return fit_and_say(train, test, best)


def by_encoder(own: Labelled, train: pd.DataFrame, test: pd.DataFrame, seed: int) -> np.ndarray:
    """What logistic regression on the features of the frozen encoder says, its strictness chosen on an eighth."""
    from sklearn.linear_model import LogisticRegression

    from tame.parts.encoders import features_of, open_encoder, tokens_of

    encoder = open_encoder("minilm")

    def features(frame: pd.DataFrame) -> np.ndarray:
        texts = list(frame[list(own.texts)].agg(" ".join, axis=1))
        return features_of(encoder, tokens_of(encoder, texts, length=128).ids, device=torch.device("cpu"))

    x, seen, labels = features(train), features(test), train[own.target].astype(str).to_numpy()
    some = np.arange(len(x)) % 8 == 0

    def held_out(strictness: float) -> float:
        model = LogisticRegression(C=strictness, max_iter=1000).fit(x[~some], labels[~some])
        return float(model.score(x[some], labels[some]))

    best = max((1.0, 10.0, 100.0), key=held_out)
    return np.asarray(LogisticRegression(C=best, max_iter=1000).fit(x, labels).predict(seen))


def paired(own: np.ndarray, other: np.ndarray, seed: int) -> tuple[float, float]:
    """The 95 % interval of how much more often one is right than the other, by the bootstrap over test rows."""
    gain = own.astype(float) - other
    drawn = np.random.default_rng(seed).integers(len(gain), size=(4000, len(gain)))
    low, high = np.quantile(gain[drawn].mean(axis=1), (0.025, 0.975))
    return round(float(low), 4), round(float(high), 4)


def adapted(own: Language, seed: int, limit: str, work: Path) -> dict[str, float | int]:
    """One run of a language model."""
    words = [str(TEXTS / own.data), "--task", "language-model", "--backbone", str(SHARED / "weights" / own.backbone)]
    result, wall_s = fitted(words, seed, limit, work / "study")
    other = result["other"]["perplexity"]
    return {
        "seed": seed, "wall_s": round(wall_s, 1), "bits": result["score"]["value"], "low": result["score"]["low"],
        "high": result["score"]["high"], "before": result["perplexity"]["before"],
        "after": result["perplexity"]["after"], "other_before": other["before"], "other_after": other["after"],
        "tokens_per_s": float(result["rate"] or 0), "recipes": result["trials"], "epochs": result["epochs"],
        "copied": max((each["copied"] for each in result["written"]), default=0),
    }  # fmt: skip


def fitted(words: Sequence[str], seed: int, limit: str, out: Path) -> tuple[dict, float]:
    """The result of `tame fit`, and its seconds by the clock of this process."""
    command = [*TAME, "fit", *words, "--time", limit, "--seed", str(seed), "--out", str(out), "--json", "--quiet"]
    begun = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    wall_s = time.perf_counter() - begun
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
    return json.loads(done.stdout), wall_s


if __name__ == "__main__":
    main()
