"""Frozen features: TAME's extraction against an eager float32 loop over the same backbone. Prints one JSON line.

Both start with decoded pictures and end with features, and both crop the same views, so that only the processing
differs. The loop is written without regard to speed: batches of 32, NCHW float32 (or channels last), no_grad, the
default allocator.
Each pass runs in a separate process, the two in turn; the ratio is the geometric mean over the rounds with its 95 %
interval (Student's t on logarithms). Usage: python benchmarks/features.py [--rounds 3] [--sizes 160 224 288]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY.parent / "shared"
DATA = SHARED / "data" / "ants_bees"
PACKAGES = ("torch", "timm", "numpy", "pillow", "scikit-learn")
TUNED = ("OMP_", "GOMP_", "KMP_", "MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")  # not for the plain loop
SHORTEST, CROP, PLAIN_BATCH, SEED = 384, 0.875, 32, 0


def main() -> None:
    """Compares both over the rounds, or (in a separate process) runs one pass."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=[160, 224, 288])
    parser.add_argument("--backbone", default="lite0")
    parser.add_argument("--channels-last", action="store_true", help="lay out the plain loop so as well")
    parser.add_argument("--one", choices=["plain", "tame"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(
            json.dumps(one_pass(args.one, args.sizes[0], args.folder, args.backbone, channels_last=args.channels_last))
        )
        return
    with tempfile.TemporaryDirectory() as folder:
        chosen = ["--backbone", args.backbone, *(["--channels-last"] if args.channels_last else [])]
        print(json.dumps(compare(args.rounds, args.sizes, Path(folder), chosen)))


def compare(rounds: int, sizes: list[int], folder: Path, chosen: list[str]) -> dict[str, Any]:
    """The whole result."""
    load_before = os.getloadavg()
    passes: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for index in range(rounds):
        for size in sizes:
            for side in ("plain", "tame") if index % 2 == 0 else ("tame", "plain"):
                found = run_pass(side, size, folder, chosen)
                print(f"round {index + 1}, {size}, {side}: {found['images_per_s']:.1f} images/s", file=sys.stderr)
                passes.setdefault((side, size), []).append(found)
    return {
        "benchmark": "features",
        "commit": git("rev-parse", "HEAD"),
        "changed_files": len(git("status", "--porcelain").splitlines()),
        "machine": machine() | {"load_before": load_before, "load_after": os.getloadavg()},
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "chosen": chosen,
        "seeds": [SEED],
        "rounds": rounds,
        "num_pictures": passes["plain", sizes[0]][0]["num_pictures"],
        "sizes": {str(size): summary(passes["plain", size], passes["tame", size], size, folder) for size in sizes},
    }


def run_pass(side: str, size: int, folder: Path, chosen: list[str]) -> dict[str, Any]:
    """One pass in a separate process: started as by a user, or as TAME starts its worker."""
    from tame.worker.environment import worker_environment

    environment = {name: value for name, value in os.environ.items() if not name.startswith(TUNED)}
    if side == "tame":
        environment |= worker_environment()
    command = [sys.executable, __file__, "--one", side, "--sizes", str(size), "--folder", str(folder), *chosen]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout))


def one_pass(side: str, size: int, folder: Path, name: str, *, channels_last: bool) -> dict[str, Any]:
    """The rates of one pass over all pictures; its features are stored in the folder."""
    from tame.worker.environment import tune_allocator

    if side == "tame":
        tune_allocator()
    import torch

    from tame.data.cache import ArrayCache
    from tame.data.image_loading import load_pixels
    from tame.data.images import scan
    from tame.kinds.pictures.features import Pictures, extract, measure_speed
    from tame.parts.backbones import open_backbone

    torch.manual_seed(SEED)
    loaded = load_pixels(scan(DATA).pictures, shortest=SHORTEST, cache=ArrayCache(folder / "pixels"))
    pictures = Pictures(loaded.arrays, [each.digest for each in loaded.pictures])
    for array in pictures.pixels:
        array.max()  # reads everything once, so that neither side waits for the disk
    backbone, device, about = open_backbone(name), torch.device("cpu"), dict[str, Any]()
    if side == "plain":
        if channels_last:
            backbone.module.to(memory_format=torch.channels_last)
        plain_features(backbone, pictures, range(PLAIN_BATCH), size=size, channels_last=channels_last)  # warm-up
    else:
        start = time.perf_counter()
        speed = measure_speed(backbone, device, pictures, size=size, crop=CROP)
        about = {"measure_s": round(time.perf_counter() - start, 2), "speed": asdict(speed)}
    rows = range(len(pictures.pixels))
    start, used = time.perf_counter(), cpu_s()
    if side == "plain":
        features = plain_features(backbone, pictures, rows, size=size, channels_last=channels_last)
    else:
        features = extract(
            backbone, pictures, rows, size=size, view=0, crop=CROP, speed=speed, device=device, cache=None
        )[:, -backbone.num_features :]
    wall_s, used = time.perf_counter() - start, cpu_s() - used
    labels = np.array([each.label for each in loaded.pictures])
    is_train = np.array([each.part == "train" for each in loaded.pictures])
    np.savez(folder / f"{side}-{size}.npz", features=features, labels=labels, is_train=is_train)
    return {
        "num_pictures": len(rows), "images_per_s": len(rows) / wall_s, "cpu_ms_per_image": used / len(rows) * 1e3,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, **about,
    }  # fmt: skip


