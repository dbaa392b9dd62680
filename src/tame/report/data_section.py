"""What the report shows of the data: its parts, its columns, what was left out and what was found in reading it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from tame.report import words
from tame.report.charts import shares

PARTS = {"train": "training", "val": "validation", "test": "sealed test", "aside": "put aside"}
KINDS = {  # of columns that can be learnt from
    "number": ("number", "numbers"), "category": ("category", "categories"), "boolean": ("yes or no", "yes or no"),
    "date": ("date", "dates"),
}  # fmt: skip


def of_data(result: Mapping[str, Any]) -> dict[str, Any]:
    """Sentences, counts by class and part, and the bar of the parts."""
    facts, counts = result["data_facts"], result["data_facts"]["counts"]
    parts = [part for part in PARTS if part in counts]
    names = [PARTS[part] for part in parts]
    if facts.get("folds", 1) > 1 and "val" not in parts:
        names = ["training and validation" if part == "train" else PARTS[part] for part in parts]
    sums = [words.part_size(counts[part]) for part in parts]
    bar = [(name, amount, part) for name, amount, part in zip(names, sums, parts, strict=True)]
    desc = "; ".join(f"{name} {amount}" for name, amount, _ in bar)
    many = words.noun(words.kind_of(result))
    return {
        "about": _about(result, sum(sums)),
        "target": _target(result),
        **_columns(result, sum(sums)),
        "part_names": names,
        "part_sums": sums,
        "class_counts": [] if words.is_regression(result) else _class_counts(result, parts),
        "parts_chart": shares(bar, name="parts", title=f"How the {many} are divided", desc=desc),
        "notes": list(facts.get("notes") or []),
        "skipped": facts.get("skipped", 0),
        "skipped_first": list(facts.get("skipped_first") or []),
    }


def _class_counts(result: Mapping[str, Any], parts: list[str]) -> list[dict[str, Any]]:
    counts = result["data_facts"]["counts"]
    return [
        {"name": name, "counts": own, "total": sum(own)}
        for name in result["classes"]
        for own in [[counts[part].get(name, 0) for part in parts]]
    ]


def _about(result: Mapping[str, Any], total: int) -> str:
    """How much there is of what, in a few sentences."""
    facts, kind = result["data_facts"], words.kind_of(result)
    said = words.examples(result, facts.get("pictures", total))
    if not words.is_regression(result):
        said += f" in {words.count(len(result['classes']), 'class')}"
    if "side" in facts:
        said += f", the median shorter side {facts['side']} pixels"
    if _inputs(result):
        said += f". {_kinds(result)}"
    found = [f"{said}."]
    if kind == "images":
        pairs, skipped = facts["pairs"], facts.get("skipped", 0)
        kept = " and kept on one side of the split" if pairs else ""
        same = f"{words.count(pairs, 'pair')} of the same or nearly the same picture"
        found.append(f"{same} {_were(pairs)} found{kept}; {words.count(skipped, 'file')} {_were(skipped)} skipped.")
    if twins := facts.get("twins"):
        found.append(f"{words.examples(result, twins)} {'has' if twins == 1 else 'have'} a twin that is equal.")
    if without := facts.get("unlabelled"):
        found.append(f"{words.examples(result, without)} without a target {_were(without)} left out.")
    return " ".join(found)


def _were(amount: int) -> str:
    return "was" if amount == 1 else "were"


def _kinds(result: Mapping[str, Any]) -> str:
    """Learnt from 12 columns: 7 numbers, 4 categories and 1 date; 2 columns were left out."""
    columns = _inputs(result)
    kinds = Counter(column["kind"] for column in columns if _is_learnt(column))
    used = [f"{kinds[kind]:,} {many if kinds[kind] > 1 else one}" for kind, (one, many) in KINDS.items() if kinds[kind]]
    out = len(columns) - kinds.total()
    of = words.count(kinds.total(), "column")
    left = f"; {words.count(out, 'column')} {_were(out)} left out" if out else ""
    return f"Learnt from {of}{f': {words.listed(used)}' if used else ''}{left}"


def _is_learnt(column: Mapping[str, Any]) -> bool:
    return bool(column.get("learnt", column["kind"] in KINDS))


def _inputs(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The columns of a table but the target."""
    target = words.target_name(result)
    return [column for column in result["data_facts"].get("columns") or [] if column["name"] != target]


def _columns(result: Mapping[str, Any], total: int) -> dict[str, Any]:
    """The columns that are learnt from, and those that were left out, each with the reason why."""
    rows = [
        {
            "name": column["name"], "kind": column["kind"], "why": column["why"],
            "missing": f"{column['missing']:,} ({100 * column['missing'] / max(total, 1):.1f} %)"
            if column.get("missing") else "",
            "categories": _amount(column.get("categories")), "is_used": _is_learnt(column),
        }
        for column in _inputs(result)
    ]  # fmt: skip
    return {"columns": [row for row in rows if row["is_used"]], "left_out": [row for row in rows if not row["is_used"]]}


def _amount(categories: Any) -> str:
    """How many categories, from their number or their list."""
    amount = categories if isinstance(categories, int) else len(categories or ())
    return f"{amount:,}" if amount else ""


def _target(result: Mapping[str, Any]) -> dict[str, str] | None:
    """What is predicted, and why it was taken for that task."""
    about = result["data_facts"].get("target")
    if not about:
        return None
    names = {"binary": "one of two classes", "multiclass": "one of several classes", "regression": "a number"}
    return {"name": about.get("name") or "the target", "task": names[words.task_of(result)], "why": about["why"]}
