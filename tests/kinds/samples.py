"""A few examples of every kind of data, for the laws of sources."""

from __future__ import annotations

import csv
import os
import random
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from tame.core.config import ARRAYS, INLINE, LANGUAGE, StudyConfig
from tame.core.config import PICTURES as PICTURES_GIVEN
from tame.core.text import printable
from tame.data.arrays import read_arrays
from tame.data.image_decoding import decode
from tame.kinds.arrays.kind import OWN_ARRAYS
from tame.kinds.arrays.source import keep_arrays
from tame.kinds.known import KINDS
from tame.kinds.language.kind import LANGUAGE_MODELS
from tame.kinds.language.prediction import tokenizer_in
from tame.kinds.materials import prediction_of
from tame.kinds.pictures.given import keep_pictures
from tame.kinds.pictures.kind import PICTURES
from tame.kinds.tables.kind import TABLES
from tame.kinds.texts.kind import TEXTS
from tame.parts.adapters import nats
from tame.parts.llama import plain_product
from tame.parts.tokenizer import in_blocks
from tame.testing.source_laws import Bad, Sample
from tiny_language import text_of, tiny, write_model, write_texts

EXAMPLE = Path(__file__).parents[2] / "examples" / "sequences"
NUM = 80

# As an entry point would: the registry loads those once a process, before a test could add one.
sys.path.insert(0, str(EXAMPLE))
from tame_sequences.kind import SEQUENCES  # noqa: E402

if SEQUENCES.name not in KINDS.names():
    KINDS.add(SEQUENCES.name)(SEQUENCES)


def pictures(folder: Path, *, twice: bool = False) -> Sample:
    """Noise in two colours, one picture twice, or each; and a folder of one class."""
    chance = np.random.default_rng(0)
    root, one_class = folder / "pictures", folder / "one_class"
    for number in range(NUM):
        name = ("red", "blue")[number % 2]
        pixels = chance.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        pixels[..., 2 * (number % 2)] //= 3
        for to in (root / name, one_class / "red"):
            to.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(to / f"{number:02}.png")
    same = {"red/00.png": "red/copy.png"}
    if twice:
        files = sorted(root.rglob("*.png"))
        same = {f"{each.parent.name}/{each.name}": f"{each.parent.name}/again{each.stem}.png" for each in files}
        same["red/00.png"] = "blue/again00.png"
    for first, copy in same.items():
        (root / copy).write_bytes((root / first).read_bytes())

    def predict(network, ids, to):
        found = prediction_of("images").of_paths(network, [root / name for name in ids])
        told = dict(zip(found.names, found.outputs, strict=True))
        return np.array([told[printable(os.fspath(root / name))] for name in ids])

    config = StudyConfig(data=str(root), backbone="none", set={"input.size": 32})
    return Sample(
        kind=PICTURES, config=config, same=tuple(same.items()), predict=predict,
        twice=lambda to: pictures(to, twice=True), takes=frozenset({"backbone", "val", "test"}),
        bad=(
            Bad(config=StudyConfig(data=str(one_class)), named="red"),
            Bad(config=StudyConfig(data=str(root), target="label"), named="--target"),
        ),
    )  # fmt: skip


def listed(folder: Path, *, twice: bool = False) -> Sample:
    """The same pictures as a table lists them; and the table with a path out of its folder."""
    own = pictures(folder, twice=twice)
    root = Path(own.config.data)
    rows = [[each.relative_to(root).as_posix(), each.parent.name] for each in sorted(root.rglob("*.png"))]
    write(root / "list.csv", ("photo", "label"), rows[::-1])
    write(root / "outside.csv", ("photo", "label"), [*rows, ["../elsewhere.png", "red"]])

    def predict(network, ids, to):
        write(root / "new.csv", ("photo",), [[name] for name in ids])
        found = prediction_of("images").of_paths(network, [root / "new.csv"])
        assert found.names == tuple(printable(os.fspath(root / name)) for name in ids)
        return found.outputs

    bad = (
        Bad(config=StudyConfig(data=str(root / "outside.csv")), named="leave the folder of the list"),
        Bad(config=StudyConfig(data=str(root / "list.csv"), target="lable"), named="did you mean 'label'"),
    )
    config = replace(own.config, data=str(root / "list.csv"))
    takes = frozenset({"backbone", "val", "test", "target", "columns", "groups", "order"})
    return replace(own, config=config, predict=predict, twice=lambda to: listed(to, twice=True), bad=bad, takes=takes)


