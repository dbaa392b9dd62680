"""Does a model as an ONNX file say what `tame predict` says, how large is it, and how long does an example take?

Trains a short study of each data set (a few recipes, a few epochs), exports it, and compares the file with TAME: on the
validation examples, on made extremes, and on a test part where there is one. Prints one JSON line: for each data set
the examples, how many labels differ, the largest difference of a probability (of a number in spreads), the size of the
file, and milliseconds of an example alone and in bulk on one thread of ONNX Runtime.
Usage: python benchmarks/export.py [--data adult,abalone,ants_bees] [--studies FOLDER]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
from features import git, machine

import tame
from tame.app.model_files import export_model
from tame.app.predict import open_model
from tame.kinds.onnx import onnx_form

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
TABLES = DATA / "tables"
SETS = {
    "adult": {"data": TABLES / "adult_train.csv", "target": "income", "test": TABLES / "adult_test.csv"},
    "abalone": {"data": TABLES / "abalone.csv", "target": "rings"},
    "ants_bees": {"data": DATA / "ants_bees", "test": "val"},
    "cifar10_small": {"data": DATA / "cifar10_small"},
    "sms_spam": {"data": DATA / "texts" / "sms_spam.csv", "target": "label"},
}
CHECKED = {
    "adult": TABLES / "adult_test.csv",
    "abalone": TABLES / "abalone.csv",
    "ants_bees": DATA / "ants_bees" / "val",
    "cifar10_small": DATA / "cifar10_small" / "test",
    "sms_spam": DATA / "texts" / "sms_spam.csv",
}
TRIALS, EPOCHS, ROUNDS = 4, 4, 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=",".join(SETS))
    parser.add_argument("--studies", help="where studies are kept, and taken from where they are there")
    given = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory(prefix="tame-export-") as work:
        for name in given.data.split(","):
            study = Path(given.studies or work) / name
            if not study.exists():
                config = {key: str(value) for key, value in SETS[name].items()}
                tame.fit(config.pop("data"), out=str(study), trials=TRIALS, epochs=EPOCHS, quiet=True, **config)
            found[name] = compared(name, study, Path(work))
    about = {"benchmark": "export", "commit": git("rev-parse", "HEAD"), "machine": machine()}
    print(json.dumps({**about, "onnxruntime": onnxruntime.__version__, "data": found}))


def compared(name: str, study: Path, work: Path) -> dict[str, object]:
    """Parity on everything, size and speed of the file of a study."""
    file = work / f"{name}.onnx"
    begun = time.perf_counter()
    own = export_model(study, file)
    took = time.perf_counter() - begun
    others = export_model(study, work / f"{name}-checked.onnx", check=CHECKED[name])
    parts = [*own.parity, others.parity[0]]
    kept = ("what", "n", "labels_differ", "largest")
    return {
        "parity": [{field: getattr(each, field) for field in kept} for each in parts],
        "size_bytes": own.size_bytes, "export_s": round(took, 1), **speed(study, file, CHECKED[name]),
    }  # fmt: skip


def speed(study: Path, file: Path, data: Path) -> dict[str, float]:
    """Milliseconds of an example alone, and in a call with many: the best of several, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options)
    network = open_model(study)
    feeds = dict(onnx_form(network.kind).of_path(network, data).feeds[0])
    num = len(next(iter(feeds.values())))
    alone = {key: value[:1] for key, value in feeds.items()}
    many = feeds if num > 1 else {key: np.repeat(value, 8, axis=0) for key, value in feeds.items()}
    per = len(next(iter(many.values())))
    return {"alone_ms": best(session, alone), "bulk_ms": best(session, many) / per}


def best(session: onnxruntime.InferenceSession, feeds: dict[str, np.ndarray]) -> float:
    times = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        session.run(None, feeds)
        times.append(time.perf_counter() - begun)
    return round(1000 * min(times), 4)


if __name__ == "__main__":
    main()
