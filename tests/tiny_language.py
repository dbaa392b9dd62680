"""A tiny language model with random weights, in a folder of Hugging Face's format, and texts for it."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tame.parts.llama import Llama, LlamaConfig

TINY = LlamaConfig(
    vocab_size=64, hidden_size=16, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, head_dim=4, max_position_embeddings=64, tie_word_embeddings=True, rms_norm_eps=1e-5,
)  # fmt: skip
LETTERS = ("<unk>", "<s>", "</s>", *"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ .,;:-\n0")
WORDS = ("the party", "shall", "pay", "each month", "a fee of", "the licensee", "may", "not", "sell", "under this law")


def tiny(*, seed: int = 0, config: LlamaConfig = TINY) -> Llama:
    """A model with random weights."""
    module, chance = Llama(config), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in module.named_parameters():
            plain = torch.ones(value.shape) if "norm" in name else torch.zeros(value.shape)
            value.copy_(plain + 0.2 * torch.randn(value.shape, generator=chance))
    return module.eval()


def write_model(folder: Path, model: Llama, **changes: object) -> Path:
    """The folder of a model whose tokens are letters. changes: of config.json."""
    tokenizers = pytest.importorskip("tokenizers")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**model.config.to_json(), **changes}))
    vocabulary = {letter: number for number, letter in enumerate(LETTERS)}
    own = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=[], unk_token=LETTERS[0]))
    own.decoder = tokenizers.decoders.Fuse()
    own.add_special_tokens(list(LETTERS[:3]))
    own.save(str(folder / "tokenizer.json"))
    save_file(
        {name: value.detach().clone() for name, value in model.state_dict().items()}, folder / "model.safetensors"
    )
    return folder


def text_of(number: int, words: int = 150) -> str:
    """A text of some 1,000 characters that shares few long runs of words with others."""
    chance = random.Random(number)
    return "".join(f"{chance.choice(WORDS)}{chance.choice((' ', ' ', ', ', '. '))}" for _ in range(words)).strip()


def write_texts(folder: Path, num: int = 12) -> Path:
    """A folder of texts, of which the first two are nearly the same."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(num):
        (folder / f"text {number:02}.txt").write_text(text_of(number))
    (folder / "text 01.txt").write_text(f"{text_of(0)} and nothing else.")
    return folder
