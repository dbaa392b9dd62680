"""`tame export --merged`: a language model as a folder in Hugging Face's format, the adapters inside its weights."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import save

from tame.app.predict import open_model
from tame.core.errors import StorageError, require
from tame.core.files import write_bytes, write_text
from tame.kinds.language.commands import LANGUAGE_MODEL
from tame.kinds.language.prediction import tokenizer_in
from tame.parts.embedded_encoders import CONFIG, TOKENIZER, WEIGHTS
from tame.parts.llama import Llama

MADE_FOR_TOKENIZERS = "tokenizer_config.json"


def export_merged(study: Path, folder: Path, *, store: str | None = None) -> str:
    """Writes the delivered language model to a new folder, and returns what was written, in a sentence.

    Raises UsageError for a study without a language model and for a folder that holds something, StorageError where it
    cannot be written.
    """
    require(not folder.exists() or (folder.is_dir() and not any(folder.iterdir())), f"{folder} holds something already")
    network = open_model(study, store=store)
    require(network.kind == LANGUAGE_MODEL, f"{study} is not a language model: --merged is for models of texts")
    module, tokenizer = network.module, tokenizer_in(network)
    assert isinstance(module, Llama)
    config = module.config
    weights = {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
    marks = {"bos_token": config.bos_token_id, "eos_token": config.eos_token_id}
    about = {
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": config.max_position_embeddings,
        **{name: tokenizer.name_of(token) for name, token in marks.items()},
    }  # fmt: skip
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_text(folder, CONFIG, json.dumps(config.to_json(), indent=1))
        write_text(folder, MADE_FOR_TOKENIZERS, json.dumps(about, indent=1))
        write_bytes(folder, TOKENIZER, network.arrays["tokenizer"].numpy().tobytes())
        write_bytes(folder, WEIGHTS, save(weights, metadata={"format": "pt"}))
    except OSError as problem:
        raise StorageError(f"{folder} cannot be written: {problem.strerror}") from None
    return f"{folder} holds the model in Hugging Face's format, as transformers opens it"
