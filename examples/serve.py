"""Serves an ONNX file that TAME has written, on this machine only. Needs neither TAME nor torch.

pip install onnxruntime
python serve.py model.onnx 8000
curl http://127.0.0.1:8000 --json '{"age": [39, 52], "workclass": ["Private", ""]}'
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import onnxruntime

MOST_BYTES = 32 * 2**20  # of a request: more would only fill the memory

session = onnxruntime.InferenceSession(sys.argv[1])
about = json.loads(session.get_modelmeta().custom_metadata_map["tame"])
types = {each["name"]: object if each["type"] == "text" else each["type"] for each in about["inputs"]}
names = [each.name for each in session.get_outputs()]


class Predict(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        if self.headers.get("Host", "").split(":")[0] not in ("127.0.0.1", "localhost"):
            self.send_error(403, "ask for 127.0.0.1")  # a page of the internet may ask a browser to ask here
            return
        try:
            length = int(self.headers["Content-Length"])
            if not 0 < length <= MOST_BYTES:
                raise ValueError(length)
            given = json.loads(self.rfile.read(length))
            columns = {name: np.array(given[name], kind) for name, kind in types.items()}
            found = session.run(None, columns)
        except Exception as problem:
            self.send_error(400, type(problem).__name__)
            return
        answer = json.dumps(dict(zip(names, (each.tolist() for each in found), strict=True))).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Predict).serve_forever()
