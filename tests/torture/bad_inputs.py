"""Inputs that nobody should give, each with the exit codes that are right for it; the page is docs/bad-input.md."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import random
import shutil
import sqlite3
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from tame.app import cli
from tame.parts.network import OPENS, SCHEMA
from torture.bad import DATA, FIT, GOOD, REFUSED, STORAGE, USAGE, Bad, Make
from torture.bad_texts import texts
from torture.rig import in_fork


@dataclass(frozen=True)
class Found:
    """What happened to it."""

    bad: Bad
    code: int
    said: str

    @property
    def is_right(self) -> bool:
        return self.code in self.bad.right and "Traceback" not in self.said


def every() -> Iterator[Bad]:
    """All inputs."""
    yield from tables()
    yield from pictures()
    yield from lists()
    yield from texts()
    yield from configs()
    yield from models()
    yield from stores()


# Tables


def tables() -> Iterator[Bad]:
    sound = [f"{i % 7},{(i * 5) % 11},{'yes' if i % 7 > 3 else 'no'}" for i in range(120)]

    def table(content: bytes | str, *, name: str = "rows.csv", target: str = "label") -> Make:
        def make(folder: Path) -> list[str]:
            path = folder / name
            path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
            return ["fit", str(path), "--target", target, *FIT, "--out", str(folder / "study")]

        return make

    def lines(*rows: str, header: str = "a,b,label") -> str:
        return "\n".join([header, *rows]) + "\n"

    whole = lines(*sound)
    either = (GOOD, DATA)
    escapes, odd_names = ("\x1b[31mred", "\x1b]8;;x\x07"), ("nan", "None", "true")
    wide = ",".join([*(f"c{i}" for i in range(1000)), "label"])
    cases: list[tuple[str, tuple[int, ...], Make]] = [
        ("an empty file", (DATA,), table("")),
        ("a header and no rows", (DATA,), table("a,b,label\n")),
        ("a byte order mark", (GOOD,), table("\ufeff" + whole)),
        ("UTF-16", either, table(whole.encode("utf-16"))),
        ("latin-1 text", either, table(whole.replace("yes", "ja\xe4").encode("latin-1"))),
        ("a NUL byte", either, table(whole.replace("no", "n\0", 1))),
        ("a row with a field too many", (DATA,), table(lines(*sound, "1,2,yes,3"))),
        ("a row with a field too few", (DATA,), table(lines(*sound, "1,2"))),
        ("a quote that is not closed", (DATA,), table(lines('"1,2,yes', *sound))),
        ("two columns of one name", (USAGE, DATA), table(lines(*sound, header="a,a,label"))),
        ("a column without a name", either, table(lines(*sound, header="a,,label"))),
        ("a whole number of 23 digits", either, table(lines("9" * 23 + ",1,yes", *sound))),
        ("1e400", either, table(lines("1e400,1,yes", *sound))),
        ("inf and -inf", either, table(lines("inf,1,yes", "-inf,2,no", *sound))),
        ("text after numbers", either, table(lines(*sound, "many,2,yes"))),
        ("decimal commas and semicolons", (GOOD,), table(whole.replace(",", ";"))),
        ("CR as the end of lines", either, table(whole.replace("\n", "\r"))),
        ("only quotes", (DATA,), table('""\n""\n')),
        ("a target of one class", (DATA,), table(lines(*(row.replace("no", "yes") for row in sound)))),
        ("a target that is always missing", (DATA,), table(lines(*(row.rsplit(",", 1)[0] + "," for row in sound)))),
        ("a target that is no column", (USAGE, DATA), table(whole, target="lable")),
        ("a target of 1e308", either, table(lines(*(f"{i},{i},{i}e305" for i in range(120))))),
        (
            "a column that equals the target",
            either,
            table(lines(*(f"{r},{r[-1]}" for r in sound), header="a,b,label,c")),
        ),
        (
            "formulas in cells",
            either,
            table(lines(*(f"=cmd|{i % 3},1,{'yes' if i % 2 else 'no'}" for i in range(120)))),
        ),
        (
            "the class names nan, None and true",
            either,
            table(lines(*(f"{i},1,{odd_names[i % 3]}" for i in range(120)))),
        ),
        ("four rows", (DATA,), table(lines(*sound[:4]))),
        (
            "a thousand columns",
            either,
            table(lines(*(",".join(["1"] * 1000 + ["yes" if i % 2 else "no"]) for i in range(60)), header=wide)),
        ),
        ("a Parquet file that is none", (DATA,), table(b"PAR1" + bytes(100), name="rows.parquet")),
        ("a spreadsheet", (USAGE, DATA), table(b"PK\x03\x04" + bytes(100), name="rows.xlsx")),
        ("random bytes", (DATA,), table(random.Random(0).randbytes(5000))),
        ("terminal escapes in labels", either, table(lines(*(f"{i},1,{escapes[i % 2]}" for i in range(120))))),
    ]
    for what, right, make in cases:
        yield Bad("Tables", what, right, make)

    def special(act: Callable[[Path], object], name: str = "rows.csv") -> Make:
        def make(folder: Path) -> list[str]:
            act(folder / name)
            return ["fit", str(folder / name), "--target", "label", *FIT, "--out", str(folder / "study")]

        return make

    yield Bad("Tables", "a FIFO", (USAGE, DATA), special(os.mkfifo))
    yield Bad("Tables", "a link to itself", (USAGE, DATA), special(lambda path: path.symlink_to(path)))
    yield Bad("Tables", "a link to /dev/zero", (USAGE, DATA), special(lambda path: path.symlink_to("/dev/zero")))
    yield Bad("Tables", "a file that is not there", (USAGE, DATA), special(lambda path: None))


# Pictures


def pictures() -> Iterator[Bad]:
    def png(size: tuple[int, int] = (32, 32), color: tuple[int, int, int] = (200, 30, 30), kind: str = "PNG") -> bytes:
        file = io.BytesIO()
        Image.new("RGB", size, color).save(file, kind)
        return file.getvalue()

    def folder_with(odd: Callable[[Path], object], classes: tuple[str, ...] = ("bee", "wasp")) -> Make:
        def make(folder: Path) -> list[str]:
            data = folder / "data"
            for place, name in enumerate(classes):
                (data / name).mkdir(parents=True)
                for i in range(20):
                    (data / name / f"{i}.png").write_bytes(_noisy(100 * place + i))
            data.mkdir(exist_ok=True)
            odd(data)
            return [
                "fit",
                str(data),
                "--backbone",
                "none",
                *FIT,
                "--set",
                "input.size=32",
                "--set",
                "model.width=4",
                "--out",
                str(folder / "study"),
            ]

        return make

    def file(name: str, content: bytes) -> Make:
        return folder_with(lambda data: (data / "bee" / name).write_bytes(content))

    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", 12000, 12000, 8, 2, 0, 0, 0) + bytes(40)
    whole = _noisy(7)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    for name, content in {
        "a file of 0 bytes": b"",
        "text with the name of a picture": b"hello",
        "an HTML page": b"<html>404</html>",
        "a picture cut off at 90 %": whole[: len(whole) * 9 // 10],
        "a picture with a flipped byte": bytes(flipped),
        "a picture of 144 megapixels in 77 bytes": bomb,
        "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n",
        "SVG with a script": b"<svg onload='alert(1)'/>",
        "a picture of one pixel": png((1, 1)),
        "a picture of 1 x 5000": png((1, 5000)),
        "an animated GIF": png(kind="GIF"),
        "a BMP": png(kind="BMP"),
    }.items():
        yield Bad("Pictures", name, (GOOD,), file("odd.png", content))
    for name in (
        "-rf.png",
        "two\nlines.png",
        "\udcff.png",
        "x" * 250 + ".png",
        "\N{SNOWMAN}.png",
        "CON.png",
        "..%2f.png",
    ):
        yield Bad("Pictures", f"the file name {name[:20]!r}", (GOOD,), file(name, _noisy(99)))
    odd: dict[str, tuple[tuple[int, ...], Make]] = {
        "an empty folder": ((USAGE, DATA), folder_with(lambda data: None, ())),
        "one class only": ((DATA,), folder_with(lambda data: None, ("bee",))),
        "a class with one picture": ((GOOD,), folder_with(lambda data: _one(data / "rare", _noisy(50)))),
        "a link to /dev/zero": ((GOOD,), folder_with(lambda data: (data / "bee" / "z.png").symlink_to("/dev/zero"))),
        "a link to /etc/passwd": (
            (GOOD,),
            folder_with(lambda data: (data / "bee" / "p.png").symlink_to("/etc/passwd")),
        ),
        "a link that leads up": ((GOOD,), folder_with(lambda data: (data / "bee" / "up").symlink_to(".."))),
        "a FIFO": ((GOOD,), folder_with(lambda data: os.mkfifo(data / "bee" / "fifo.png"))),
        "Thumbs.db and .DS_Store": (
            (GOOD,),
            folder_with(lambda data: _one(data / "bee", b"x", "Thumbs.db", ".DS_Store")),
        ),
        "modules among the data": (
            (GOOD,),
            folder_with(lambda data: _one(data, b"raise SystemExit(9)", "random.py", "csv.py")),
        ),
        "a class that is markup": (
            (GOOD, DATA),
            folder_with(lambda data: (data / "bee").rename(data / "<img src=x onerror=alert(1)>")),
        ),
        "a class with a terminal escape": (
            (GOOD, DATA),
            folder_with(lambda data: (data / "bee").rename(data / "\x1b[31mbee")),
        ),
        "classes that differ in case": ((GOOD, DATA), folder_with(lambda data: None, ("Bee", "bee"))),
        "the same picture in two classes": (
            (GOOD,),
            folder_with(lambda data: shutil.copy(data / "bee" / "0.png", data / "wasp" / "same.png")),
        ),
    }
    for what, (right, make) in odd.items():
        yield Bad("Pictures", what, right, make)


def _noisy(number: int, mode: str = "RGB", kind: str = "PNG") -> bytes:
    """A picture of 32 x 32 random pixels."""
    chance, file, each = random.Random(number), io.BytesIO(), {"RGB": 3, "I;16": 2, "CMYK": 4}
    Image.frombytes(mode, (32, 32), chance.randbytes(32 * 32 * each[mode])).save(file, kind)
    return file.getvalue()


def _one(folder: Path, content: bytes, *names: str) -> None:
    folder.mkdir(exist_ok=True)
    for name in names or ("one.png",):
        (folder / name).write_bytes(content)


# Lists of pictures


def lists() -> Iterator[Bad]:
    rows = [(f"photos/{name}{i}.png", name) for i in range(20) for name in ("bee", "wasp")]
    some, whole = range(6), range(len(rows))

    def listed(change: Callable[[Path, list[list[str]]], object]) -> Make:
        def make(folder: Path) -> list[str]:
            data, own = folder / "data", [list(row) for row in rows]
            (data / "photos").mkdir(parents=True)
            for place, (path, _) in enumerate(own):
                (data / path).write_bytes(_noisy(place))
            (folder / "outside.png").write_bytes(_noisy(99))
            change(data, own)
            with (data / "list.csv").open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([["path", "label"], *own])
            sizes = ["--set", "input.size=32", "--set", "model.width=4", "--out", str(folder / "study")]
            return ["fit", str(data / "list.csv"), "--target", "label", "--backbone", "none", *FIT, *sizes]

        return make

    def paths(places: range, path: Callable[[Path, str], object]) -> Make:
        """A list in which the paths at these places are others."""

        def change(data: Path, own: list[list[str]]) -> None:
            for place in places:
                own[place][0] = str(path(data, own[place][0]))

        return listed(change)

    def files(places: range, act: Callable[[Path], object]) -> Make:
        """A list with something else than a picture in the files at these places."""

        def change(data: Path, own: list[list[str]]) -> None:
            for place in places:
                (data / own[place][0]).unlink()
                act(data / own[place][0])

        return listed(change)

    def holding(content: bytes) -> Make:
        return files(range(1), lambda path: path.write_bytes(content))

    outside = files(range(1), lambda path: path.symlink_to(path.parents[2] / "outside.png"))
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99)
    cases: dict[str, tuple[tuple[int, ...], Make]] = {
        "a path that leaves the folder": ((DATA,), paths(range(1), lambda data, path: "../outside.png")),
        "absolute paths": ((DATA,), paths(whole, lambda data, path: data / path)),
        "addresses on a network": ((USAGE, DATA), paths(whole, lambda data, path: f"https://example.org/{path}")),
        "a link that leaves the folder": ((GOOD,), outside),
        "a picture that is missing": ((GOOD,), files(range(1), lambda path: None)),
        "6 of 40 pictures missing": ((DATA,), files(some, lambda path: None)),
        "all pictures missing": ((DATA,), files(whole, lambda path: None)),
        "the same picture with two labels": ((GOOD,), listed(lambda data, own: own.append([own[0][0], "wasp"]))),
        "a column that is half paths": ((DATA,), paths(whole[::2], lambda data, path: "seen at noon")),
        "a picture of 16 bits": ((GOOD,), holding(_noisy(50, "I;16"))),
        "a picture of CMYK": ((GOOD,), holding(_noisy(51, "CMYK", "JPEG"))),
        "a HEIC picture": ((GOOD,), holding(heic)),
        "HEIC pictures alone": ((DATA,), files(whole, lambda path: path.write_bytes(heic))),
    }
    for what, (right, make) in cases.items():
        yield Bad("Lists of pictures", what, right, make)


# Settings


def configs() -> Iterator[Bad]:
    def with_table(*words: str) -> Make:
        def make(folder: Path) -> list[str]:
            rows = [f"{i % 7},{(i * 5) % 11},{'yes' if i % 7 > 3 else 'no'}" for i in range(120)]
            (folder / "rows.csv").write_text("\n".join(["a,b,label", *rows]) + "\n")
            own = [word.replace("FOLDER", str(folder)) for word in words]
            return ["fit", str(folder / "rows.csv"), "--target", "label", *FIT, "--out", str(folder / "study"), *own]

        return make

    def with_file(text: str | bytes) -> Make:
        def make(folder: Path) -> list[str]:
            (folder / "own.toml").write_bytes(text.encode() if isinstance(text, str) else text)
            return with_table("--config", str(folder / "own.toml"))(folder)

        return make

    usage = (USAGE,)
    for words in (
        ("--epochs", "-1"),
        ("--epochs", "0"),
        ("--epochs", "x"),
        ("--trials", "0"),
        ("--trials", "9" * 400),
        ("--time", "0s"),
        ("--time", "soon"),
        ("--time", "nan"),
        ("--seed", str(2**64)),
        ("--seed", "-1"),
        ("--metric", "acuracy"),
        ("--search", "magic"),
        ("--set", "optimizer.lr=nan"),
        ("--set", "optimizer.lr=-1"),
        ("--set", "batch_size=0"),
        ("--set", "no.such=1"),
        ("--set", "__class__=1"),
        ("--set", "optimizer.lr"),
        ("--space", "optimizer.lr=1..0.1"),
        ("--space", "optimizer.lr=0..1:log"),
        ("--space", "optimizer.lr=nan..1"),
        ("--space", "model.depth=1..3:step0"),
        ("--space", "optimizer.name="),
        ("--space", "x" * 100_000),
        ("--folds", "-3"),
        ("--groups", "none"),
        ("--order", "none"),
        ("--start-from", "FOLDER/none"),
        ("--val", "FOLDER/none.csv"),
        ("--backbone", "/etc/passwd"),
    ):
        shown = " ".join(words).replace("FOLDER/", "")
        shown = shown if len(shown) < 60 else f"{shown[:40]}... of {len(shown)} characters"
        yield Bad("Settings", shown, (USAGE, DATA), with_table(*words))
    for what, text in {
        "a file that is not TOML": "= = =",
        "an unknown key": "epoch = 3",
        "a wrong type": 'folds = "three"',
        "a key like a Python name": "__class__ = 1",
        "a table instead of a value": "[folds]\nx = 1",
        "a NUL byte": b"epochs = 3\0",
        "bytes that are not UTF-8": b"epochs = 3 # \xff",
        "5,000 digits": "epochs = " + "9" * 5000,
        "tables nested 3,000 deep": "set = " + "{a = " * 3000 + "1" + "}" * 3000,
        "infinity": "time = inf",
    }.items():
        yield Bad("Settings", f"TOML: {what}", usage, with_file(text))


# Models and stores


def models() -> Iterator[Bad]:
    def predict(act: Callable[[Path], object]) -> Make:
        def make(folder: Path) -> list[str]:
            model = folder / "model"
            model.mkdir()
            act(model)
            (folder / "rows.csv").write_text("a\n1\n")
            return ["predict", str(folder), str(folder / "rows.csv")]

        return make

    right = (USAGE, DATA, STORAGE, REFUSED)
    huge = struct.pack("<Q", 2**40) + b"{}"
    about = {"schema": OPENS[0], "weights": {"file": "../../x", "sha256": "0" * 64, "size_bytes": 1}}
    for what, text in {
        "no model": None,
        "model.json that is not JSON": b"{",
        "model.json nested 100,000 deep": b"[" * 100_000,
        "model.json that is a list": b"[]",
        "model.json with a path that leaves the folder": json.dumps(about).encode(),
        "model.json without the hashes beside it": json.dumps({**about, "schema": SCHEMA}).encode(),
        "model.json of 20 MB": b'{"x": "' + b"x" * 20_000_000 + b'"}',
        "model.json with NaN": b'{"schema": NaN}',
    }.items():
        yield Bad(
            "Models",
            what,
            right,
            predict(lambda model, text=text: text is None or (model / "model.json").write_bytes(text)),
        )
    pickled = b"\x80\x04cos\nsystem\n(S'true'\ntR."
    for what, content, digest in (
        ("weights that are a pickle", pickled, hashlib.sha256(pickled).hexdigest()),
        ("a header of 2^40 bytes", huge, hashlib.sha256(huge).hexdigest()),
        ("weights with another hash", huge, "0" * 64),
    ):

        def both(model: Path, content: bytes = content, digest: str = digest) -> None:
            own = {
                "schema": OPENS[0],
                "weights": {"file": "model.safetensors", "sha256": digest, "size_bytes": len(content)},
            }
            (model / "model.json").write_text(json.dumps(own))
            (model / "model.safetensors").write_bytes(content)

        yield Bad("Models", what, right, predict(both))


def stores() -> Iterator[Bad]:
    def show(act: Callable[[Path], object], command: str = "show") -> Make:
        def make(folder: Path) -> list[str]:
            act(folder / "study.db")
            return [command, str(folder)]

        return make

    def foreign(path: Path) -> None:
        with sqlite3.connect(path) as own:
            own.execute("create table x (y)")
        own.close()

    right = (USAGE, STORAGE, REFUSED)
    acts: dict[str, Callable[[Path], object]] = {
        "nothing": lambda path: None,
        "an empty file": lambda path: path.write_bytes(b""),
        "a folder": lambda path: path.mkdir(),
        "a FIFO": os.mkfifo,
        "a link to /dev/full": lambda path: path.symlink_to("/dev/full"),
        "random bytes": lambda path: path.write_bytes(random.Random(1).randbytes(9000)),
        "the database of another program": foreign,
        "a link to itself": lambda path: path.symlink_to(path),
    }
    for what, act in acts.items():
        for command in ("show", "resume"):
            yield Bad("Stores", f"study.db is {what}, {command}", right, show(act, command))


# Trying them


def try_all(work: Path) -> list[Found]:
    """Gives every input to TAME, each in a forked process, and says what came of it."""
    os.environ["TAME_CACHE"] = str(work / "cache")
    found = []
    for number, bad in enumerate(every()):
        folder = work / f"input-{number:03d}"
        folder.mkdir()
        said = folder / "said.txt"

        def give(bad: Bad = bad, folder: Path = folder, said: Path = said) -> None:
            words = bad.make(folder)
            os.chdir(folder)
            sys.argv = ["tame", *words]
            code: object = 0
            with (
                said.open("w", encoding="utf-8", errors="backslashreplace") as file,
                redirect_stdout(io.StringIO()),
                redirect_stderr(file),
            ):
                try:
                    cli.main()
                except SystemExit as ended:
                    code = ended.code or 0
            assert isinstance(code, int)
            os._exit(code)

        done = in_fork(give)
        text = said.read_text(encoding="utf-8", errors="backslashreplace") if said.exists() else ""
        found.append(Found(bad, done.code, text or done.said))
        if not found[-1].is_right:
            print(f"{bad.group}: {bad.what}: exit {done.code}: {found[-1].said[-1500:]}", file=sys.stderr, flush=True)
        shutil.rmtree(folder, ignore_errors=True)
    return found


def page(found: list[Found]) -> str:
    """The page, in Markdown."""
    lines = [
        "# Bad input",
        "",
        "Written by `make torture`: what TAME makes of inputs that nobody should give. Exit codes are those of the",
        "guide; 0 means that the input is used, or that what is odd in it is set aside and counted.",
        "",
    ]
    wrong = [each for each in found if not each.is_right]
    lines.append(f"{len(found)} inputs; {len(wrong)} ended in another way than they should.")
    for group in dict.fromkeys(each.bad.group for each in found):
        lines += ["", f"## {group}", "", "| Input | Exit | What is said |", "|---|---:|---|"]
        for each in found:
            if each.bad.group == group:
                mark = "" if each.is_right else " (wrong)"
                lines.append(f"| {_cell(each.bad.what)} | {each.code}{mark} | {_cell(_last(each.said))} |")
    return "\n".join(lines) + "\n"


def _last(said: str) -> str:
    """The line that says what was wrong."""
    own = [line for line in said.splitlines() if line.startswith("tame: ")] or said.splitlines()
    return own[-1].removeprefix("tame: ") if own else ""


def _cell(text: str) -> str:
    """Text in a cell of a table, without what differs from machine to machine."""
    plain = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
    words = " ".join(_name(word) for word in plain.split(" "))
    return (words if len(words) <= 160 else f"{words[:157]}...").replace("|", "\\|").replace("<", "&lt;")


def _name(word: str) -> str:
    """A path of the harness without its folder."""
    return word.split("/input-", 1)[1][4:] if "/input-" in word else word
