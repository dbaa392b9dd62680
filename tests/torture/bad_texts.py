"""Texts that nobody should give, and models for them."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from made_texts import made_encoder
from tiny_language import text_of, tiny, write_model, write_texts
from torture.bad import DATA, FIT, GOOD, REFUSED, USAGE, Bad, Make

Files = Mapping[str, bytes | str]
WORDS = (
    "rent",
    "due",
    "cat",
    "sat",
    "mat",
    "lamp",
    "river",
    "stone",
    "bread",
    "window",
    "paper",
    "cloud",
    "tea",
    "chair",
)


def note(number: int, *, words: int = 9) -> str:
    """A short text, another for each number."""
    chance = random.Random(number)
    return " ".join(["good" if number % 2 else "bad", *(chance.choice(WORDS) for _ in range(words)), str(number)])


def texts() -> Iterator[Bad]:
    """All inputs."""
    yield from cells()
    yield from folders()
    yield from models()


def cells() -> Iterator[Bad]:
    """Texts in a column of a table."""

    def table(act: Callable[[list[list[str]]], object], *words: str, encoding: str = "utf-8") -> Make:
        def make(folder: Path) -> list[str]:
            rows = [[note(number), "yes" if number % 2 else "no"] for number in range(80)]
            act(rows)
            with (folder / "notes.csv").open("w", newline="", encoding=encoding, errors="surrogatepass") as file:
                csv.writer(file).writerows([["note", "label"], *rows])
            asked = words or ("--target", "label", "--backbone", "none")
            return ["fit", str(folder / "notes.csv"), *asked, *FIT, "--out", str(folder / "study")]

        return make

    def change(row: int, text: str) -> Callable[[list[list[str]]], object]:
        return lambda rows: rows[row].__setitem__(0, text)

    def every(text: Callable[[int], str]) -> Callable[[list[list[str]]], object]:
        return lambda rows: [row.__setitem__(0, text(place)) for place, row in enumerate(rows)]

    def nothing(rows: list[list[str]]) -> None: ...

    other = ("--target", "label", "--text")
    tuned = ("--task", "language-model", "--backbone", "x")
    for what, right, make in (
        ("texts that are empty", (GOOD,), table(lambda rows: [row.__setitem__(0, " ") for row in rows[:20]])),
        ("a text of 3 MB in a cell", (GOOD, DATA), table(change(3, "word " * 600_000))),
        ("quotes and line breaks in texts", (GOOD,), table(every(lambda row: f'He said "{note(row)},"\nand left'))),
        ("markup, emoji and right-to-left", (GOOD,), table(every(lambda row: f"<b>{note(row)}</b> \U0001f600 \u202e"))),
        ("texts in UTF-16", (GOOD, DATA), table(nothing, encoding="utf-16")),
        ("texts that are all the same", (DATA,), table(every(lambda row: "the same words every time"))),
        ("one text under both labels", (GOOD,), table(change(3, note(4)))),
        ("a label inside every text", (GOOD,), table(every(lambda row: f"{note(row)} {('no', 'yes')[row % 2]}!"))),
        ("a class with one text", (GOOD,), table(lambda rows: rows[5].__setitem__(1, "maybe"))),
        ("a text of numbers, said to be a text", (GOOD,), table(every(str), *other, "note")),
        ("--text of a column that is not there", (USAGE, DATA), table(nothing, *other, "notes")),
        ("--text of the target", (USAGE,), table(nothing, *other, "label")),
        ("--text and another kind", (USAGE,), table(nothing, *other, "note", "--column", "note=category")),
        ("more tokens than an encoder reads", (USAGE,), table(nothing, *other[:2], "--set", "input.length=9999")),
        ("an encoder that is not known", (USAGE,), table(nothing, "--target", "label", "--backbone", "minilmm")),
        ("a language model without a model", (USAGE,), table(nothing, "--task", "language-model")),
        ("a language model of numbers", (DATA,), table(every(str), *tuned)),
    ):
        yield Bad("Texts", what, right, make)


def folders() -> Iterator[Bad]:
    """Texts in files."""

    def folder_of(files: Files, *words: str) -> Make:
        def make(folder: Path) -> list[str]:
            for name, content in files.items():
                path = folder / "texts" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.encode() if isinstance(content, str) else content)
            return ["fit", str(folder / "texts"), *words, *FIT, "--out", str(folder / "study")]

        return make

    def classes(more: Files) -> Files:
        plain = {f"{'good' if number % 2 else 'bad'}/{number}.txt": note(number) for number in range(60)}
        return {**plain, **more}

    none = ("--backbone", "none")
    for what, right, files in (
        ("texts in four encodings", (GOOD,), classes({
            "good/a.txt": "caf\u00e9 with tea".encode("cp1252"), "good/b.txt": "caf\u00e9 without".encode("utf-16"),
            "bad/c.txt": "\ufeffcaf\u00e9 that is closed",
        })),
        ("files that are no texts", (GOOD,), classes({
            "good/a.txt": b"\0\1\2", "bad/b.txt": b"%PDF-1.7 ", "bad/c.txt": "", "bad/d.docx": b"PK\3\4",
        })),
        ("PDF and office documents alone", (DATA,), {"good/a.pdf": b"%PDF-1.7", "bad/b.docx": b"PK\3\4"}),
        ("texts of one class", (DATA,), {f"good/{number}.txt": note(number) for number in range(9)}),
        ("texts without a class", (DATA,), {f"{number}.txt": note(number) for number in range(9)}),
        ("a class of unreadable texts", (DATA,), {
            f"{('a', 'b')[number % 2]}/{number}.txt": b"\0" if number % 2 else note(number) for number in range(60)
        }),
    ):  # fmt: skip
        yield Bad("Texts", what, right, folder_of(files, *none))


def models() -> Iterator[Bad]:
    """Folders of models for texts."""

    def adapted(act: Callable[[Path, Path], object], *, num: int = 6) -> Make:
        """act: on the folders of the texts and of the model."""

        def make(folder: Path) -> list[str]:
            data, model = write_texts(folder / "texts", num), write_model(folder / "model", tiny())
            act(data, model)
            words = ["--task", "language-model", "--backbone", str(model)]
            return ["fit", str(data), *words, *FIT, "--out", str(folder / "study")]

        return make

    def encoded(**changes: object) -> Make:
        def make(folder: Path) -> list[str]:
            model = made_encoder(folder / "model", **changes)
            with (folder / "notes.csv").open("w", newline="") as file:
                rows = [[note(number), "yes" if number % 2 else "no"] for number in range(80)]
                csv.writer(file).writerows([["note", "label"], *rows])
            words = ["--target", "label", "--backbone", str(model)]
            return ["fit", str(folder / "notes.csv"), *words, *FIT, "--out", str(folder / "study")]

        return make

    def changed(name: str, **values: object) -> Callable[[Path, Path], object]:
        def act(data: Path, model: Path) -> None:
            own = json.loads((model / name).read_text())
            (model / name).write_text(json.dumps({**own, **values}))

        return act

    def only(data: Path, model: Path, *, keep: int) -> None:
        for path in sorted(data.iterdir())[keep:]:
            path.unlink()

    def same(data: Path, model: Path) -> None:
        for path in data.iterdir():
            path.write_text(text_of(0))

    def foreign(data: Path, model: Path) -> None:
        """A tokenizer with a token more than the model has embeddings for."""
        own = json.loads((model / "tokenizer.json").read_text())
        own["model"]["vocab"]["\u00e9"] = 64
        (model / "tokenizer.json").write_text(json.dumps(own))

    def adapter(data: Path, model: Path) -> None:
        (model / "config.json").unlink()
        (model / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "another/model"}))

    def pickled(data: Path, model: Path) -> None:
        (model / "model.safetensors").unlink()
        (model / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n(S'true'\ntR.")

    for what, right, make in (
        ("one text for a language model", (DATA,), adapted(partial(only, keep=1))),
        ("texts that are copies of one another", (DATA,), adapted(same)),
        ("a language model with code of its own", (REFUSED,), adapted(changed("config.json", auto_map={"a": "x.Y"}))),
        ("a language model of 2^40 numbers", (REFUSED,), adapted(changed("config.json", hidden_size=2**40))),
        ("a language model of another family", (USAGE,), adapted(changed("config.json", model_type="gpt2"))),
        ("a tokenizer of another model", (DATA,), adapted(foreign)),
        ("an adapter without its base", (USAGE,), adapted(adapter)),
        ("a pickle as weights of a language model", (REFUSED,), adapted(pickled)),
        ("an encoder with code of its own", (REFUSED,), encoded(auto_map={"AutoModel": "code.Model"})),
        ("an encoder of another shape", (USAGE,), encoded(hidden_size=32)),
    ):
        yield Bad("Models of texts", what, right, make)
