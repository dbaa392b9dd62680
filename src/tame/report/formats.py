"""Numbers and texts as people read them, in the terminal and in the report; foreign texts are made inert first."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence

from tame.core.config import METRIC_MODES

METRICS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1_macro": "macro F1",
    "log_loss": "log loss",
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "rmse": "RMSE",
    "mae": "mean absolute error",
    "r2": "R²",
    "bits_per_character": "bits per character",
}
HUGE = 1e12  # numbers from here on are shown with an exponent
IN_UNITS = ("rmse", "mae")  # metrics in the units of the target, of any size
JOINERS = "\u200c\u200d"  # invisible, but some scripts and emoji need them


def inert(text: str) -> str:
    """The text with control characters, lone surrogates and direction marks made visible.

    The result can be written as UTF-8, cannot control a terminal, and shows its letters in their true order.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in JOINERS else _visible(char) for char in text)


def short(text: str, most: int) -> str:
    """The text, shortened in the middle if it is longer than `most` characters."""
    if len(text) <= most:
        return text
    head = (most - 1) // 2
    return f"{text[:head]}…{text[len(text) - (most - 1 - head) :]}"


def capital(text: str) -> str:
    """The text with a capital at its start."""
    return f"{text[:1].upper()}{text[1:]}"


def sentence(text: str) -> str:
    """The text with a capital at its start and one full stop at its end."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""


def number(value: float | None, digits: int = 3) -> str:
    """A number with `digits` decimals and a true minus sign; huge ones with an exponent; a dash if unknown."""
    if value is None or not math.isfinite(value):
        return "–"
    if abs(value) >= HUGE:
        return compact(float(value))
    text = f"{value:,.{digits}f}"
    return text.lstrip("-") if round(value, digits) == 0 else text.replace("-", "−")


def signed(value: float | None, digits: int = 3) -> str:
    """A number with its sign; zero has none."""
    text = number(value, digits)
    return f"+{text}" if value is not None and round(value, digits) > 0 else text


def significant(value: float | None, digits: int = 3) -> str:
    """A number of any size with `digits` significant digits: 0.0123, 1.23, 12,300, 1.23e9."""
    if value is None or not math.isfinite(value):
        return "–"
    power = int(f"{value:.{digits - 1}e}".partition("e")[2])
    if value == 0 or not -5 <= power < 7:
        return compact(float(value))
    text = f"{round(value, digits - 1 - power):,.{max(0, digits - 1 - power)}f}"
    return text.replace("-", "−")


def metric_name(metric: str) -> str:
    return METRICS.get(metric, metric)


def is_rising(metric: str) -> bool:
    """Whether higher is better for this metric."""
    return METRIC_MODES.get(metric, "max") == "max"


def shown(metric: str, value: float | None) -> str:
    """A value of the metric: 0.962, or three significant digits for a metric in the units of the target."""
    return significant(value) if metric in IN_UNITS else number(value)


def shown_signed(metric: str, value: float) -> str:
    """A difference of the metric with its sign; zero has none."""
    if metric not in IN_UNITS:
        return signed(value)
    return significant(value) if value <= 0 else f"+{significant(value)}"


def measured(value: float | None) -> str:
    """A value of an unknown metric: three decimals if they are informative, else three significant digits."""
    if value is None or not math.isfinite(value) or value == 0 or 0.01 <= abs(value) < 100:
        return number(value)
    return significant(value)


def compact(value: object) -> str:
    """A recipe's or a finding's value as a person writes it: 0.003, 3e-5, yes, linear."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and 1e3 <= abs(value) < 1e7:
        return significant(value)
    if isinstance(value, float):
        text = f"{value:.3g}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")
        return f"−{text[1:]}" if text.startswith("-") else text
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return listed([f"{key} {compact(each)}" for key, each in value.items()])
    if isinstance(value, Sequence) and not isinstance(value, str):
        return listed([compact(each) for each in value])
    return "none" if value is None else str(value)


def listed(names: Sequence[str], most: int = 6) -> str:
    """Names as in a sentence: a, b and c; after `most` of them the rest is counted."""
    if len(names) > most:
        names = [*names[: most - 1], f"{len(names) - most + 1:,} more"]
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def count(amount: int, thing: str) -> str:
    """1 recipe, 1,000 recipes."""
    plural = f"{thing}es" if thing.endswith("s") else f"{thing}s"
    return f"{amount:,} {thing if amount == 1 else plural}"


def duration(seconds: float) -> str:
    """12.3 s, 4 min 12 s, 2 h 5 min."""
    if seconds < 20:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _visible(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # how os.fsdecode represents a byte that it cannot decode
        return f"\\x{code - 0xDC00:02x}"
    if unicodedata.category(char) == "Zs":
        return " "
    named = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(char)
    return named or (f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}")