def given(folder: Path, *, twice: bool = False) -> Sample:
    """The same pictures as Pillow has them, given from Python."""
    own = pictures(folder, twice=twice)
    root = Path(own.config.data)
    files = sorted(root.rglob("*.png"))
    number = {each.relative_to(root).as_posix(): str(place) for place, each in enumerate(files)}
    loaded = [Image.fromarray(decode(str(each), shortest=None)) for each in files]
    parts = {"": (loaded, [each.parent.name for each in files])}
    config = replace(own.config, data=PICTURES_GIVEN)

    def predict(network, ids, to):
        return prediction_of("images").of_inputs(network, [loaded[int(name)] for name in ids], by_place=False).outputs

    return replace(
        own, config=config, predict=predict, twice=lambda to: given(to, twice=True),
        same=tuple((number[a], number[b]) for a, b in own.same), keep=lambda to: keep_pictures(parts, config, to),
        bad=(Bad(config=replace(config, metric="rmse"), named="rmse"),),
        takes=frozenset({"backbone", "target", "columns", "groups", "order"}),  # keys of rows that are dicts
    )  # fmt: skip


def table(folder: Path, *, twice: bool = False) -> Sample:
    """Numbers and words, one row twice, or each."""
    rows = rows_of(NUM)
    path = folder / "table.csv"
    copies = [[*rows[0][:3], "yes"], *rows[1:]] if twice else [rows[0]]
    write(path, ("a", "b", "word", "label"), [*rows, *copies])
    same = tuple((f"table.csv:{2 + row}", f"table.csv:{2 + NUM + row}") for row in range(len(copies)))

    def predict(network, ids, to):
        lines = [int(name.rpartition(":")[2]) - 2 for name in ids]
        new = to / "new.csv"
        write(new, ("a", "b", "word"), [[*rows, rows[0]][line][:3] for line in lines])
        return prediction_of("table").of_paths(network, [new]).outputs

    config = StudyConfig(data=str(path), target="label")
    return Sample(
        kind=TABLES, config=config, same=same, predict=predict, twice=lambda to: table(to, twice=True),
        takes=frozenset({"target", "columns", "groups", "order", "val", "test", "backbone"}),
        bad=(
            Bad(config=StudyConfig(data=str(path), target="lable"), named="did you mean 'label'"),
            Bad(config=StudyConfig(data=str(path), target="label", backbone="minilm"), named="--backbone"),
        ),
    )  # fmt: skip


def texts(folder: Path, *, twice: bool = False) -> Sample:
    """A table of nothing but texts, one of them twice, or each."""
    rows = texts_of(NUM)
    path = folder / "texts.csv"
    copies = [[rows[0][0], "yes"], *rows[1:]] if twice else [rows[0]]
    write(path, ("said", "label"), [*rows, *copies])
    same = tuple((f"texts.csv:{2 + row}", f"texts.csv:{2 + NUM + row}") for row in range(len(copies)))

    def predict(network, ids, to):
        lines = [int(name.rpartition(":")[2]) - 2 for name in ids]
        new = to / "new.csv"
        write(new, ("said",), [[*rows, rows[0]][line][:1] for line in lines])
        return prediction_of("table").of_paths(network, [new]).outputs

    config = StudyConfig(data=str(path), target="label", backbone="none")
    return Sample(
        kind=TABLES, config=config, same=same, predict=predict, twice=lambda to: texts(to, twice=True),
        takes=frozenset({"target", "columns", "groups", "order", "val", "test", "backbone"}),
        bad=(
            Bad(config=replace(config, backbone="minilmm"), named="did you mean 'minilm'"),
            Bad(config=replace(config, columns={"said": "ignore"}), named="no column is left"),
        ),
    )  # fmt: skip


