"""The report: one self-contained HTML file, without network access or scripts.

All outside text (names of files, columns and classes, reasons) is made inert here and escaped by the template.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache, partial
from pathlib import PurePath

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tame.core.evaluation import LanguageAnswers, NumberAnswers
from tame.core.exported import Exported
from tame.core.records import Finding, History, Trial
from tame.core.result import Result
from tame.kinds.known import FIRST, KINDS
from tame.report import data_section, formats, importance_section, search_section, test_section, words
from tame.report.cases_section import CasePart, of_cases
from tame.report.charts import Kind, Row, intervals
from tame.report.data_section import DataSection
from tame.report.delivered_section import DeliveredSection, of_delivered
from tame.report.evidence import SURE, evidence, to_do
from tame.report.fields import in_plain_words
from tame.report.glossary import Term, terms
from tame.report.importance_section import ImportanceSection
from tame.report.language_section import LanguageSection, of_language
from tame.report.more_data_section import MoreDataSection, of_more_data
from tame.report.next_steps import Step, next_steps
from tame.report.pictures import PairGroup, pair_groups
from tame.report.quotes_section import QuotesSection, of_texts
from tame.report.search_section import EngineRow, Search, Training, has_tuning
from tame.report.svg import HALF, both
from tame.report.test_section import ClassSection, NumberSection
from tame.report.trade_section import TradeSection, of_trade

FIRST_FINDINGS = 3  # on the first screen
UP = Markup('<a class="up" href="#sections" aria-label="To the list of sections">↑</a>')


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingLine:
    """A finding with its evidence in words."""

    title: str
    severity: str
    words: str
    to_do: str  # before the change
    change: str
    outcome: str
    trial: int | None
    id: str  # such as TAME301; "" for a kind of another package
    sure: str  # how sure it is, where it is not
    why: str  # it matters
    mute: str  # the option that leaves it out


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What the templates print: values, sentences, and charts as markup.

    ability: what the network does; is_shown: whether examples have thumbnails; one, a_one, many: what an example is
    called; shown: writes a value of the metric; classes, numbers, language: one of these, by task.
    """

    result: Result
    name: str
    is_shown: bool
    one: str
    a_one: str
    many: str
    is_regression: bool
    metric: str
    shown: Callable[[float | None], str]
    rising: bool
    ability: str
    span: str
    right: str
    opened: str
    edited: str
    other_metrics: str
    verdict: str
    default_is_beaten: bool
    other_verdicts: Sequence[str]
    optimism: str
    findings: list[FindingLine]
    first_findings: int
    badges: list[str]
    steps: list[Step]
    sections: list[tuple[str, str]]
    pairs: list[PairGroup]
    score_chart: Markup
    training: Training
    cases: list[CasePart]
    classes: ClassSection | None
    numbers: NumberSection | None
    language: LanguageSection | None
    texts: QuotesSection | None
    delivered: DeliveredSection
    trade: TradeSection | None
    more_data: MoreDataSection | None
    data: DataSection
    mattered: ImportanceSection
    search: Search
    engines: list[EngineRow]
    trained_by: str
    again: list[tuple[str, str]]
    terms: list[Term]


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedPage:
    """What the template prints for a study without a usable model."""

    name: str
    why: str
    findings: list[FindingLine]
    trials: list[Trial]
    sections: Sequence[tuple[str, str]] = ()  # this page is short


def render_report(
    result: Result, history: History, thumbnails: Mapping[str, bytes], exports: Sequence[Exported] = ()
) -> str:
    """The report as one HTML text. thumbnails: JPEG files by picture id; exports: files written of the model."""
    return printed("report.html", view(result, history, thumbnails, exports))


def render_failure(name: str, why: str, findings: Sequence[Finding], history: History, *, kind: str = FIRST) -> str:
    """The page of a study without a usable model: why, the findings, and all trials.

    kind: the name of the kind of data.
    """
    found = [_finding(finding, kind) for finding in findings]
    trials = list(history.trials.values())
    return printed("failed.html", FailedPage(name=name, why=why, findings=found, trials=trials))


def printed(template: str, page: Page | FailedPage) -> str:
    """A template with the values of a page."""
    return printed_alone(template, {each.name: getattr(page, each.name) for each in fields(page)})


