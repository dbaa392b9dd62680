"""How fast a step goes, from what it says on its way: whether it ends in time is seen long before its end."""

from __future__ import annotations

from dataclasses import dataclass, field

LEAST_S = 3.0  # that a step must have been watched before anything is concluded from it
LEAST_SHARE = 0.1  # of the step, likewise
SURELY = 1.2  # times longer than there is time for, before a step is given up: others may load the machine less soon


@dataclass(slots=True)
class Pace:
    """Steps under way, each with parts that take about as long. until_s: of the budget, by when they must have ended;
    ends_s: when the present one will have, as far as can be seen."""

    until_s: float
    ends_s: float = 0.0
    gives_up: bool = False  # whether one was seen to end too late
    _step: tuple[str, int] = ("", 0)
    _first: tuple[float, int] = field(default=(0.0, 0))  # seconds of the budget and parts, when it was first heard of

    def is_too_slow(self, what: str, done: int, total: int, *, used_s: float) -> bool:
        """Whether a step of which so many parts are done after so many seconds of the budget will end too late."""
        if (what, total) != self._step or done <= self._first[1]:
            self._step, self._first = (what, total), (used_s, done)
            return False
        begun_s, before = self._first
        watched, parts = used_s - begun_s, done - before
        if watched < LEAST_S or parts < LEAST_SHARE * total:
            return False
        self.ends_s = used_s + watched * (total - done) / parts
        self.gives_up = self.ends_s - used_s > SURELY * (self.until_s - used_s)
        return self.gives_up
