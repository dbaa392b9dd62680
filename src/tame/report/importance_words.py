"""What mattered in a search, in sentences. Apart from the section of the report, whose charts load numerics."""

from __future__ import annotations

from collections.abc import Mapping

from tame.core.importance import LEAST, BestOf, Importances, Objective
from tame.report.fields import names_of


def in_words(about: Importances, shown: Mapping[str, str] | None = None) -> str:
    """What the importances say, and how reliable they are, in one or two sentences. shown: names to print."""
    if not about.each:
        if about.n >= LEAST:
            return "no searched field differs between the trials"
        return f"too few trials to tell: {about.n}; at least {LEAST} are needed, and {about.enough} are enough"
    shown = shown or names_of(one.name for one in about.each)
    names = [shown[one.name] for one in about.each if one.is_shown]
    said = f"shown to matter more than chance: {', '.join(names)}" if names else "no field is shown to matter"
    if about.is_enough:
        return f"{said} ({about.n:,} trials)"
    return f"{said}; only a first hint from {about.n:,} trials, {about.enough} are enough"


def worth(about: BestOf, objective: Objective) -> str:
    """Whether more trials would help, in one sentence."""
    if about.gain is None:
        return "too few trials to say whether more would help"
    way = "lower" if objective.sign > 0 else "raise"
    said = f"twice as many trials would {way} the best {objective.name} by about {about.gain:.2g}"
    if about.noise is None:
        return f"{said}; how much the seed alone changes it was not measured"
    helps = about.gain > about.noise
    verdict = "more trials may help" if helps else "more trials are unlikely to help"
    return f"{verdict}: {said}, {'more' if helps else 'less'} than the seed alone changes it ({about.noise:.2g})"