def text_files(folder: Path, *, twice: bool = False) -> Sample:
    """Texts in folders by class, one of them twice, or each; and a folder of one class."""
    root, one_class = folder / "texts", folder / "one_text_class"
    copies = {}
    for number, (text, label) in enumerate(texts_of(NUM)):
        name = f"{number:02}.txt"
        for to in (root / label, one_class / "no"):
            to.mkdir(parents=True, exist_ok=True)
            (to / name).write_text(text)
        if twice or not number:
            other = "yes" if twice and not number else label
            copies[f"{label}/{name}"] = f"{other}/again{number:02}.txt"
    for first, copy in copies.items():
        (root / copy).parent.mkdir(exist_ok=True)
        (root / copy).write_bytes((root / first).read_bytes())

    def predict(network, ids, to):
        found = prediction_of("texts").of_paths(network, [root / name for name in ids])
        return found.outputs

    config = StudyConfig(data=str(root), backbone="none")
    return Sample(
        kind=TEXTS, config=config, same=tuple(copies.items()), predict=predict,
        twice=lambda to: text_files(to, twice=True), takes=frozenset({"backbone", "val", "test"}),
        bad=(
            Bad(config=StudyConfig(data=str(one_class), backbone="none"), named="two classes of texts"),
            Bad(config=StudyConfig(data=str(root), target="label"), named="target"),
        ),
    )  # fmt: skip


def arrays(folder: Path, *, twice: bool = False) -> Sample:
    """Arrays (3, 4) for a module of one's own, one of them twice, or each."""
    x, y, same = with_copies(*numbers_of(NUM), twice=twice)
    x = x.reshape(len(x), 3, 4)

    def predict(network, ids, to):
        return prediction_of("arrays").of_inputs(network, x[[int(name) for name in ids]], by_place=False).outputs

    return Sample(
        kind=OWN_ARRAYS, config=StudyConfig(data=ARRAYS, model=INLINE), same=same, predict=predict, build=build,
        twice=lambda to: arrays(to, twice=True),
        keep=lambda to: keep_arrays(read_arrays(x, y), "auto", to, plain=True),
        bad=(Bad(config=StudyConfig(data=ARRAYS, target="y"), named="target is for files"),),
    )  # fmt: skip


def matrix(folder: Path, *, twice: bool = False) -> Sample:
    """Rows and columns given from Python, which are a table; one row twice, or each."""
    x, y, same = with_copies(*numbers_of(NUM), twice=twice)

    def predict(network, ids, to):
        return prediction_of("table").of_inputs(network, x[[int(name) for name in ids]], by_place=False).outputs

    return Sample(
        kind=OWN_ARRAYS, config=StudyConfig(data=ARRAYS), same=same, predict=predict,
        twice=lambda to: matrix(to, twice=True), takes=frozenset({"columns"}),
        keep=lambda to: keep_arrays(read_arrays(x, y), "auto", to, plain=False),
        bad=(Bad(config=StudyConfig(data=ARRAYS, task="images"), named="images"),),
    )  # fmt: skip


def sequences(folder: Path, *, twice: bool = False) -> Sample:
    """Integers that rise or do not, one sequence twice, or each; and a line that is not a sequence."""
    lines = sequence_lines(NUM)
    copies = [lines[0].replace("mixed", "rising"), *lines[1:]] if twice else [lines[0]]
    lines += copies
    same = tuple((f"data.seq:{1 + row}", f"data.seq:{1 + NUM + row}") for row in range(len(copies)))
    path, broken, huge = folder / "data.seq", folder / "broken.seq", folder / "huge.seq"
    path.write_text("\n".join(lines) + "\n")
    broken.write_text("1 2 3 rising\n4 x 6 mixed\n")
    huge.write_text(f"1 2 3 rising\n4 {'9' * 400} 6 mixed\n")

    def predict(network, ids, to):
        new = to / "new.seq"
        own = [lines[int(name.rpartition(":")[2]) - 1].rpartition(" ")[0] for name in ids]
        new.write_text("\n".join(own) + "\n")
        return prediction_of("sequences").of_paths(network, [new]).outputs

    return Sample(
        kind=SEQUENCES, config=StudyConfig(data=str(path)), same=same, predict=predict,
        twice=lambda to: sequences(to, twice=True),
        bad=(
            Bad(config=StudyConfig(data=str(broken)), named="broken.seq:2"),
            Bad(config=StudyConfig(data=str(huge)), named="huge.seq:2"),
            Bad(config=StudyConfig(data=str(path), task="multiclass"), named="are binary, not multiclass"),
            Bad(config=StudyConfig(data=str(path), target="label"), named="--target"),
        ),
    )  # fmt: skip