def plain_features(backbone: Any, pictures: Any, rows: range, *, size: int, channels_last: bool) -> np.ndarray:
    """The eager loop."""
    import torch

    from tame.data.views import square_view

    mean, std = (torch.tensor(backbone.config[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    found = []
    for first in range(0, len(rows), PLAIN_BATCH):
        some = [pictures.pixels[row] for row in rows[first : first + PLAIN_BATCH]]
        batch = np.stack([square_view(each, size=size, view=0, name="", crop=CROP) for each in some])
        form = torch.channels_last if channels_last else torch.contiguous_format
        x = torch.from_numpy(batch).permute(0, 3, 1, 2).contiguous(memory_format=form).float() / 255
        with torch.no_grad():
            found.append(backbone.module((x - mean) / std))
    return np.asarray(torch.cat(found).numpy())


def summary(plain: list[dict[str, Any]], tame: list[dict[str, Any]], size: int, folder: Path) -> dict[str, Any]:
    """The rates of both sides at one size, their ratio, and the effect of the differences on a linear head."""
    from scipy import stats
    from sklearn.linear_model import LogisticRegression

    logs = np.log([ours["images_per_s"] / theirs["images_per_s"] for ours, theirs in zip(tame, plain, strict=True)])
    cpu = np.median([each["cpu_ms_per_image"] for each in plain]) / np.median([e["cpu_ms_per_image"] for e in tame])
    half = stats.t.ppf(0.975, len(logs) - 1) * stats.sem(logs) if len(logs) > 1 else float("nan")
    exact, found = np.load(folder / f"plain-{size}.npz"), np.load(folder / f"tame-{size}.npz")
    is_train, labels = exact["is_train"], exact["labels"]
    head = LogisticRegression(C=0.1, max_iter=5000, random_state=SEED)
    head.fit(exact["features"][is_train], labels[is_train])
    a, b = (head.predict(each["features"][~is_train]) for each in (exact, found))
    gap = np.linalg.norm(found["features"] - exact["features"]) / np.linalg.norm(exact["features"])
    return {
        "plain_images_per_s": [round(each["images_per_s"], 1) for each in plain],
        "tame_images_per_s": [round(each["images_per_s"], 1) for each in tame],
        "ratio": round(float(np.exp(logs.mean())), 2),
        "interval": [round(float(np.exp(logs.mean() + sign * half)), 2) for sign in (-1, 1)],
        "cpu_ratio": round(float(cpu), 2),
        "peak_mb": {"plain": round(max(e["peak_mb"] for e in plain)), "tame": round(max(e["peak_mb"] for e in tame))},
        "speeds": [each["speed"] for each in tame],
        "measure_s": [each["measure_s"] for each in tame],
        "relative_distance": round(float(gap), 4),
        "predictions_changed": int((a != b).sum()),
        "num_predictions": len(a),
        "accuracy": {"plain": float((a == labels[~is_train]).mean()), "tame": float((b == labels[~is_train]).mean())},
    }


def machine() -> dict[str, Any]:
    """The processor and its usable cores."""
    from tame.worker.environment import usable_cores

    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if "model name" in line] if info.is_file() else []
    name = names[0].split(":")[1].strip() if names else platform.processor()
    return {"cpu": name, "cores": usable_cores(), "system": platform.platform()}


def cpu_s() -> float:
    """CPU seconds that this process has used on all cores."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def git(*words: str) -> str:
    """The output of git; empty if there is no repository."""
    done = subprocess.run(["git", "-C", str(REPOSITORY), *words], capture_output=True, text=True, check=False)
    return done.stdout.strip()


if __name__ == "__main__":
    main()
