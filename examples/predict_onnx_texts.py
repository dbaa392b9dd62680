"""Predicts texts, or rows with texts, with an ONNX file that TAME has written. Needs neither TAME nor torch.

pip install onnxruntime tokenizers  # tokenizers only where the model has an encoder
python predict_onnx_texts.py model.onnx new.csv
python predict_onnx_texts.py model.onnx first.txt second.txt
"""

import csv
import json
import re
import sys
import unicodedata
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1])
metadata = session.get_modelmeta().custom_metadata_map
about = json.loads(metadata["tame"])  # what goes in, what comes out, and the terms that count
if "tokenizer.json" in metadata:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(metadata["tokenizer.json"])
    tokenizer.no_truncation()
    tokenizer.no_padding()
numbers = {}  # of the terms of each column: words come first
for column, terms in about.get("terms", {}).items():
    every = [(kind, term) for kind in ("words", "characters") for term in terms.get(kind, ())]
    numbers[column] = {each: number for number, each in enumerate(every)}


def counted(text: str, known: dict) -> Counter:
    """How often each known term occurs: words, pairs of them, and runs of 2 to 5 characters inside pieces."""
    words = re.findall(r"\w+", text.lower())
    found = [("words", word) for word in [*words, *map(" ".join, pairwise(words))]]
    for piece in text.lower().split():
        own = f" {piece} "
        found += [
            ("characters", own[start : start + size]) for size in range(2, 6) for start in range(len(own) - size + 1)
        ]
    return Counter(known[term] for term in found if term in known)


def padded(rows: list, kind: str) -> np.ndarray:
    longest = max([1, *map(len, rows)])
    return np.array([[*row, *[0] * (longest - len(row))] for row in rows], kind)


def tokens(text: str, length: int) -> list[int]:
    ids = tokenizer.encode(text).ids
    return ids if len(ids) <= length else [*ids[: length - 1], ids[-1]]


def given(each: dict, cells: list[str]) -> np.ndarray:
    """What one input is given for these cells, which are "" where there is none."""
    seen = [text[: each.get("first_characters")] for text in cells]
    if each["kind"] in ("terms", "counts"):
        found = [counted(text, numbers[each["column"]]) for text in seen]
        return padded([list(own if each["kind"] == "terms" else own.values()) for own in found], each["type"])
    if each["kind"] in ("tokens", "mask"):
        found = [tokens(text, each["most_tokens"]) if text else [] for text in seen]
        return padded(found if each["kind"] == "tokens" else [[1] * len(ids) for ids in found], each["type"])
    if each["kind"] == "length":
        return np.array([len(text) if text else np.nan for text in cells], float)
    if each["type"] == "text":
        return np.array(cells, object)
    return np.array([text or "nan" for text in cells], float)  # dates: see predict_onnx.py


if sys.argv[2].endswith(".csv"):
    with open(sys.argv[2], newline="", encoding="utf-8") as file:
        rows = [{name: cell.strip() for name, cell in row.items()} for row in csv.DictReader(file)]
else:
    rows = [{"text": Path(name).read_text(encoding="utf-8")} for name in sys.argv[2:]]
rows = [{name: unicodedata.normalize("NFC", text.lstrip("\ufeff")) for name, text in row.items()} for row in rows]
columns = {
    each["name"]: given(each, [row[each.get("column", each["name"])] for row in rows]) for each in about["inputs"]
}
first, *rest = session.run(None, columns)
for place, found in enumerate(first):
    print(found, *(f"{rest[0][place].max():.4f}" for _ in about["labels"][:1]))  # a class and how probable, or a number
