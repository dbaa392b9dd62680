"""Serves an ONNX file that TAME has written with LitServe, on this machine only. Needs neither TAME nor torch.

pip install litserve onnxruntime
python serve_litserve.py model.onnx 8000
curl http://127.0.0.1:8000/predict --json '{"age": [39, 52], "workclass": ["Private", ""]}'
"""

import json
import sys

import litserve
import numpy as np
import onnxruntime
from fastapi import HTTPException


class Model(litserve.LitAPI):
    def setup(self, device):
        self.session = onnxruntime.InferenceSession(sys.argv[1])
        about = json.loads(self.session.get_modelmeta().custom_metadata_map["tame"])
        self.types = {each["name"]: object if each["type"] == "text" else each["type"] for each in about["inputs"]}
        self.names = [each.name for each in self.session.get_outputs()]

    def decode_request(self, request):
        try:
            return {name: np.array(request[name], kind) for name, kind in self.types.items()}
        except Exception as problem:
            raise HTTPException(400, type(problem).__name__) from None

    def predict(self, columns):
        try:
            return self.session.run(None, columns)
        except Exception as problem:
            raise HTTPException(400, type(problem).__name__) from None

    def encode_response(self, found):
        return dict(zip(self.names, (each.tolist() for each in found), strict=True))


if __name__ == "__main__":
    server = litserve.LitServer(Model(), accelerator="cpu", workers_per_device=2)
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False)
