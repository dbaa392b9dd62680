"""Pretrained encoders of texts: from a package or a folder, to one vector of features for each text."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tame.core.errors import UsageError, require, unknown
from tame.parts.bert import Bert, BertShape, empty_bert, named_as_here
from tame.parts.embedded_encoders import CONFIG, EMBEDDED_ENCODERS, TOKENIZER, WEIGHTS, files_of
from tame.parts.text_folders import (
    TextFolder,
    load_weights,
    open_text_folder,
    read_tokenizer,
    reading_tokens,
    require_known,
    text_folder_of,
)

if TYPE_CHECKING:
    from tokenizers import Tokenizer

POOLING = "1_Pooling/config.json"  # how the vectors of tokens become one of a text; the mean where nothing is said
POOLINGS = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "first"}
CHARACTERS = (
    64  # a token: of a text, so many for each token that is read; what lies behind is cut before it is tokenised
)
SPECIAL = 2  # tokens that stand before and after every text
AT_ONCE = 1024  # texts that are tokenised at once
BATCH_TOKENS = 4096  # of a batch of texts of about the same length
MOST_BATCH = 64  # texts


@dataclass(frozen=True, slots=True)
class TextEncoder:
    """A network that turns texts into features, with its tokenizer.

    module: token ids and which are there to a vector for each token; pooling: mean or first; longest: tokens that it
    takes; tokenizer: of tokenizer.json; digest: of its files.
    """

    name: str
    module: Bert
    shape: BertShape
    pooling: str
    tokenizer: bytes
    digest: str

    @property
    def num_features(self) -> int:
        return self.shape.hidden_size

    @property
    def longest(self) -> int:
        return self.shape.max_position_embeddings

    @property
    def stages(self) -> tuple[str, ...]:
        """Paths of the blocks, first to last."""
        return tuple(f"layers.{i}" for i in range(self.shape.num_hidden_layers))


def open_encoder(name: str) -> TextEncoder:
    """The encoder of a name: embedded, or a folder in Hugging Face's format.

    Raises UsageError for an unknown name, a package or extra that is missing, and an invalid folder; RefusedError for
    what would run code, is too large, or is not the file that is known; DataError for a tokenizer of other weights.
    """
    if name in EMBEDDED_ENCODERS:
        found = text_folder_of(files_of(name), name=EMBEDDED_ENCODERS[name].name, where=name)
        return build_encoder(found, where=name)
    folder = Path(name).expanduser()
    if not folder.is_dir():
        known = unknown("encoder of texts", name, [*EMBEDDED_ENCODERS, "auto", "none"])
        raise UsageError(f"{known}; or give a folder with {CONFIG}, {TOKENIZER} and {WEIGHTS}")
    return build_encoder(open_text_folder(folder, more=(POOLING,)), where=name)


def build_encoder(found: TextFolder, *, where: str) -> TextEncoder:
    """The encoder of what a folder holds. Raises as `open_encoder`."""
    shape = BertShape.of(found.config, where=f"{where}/{CONFIG}")
    module = empty_bert(shape)
    load_weights(module, named_as_here(found.weights), where=where)
    read_tokenizer(found.tokenizer, where=where, ids=shape.vocab_size)
    asked = [own for key, own in POOLINGS.items() if found.more.get(POOLING, {}).get(key)]
    require(len(asked) < 2, f"{where}/{POOLING} asks for several poolings; TAME knows one at a time")
    return TextEncoder(found.name, module, shape, (asked or ["mean"])[0], found.tokenizer, found.digest)


def encoder_json(encoder: TextEncoder) -> dict[str, object]:
    """The small things of an encoder, which `restored_encoder` takes."""
    return {
        "name": encoder.name,
        "pooling": encoder.pooling,
        "digest": encoder.digest,
        "shape": encoder.shape.to_json(),
    }


def encoder_tensors(encoder: TextEncoder) -> dict[str, Tensor]:
    """The weights of an encoder, and the bytes of its tokenizer."""
    tokenizer = torch.frombuffer(bytearray(encoder.tokenizer), dtype=torch.uint8)
    return {"tokenizer": tokenizer, **{f"module.{name}": own for name, own in encoder.module.state_dict().items()}}


def restored_encoder(plain: Mapping[str, object], tensors: Mapping[str, Tensor], *, where: str) -> TextEncoder:
    """The encoder that gave `encoder_json` and `encoder_tensors`. Raises UsageError and RefusedError."""
    told = plain["shape"]
    require(isinstance(told, Mapping), f"{where} does not state the shape of its encoder of texts")
    assert isinstance(told, Mapping)
    shape = BertShape.of(told, where=where)
    module = empty_bert(shape)
    own = {name.removeprefix("module."): value for name, value in tensors.items() if name.startswith("module.")}
    load_weights(module, own, where=where)
    pooling = str(plain["pooling"])
    require(pooling in POOLINGS.values(), f"{where}: no pooling {pooling!r}")
    tokenizer = tensors["tokenizer"].numpy().tobytes()
    return TextEncoder(str(plain["name"]), module, shape, pooling, tokenizer, str(plain["digest"]))


@dataclass(frozen=True, slots=True, eq=False)
class Tokens:
    """Texts as token ids, cut to a length. was_cut: (n,) which of them were longer; unknown: share of all tokens that
    stand for what the tokenizer does not know."""

    ids: tuple[tuple[int, ...], ...]
    was_cut: np.ndarray
    unknown: float


def tokens_of(encoder: TextEncoder, texts: Sequence[str], *, length: int) -> Tokens:
    """The tokens of texts, at most `length` of each with the special ones at its ends."""
    own = read_tokenizer(encoder.tokenizer, where=encoder.name, ids=encoder.shape.vocab_size)
    most = min(length, encoder.longest)
    require(most > SPECIAL, f"a text must have more than {SPECIAL} tokens, got {length}")
    strange, found, was_cut, unknown_ones = _unknown(own), [], np.zeros(len(texts), dtype=bool), 0
    for start in range(0, len(texts), AT_ONCE):
        some = texts[start : start + AT_ONCE]
        # Lone surrogates, which cells may hold, are not Unicode: the tokenizer would refuse them.
        seen = [text[: most * CHARACTERS].encode("utf-8", "replace").decode() for text in some]
        with reading_tokens(encoder.name):
            encoded = own.encode_batch(seen)
        for place, (text, each) in enumerate(zip(some, encoded, strict=True), start=start):
            ids = each.ids
            require_known(ids, encoder.shape.vocab_size, where=encoder.name)
            require(bool(ids), f"{encoder.name}/{TOKENIZER} puts no token before and after a text, as encoders need")
            was_cut[place] = len(ids) > most or len(text) > most * CHARACTERS
            found.append(tuple(ids if len(ids) <= most else [*ids[: most - 1], ids[-1]]))
            unknown_ones += sum(token == strange for token in found[-1])
    return Tokens(tuple(found), was_cut, unknown_ones / max(1, sum(map(len, found))))


def features_of(
    encoder: TextEncoder, tokens: Sequence[Sequence[int]], *, device: torch.device, dtype: torch.dtype = torch.float32,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:  # fmt: skip
    """(n, D) float32 features of length 1, in batches of texts of about the same length. progress: done, of how many.

    dtype: of products; parameters stay float32.
    """
    found = np.empty((len(tokens), encoder.num_features), dtype=np.float32)
    done = 0
    for rows in batches_of([len(each) for each in tokens]):
        found[rows] = pooled(encoder, [tokens[row] for row in rows], device=device, dtype=dtype).cpu().numpy()
        done += len(rows)
        if progress:
            progress(done, len(tokens))
    return found


def batches_of(lengths: Sequence[int]) -> list[list[int]]:
    """Rows in batches of about the same length, the shortest first, so that little of a batch is filled up."""
    order = sorted(range(len(lengths)), key=lambda row: (lengths[row], row))
    found: list[list[int]] = []
    for row in order:
        full = not found or len(found[-1]) >= min(MOST_BATCH, max(1, BATCH_TOKENS // lengths[row]))
        if full:
            found.append([])
        found[-1].append(row)
    return found


@torch.inference_mode()
def pooled(
    encoder: TextEncoder, tokens: Sequence[Sequence[int]], *, device: torch.device, dtype: torch.dtype = torch.float32
) -> Tensor:
    """(B, D) float32 features of length 1 of one batch."""
    ids, present = padded(tokens, device=device)
    with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
        hidden = encoder.module.to(device)(ids, present).float()
    return pooled_states(hidden, present, encoder.pooling)


def padded(tokens: Sequence[Sequence[int]], *, device: torch.device) -> tuple[Tensor, Tensor]:
    """Token ids (B, L) of texts, filled up with zeros, and which are there (B, L)."""
    longest = max(map(len, tokens))
    ids = torch.tensor([[*each, *[0] * (longest - len(each))] for each in tokens], device=device)
    present = torch.tensor([[1] * len(each) + [0] * (longest - len(each)) for each in tokens], device=device)
    return ids, present


def pooled_states(hidden: Tensor, present: Tensor, pooling: str) -> Tensor:
    """(B, D) features of length 1 of texts, from the vectors of their tokens (B, L, D), of which those (B, L) are
    there, one of each text at the least."""
    if pooling == "first":
        return F.normalize(hidden[:, 0], dim=1)
    mask = present[..., None].float()
    return F.normalize((hidden * mask).sum(dim=1) / mask.sum(dim=1), dim=1)


def adapted(encoder: TextEncoder, last: Mapping[str, Tensor], *, blocks: int) -> TextEncoder:
    """The encoder with other weights in so many of its last blocks. last: those weights, numbered from the first of
    these blocks on, as a list of modules has them."""
    module = copy.deepcopy(encoder.module)
    upper = module.layers[len(module.layers) - blocks :]
    upper.load_state_dict(last)
    found = hashlib.sha256(encoder.digest.encode())
    for name, value in sorted(last.items()):
        found.update(name.encode())
        found.update(value.detach().cpu().contiguous().numpy().tobytes())
    return replace(encoder, module=module.requires_grad_(False).eval(), digest=found.hexdigest())


def _unknown(tokenizer: Tokenizer) -> int | None:
    """The id of the token for what is not known."""
    model: Any = tokenizer.model
    name = getattr(model, "unk_token", None)
    return None if name is None else tokenizer.token_to_id(name)
