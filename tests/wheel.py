"""Builds the wheel and the source distribution, and tries the wheel as a user gets it: without a clone, without extras.

The clean environment holds what pip would install for the wheel, no more: the files of these packages are linked from
this environment, which takes seconds; with --download pip fetches them all. Exits with 1 for whatever is missing.
"""

from __future__ import annotations

import argparse
import importlib.metadata as metadata
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
LEAST_ACCURACY = 0.8  # of the demo, whose network is right nine times in ten


def build() -> tuple[Path, Path]:
    """The wheel and the source distribution, new in dist/."""
    shutil.rmtree(DIST, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "hatchling", "build"], cwd=ROOT, check=True)
    [wheel], [source] = DIST.glob("*.whl"), DIST.glob("*.tar.gz")
    return wheel, source


def missing_from_wheel(wheel: Path) -> list[str]:
    """The files of the package that the wheel lacks: code, templates, fonts, the portfolio and whatever is tracked."""
    held = set(zipfile.ZipFile(wheel).namelist())
    return [name for name in tracked("src/tame") if name.removeprefix("src/") not in held]


def missing_from_source(source: Path) -> list[str]:
    """The files of the repository that the source distribution lacks."""
    with tarfile.open(source) as file:
        held = {PurePosixPath(*PurePosixPath(name).parts[1:]).as_posix() for name in file.getnames()}
    return [name for name in tracked(".") if name not in held]


def tracked(folder: str) -> list[str]:
    done = subprocess.run(["git", "ls-files", "-z", folder], cwd=ROOT, check=True, capture_output=True, text=True)
    return [name for name in done.stdout.split("\0") if name]


def needed(wheel: Path) -> set[str]:
    """The names of the packages that the wheel needs here without extras, those that these need, and so on."""
    [about] = (path for path in zipfile.Path(wheel).iterdir() if path.name.endswith(".dist-info"))
    own = metadata.PathDistribution(about).requires or ()  # type: ignore[arg-type]
    waiting, found = [(text, "") for text in own], set[tuple[str, str]]()
    while waiting:
        text, of_extra = waiting.pop()
        wanted = Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": of_extra}):
            continue
        for extra in ("", *wanted.extras):
            if (each := (canonicalize_name(wanted.name), extra)) not in found:
                found.add(each)
                waiting += [(text, extra) for text in metadata.requires(wanted.name) or ()]
    return {name for name, _ in found}


def link(names: Iterable[str], site: Path) -> None:
    """Puts these packages into another environment; what its RECORD lists of each, and nothing that lies elsewhere."""
    for name in names:
        distribution = metadata.distribution(name)
        for path in distribution.files or ():
            if ".." in path.parts or path.suffix == ".pyc":
                continue  # scripts and bytecode
            origin, target = Path(str(distribution.locate_file(path))), site / path
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(origin, target)
            except OSError:  # another disk
                shutil.copy2(origin, target)


def environment(folder: Path, wheel: Path, *, download: bool) -> Path:
    """A clean environment with the wheel; its folder of programs."""
    venv.create(folder, with_pip=False)
    programs = folder / "bin"
    pip = [sys.executable, "-m", "pip", "--python", str(programs / "python"), "--disable-pip-version-check", "--quiet"]
    if download:
        subprocess.run([*pip, "install", "--constraint", str(ROOT / "constraints.txt"), str(wheel)], check=True)
    else:
        link(needed(wheel), next((folder / "lib").glob("python3*")) / "site-packages")
        subprocess.run([*pip, "install", "--no-index", "--no-deps", str(wheel)], check=True)
    subprocess.run([*pip, "check"], check=True)
    return programs


def tried(programs: Path, work: Path) -> dict[str, object]:
    """The help, a table and the demo, run from the wheel in a folder without a clone."""
    own = {name: text for name, text in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    own["XDG_CACHE_HOME"] = str(work / "cache")

    def run(*command: str) -> str:
        done = subprocess.run(
            [str(programs / command[0]), *command[1:]], cwd=work, env=own, capture_output=True, text=True
        )
        if done.returncode:
            sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    place = Path(run("python", "-c", "import tame; print(tame.__file__)").strip())
    assert place.is_relative_to(programs.parent.resolve()), f"{place} is not of the wheel"
    assert "tame fit photos/" in run("tame"), "tame alone says how to begin"
    assert "predict" in run("tame", "--help")
    rows = "".join(f"{number % 7},{number % 3},{'yes' if number % 7 > 3 else 'no'}\n" for number in range(200))
    (work / "some.csv").write_text(f"width,height,label\n{rows}", encoding="utf-8")
    table = json.loads(run("tame", "fit", "some.csv", "--target", "label", "--trials", "2", "--epochs", "5", "--json"))
    demo = json.loads(run("tame", "demo", "--no-browser", "--json"))
    assert (Path(work) / demo["study"] / "report.html").is_file()
    accuracy = demo["score"]["value"]
    assert accuracy >= LEAST_ACCURACY, f"the demo reached {accuracy}"
    return {"table": table["score"]["value"], "demo": accuracy, "demo_s": round(demo["wall_s"], 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--download", action="store_true", help="let pip fetch the packages, several gigabytes")
    given = parser.parse_args()
    wheel, source = build()
    for what, gone in (("wheel", missing_from_wheel(wheel)), ("source distribution", missing_from_source(source))):
        if gone:
            sys.exit(f"the {what} lacks {len(gone)} files, such as {', '.join(gone[:5])}")
    with tempfile.TemporaryDirectory(dir=DIST, prefix="try-") as folder:  # on the disk of the packages to be linked
        work = Path(folder) / "work"
        work.mkdir()
        found = tried(environment(Path(folder) / "environment", wheel, download=given.download), work)
    print(json.dumps({"wheel": wheel.name, "kB": round(wheel.stat().st_size / 1000), **found}))


if __name__ == "__main__":
    main()
