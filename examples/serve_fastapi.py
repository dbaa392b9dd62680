"""Serves an ONNX file that TAME has written with FastAPI, on this machine only. Needs neither TAME nor torch.

pip install fastapi uvicorn onnxruntime
python serve_fastapi.py model.onnx 8000
curl http://127.0.0.1:8000/predict --json '{"age": [39, 52], "workclass": ["Private", ""]}'
"""

import json
import sys

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI, HTTPException

session = onnxruntime.InferenceSession(sys.argv[1])
about = json.loads(session.get_modelmeta().custom_metadata_map["tame"])
types = {each["name"]: object if each["type"] == "text" else each["type"] for each in about["inputs"]}
names = [each.name for each in session.get_outputs()]
app = FastAPI(title="a model of TAME")


@app.get("/about")
def describe() -> dict:
    """What goes in and what comes out."""
    return about


@app.post("/predict")
def predict(given: dict[str, list]) -> dict[str, list]:
    """A list for each input, all of one length."""
    try:
        found = session.run(None, {name: np.array(given[name], kind) for name, kind in types.items()})
    except Exception as problem:
        raise HTTPException(400, type(problem).__name__) from None
    return dict(zip(names, (each.tolist() for each in found), strict=True))


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]))
