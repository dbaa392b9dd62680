"""The cache of arrays: what was put comes back, whoever is killed or writes at the same time."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tame.core.errors import ShapeError, StorageError
from tame.data.cache import DTYPES, ArrayCache

ARRAYS = st.sampled_from(DTYPES).flatmap(
    lambda dtype: st.dictionaries(
        st.text(max_size=8), hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0)), max_size=5
    )
)


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("v1-*.safetensors"))


def some(key: str = "a", value: int = 7) -> dict[str, np.ndarray]:
    return {key: np.full((3, 5), value, dtype=np.uint8)}


@given(items=ARRAYS)
@settings(max_examples=60, deadline=None)
def test_what_was_put_comes_back_bit_for_bit(items, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    ArrayCache(folder).put(items)
    found = ArrayCache(folder).get(list(items))
    assert list(found) == list(items)
    for key, array in items.items():
        assert found[key].dtype == array.dtype
        assert found[key].shape == array.shape
        assert found[key].tobytes() == array.tobytes()


def test_arrays_are_mapped_read_only_and_aligned(tmp_path):
    cache = ArrayCache(tmp_path)
    cache.put({"a": np.ones(3, np.float32), "b": np.ones((2, 2), np.float32)})
    for array in cache.get(["a", "b"]).values():
        assert not array.flags.writeable
        assert array.flags.aligned
        assert isinstance(_root(array), np.memmap)


def _root(array: np.ndarray) -> object:
    while isinstance(array, np.ndarray) and not isinstance(array, np.memmap):
        array = array.base
    return array


def test_only_what_is_there_comes_back_in_the_order_asked(tmp_path):
    cache = ArrayCache(tmp_path)
    assert cache.get(["a"]) == {}
    cache.put(some("a"))
    cache.put(some("b"))
    assert list(cache.get(["c", "b", "a"])) == ["b", "a"]
    assert cache.keys() == {"a", "b"}


def test_a_cache_under_another_is_read_and_left_as_it_is(tmp_path):
    ArrayCache(tmp_path / "below").put(some("a"))
    before = shards(tmp_path / "below")
    cache = ArrayCache(tmp_path / "above", under=tmp_path / "below")
    cache.put(some("b", 8))
    assert cache.keys() == {"a", "b"}
    assert list(cache.get(["b", "c", "a"])) == ["b", "a"]
    assert shards(tmp_path / "below") == before
    assert ArrayCache(tmp_path / "none", under=tmp_path / "gone").keys() == frozenset()


def test_two_open_caches_see_each_other(tmp_path):
    one, two = ArrayCache(tmp_path), ArrayCache(tmp_path)
    two.keys()
    one.put(some("a"))
    assert two.get(["a"])["a"][0, 0] == 7


def test_one_put_is_one_file_for_the_owner_only_in_the_format_of_safetensors(tmp_path):
    folder = tmp_path / "deep" / "cache"
    ArrayCache(folder).put({**some("a"), **some("b")})
    [shard] = folder.iterdir()
    assert stat.S_IMODE(shard.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    with safetensors.safe_open(shard, "numpy") as tensors:
        assert set(tensors.keys()) == {"bytes", "offsets", "shapes", "keys"}


def test_non_contiguous_arrays_are_stored_as_they_look(tmp_path):
    array = np.arange(24, dtype=np.float32).reshape(4, 6).T[::2]
    cache = ArrayCache(tmp_path)
    cache.put({"a": array})
    np.testing.assert_array_equal(cache.get(["a"])["a"], array)


@pytest.mark.parametrize(
    "items",
    [
        {"a": np.zeros(2, np.uint8), "b": np.zeros(2, np.float32)},
        {"a": np.zeros(2, np.float64)},
        {"a": np.zeros(2, ">f4")},
        {"a": np.zeros((1,) * 9, np.uint8)},
    ],
)
def test_arrays_that_fit_no_shard_are_refused(items, tmp_path):
    with pytest.raises(ShapeError, match="one dtype of uint8, uint16, float16, float32"):
        ArrayCache(tmp_path).put(items)
    assert not shards(tmp_path)


@pytest.mark.parametrize("place", [0.0, 0.1, 0.3, 0.5, 0.9, 0.999])
def test_a_shard_with_a_flipped_bit_is_put_aside_and_the_others_serve(place, tmp_path):
    ArrayCache(tmp_path).put({"a": np.arange(4096, dtype=np.float32)})
    [shard] = shards(tmp_path)
    content = bytearray(shard.read_bytes())
    content[int(place * len(content))] ^= 0x10
    shard.write_bytes(content)
    ArrayCache(tmp_path).put(some("b"))
    cache = ArrayCache(tmp_path)
    found = cache.get(["a", "b"])
    assert "b" in found
    if "a" in found:  # the flip hit the padding of the header or a number that is not used
        np.testing.assert_array_equal(found["a"], np.arange(4096))
    else:
        assert shard.with_name(shard.name + ".bad").exists()
        assert len(cache.notes) == 1
        assert "put aside" in cache.notes[0]
    cache.put(some("a"))
    assert "a" in cache.get(["a"])


@given(content=st.binary(max_size=80))
@settings(max_examples=40, deadline=None)
def test_any_bytes_in_a_shards_place_are_put_aside(content, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    (folder / "v1-0.safetensors").write_bytes(content)
    cache = ArrayCache(folder)
    assert cache.keys() == frozenset()
    assert len(cache.notes) == 1
    assert not shards(folder)


def test_a_shard_cut_anywhere_is_put_aside(tmp_path):
    ArrayCache(tmp_path).put(some())
    [shard] = shards(tmp_path)
    content = shard.read_bytes()
    for length in (0, 7, 8, 100, len(content) // 2, len(content) - 1):
        (tmp_path / f"v1-cut{length}.safetensors").write_bytes(content[:length])
    cache = ArrayCache(tmp_path)
    assert cache.get(["a"])["a"].shape == (3, 5)
    assert len(cache.notes) == 6
    assert shards(tmp_path) == [shard]


def test_links_and_pipes_are_not_opened(tmp_path):
    ArrayCache(tmp_path / "other").put(some())
    [shard] = shards(tmp_path / "other")
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / "v1-link.safetensors").symlink_to(shard)
    os.mkfifo(folder / "v1-pipe.safetensors")
    cache = ArrayCache(folder)
    assert cache.keys() == frozenset()
    assert all("not a file" in note for note in cache.notes)
    assert len(cache.notes) == 2


def test_files_of_others_are_left_alone(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"mine")
    (tmp_path / "v2-1.safetensors").write_bytes(b"from the future")
    cache = ArrayCache(tmp_path)
    assert cache.keys() == frozenset()
    assert cache.trim(0) == 0
    assert len(list(tmp_path.iterdir())) == 2


def test_trim_removes_what_was_unused_for_longest(tmp_path):
    cache = ArrayCache(tmp_path)
    for key in "abc":
        cache.put(some(key))
    for age, shard in enumerate(shards(tmp_path)):
        os.utime(shard, (1000 + age, 1000 + age))
    by_age = sorted(shards(tmp_path), key=lambda shard: shard.stat().st_mtime)
    fresh = ArrayCache(tmp_path)
    first = next(key for key in "abc" if _holds(by_age[0], key))
    view = fresh.get([first])[first]  # its use makes the oldest the newest
    size = by_age[0].stat().st_size
    assert fresh.trim(2 * size) == size
    assert not by_age[1].exists()
    assert first in fresh.keys()  # noqa: SIM118
    assert fresh.trim(0) == 2 * size
    assert fresh.get(["a", "b", "c"]) == {}
    assert view[0, 0] == 7


def _holds(shard: Path, key: str) -> bool:
    with safetensors.safe_open(shard, "numpy") as tensors:
        return key in bytes(tensors.get_tensor("keys")).decode()


def test_trim_removes_what_killed_writers_left_but_nothing_of_living_ones(tmp_path):
    cache = ArrayCache(tmp_path)
    cache.put(some())
    for name in (".tmp-old", ".tmp-new", "v1-1.safetensors.bad"):
        (tmp_path / name).write_bytes(b"12345")
    os.utime(tmp_path / ".tmp-old", (1, 1))
    assert cache.trim(10**9) == 10
    assert (tmp_path / ".tmp-new").exists()
    assert "a" in cache.get(["a"])


def test_a_folder_that_is_removed_meanwhile_is_an_empty_cache(tmp_path):
    cache = ArrayCache(tmp_path / "cache")
    cache.put(some())
    for shard in shards(tmp_path / "cache"):
        shard.unlink()
    (tmp_path / "cache").rmdir()
    assert cache.get(["a"]) == {}
    assert cache.trim(0) == 0
    cache.put(some())
    assert "a" in cache.get(["a"])


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot write to the cache"):
        ArrayCache(tmp_path / "file" / "cache").put(some())
    with pytest.raises(StorageError, match="cannot read the cache"):
        ArrayCache(tmp_path / "file").keys()


WRITER = """
import sys
import numpy as np
from pathlib import Path
from tame.data.cache import ArrayCache
cache = ArrayCache(Path(sys.argv[1]))
print("ready", flush=True)
for turn in range(10**6):
    value = turn % 251
    cache.put({f"{sys.argv[2]}-{turn}-{n}": np.full((60_000 + n,), value, np.uint8) for n in range(4)})
"""


def test_writers_killed_at_any_moment_leave_only_whole_shards(tmp_path):
    folder = tmp_path / "cache"
    for turn in range(4):
        writers = [
            subprocess.Popen([sys.executable, "-c", WRITER, folder, f"{turn}{who}"], stdout=subprocess.PIPE)
            for who in "xy"
        ]
        for writer in writers:
            with writer.stdout as pipe:
                pipe.readline()
        time.sleep(0.03 + 0.037 * turn)
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
            assert writer.wait() == -signal.SIGKILL
    cache = ArrayCache(folder)
    keys = sorted(cache.keys())
    found = cache.get(keys)
    assert len(found) == len(keys) == 4 * len(shards(folder)) > 0
    assert not cache.notes
    for key, array in found.items():
        _, turn, n = key.split("-")
        assert array.shape == (60_000 + int(n),)
        assert (array == int(turn) % 251).all()
