"""Predicts the rows of a table with an ONNX file that TAME has written. Needs neither TAME nor torch.

pip install onnxruntime
python predict_onnx.py model.onnx new.csv
"""

import csv
import json
import sys
from datetime import UTC, datetime

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1])
about = json.loads(session.get_modelmeta().custom_metadata_map["tame"])  # what goes in, what comes out


def number(text: str, kind: str) -> float:
    if not text:
        return float("nan")
    if kind == "date":  # days since 1970
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() / 86_400
    return float(text)


with open(sys.argv[2], newline="", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
columns = {}
for each in about["inputs"]:
    cells = [row[each["name"]].strip() for row in rows]
    is_text = each["type"] == "text"
    columns[each["name"]] = np.array(cells, object) if is_text else np.array([number(c, each["kind"]) for c in cells])
first, *rest = session.run(None, columns)
for place, found in enumerate(first):
    print(found, *(f"{rest[0][place].max():.4f}" for _ in about["labels"][:1]))  # a class and how probable, or a number
