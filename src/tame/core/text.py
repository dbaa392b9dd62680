"""Text that is safe to show: file names and cells may contain any bytes."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with backslashes, control characters and undecodable bytes escaped; different texts stay different."""
    return "".join(char if char.isprintable() and char != "\\" else _escape(char) for char in text)


def _escape(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # how os.fsdecode represents an undecodable byte
        return f"\\x{code - 0xDC00:02x}"
    short = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(char)
    return short or (f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}")