def language(folder: Path, *, twice: bool = False) -> Sample:
    """Texts of a few words, two of them nearly the same, and a tiny model; and folders with one text and with none."""
    root, one, none = write_texts(folder / "texts"), folder / "one", folder / "none"
    model = write_model(folder / "model", tiny())
    for each, name in ((one, "a.txt"), (none, "a.pdf")):
        each.mkdir()
        (each / name).write_text(text_of(0))
    config = StudyConfig(data=str(root), task=LANGUAGE, backbone=str(model), epochs=1)

    def predict(network, ids, to):
        tokenizer, found = tokenizer_in(network), []
        for name in ids:
            file, _, number = name.rpartition("#")
            own = tokenizer.encode((root / file).read_text())
            whole = np.array([1, *own.ids, 2]), np.array([0, *own.characters, 0])
            block = torch.from_numpy(in_blocks(*whole, 64)[int(number) - 1])[None]
            bits = nats(network.module, block[:, :-1], plain_product)[0, 0] / np.log(2)
            found.append([float(bits / block[0, -1])])
        return np.array(found)

    numbers = folder / "numbers.csv"
    numbers.write_text("a,b\n" + "\n".join(f"{row},{row * 7 % 5}" for row in range(40)))
    return Sample(
        kind=LANGUAGE_MODELS, config=config, same=(), predict=predict,
        twice=lambda to: language(to, twice=True), takes=frozenset({"backbone", "val", "test"}),
        bad=(
            Bad(config=replace(config, data=str(one)), named="needs at least three"),
            Bad(config=replace(config, data=str(none)), named="pdftotext"),
            Bad(config=replace(config, data=str(numbers)), named="has no column of texts"),
            Bad(config=replace(config, backbone="none"), named="--backbone FOLDER"),
            Bad(config=replace(config, backbone=str(root)), named="has no config.json"),
            Bad(config=replace(config, set={"input.length": 128}), named="64 tokens that the model sees"),
        ),
    )  # fmt: skip


SAMPLES = {
    "language-model": language,
    "images": pictures,
    "list": listed,
    "pictures from Python": given,
    "table": table,
    "table of texts": texts,
    "texts": text_files,
    "arrays": arrays,
    "table from Python": matrix,
    "sequences": sequences,
}


def build() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 2))


def sequence_lines(num: int) -> list[str]:
    """Lines of a file of sequences, half of them sorted."""
    chance = random.Random(0)
    found = []
    for number in range(num):
        own = [chance.randint(0, 99) for _ in range(chance.randint(4, 7))]
        own = sorted(own) if number % 2 else own
        found.append(f"{' '.join(map(str, own))} {'rising' if number % 2 else 'mixed'}")
    return found


def rows_of(num: int) -> list[list[str]]:
    chance = random.Random(0)
    return [
        [f"{chance.gauss(n % 2, 1):.4f}", f"{chance.gauss(0, 1):.4f}", chance.choice("xyz"), ("no", "yes")[n % 2]]
        for n in range(num)
    ]


def texts_of(num: int) -> list[list[str]]:
    """Eight random words each, and a label that two of them tell."""
    chance = random.Random(0)
    words = [f"{a}{b}{c}" for a in "bdfgk" for b in "aeiou" for c in "lmnrt"]
    return [
        [" ".join([*chance.sample(words, 6), ("cold", "warm")[n % 2], ("rain", "sun")[n % 2]]), ("no", "yes")[n % 2]]
        for n in range(num)
    ]


def numbers_of(num: int) -> tuple[np.ndarray, np.ndarray]:
    """(num, 12) float32 and (num,) classes."""
    chance = np.random.default_rng(0)
    y = np.arange(num) // 2 % 2
    return (chance.normal(size=(num, 12)) + y[:, None]).astype(np.float32), y


def with_copies(x: np.ndarray, y: np.ndarray, *, twice: bool) -> tuple[np.ndarray, np.ndarray, tuple]:
    """The arrays with one example more that equals the first, or all of them once more, the first as another class."""
    num = len(x)
    copies = range(num if twice else 1)
    labels = [1 - y[0] if twice else y[0], *y[1 : len(copies)]]
    same = tuple((str(row), str(num + row)) for row in copies)
    return np.concatenate([x, x[: len(copies)]]), np.concatenate([y, labels]), same


def write(path: Path, header, rows) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
