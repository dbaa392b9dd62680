"""Small encoders of texts in Hugging Face's format, for tests: random weights, a vocabulary of words."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "rent", "is", "due", "cat", "sat", "on", "mat", "good", "bad")
CONFIG = {
    "model_type": "bert", "vocab_size": len(WORDS), "hidden_size": 16, "num_hidden_layers": 2,
    "num_attention_heads": 4, "intermediate_size": 32, "max_position_embeddings": 24, "type_vocab_size": 2,
    "hidden_act": "gelu", "layer_norm_eps": 1e-12, "position_embedding_type": "absolute",
}  # fmt: skip


def bert_weights(seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights of such a BERT, by their published names."""
    chance = torch.Generator().manual_seed(seed)
    width, wide = 16, 32
    shapes = {
        "embeddings.word_embeddings.weight": (len(WORDS), width), "embeddings.position_embeddings.weight": (24, width),
        "embeddings.token_type_embeddings.weight": (2, width), "embeddings.LayerNorm.weight": (width,),
        "embeddings.LayerNorm.bias": (width,), "pooler.dense.weight": (width, width),
    }  # fmt: skip
    for i in range(2):
        for part, shape in (
            ("attention.self.query", (width, width)), ("attention.self.key", (width, width)),
            ("attention.self.value", (width, width)), ("attention.output.dense", (width, width)),
            ("attention.output.LayerNorm", (width,)), ("intermediate.dense", (wide, width)),
            ("output.dense", (width, wide)), ("output.LayerNorm", (width,)),
        ):  # fmt: skip
            shapes |= {f"encoder.layer.{i}.{part}.weight": shape, f"encoder.layer.{i}.{part}.bias": shape[:1]}
    return {name: torch.randn(shape, generator=chance) * 0.5 for name, shape in shapes.items()}


def tokenizer_json() -> str:
    """A tokenizer.json that knows these words, and puts the special tokens around a text."""
    special = [
        {"id": i, "content": word, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
         "special": True}
        for i, word in enumerate(WORDS[:4])
    ]  # fmt: skip
    ends = {word: {"id": word, "ids": [WORDS.index(word)], "tokens": [word]} for word in ("[CLS]", "[SEP]")}
    first, text, last = ({"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                         {"SpecialToken": {"id": "[SEP]", "type_id": 0}})  # fmt: skip
    return json.dumps({
        "version": "1.0", "padding": None,
        "truncation": {"direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0},
        "added_tokens": special, "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {"type": "TemplateProcessing", "single": [first, text, last], "pair": [first, text, last],
                           "special_tokens": ends},
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": {word: i for i, word in enumerate(WORDS)}, "unk_token": "[UNK]"},
    })  # fmt: skip


def made_encoder(folder: Path, *, seed: int = 0, **changes: object) -> Path:
    """A folder with an encoder. changes: of its config."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**CONFIG, **changes}))
    (folder / "tokenizer.json").write_text(tokenizer_json())
    save_file(bert_weights(seed), folder / "model.safetensors")
    return folder
