"""Text as it may be shown."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from tame.core.text import printable


@given(one=st.text(), two=st.text())
def test_printable_texts_are_equal_only_for_equal_texts(one, two):
    assert printable(one).isprintable()
    assert (printable(one) == printable(two)) == (one == two)
    assert printable(os.fsdecode(b"\x80")) != printable("\x80")
