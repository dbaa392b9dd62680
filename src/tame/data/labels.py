"""Labels: which are the same, which look the same, and the order of classes, wherever the labels come from."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

import numpy as np

# Formatting characters (category Cf) and others that are shown as nothing.
# Source: the Unicode Character Database, DerivedCoreProperties, Default_Ignorable_Code_Point.
_HIDDEN = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
)
_INVISIBLE = re.compile(f"[{_HIDDEN}\U000e0000-\U000e0fff]")
_BUT_TAGS = re.compile(f"[{_HIDDEN}\U000e0100-\U000e0fff]")
_FLAG = "\U0001f3f4"  # the tags after it say whose flag it is, which is seen
# Cyrillic and Greek letters, quotes and hyphens that look like Latin ones; those that only resemble them are not here.
_LOOKALIKES = str.maketrans(
    "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425\u0406\u0408\u0405"  # Cyrillic
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455"
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03bf"  # Greek
    "\u0131\u2018\u2019\u02bc\u2010\u2012\u2013\u2014\u2015\u2212",
    "ABEKMHOPCTYXIJSaeopcyxijsABEZHIKMNOPTYXoi'''------",
)
_ENDS = ".,;:!?\u2026\u3002"  # punctuation that ends a sentence, and no name
_ZEROS = re.compile("(?<![0-9.,])0+(?=[0-9])")  # before a whole number; after a mark they are its decimals
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def without_invisible(text: str) -> str:
    """The text without characters that are shown as nothing, and without blanks around it."""
    if text.isascii():
        return text.strip()
    return (_BUT_TAGS if _FLAG in text else _INVISIBLE).sub("", text).strip()


def visible(text: str) -> str:
    """The text as it looks: composed letters, nothing that is shown as nothing, one blank where there are several."""
    if text.isascii() and "  " not in text and text.isprintable():
        return text.strip()
    return " ".join(unicodedata.normalize("NFC", without_invisible(text)).split())


def case_key(text: str) -> str:
    """What is the same for texts that differ in capitals only; a single letter in two sizes may be two signs."""
    return text.lower() if len(text) > 1 else text


def look_key(text: str) -> str:
    """What is the same for texts that are hard to tell apart: in capitals, in width, in letters of other scripts that
    look alike, in ss and ß."""
    plain = unicodedata.normalize("NFKC", visible(text)).translate(_LOOKALIKES)
    return unicodedata.normalize("NFKC", plain.casefold())


def group_key(text: str) -> str:
    """As `look_key`, but that a single letter in two sizes may be two groups."""
    return look_key(text) if len(text) > 1 else unicodedata.normalize("NFKC", visible(text)).translate(_LOOKALIKES)


def twin_key(text: str) -> str:
    """What is the same for labels that may be one, written in two ways: hard to tell apart, or different only in
    blanks, in the punctuation at their end (>50K and >50K.), or in zeros before a whole number (01 and 1)."""
    plain = "".join(look_key(text).split())
    return _ZEROS.sub("", plain.rstrip(_ENDS) or plain)


def lookalikes(labels: Iterable[str]) -> tuple[str, str] | None:
    """The first two of these different labels that may be one by their `twin_key`, or None."""
    seen: dict[str, str] = {}
    for label in sorted(labels):
        other = seen.setdefault(twin_key(label), label)
        if other != label:
            return other, label
    return None


def numbers_in_order(codes: np.ndarray, classes: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Class numbers (N,) int64 and the names of classes, in the order of numbers where all names are numbers.

    Numbers below 0 are no class, and stay. Other names stay in their order.
    """
    if not all(_NUMBER.fullmatch(name) for name in classes):
        return codes, classes
    order = sorted(range(len(classes)), key=lambda k: (float(classes[k]), classes[k]))
    place = np.empty(len(classes), dtype=np.int64)
    place[order] = np.arange(len(classes))
    return np.where(codes >= 0, place[codes], codes), tuple(classes[k] for k in order)
