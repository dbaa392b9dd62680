"""A process that answers for the pages what a delivered model says of pictures, so that they need not load torch.

On stdin a line of JSON with the size of a picture and the ending of its name, then its bytes; on stdout a line of JSON.
It says what `tame predict` says of a file with the same bytes, and ends with its stdin.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tame.app.predict import Labelled, named, open_model
from tame.core.errors import TameError
from tame.core.files import write_bytes
from tame.kinds.materials import prediction_of
from tame.parts.network import Network


def main() -> None:
    """Answers until stdin ends. The study is the only argument."""
    said, asked = sys.stdout, sys.stdin.buffer
    try:
        network = open_model(Path(sys.argv[1]))
    except TameError as problem:
        print(json.dumps({"problem": str(problem)}), file=said, flush=True)
        return
    with TemporaryDirectory(prefix="tame-try-") as kept:
        while line := asked.readline():
            head = json.loads(line)
            content = asked.read(int(head["size"]))
            print(json.dumps(answer(network, Path(kept), str(head["ending"]), content)), file=said, flush=True)


def answer(network: Network, folder: Path, ending: str, content: bytes) -> dict[str, object]:
    """The probability of each class, or why there is none."""
    write_bytes(folder, f"given{ending}", content)
    try:
        found = prediction_of(network.kind).of_paths(network, [folder / f"given{ending}"])
    except TameError as problem:
        return {"problem": str(problem).replace(str(folder), "").strip()}
    own = named(network, found.names, found.outputs)[0]
    if isinstance(own, Labelled):
        return {"label": own.label, "probabilities": dict(own.probabilities)}
    return {"value": own.value}


if __name__ == "__main__":
    main()