def printed_alone(template: str, values: Mapping[str, object]) -> str:
    """A template with these values; text is escaped, markup is not."""
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("tame.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: value if isinstance(value, Markup) else formats.inert(str(value)),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": formats.number, "signed": formats.signed, "compact": formats.compact, "duration": formats.duration,
        "short": formats.short, "sentence": formats.sentence, "capital": formats.capital, "state": words.state,
    }  # fmt: skip
    environment.globals |= {"count": formats.count, "up": UP}
    return environment


def view(result: Result, history: History, thumbnails: Mapping[str, bytes], exports: Sequence[Exported] = ()) -> Page:
    """What the templates print."""
    delivered = of_delivered(result, exports)
    trials = search_section.ranked([t for t in history.trials.values() if not (t.is_finalist or t.is_remedy)])
    kind, answers, classes, numbers = result.kind, result.answers, None, None
    language = of_language(result, answers) if isinstance(answers, LanguageAnswers) else None
    if isinstance(answers, NumberAnswers):
        numbers = test_section.of_numbers(result, answers, thumbnails)
    elif not isinstance(answers, LanguageAnswers):
        classes = test_section.of_classes(result, answers, thumbnails)
    return Page(
        result=result,
        name=PurePath(result.data.rstrip("/")).name or "data",
        is_shown=bool(KINDS.get(kind).thumbnails),
        one=words.noun(kind, 1),
        a_one=words.a_noun(kind),
        many=words.noun(kind),
        is_regression=result.is_regression,
        metric=formats.metric_name(result.metric),
        shown=partial(formats.shown, result.metric),
        rising=formats.is_rising(result.metric),
        ability=words.ability(result),
        span=words.span(result.score, result.metric),
        right=_right(result),
        opened=words.opened(result),
        edited=words.edited(result),
        other_metrics=words.other_metrics(result),
        verdict=words.verdict(result),
        default_is_beaten=_is_beaten(result),
        other_verdicts=words.other_verdicts(result),
        optimism=words.optimism(result),
        findings=[_finding(each, kind) for each in result.findings],
        first_findings=FIRST_FINDINGS,
        badges=words.badges(result),
        steps=next_steps(result),
        sections=_sections(result, classes, delivered),
        pairs=pair_groups(result, thumbnails),
        score_chart=_score_chart(result),
        training=search_section.training(result, history, trials),
        cases=of_cases(result, history),
        classes=classes,
        numbers=numbers,
        language=language,
        texts=of_texts(result),
        delivered=delivered,
        trade=of_trade(result),
        more_data=of_more_data(result),
        data=data_section.of_data(result),
        mattered=importance_section.of_search(result, history),
        search=search_section.search(result, trials),
        engines=search_section.engines(result),
        trained_by=words.workers(result),
        again=_to_reproduce(result),
        terms=terms(result, history),
    )


def _sections(result: Result, classes: ClassSection | None, own: DeliveredSection) -> list[tuple[str, str]]:
    """The sections that this page has, in their order: anchor and title."""
    if result.is_language_model:
        first = [("language", "What it learned"), ("samples", "What it writes")]
    elif classes is None:
        first = [("agreement", "Predicted vs. true"), ("errors", "Largest errors")]
    else:
        first = [("mistakes", "Mistakes"), ("confusion", "Confusion matrix"), ("classes", "Each class")]
        first += [("calibration", "Calibration")] if classes.calibration else []
        first += [("costs", "Costs")] if classes.costs else []
    texts = of_texts(result)
    first += [("texts", "What decided")] if texts is not None and texts.is_section else []
    tried = [("cases", "What the doctor tried")] if result.cases else []
    tuned = [("tuning", "Fine-tuning")] if has_tuning(result) else []
    more = [("findings", "All findings")] if len(result.findings) > FIRST_FINDINGS else []
    sure = [("delivered", "What is delivered")] if own.said or own.sure else []
    sure += [("trade", "What it takes")] if result.trade else []
    sure += [("more-data", "Would more data help?")] if result.more_data else []
    return [
        ("result", "Result"), *first, *sure, ("data", "Data and split"), ("curves", "Learning curves"), *tried,
        ("mattered", "What mattered"), ("recipe", "Recipe"), ("search", "Search"), ("finalists", "Finalists"), *tuned,
        *more, ("again", "Reproduce"), ("glossary", "Glossary"),
    ]  # fmt: skip


