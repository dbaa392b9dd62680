"""`tame export --hub`: a folder that `huggingface_hub.upload_folder` takes as it is, with the model and its card."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path, PurePath

from tame.app.own_stores import store_of
from tame.core.config import StudyConfig
from tame.core.errors import StorageError, UsageError, require
from tame.core.files import TEXT_BYTES, new_folder, read_bytes, reading, replacing, write_text
from tame.core.result import Result
from tame.core.sums import CARD, DESCRIPTION, WEIGHTS, sha256_of, write_sums
from tame.parts.embedded import EMBEDDED
from tame.parts.embedded_encoders import EMBEDDED_ENCODERS
from tame.report.model_card import OnHub, model_card
from tame.study.delivered import MODEL, lost_files
from tame.study.state import State, read_state, unfinished

COSTS = "loss.costs"
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
PIECE = 2**20
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")


def export_hub(study: Path, folder: Path, *, dataset: str = "", store: str | None = None) -> Path:
    """Writes the delivered model and its card into a new folder, and returns that. `tame predict` takes it too.

    dataset: the Hub's name of what it was trained on. Raises UsageError for a study without a result, a folder that
    holds something and a name that is none, StorageError where the model is not what was delivered.
    """
    good = not dataset or _ID.fullmatch(dataset) is not None
    require(good, f"--dataset {dataset!r} is no name on the Hub: write OWNER/NAME")
    config, state = read_state(study, store=store_of(study, store))
    if state.result is None:
        raise UsageError(unfinished(study, state))
    if lost := lost_files(study, state):
        raise StorageError(f"{study / MODEL}: {', '.join(lost)} is missing or not what was delivered")
    result = Result.from_json(state.result)
    card = model_card(result, hub=OnHub(base=base_model(config, state), dataset=dataset))
    about = described(json.loads(read_bytes(study / MODEL, DESCRIPTION, most=TEXT_BYTES)))
    new_folder(folder)
    try:
        with reading(study / MODEL, WEIGHTS) as source, replacing(folder, WEIGHTS) as target:
            while piece := source.read(PIECE):
                target.write(piece)
        write_text(folder, DESCRIPTION, json.dumps(about, indent=1, sort_keys=True) + "\n")
        write_text(folder, CARD, card)
        write_sums(folder, {name: sha256_of(folder, name) for name in (WEIGHTS, DESCRIPTION, CARD)})
    except OSError as problem:
        raise StorageError(f"{folder} cannot be written: {problem.strerror}") from None
    return folder


def described(about: Mapping[str, object]) -> dict[str, object]:
    """The description of a model without places on this machine: a file of costs keeps its name alone."""
    recipe = about.get("recipe")
    costs = recipe.get(COSTS) if isinstance(recipe, dict) else None
    if not isinstance(costs, str):
        return dict(about)
    return {**about, "recipe": {**about["recipe"], COSTS: PurePath(costs).name}}  # type: ignore[dict-item]


def base_model(config: StudyConfig, state: State) -> str:
    """The Hub's name of the network that a study began with; "" where it has none there, or none that is known."""
    assert state.result is not None
    if state.data is not None and state.data.get("encoder") in EMBEDDED_ENCODERS:
        return MINILM
    named = config.backbone
    if state.result.get("backbone") is None or named is None or named in EMBEDDED or "/" in named or "\\" in named:
        return ""
    import timm  # takes seconds to load

    found = timm.models.get_pretrained_cfg(named, allow_unregistered=True)
    return str(getattr(found, "hf_hub_id", None) or "")
