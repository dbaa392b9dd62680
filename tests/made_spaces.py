"""What tests of spaces share: dimensions whose values recipes take, and spaces drawn at random."""

from __future__ import annotations

from hypothesis import strategies as st
from torch import nn

from tame.core.conditions import label_of
from tame.core.space import Choice, Float, Int, Space

unit = st.floats(0, 1)
LR = Float(1e-4, 1e-1, log=True)
OPTIMIZERS = Choice("adamw", "momentum", "nesterov")
# What is drawn: dimensions whose values recipes take, under conditions on those that stand before them.
RANGES = {
    "model.depth": (Int, 1, 20),
    "batch_size": (Int, 1, 4096),
    "epochs": (Int, 1, 300),
    "own.units": (Int, -50, 50),
    "optimizer.lr": (Float, 1e-6, 10.0),
    "model.dropout": (Float, 0.0, 0.9),
    "optimizer.weight_decay": (Float, 0.0, 1.0),
    "own.slope": (Float, -3.0, 3.0),
}
CHOICES = {
    "optimizer.name": st.sampled_from(("adamw", "momentum", "nesterov", "lion")),
    "model.norm": st.sampled_from(("none", "layer", "batch")),
    "augment.flip": st.booleans(),
    "model.hidden": st.integers(0, 512),
    "loss.label_smoothing": st.floats(0, 0.9),
    "own.kind": st.one_of(st.text(max_size=6), st.booleans(), st.integers(2, 9), st.floats(2.5, 9)),
}


@st.composite
def ranges(draw, field, when=()):
    kind, low, high = RANGES[field]
    numbers = st.integers(low, high) if kind is Int else st.floats(low, high)
    low, high = sorted((draw(numbers), draw(numbers)))
    log = draw(st.booleans()) and low > 1e-9
    also = {"when": dict(when), "purpose": draw(st.sampled_from((None, "scientific", "nuisance")))}
    if high - low <= 1e-6 * max(abs(low), abs(high), 1e-3) or draw(st.booleans()):
        return kind(low, high, log, **also)
    step = draw(st.integers(1, high - low) if kind is Int else st.floats((high - low) / 50, high - low))
    return kind(low, high, log, step, **also)


@st.composite
def choices(draw, field, when=()):
    values = draw(
        st.lists(CHOICES[field], min_size=1, max_size=5, unique_by=lambda v: v if isinstance(v, str) else float(v))
    )
    return Choice(*values, when=dict(when), purpose=draw(st.sampled_from((None, "scientific", "nuisance"))))


@st.composite
def spaces(draw):
    """Spaces of up to 8 dimensions, some with labels, under conditions that may nest."""
    found = {}
    for field in draw(st.permutations([*RANGES, *CHOICES]))[: draw(st.integers(0, 8))]:
        of_field = ranges if field in RANGES else choices
        parents = [name for name, dim in found.items() if isinstance(dim, Choice) and not label_of(name)]
        if not parents or draw(st.booleans()):
            found[field] = draw(of_field(field))
            continue
        parent = draw(st.sampled_from(parents))
        values = draw(st.permutations(found[parent].values))
        cut = draw(st.integers(1, len(values)))
        found[f"{field}@one"] = draw(of_field(field, {parent: tuple(values[:cut])}))
        if cut < len(values) and draw(st.booleans()):
            found[f"{field}@other"] = draw(of_field(field, {parent: tuple(values[cut:])}))
    return Space(found)


def linear(bias=True):
    return nn.Linear(3, 2, bias=bias)