def _right(result: Result) -> str:
    tested, answers = words.examples(result, result.score.n, "test"), result.answers
    if isinstance(answers, NumberAnswers | LanguageAnswers):
        return f"on {tested}"
    return f"{sum(each.right for each in answers.per_class):,} of {tested} correct"


def _is_beaten(result: Result) -> bool:
    own = result.baselines.default
    if own is None or own.is_winner:
        return False
    return own.difference.is_real and words.gain(result.metric, own.difference)[0] > 0


def _finding(finding: Finding, kind: str) -> FindingLine:
    return FindingLine(
        title=in_plain_words(finding.title), severity=finding.severity, words=in_plain_words(evidence(finding, kind)),
        to_do=to_do(finding), change=finding.change, outcome=finding.outcome, trial=finding.trial, id=finding.id,
        sure=SURE.get(finding.confidence or "", ""), why=finding.why, mute=finding.mute,
    )  # fmt: skip


def _score_chart(result: Result) -> Markup:
    """The score with its interval, next to the baselines and the validation value."""
    score, validation, metric = result.score, result.validation.value, result.metric
    dummy, default = result.baselines.dummy, result.baselines.default
    ends = [dummy.low, dummy.high, score.low, score.high]
    rows = [_row(metric, "sealed test", score, "winner")]
    if result.baselines.single is not None:
        single = result.baselines.single
        ends += [single.low, single.high]
        rows.append(_row(metric, "one network", single, "default"))
    if default is not None:
        ends += [default.low, default.high]
        rows.append(_row(metric, "default recipe", default, "default"))
    if result.baselines.linear is not None:
        linear = result.baselines.linear
        ends += [linear.low, linear.high]
        rows.append(_row(metric, "linear model", linear, "default"))
    low, high = search_section.value_range(metric, [validation, *ends])
    if result.baselines.trees is not None:
        trees = result.baselines.trees
        ends += [trees.low, trees.high]
        rows.append(_row(metric, words.TREES, trees, "default"))
    rows.append(_row(metric, words.dummy_label(result), dummy, "dummy"))
    rows.append(Row("validation", validation, note=formats.shown(metric, validation), kind="valid"))
    desc = "; ".join(f"{row.label} {row.note}" for row in rows)
    title = f"{formats.metric_name(metric)} with 95 % intervals"
    return both("score", partial(
        intervals, rows, title=title, desc=desc, low=low, high=high, width=HALF, label_width=128, row_height=38,
        show=partial(formats.shown, metric),
    ))  # fmt: skip


def _row(metric: str, label: str, score: words.Scored, kind: Kind) -> Row:
    return Row(label, score.value, score.low, score.high, formats.shown(metric, score.value), kind)


def _to_reproduce(result: Result) -> list[tuple[str, str]]:
    """What is needed to reproduce the study, as names and values."""
    backbone, delivered = result.backbone, result.delivered
    rows = [
        ("seeds of the winner", ", ".join(str(seed) for seed in result.winner.seeds)),
        ("wall time", formats.duration(result.wall_s)),
        *((name.replace("_", " "), formats.compact(value)) for name, value in result.machine.items()),
        *((name, formats.compact(value)) for name, value in result.versions.items()),
    ]
    if result.speed:
        rows.append(("backbone speed on this machine", formats.compact(result.speed)))
    if backbone is not None:
        rows.append(("backbone", f"{backbone.name}, SHA-256 {backbone.digest}"))
    rows += [(f"model/{name}", f"SHA-256 {digest}") for name, digest in delivered.files.items()]
    apart = formats.compact(float(delivered.largest_difference))
    checked = words.examples(result, delivered.checked, "test")
    what = f"a probability: {apart}"
    if result.is_language_model:
        what = f"a passage: {apart} bits per character"
    elif result.is_regression:
        what = f"a prediction: {apart} standard deviations of the target"
    rows.append(("reloaded model", f"same predictions on {checked}; largest difference of {what}"))
    return rows
