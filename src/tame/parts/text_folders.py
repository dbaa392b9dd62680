"""Folders of language networks in Hugging Face's format: config.json, tokenizer.json, model.safetensors.

A folder may come from a stranger: nothing in it is executed, no size that it states is believed before the weights bear
it out, and what would need code of its own is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from tame.core.errors import DataError, RefusedError, TameError, UsageError, require
from tame.core.text import printable
from tame.parts.embedded_encoders import CONFIG, EXTRA, TOKENIZER, WEIGHTS

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MOST_BYTES = {CONFIG: 2**20, TOKENIZER: 2**26, WEIGHTS: 2**33}
ADAPTER = "adapter_config.json"  # of peft's format: an adapter without its base
UNSAFE = (".bin", ".pth", ".pt", ".ckpt", ".pkl", ".h5", ".msgpack")
TRIED = ("", "a", "Two words, 12 and \u00e9\u4e2d.", " " * 4)  # texts that a tokenizer is tried on when it is read
MOST_NUMBER = 2**24  # of any number in a config: no vocabulary or width that TAME can use is larger


@dataclass(frozen=True, slots=True)
class TextFolder:
    """What such a folder holds, read and not yet built.

    tokenizer: of tokenizer.json, as it is; digest: SHA-256 of the three files; more: further small files of the format
    by name, as JSON values.
    """

    name: str
    config: Mapping[str, object]
    tokenizer: bytes
    weights: Mapping[str, Tensor]
    digest: str
    more: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


def open_text_folder(folder: Path, *, more: Sequence[str] = ()) -> TextFolder:
    """Reads such a folder. more: further JSON files of the format that are read where they are there.

    Raises UsageError for a file that is missing or cannot be read, RefusedError for what would run code or is too
    large.
    """
    require(folder.is_dir(), f"no folder {printable(str(folder))} of a language network")
    if (folder / ADAPTER).is_file() and not (folder / CONFIG).is_file():
        base = _object(_content(folder, ADAPTER), str(folder / ADAPTER)).get("base_model_name_or_path", "another model")
        raise UsageError(
            f"{printable(str(folder))} holds an adapter, not a model: put it into its base, {printable(str(base))}, "
            "with merge_and_unload() of peft, and give the folder of that"
        )
    if not (folder / WEIGHTS).is_file():
        unsafe = [each.name for each in sorted(folder.iterdir()) if each.suffix in UNSAFE]
        if unsafe:
            raise RefusedError(
                f"{printable(str(folder / unsafe[0]))} would have to be unpickled, which can run code; give {WEIGHTS}"
            )
    found = {name: _content(folder, name) for name in (CONFIG, TOKENIZER, WEIGHTS)}
    others = {name: _content(folder, name) for name in more if (folder / name).is_file()}
    return text_folder_of(found, name=folder.resolve().name, where=printable(str(folder)), more=others)


def text_folder_of(
    files: Mapping[str, bytes], *, name: str, where: str, more: Mapping[str, bytes] | None = None
) -> TextFolder:
    """What the contents of such files hold, by their names. where: named in errors. Raises as `open_text_folder`."""
    config = _object(files[CONFIG], f"{where}/{CONFIG}")
    _check_numbers(config, f"{where}/{CONFIG}")
    if config.get("auto_map"):
        raise RefusedError(f"{where}/{CONFIG} asks for code of its own (auto_map), which TAME does not run")
    try:
        weights = load(files[WEIGHTS])
    except (SafetensorError, ValueError, KeyError) as problem:
        raise UsageError(f"{where}/{WEIGHTS} cannot be read: {problem}") from None
    digest = hashlib.sha256(b"".join(hashlib.sha256(files[each]).digest() for each in (CONFIG, TOKENIZER, WEIGHTS)))
    others = {each: _object(content, f"{where}/{each}") for each, content in (more or {}).items()}
    return TextFolder(name, config, files[TOKENIZER], weights, digest.hexdigest(), others)


def read_tokenizer(content: bytes, *, where: str, ids: int) -> Tokenizer:
    """The tokenizer of a tokenizer.json that neither cuts nor pads. ids: how many the network has embeddings for.

    Raises UsageError where the extra that reads it is missing or it cannot be read, DataError where it makes ids that
    the network does not know.
    """
    try:
        from tokenizers import Tokenizer  # an extra
    except ImportError:
        raise UsageError(
            f"a language network needs the package tokenizers; the extra {EXTRA!r} of tame-ml brings it: "
            f"pip install 'tame-ml[{EXTRA}]'"
        ) from None
    with reading_tokens(where):
        found = Tokenizer.from_buffer(content)
        found.no_truncation()
        found.no_padding()
        vocabulary = found.get_vocab(with_added_tokens=True).values()
        tried = found.encode_batch(TRIED)
    require_known([*vocabulary, *(token for each in tried for token in each.ids)], ids, where=where)
    return found


@contextmanager
def reading_tokens(where: str) -> Iterator[None]:
    """Raises UsageError for whatever the package finds wrong with a tokenizer, when it is read or used.

    Some of it ends as a panic of its own language, which is no Exception.
    """
    try:
        yield
    except (TameError, KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as problem:
        raise UsageError(f"{where}/{TOKENIZER} cannot be used: {str(problem)[:200]}") from None


def require_known(found: Iterable[int], ids: int, *, where: str) -> None:
    """Raises DataError for a token that the network has no embedding for."""
    highest = max(found, default=0)
    require(
        highest < ids, f"{where}/{TOKENIZER} makes token {highest:,}, but the network has embeddings of {ids:,} tokens "
        "only; give the tokenizer that the weights were trained with", error=DataError,
    )  # fmt: skip


def load_weights(module: nn.Module, weights: Mapping[str, Tensor], *, where: str) -> None:
    """Puts weights into a module that was made on the device "meta", so that nothing was allocated for it.

    Raises UsageError where names or shapes differ; weights beyond those of the module are left alone.
    """
    wanted = module.state_dict()
    missing = [name for name in wanted if name not in weights]
    wrong = [name for name in wanted if name in weights and weights[name].shape != wanted[name].shape]
    if missing or wrong:
        what = f"{missing[0]!r} is missing" if missing else f"{wrong[0]!r} has shape {tuple(weights[wrong[0]].shape)}"
        raise UsageError(f"{where}: the weights do not fit {CONFIG}: {what} ({len(missing) + len(wrong)} in all)")
    module.load_state_dict({name: weights[name].float() for name in wanted}, assign=True)
    finite = all(bool(torch.isfinite(value).all()) for value in module.state_dict().values())
    require(finite, f"{where}/{WEIGHTS} holds weights that are not finite")
    module.requires_grad_(False).eval()


def whole(
    config: Mapping[str, object], key: str, low: int, high: int, *, where: str, default: int | None = None
) -> int:
    """A whole number of a config within a range. Raises UsageError where it is missing, RefusedError beyond `high`."""
    value = config.get(key, default)
    require(isinstance(value, int) and not isinstance(value, bool), f"{where}: {key} must be a whole number")
    assert isinstance(value, int)
    if value > high:
        raise RefusedError(f"{where}: {key} is {value:,}, beyond the limit of {high:,}")
    require(value >= low, f"{where}: {key} must be {low} or more, got {value}")
    return value


def _content(folder: Path, name: str) -> bytes:
    path = folder / name
    require(
        path.is_file(),
        f"{printable(str(folder))} has no {name}; a language network has {CONFIG}, {TOKENIZER} and {WEIGHTS}",
    )
    most = MOST_BYTES.get(name, MOST_BYTES[CONFIG])
    try:
        size = path.stat().st_size
        if size > most:
            raise RefusedError(
                f"{printable(str(path))} has {size / 1e6:,.0f} MB, beyond the limit of {most / 1e6:,.0f}"
            )
        return path.read_bytes()
    except OSError as problem:
        raise UsageError(f"{printable(str(path))} cannot be read: {problem.strerror}") from None


def _object(content: bytes, where: str) -> dict[str, object]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as problem:
        raise UsageError(f"{where} cannot be read: {str(problem)[:200]}") from None
    require(isinstance(found, dict), f"{where} does not hold an object")
    return found  # type: ignore[no-any-return]


def _check_numbers(value: object, where: str) -> None:
    """Raises RefusedError for a number that no network of TAME's size has, wherever it stands."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            _check_numbers(each, where)
    elif isinstance(value, int | float) and not abs(value) <= MOST_NUMBER:  # nor what is no number
        shown = f"{value:.3g}" if isinstance(value, float) else str(value)[:20]
        raise RefusedError(f"{where} holds the number {shown}, beyond the limit of {MOST_NUMBER:,}")
