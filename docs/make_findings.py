"""Writes docs/findings.md from the registry: every kind of finding, why it matters and what to do."""

from __future__ import annotations

import re
from pathlib import Path

from tame.core.codes import CODES, FAMILIES
from tame.monitor.probes import JUDGES
from tame.monitor.rules import RULES
from tame.report.evidence import _PLACES, _SENTENCES
from tame.report.formats import sentence

PAGE = Path(__file__).parent / "findings.md"
HEAD = """# Findings

Everything that the doctor can find. Each kind has a number that never changes; `tame explain TAME301` tells the same as
this page, and `--mute TAME301` (or `--mute overfitting`) leaves a kind out of the terminal, the report and the JSON
documents. What is muted is still acted on: copies stay on one side of a split, for example.

A finding says how sure it is: curves of fewer than five epochs allow a guess, and a change of less than twice its limit
is likely, not certain. `tame diagnose LOG` looks for the findings about curves in the logs of other programs.

`make docs` writes this page from the sources; a test compares the two.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for hundreds, family in FAMILIES.items():
        own = {name: code for name, code in CODES.items() if code.number // 100 == hundreds}
        if own:
            parts.append(f"## {family.capitalize()}\n")
        for name, code in own.items():
            rules = [each.get(name).__doc__ for each in (JUDGES, RULES) if name in each.names()]
            when = "".join(f"\n\nFound when: {_folded(rule)}" for rule in rules if rule)
            shown = _SENTENCES.get(name)
            told = f"\n\nEvidence: {sentence(_PLACES.sub(_named, shown[0]))}" if shown else ""
            to_do = f"\n\nWhat to do: {sentence(code.change)}" if code.change else ""
            parts.append(f"### {code.id} {name}\n\n{sentence(code.title)} {code.why}{when}{told}{to_do}\n")
    return "\n".join(parts)


def _named(place: re.Match[str]) -> str:
    """A place of a sentence of evidence, as the name of what stands there."""
    return f"*{place[1].replace('_', ' ')}*"


def _folded(text: str) -> str:
    """A docstring as paragraphs without the line breaks of the source."""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
