"""The ring beside the store: what was said last is read in order, each once, and nothing that is half written."""

from __future__ import annotations

import os
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tame.core.errors import RefusedError, StorageError
from tame.store.ring import MOST_BYTES, RING, SLOT_BYTES, SLOTS, RingWriter, listen


@pytest.fixture
def ring_in():
    """Makes rings, and lets go of them at the end."""
    made = []

    def make(folder):
        made.append(RingWriter(folder))
        return made[-1]

    yield make
    for ring in made:
        ring.close()


def texts(*numbers):
    return tuple(f"entry {number}".encode() for number in numbers)


def test_a_reader_gets_each_entry_once_and_in_order(tmp_path, ring_in):
    ring = ring_in(tmp_path)
    for text in texts(1, 2, 3):
        ring.put(text)
    found = listen(tmp_path)
    assert found.texts == texts(1, 2, 3)
    assert listen(tmp_path, life=found.life, after=found.last).texts == ()
    ring.put(b"entry 4")
    assert listen(tmp_path, life=found.life, after=found.last).texts == texts(4)


def test_what_was_overwritten_is_counted_and_the_rest_comes(tmp_path, ring_in):
    ring = ring_in(tmp_path)
    for text in texts(*range(1, 2 * SLOTS + 11)):
        ring.put(text)
    found = listen(tmp_path, life=listen(tmp_path).life, after=5)
    assert found.texts == texts(*range(SLOTS + 11, 2 * SLOTS + 11))
    assert found.lost == SLOTS + 5


def test_another_life_begins_from_its_first_entry(tmp_path, ring_in):
    first = ring_in(tmp_path)
    for text in texts(1, 2, 3):
        first.put(text)
    before = listen(tmp_path)
    second = ring_in(tmp_path)
    second.put(b"new")
    found = listen(tmp_path, life=before.life, after=before.last)
    assert (found.texts, found.last) == ((b"new",), 1)
    assert found.life != before.life


@given(broken=st.integers(1, 5), place=st.integers(0, 200))
@settings(max_examples=30)
def test_an_entry_that_is_half_written_is_not_there_nor_is_what_follows_it(tmp_path_factory, broken, place):
    folder = tmp_path_factory.mktemp("ring")
    ring = RingWriter(folder)
    long = [bytes([65 + number]) * 190 for number in range(5)]
    for text in long:
        ring.put(text)
    content = bytearray((folder / RING).read_bytes())
    content[SLOT_BYTES * (1 + broken) + place] ^= 0xFF
    (folder / RING).write_bytes(bytes(content))
    try:
        assert listen(folder).texts == tuple(long[: broken - 1])
    finally:
        ring.close()


def test_a_reader_beside_a_writer_never_sees_a_mixture(tmp_path, ring_in):
    ring, ended = ring_in(tmp_path), threading.Event()

    def write():
        number = 0
        while not ended.is_set():
            number += 1
            ring.put(bytes([number % 256]) * (number % MOST_BYTES))

    writer = threading.Thread(target=write)
    writer.start()
    life, last, seen = "", 0, 0
    try:
        for _ in range(200):
            found = listen(tmp_path, life=life, after=last)
            for number, text in enumerate(found.texts, found.last - len(found.texts) + 1):
                assert text == bytes([number % 256]) * (number % MOST_BYTES)
            seen += len(found.texts)
            life, last = found.life, found.last
    finally:
        ended.set()
        writer.join()
    assert seen > 0


def test_no_ring_is_nothing_and_a_closed_one_is_gone(tmp_path, ring_in):
    assert listen(tmp_path) is None
    ring = ring_in(tmp_path)
    assert listen(tmp_path).texts == ()
    assert (tmp_path / RING).stat().st_mode & 0o777 == 0o600
    ring.close()
    assert os.listdir(tmp_path) == []


def test_what_a_stranger_put_there_is_refused(tmp_path, ring_in):
    outside = tmp_path / "outside"
    outside.write_bytes(b"secret" * 100)
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / RING).symlink_to(outside)
    with pytest.raises(RefusedError, match="is a link"):
        listen(folder)
    ring_in(folder)  # in the place of the link
    assert outside.read_bytes() == b"secret" * 100
    (folder / RING).write_bytes(b"no ring")
    with pytest.raises(StorageError, match="not what a study says"):
        listen(folder)
    with open(folder / RING, "wb") as file:
        file.truncate(2**40)
    with pytest.raises(RefusedError, match="has at most"):
        listen(folder)
