"""What a word means, for `tame explain`: of the glossary, a metric, a field of a recipe, or a finding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tame.core.codes import CODES
from tame.core.errors import UsageError, unknown
from tame.core.records import Finding, History
from tame.core.result import Result
from tame.report import formats, words
from tame.report.evidence import evidence
from tame.report.fields import FIELDS
from tame.report.glossary import MEANINGS, METRICS, general_terms, numbers

LISTS = ("words", "fields", "findings")  # what can be asked for as a whole
ALSO = {  # other words for those of the glossary
    "trial": "recipe", "head": "backbone", "fine tuning": "backbone", "features": "backbone", "lr": "rate",
    "sealed": "test", "confidence interval": "interval", "baseline": "dummy", "cross validation": "fold",
    "folds": "fold", "portfolio": "origins", "sobol": "origins", "origin": "origins", "waits": "states",
    "paused": "states", "trained": "states", "stopped": "states", "stopped early": "states", "state": "states",
    "score": "metric", "hyperparameter": "space", "ece": "calibration", "finalists": "finalist",
    "remedies": "remedy", "doctor": "remedy", "case": "remedy",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Explained:
    """A word, what it means, and what it comes to in a study ("" without one, or where there is nothing to say)."""

    name: str
    meaning: str
    own: str = ""


@dataclass(frozen=True, slots=True)
class Past:
    """A study whose numbers are told."""

    result: Result
    history: History


def explain(word: str, past: Past | None = None) -> list[Explained]:
    """What the word means; several entries if it is a list. Raises UsageError for an unknown word, with a near one."""
    asked = _plain(word)
    if asked in LISTS:
        return _listed(asked)
    for known in (_of_glossary, _of_fields, _of_metrics, _of_findings):
        if (found := known(asked, past)) is not None:
            return [found]
    raise UsageError(f"{unknown('word', word, _every())} `tame explain words` lists all")


def _every() -> list[str]:
    every = [term.name.lower() for term in general_terms()]
    return [
        *MEANINGS,
        *every,
        *ALSO,
        *(field.name for field in FIELDS.values()),
        *FIELDS,
        *METRICS,
        *CODES,
        *(code.id for code in CODES.values()),
    ]


def _listed(which: str) -> list[Explained]:
    if which == "words":
        return [Explained(term.name, term.meaning) for term in general_terms()]
    if which == "fields":
        return [Explained(name, f"{formats.sentence(each.name)} {formats.sentence(each.about)}")
                for name, each in FIELDS.items()]  # fmt: skip
    return [Explained(f"{own.id} {name}", f"{formats.sentence(own.title)} {own.why}") for name, own in CODES.items()]


def _of_glossary(asked: str, past: Past | None) -> Explained | None:
    names: Mapping[str, str] = {term.name.lower(): term.anchor for term in general_terms()}
    anchor = asked if asked in MEANINGS else names.get(asked, ALSO.get(asked, ""))
    if not anchor:
        return None
    term = next(each for each in general_terms() if each.anchor == anchor)
    own = "" if past is None else numbers(past.result, past.history).get(anchor, "")
    return Explained(term.name, term.meaning, own)


def _of_fields(asked: str, past: Past | None) -> Explained | None:
    for field, each in FIELDS.items():
        if asked in (_plain(field), each.name.lower()):
            name = f"{formats.capital(each.name)} ({field})"
            return Explained(name, formats.sentence(each.about), "" if past is None else _value(field, past.result))
    return None


def _value(field: str, result: Result) -> str:
    own, default, dim = result.winner.recipe.get(field), result.default_recipe, result.space.dimensions.get(field)
    if own is None:
        return ""
    said = f"the winner has {formats.compact(own)}"
    said += f", the default recipe {formats.compact(default[field])}" if field in default else ""
    return formats.sentence(f"{said}; {f'searched: {words.setting(dim)}' if dim else 'it was not searched'}")


def _of_metrics(asked: str, past: Past | None) -> Explained | None:
    for name, meaning in METRICS.items():
        if asked in (_plain(name), formats.metric_name(name).lower()):
            value = None if past is None else past.result.metrics.get(name)
            own = "" if value is None else f"The winner reached {formats.shown(name, value)} on the sealed test part."
            return Explained(formats.capital(formats.metric_name(name)), formats.sentence(meaning), own)
    return None


def _of_findings(asked: str, past: Past | None) -> Explained | None:
    code = asked.replace(" ", "_")
    code = next((name for name, own in CODES.items() if own.id.lower() == code), code)
    if code not in CODES:
        return None
    here = [] if past is None else [each for each in past.result.findings if each.code == code]
    own = " ".join(_told(each, past.result.kind) for each in here) if past is not None else ""
    own = own if own or past is None else "This was not found in this study."
    about = CODES[code]
    to_do = f" What to do: {formats.sentence(about.change)}" if about.change else ""
    return Explained(f"Finding {about.id}: {about.title}", f"{about.why}{to_do} Left out by --mute {about.id}.", own)


def _told(finding: Finding, kind: str) -> str:
    outcome = f" Outcome: {formats.sentence(finding.outcome)}" if finding.outcome else ""
    return f"{formats.sentence(finding.title)} {formats.sentence(evidence(finding, kind))}{outcome}"


def _plain(word: str) -> str:
    """Without the difference of capitals, hyphens and underscores."""
    return " ".join(word.lower().replace("-", " ").replace("_", " ").split())
