"""Trying a model: what the page says of a picture is what `tame predict` says, one picture at a time."""

from __future__ import annotations

import io
import json
import sys
import threading
import time

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the extra ui is not installed")

from PIL import Image

from served_pages import serving, unpack
from tame.app.predict import predict_paths
from tame.core.errors import UsageError, WorkerError
from tame.pages.trying import BusyError, Trier

ANSWERS = (sys.executable, "-P", "-m", "tame.app.answering")
ECHO = (
    sys.executable, "-c",
    "import sys, json, time\nwhile line := sys.stdin.buffer.readline():\n own = json.loads(line)\n"
    " sys.stdin.buffer.read(own['size']); time.sleep(0.5); print(json.dumps({'value': own['size']}), flush=True)",
)  # fmt: skip
ENDS = (sys.executable, "-c", "pass")
REFUSES = (sys.executable, "-c", 'print(\'{"problem": "it has no model"}\')')


def picture(seed):
    content = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 255, (64, 80, 3), dtype=np.uint8)
    Image.fromarray(noise).save(content, "JPEG")
    return content.getvalue()


@pytest.fixture
def trier():
    made = []

    def make(command):
        made.append(Trier(command))
        return made[-1]

    yield make
    for own in made:
        own.close()


@pytest.mark.slow
def test_the_page_says_what_the_command_says(tmp_path):
    folder = unpack("pictures", tmp_path)
    for seed in range(3):
        (tmp_path / f"{seed}.jpg").write_bytes(picture(seed))
    wanted = predict_paths(folder, [tmp_path / f"{seed}.jpg" for seed in range(3)]).predictions
    with serving(folder.parent, answers=ANSWERS) as own:
        head = {"Origin": f"http://{own.host}", "X_Tame": "1", "Sec_Fetch_Site": "same-origin"}
        key = json.loads(own.request("/api/studies")[2])["studies"][0]["id"]
        for seed in range(3):
            status, _, body = own.request(f"/api/s/{key}/try", method="PUT", body=picture(seed), timeout=120, **head)
            assert status == 200, body
            found = json.loads(body)
            assert found["label"] == wanted[seed].label
            assert found["probabilities"] == pytest.approx(dict(wanted[seed].probabilities), abs=1e-6)
        assert own.request(f"/api/s/{key}/try", method="PUT", body=b"no picture", **head)[0] == 409
        assert own.request(f"/api/s/{key}/try", method="PUT", body=picture(0)[:300], timeout=60, **head)[0] == 409
        assert own.request(f"/api/s/{key}/try", method="PUT", body=picture(0))[0] == 403
        assert b"Without scripts" in own.request(f"/s/{key}/try")[2]


def test_one_picture_at_a_time_and_the_next_is_told_so(trier, tmp_path):
    own = trier(ECHO)
    own.answer(tmp_path, picture(0))
    busy = threading.Thread(target=own.answer, args=(tmp_path, picture(0)))
    busy.start()
    time.sleep(0.2)
    with pytest.raises(BusyError):
        own.answer(tmp_path, picture(1))
    busy.join()
    assert own.answer(tmp_path, picture(1)) == {"value": len(picture(1))}


def test_a_process_that_ends_is_said_and_begun_again(trier, tmp_path):
    own = trier(ENDS)
    for _ in range(2):
        with pytest.raises(WorkerError, match="has ended"):
            own.answer(tmp_path, picture(0))
    with pytest.raises(UsageError, match="it has no model"):
        trier(REFUSES).answer(tmp_path, picture(0))
    with pytest.raises(UsageError, match="not a picture"):
        own.answer(tmp_path, b"<svg>")


def test_a_study_without_a_model_of_pictures_is_not_asked(tmp_path):
    folder = unpack("table", tmp_path)
    with serving(folder.parent, answers=ENDS) as own:
        key = json.loads(own.request("/api/studies")[2])["studies"][0]["id"]
        head = {"Origin": f"http://{own.host}", "X_Tame": "1", "Sec_Fetch_Site": "same-origin"}
        assert own.request(f"/api/s/{key}/try", method="PUT", body=picture(0), **head)[0] == 409
        assert b"once a study of pictures has ended" in own.request(f"/s/{key}/try")[2]
