"""Numbers as people write them, and texts that can do no harm."""

from __future__ import annotations

import math

from made_results import HOSTILE
from tame.report import formats


def test_inert_text_can_be_written_and_keeps_what_is_harmless() -> None:
    for text in HOSTILE:
        shown = formats.inert(text)
        shown.encode("utf-8")
        assert all(char.isprintable() for char in shown)
    assert formats.inert("Ärger 日本 👩\u200d🔬 a\\b") == "Ärger 日本 👩\u200d🔬 a\\b"


def test_numbers_are_written_as_people_write_them() -> None:
    assert [formats.compact(v) for v in (3e-5, 0.003, 30, 1e-4, True, "sgd", 0.0, 12345)] == [
        "3e-5", "0.003", "30", "0.0001", "yes", "sgd", "0", "12,345",
    ]  # fmt: skip
    assert [formats.number(v) for v in (None, math.nan, math.inf, -0.0001, -0.25)] == ["–", "–", "–", "0.000", "−0.250"]
    assert [formats.number(v) for v in (1e11, -1e308)] == ["100,000,000,000.000", "−1e308"]
    big = [formats.significant(v) for v in (0.0, 0.0123456, 9.999, -1.5, 47_612.0, 999_999.0, 1.234e9, 4e-7, None)]
    assert big == ["0", "0.0123", "10.0", "−1.50", "47,600", "1,000,000", "1.23e9", "4e-7", "–"]
    assert [formats.compact(-4e-7), formats.compact(12_345.0)] == ["−4e-7", "12,300"]
    assert [formats.measured(v) for v in (0.9617, 0.0, 4e-4, 47_612.0, None)] == [
        "0.962",
        "0.000",
        "0.000400",
        "47,600",
        "–",
    ]
    assert formats.number(-1234.5678) == "−1,234.568"
    assert [formats.duration(s) for s in (3.21, 59.7, 60, 3725)] == ["3.2 s", "1 min 0 s", "1 min 0 s", "1 h 2 min"]
