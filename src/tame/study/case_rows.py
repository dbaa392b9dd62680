"""Cases as the result keeps them, and what came of the remedies against a finding. Loads no statistics."""

from __future__ import annotations

from tame.core.records import Finding
from tame.core.result_parts import CaseRow, RemedyRow
from tame.monitor.prescriptions import is_alike
from tame.report.case_words import came_of_it
from tame.study.events import Outcome, Tried
from tame.study.state import Case, State


def row_of(case: Case) -> CaseRow:
    """A case as the result keeps it."""
    own = case.prescribed
    return CaseRow(
        code=own.code, seen=own.seen, patient=own.patient, epoch=own.epoch, beside=own.beside, epochs=own.epochs,
        remedies=tuple(_remedy_row(case, tried) for tried in own.tried),
    )  # fmt: skip


def _remedy_row(case: Case, tried: Tried) -> RemedyRow:
    outcome = case.outcome_of(tried) or Outcome(trial=tried.trials[0], verdict="not finished")
    return RemedyRow(
        field=tried.field, before=tried.before, after=tried.after, trials=tried.trials, is_free=tried.is_free,
        verdict=outcome.verdict, kept=outcome.kept, difference=outcome.difference,
    )  # fmt: skip


def outcome_words(state: State, finding: Finding) -> str:
    """What the doctor did about a finding of a trial; "" if nothing."""
    alike = [case for case in state.cases if is_alike(case.prescribed.code, finding.code)]
    own = [case for case in alike if _is_about(state, case, finding.trial)]
    return "; ".join(line for case in own for line in came_of_it(row_of(case)))


def _is_about(state: State, case: Case, trial: int | None) -> bool:
    """Whether a case is about a trial, itself or where it was stopped in time."""
    patient = case.prescribed.patient
    return trial is not None and trial in (patient, state.history.trials[patient].against)
