"""Several inputs where one is taken: refused in these words, rather than as a shape that fits nothing."""

from __future__ import annotations

from collections.abc import Mapping

from tame.core.errors import require
from tame.data.foreign import is_from

ONE_INPUT = (
    "a module is given one input here: join them into one array, for instance with np.concatenate(..., axis=1), and "
    "take it apart in forward()"
)


def require_one_input(x: object, num: int | None = None) -> None:
    """Raises UsageError for several inputs: a dict or a tuple of arrays. num: of examples, if it is known."""
    if isinstance(x, Mapping):
        many = [str(name) for name, each in x.items() if getattr(each, "ndim", 1) > 1]
        require(not many, f"x is a dict with {len(x)} inputs ({', '.join(many)}, ...): {ONE_INPUT}")
    if isinstance(x, tuple | list) and x and all(_is_array(each) for each in x):
        lengths = {len(each) for each in x}
        one = len(lengths) == 1 and (len(x) == num or (num is None and isinstance(x, list)))
        shapes = {tuple(each.shape) for each in x}
        several = not one and (len(shapes) > 1 or (num is not None and lengths == {num} and len(x) != num))
        require(not several, f"x is a {type(x).__name__} of {len(x)} arrays: {ONE_INPUT}")


def require_one_item(x: object, name: str) -> None:
    """Raises UsageError for an item of a dataset whose x is several arrays. name: of the item, for the message."""
    several = isinstance(x, Mapping) or (isinstance(x, tuple | list) and bool(x) and all(_is_array(own) for own in x))
    require(not several, f"{name} is a {type(x).__name__} of several inputs: {ONE_INPUT}")


def _is_array(value: object) -> bool:
    frame = is_from("pandas", value, "DataFrame", "Series") or is_from("polars", value, "DataFrame", "Series")
    return frame or (hasattr(value, "shape") and len(getattr(value, "shape", ())) > 0)
