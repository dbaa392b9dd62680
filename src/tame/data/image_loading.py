"""The pixels of many pictures, through the cache."""

from __future__ import annotations

import contextlib
import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import PIL

from tame.data.cache import ArrayCache
from tame.data.image_decoding import decode_bytes, judged_warnings, largest_number, read_bytes, read_part, read_start
from tame.data.image_depth import UnreadablePicture, bits_for, may_be_deep
from tame.data.images import Picture, Skipped

_SHARD_BYTES = 64 * 2**20  # of decoded pixels; a mapped shard keeps a file open, so shards are not small
_DECODER = f"4-pillow{PIL.__version__}"  # in the cache key: another decoder gives slightly other pixels


@dataclass(frozen=True, slots=True)
class Loaded:
    """Pictures that could be decoded with their pixels, each (H, W, 3) uint8, and those that could not.

    keys: of each picture, the same for the same pixels of the same file; bits: as of `depth_of`.
    """

    pictures: tuple[Picture, ...]
    arrays: tuple[np.ndarray, ...]
    skipped: tuple[Skipped, ...]
    keys: tuple[str, ...]
    bits: int | None


def load_pixels(
    pictures: Sequence[Picture],
    *,
    shortest: int,
    cache: ArrayCache,
    workers: int = 2,
    on_progress: Callable[[int, int], None] | None = None,
) -> Loaded:
    """The pixels of these pictures, from the cache where they are in it, else decoded and put there.

    Equal files are decoded once and share one array. on_progress gets the pictures done and all pictures, in this
    thread. Raises StorageError if the cache cannot be written.
    """
    with judged_warnings():
        bits, deep = depth_of(pictures, cache=cache)
    groups: dict[str, list[Picture]] = defaultdict(list)
    names = {p.id: f"{p.digest}-{bits}" if p.digest in deep else p.digest for p in pictures}
    for picture in pictures:
        groups[f"{names[picture.id]}-{shortest}-{_DECODER}"].append(picture)
    arrays = cache.get(list(groups))
    todo = [key for key in groups if key not in arrays]
    done = sum(len(groups[key]) for key in arrays)
    if on_progress is not None:
        on_progress(done, len(pictures))
    reasons: dict[str, str] = {}
    pending: dict[str, np.ndarray] = {}
    with judged_warnings(), ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(todo), 64):  # a bound on what waits in memory
            keys = todo[start : start + 64]
            results = pool.map(lambda key: _decode_first(groups[key], shortest=shortest, bits=bits), keys)
            for key, result in zip(keys, results, strict=True):
                if isinstance(result, str):
                    reasons[key] = result
                else:
                    pending[key] = result
                done += len(groups[key])
                if on_progress is not None:
                    on_progress(done, len(pictures))
            if sum(array.nbytes for array in pending.values()) >= _SHARD_BYTES:
                arrays, pending = arrays | _stored(cache, pending), {}
    arrays |= _stored(cache, pending)
    key_of = {picture.id: key for key, group in groups.items() for picture in group}
    kept = tuple(picture for picture in pictures if key_of[picture.id] in arrays)
    skipped = [Skipped(p.id, reasons[key_of[p.id]]) for p in pictures if key_of[p.id] in reasons]
    pixels = tuple(arrays[key_of[picture.id]] for picture in kept)
    return Loaded(kept, pixels, tuple(skipped), tuple(names[picture.id] for picture in kept), bits)


def depth_of(pictures: Sequence[Picture], *, cache: ArrayCache | None = None) -> tuple[int | None, frozenset[str]]:
    """How many bits white has in those grey pictures of 16 bits whose files do not say it, and the digests of these.

    One depth for all of them, as many bits as the largest number needs: None where there are none.
    """
    asked = {}
    for picture in pictures:
        with contextlib.suppress(UnreadablePicture):  # whoever decodes it says so
            if picture.digest not in asked and may_be_deep(_start_of(picture)):
                asked[picture.digest] = picture
    keys = {digest: f"{digest}-largest-{_DECODER}" for digest in asked}
    known = cache.get(list(keys.values())) if cache is not None else {}
    new = {}
    for digest, picture in asked.items():
        if keys[digest] not in known:
            with contextlib.suppress(UnreadablePicture):
                largest = largest_number(content_of(picture))
                new[keys[digest]] = np.array([] if largest is None else [largest], dtype=np.uint16)
    if cache is not None:
        cache.put(new)
    found = {digest: {**known, **new}.get(key) for digest, key in keys.items()}
    largest_of = {digest: int(own[0]) for digest, own in found.items() if own is not None and len(own)}
    return bits_for(list(largest_of.values())), frozenset(largest_of)


def _start_of(picture: Picture) -> bytes:
    return read_start(picture.path, picture.offset or 0)


def content_of(picture: Picture) -> bytes:
    """The bytes of a picture, of its file or of its place in one. Raises UnreadablePicture."""
    if picture.offset is None:
        return read_bytes(picture.path)
    return read_part(picture.path, picture.offset, picture.size_bytes)


def _stored(cache: ArrayCache, pending: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays as views of the cache, so that memory is freed; those trimmed again meanwhile as they are."""
    cache.put(pending)
    return {**pending, **cache.get(list(pending))}


def _decode_first(group: Sequence[Picture], *, shortest: int, bits: int | None) -> np.ndarray | str:
    """The pixels of the first of these equal files that can be read, else the reason of the last."""
    reason = ""
    for picture in group:
        try:
            data = content_of(picture)
            if hashlib.blake2b(data, digest_size=16).hexdigest() != picture.digest:
                raise UnreadablePicture("the file has changed since it was listed")
            return decode_bytes(data, shortest=shortest, bits=bits)
        except UnreadablePicture as problem:
            reason = str(problem)
    return reason
