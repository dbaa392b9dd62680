"""Which backbone `--backbone auto` is: the network that comes with TAME, or none if small pictures do not suit it.

Photographs are what it was trained on. Small pictures may be anything, such as digits, so there both ways are tried on
a part of the training examples, and the better one is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tame.core.config import AUTO, NONE, StudyConfig
from tame.core.rng import stream
from tame.kinds.kind import Data, Known, Phase, Port
from tame.kinds.pictures import commands
from tame.kinds.pictures.commands import Compare, Compared, Look
from tame.parts.embedded import DEFAULT, EMBEDDED

MOST_TRAINED, MOST_JUDGED = 1200, 400  # examples that both ways are tried on


@dataclass(frozen=True, slots=True)
class Choice:
    """What `auto` is in a study, as config has it, and why; both "" where the user named the backbone."""

    backbone: str = ""
    why: str = ""


def first_backbone(config: StudyConfig, known: Known) -> str | None:
    """The backbone to read pictures with: what was asked for, or what `auto` was found to be, or may be."""
    asked = config.backbone
    if asked == AUTO:
        asked = str((known.data or {}).get("backbone") or DEFAULT)
    return None if asked == NONE else asked


def chosen(
    config: StudyConfig,
    known: Known,
    data: Data,
    port: Port,
    look: Look,
    *,
    phase: Phase,
    without: Callable[[], object],
) -> tuple[Data, Choice]:
    """The data with the backbone that the study goes on with. without: reads the pictures again, for no backbone."""
    if config.backbone != AUTO or known.data is not None:
        return data, Choice()
    backbone = data.backbone
    assert backbone is not None
    name = EMBEDDED[DEFAULT].name
    if not is_small(data.side, backbone.size):
        choice = Choice(DEFAULT, f"{name}, pretrained on photographs, which comes with TAME")
        phase(f"backbone: {choice.why}")
        return data, choice
    phase(f"comparing {name} with a network from scratch, since the pictures are small")
    choice = judged(commands.compare(port, _asked(config, data, look)), name, is_class=bool(data.classes))
    phase(f"backbone: {choice.why}")
    if choice.backbone == DEFAULT:
        return data, choice
    without()
    return replace(data, backbone=None), choice


def is_small(side: int, size: int) -> bool:
    """Whether pictures are much smaller than what a backbone was trained on. side: their median shorter side."""
    return side < size // 2


def _asked(config: StudyConfig, data: Data, look: Look) -> Compare:
    """Some of the examples that are not sealed, each on the side of the split where it is."""
    chance = stream(config.seed, "backbone")

    def some(rows: list[int], most: int) -> list[int]:
        return rows if len(rows) <= most else sorted(chance.choice(rows, most, replace=False).tolist())

    judging = {row for row in data.rows if data.split.fold[row] == 0}
    judged = some([row for row in data.rows if row in judging], MOST_JUDGED)
    rows = some([row for row in data.rows if row not in judging], MOST_TRAINED) + judged
    return Compare(
        size=look.size, crop=look.crop, side=data.side, rows=rows, targets=data.targets[rows].tolist(),
        held=[row in judging for row in rows], classes=len(data.classes), seed=config.seed,
    )  # fmt: skip


def judged(found: Compared, name: str, *, is_class: bool = True) -> Choice:
    """The better of the two ways, in words; where both do as well, the network that comes with TAME."""
    share = f"got {found.pretrained:.1%} right" if is_class else f"explained {found.pretrained:.1%} of the variance"
    shares = (
        f"of {found.judged:,} held-out pictures of the training part a linear head on its features {share}, a small "
        f"network from scratch {found.scratch:.1%}, both trained on {found.trained_on:,} pictures"
    )
    if found.pretrained >= found.scratch:
        return Choice(DEFAULT, f"{name}, which comes with TAME; {shares}")
    return Choice(NONE, f"none, since the small pictures do not suit {name}; {shares}")
