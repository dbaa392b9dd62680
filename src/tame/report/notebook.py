"""What a notebook shows of a study: the first screen of the report, and its charts one by one, without scripts.

Both bring their style with them, which applies to nothing else on the page and follows the notebook's theme.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from tame.core.errors import UsageError, unknown
from tame.core.records import History
from tame.core.result import Result
from tame.report import formats, words
from tame.report.page import Page, printed, printed_alone, view

Take = Callable[[Page], Markup | None]

CHARTS: Mapping[str, Take] = {  # by the name that `plot` takes; None where a study has no such chart
    "curves": lambda page: page.training.curves_chart,
    "train": lambda page: page.training.train_chart,
    "metric": lambda page: page.training.metric_chart,
    "score": lambda page: page.score_chart,
    "rates": lambda page: page.search.lr_chart.chart if page.search.lr_chart else None,
    "finalists": lambda page: page.search.finalist_chart,
    "classes": lambda page: page.classes.class_chart if page.classes else None,
    "calibration": lambda page: page.classes.calibration.chart if page.classes and page.classes.calibration else None,
    "agreement": lambda page: page.numbers.agreement_chart if page.numbers else None,
    "split": lambda page: page.data.parts_chart,
}


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of a study, which a notebook shows. svg: the same as a file of its own, with its style."""

    name: str
    svg: str
    _html: str

    def _repr_html_(self) -> str:
        return self._html

    def __repr__(self) -> str:
        return f"Chart({self.name!r}, {len(self.svg):,} characters of SVG)"


def in_one_line(result: Result) -> str:
    """The study, its score with the interval, and on what it was measured."""
    metric, score = result.metric, result.score
    told = f"{formats.metric_name(metric)} {formats.shown(metric, score.value)} ({words.span(score, metric)})"
    said = f"{formats.short(result.study, 120)}: {told} on {words.examples(result, score.n, 'test')}"
    return formats.inert(said)


def first_screen(result: Result) -> str:
    """The first screen of the report as a piece of HTML, without pictures and links."""
    page = view(result, History(), {})  # the curves stand further down
    return _own_ids(printed("notebook.html", page), result)


def chart(name: str, result: Result, history: History) -> Chart:
    """The chart of this name. Raises UsageError where there is none, which says why."""
    if name not in CHARTS:
        raise UsageError(unknown("chart", name, CHARTS))
    drawn = CHARTS[name](view(result, history, {}))
    if drawn is None:
        kind = "numbers" if result.is_regression else "classes"
        raise UsageError(f"this study has no chart of {name}: it predicts {kind}; others are {', '.join(CHARTS)}")
    html = printed_alone("notebook_chart.html", {"chart": drawn})
    broad = str(drawn).removeprefix('<div class="broad">').partition("</div>")[0]
    return Chart(name, _file(broad), _own_ids(html, result))


def _file(drawn: str) -> str:
    """An SVG element as a file of its own, in light colours, written out: few programs but browsers know variables."""
    style, colours = printed_alone("charts.css", {}), printed_alone("notebook.css", {})
    for name, light in re.findall(r"--(\w+): light-dark\((#\w+)", colours):
        style = style.replace(f"var(--{name})", light)
    style = style.replace("var(--sans)", "sans-serif")
    return drawn.replace(">", f"><style>\n{style}</style>", 1).replace(
        "<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1
    )


def _own_ids(html: str, result: Result) -> str:
    """The HTML with ids that no other study on the same page has: labels for screen readers are found by them.

    Text is escaped, so that a quotation mark stands in our own markup only.
    """
    token = hashlib.blake2b(result.study.encode("utf-8", "backslashreplace"), digest_size=4).hexdigest()
    html = re.sub(r' id="([^"]+)"', rf' id="t{token}-\1"', html)
    return re.sub(r' aria-labelledby="([^" ]+) ([^"]+)"', rf' aria-labelledby="t{token}-\1 t{token}-\2"', html)
