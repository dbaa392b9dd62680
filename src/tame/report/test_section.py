"""What the report shows of the answers on the sealed test: right and wrong classes, errors of numbers, calibration."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from tame.report import words
from tame.report.charts import Row, Spot, agreement, intervals

MATRIX_CLASSES = 30  # a larger matrix cannot be read; its largest mistakes can
COST_CLASSES = 12
MOST_PAIRS = 25


def of_classes(result: Mapping[str, Any], thumbnails: Mapping[str, bytes]) -> dict[str, Any]:
    """What the templates print of a classification's answers. thumbnails: JPEG files by picture id."""
    return {
        "matrix": _matrix(result),
        "pairs": _pairs(result),
        "class_chart": _class_chart(result),
        "mistakes": [_mistake(each, thumbnails) for each in result["mistakes"]],
        "calibration": _calibration(result),
        "costs": _costs(result),
    }


def of_numbers(result: Mapping[str, Any]) -> dict[str, Any]:
    """What the templates print of a regression's answers."""
    about = result["residuals"]
    size = words.significant
    return {
        "agreement_chart": _agreement(result),
        "bias": _bias(about),
        "spread": f"half of all predictions are off by less than {size(about['median_size'])}, 9 of 10 by less than "
        f"{size(about['size_90'])}, {100 * about['within_rmse']:.0f} % by no more than the RMSE of "
        f"{size(about['rmse'])}",
        "points_shown": len(about["points"]), "points_all": about["n"],
        "errors": [
            {"id": each["id"], **{key: size(each[key]) for key in ("true", "predicted")},
             "error": words.shown_signed("rmse", each["error"])}
            for each in result["errors"]
        ],
    }  # fmt: skip


def _agreement(result: Mapping[str, Any]) -> Markup:
    """Predicted over true numbers. Predictions far outside the true range lie on the edge."""
    points = result["residuals"]["points"]
    true, predicted = [pair[0] for pair in points], sorted(pair[1] for pair in points)
    ends = [*true, predicted[len(predicted) // 50], predicted[-1 - len(predicted) // 50]]
    air = 0.04 * (max(ends) - min(ends)) or 0.05 * abs(ends[0]) or 1.0
    what = words.target_name(result) or "target"
    return agreement(
        [Spot(*pair) for pair in points], name="agreement", title=f"Predicted over true {words.short(what, 40)}",
        desc="One point for each test example shown; on the dotted line a prediction is exactly right.",
        x_label="true", y_label="predicted", low=min(ends) - air, high=max(ends) + air, width=520, height=440,
    )  # fmt: skip


def _bias(about: Mapping[str, Any]) -> str:
    """Whether predictions lie too high or too low on the whole."""
    mean, low, high = (words.shown_signed("rmse", about[key]) for key in ("mean_error", "mean_low", "mean_high"))
    said = f"the mean error is {mean} ({low} to {high})"
    if about["mean_low"] <= 0 <= about["mean_high"]:
        return f"{said}, so it is not shown that predictions lie too high or too low on the whole"
    return f"{said}: the predictions are too {'high' if about['mean_error'] > 0 else 'low'} on the whole"


def _calibration(result: Mapping[str, Any]) -> dict[str, Any] | None:
    """The reliability chart and what it says; None for older results."""
    about = result.get("calibration")
    if about is None:
        return None
    spots = [
        Spot(
            part["confidence"], part["right"], part["low"], part["high"],
            f"{words.examples(result, part['n'])} with a probability of {words.number(part['confidence'])} "
            f"on average: {words.number(part['right'])} right",
        )
        for part in about["bins"]
    ]  # fmt: skip
    least = min([min(part["confidence"], part["low"]) for part in about["bins"]], default=0.0)
    apart = about["confidence"] - about["right"]
    lean = "surer than it is right" if apart > 0 else "less sure than it is right"
    return {
        "chart": agreement(
            spots, name="calibration", title="Share right over the probability given, with 95 % intervals",
            desc="; ".join(spot.note for spot in spots), x_label="probability given", y_label="share right",
            low=math.floor(10 * least) / 10, high=1.0, width=460, height=380,
        ),
        "ece": words.number(about["ece"]),
        "words": f"on average the network gives its answer a probability of {words.number(about['confidence'])}, and "
        f"{words.number(about['right'])} of the answers are right"
        + (f": it is {lean}" if abs(apart) >= 0.0005 else ""),
    }  # fmt: skip


def _costs(result: Mapping[str, Any]) -> dict[str, Any] | None:
    """The expected cost of the answers; None where no costs were given."""
    about = result.get("costs")
    if about is None:
        return None
    aware = about.get("aware")
    size = words.significant
    rows = [{"name": name, "cells": [words.compact(float(cell)) for cell in row]}
            for name, row in zip(result["classes"], about["matrix"], strict=True)]  # fmt: skip
    return {
        "value": size(about["value"]), "span": f"{size(about['low'])} to {size(about['high'])}", "how": about["how"],
        "n": about["n"], "rows": rows if len(rows) <= COST_CLASSES else [],
        "aware": aware and f"deciding for the lowest expected cost instead would turn "
        f"{words.count(aware['changed'], 'answer')} and cost {size(aware['value'])} "
        f"({size(aware['low'])} to {size(aware['high'])})",
    }  # fmt: skip


def _matrix(result: Mapping[str, Any]) -> dict[str, Any] | None:
    """The confusion matrix with the strength of each cell's shade, as a share of its row."""
    counts = result["confusion"]
    if counts is None or len(counts) > MATRIX_CLASSES:
        return None
    rows = []
    for truth, (name, row) in enumerate(zip(result["classes"], counts, strict=True)):
        total = sum(row)
        cells = [
            {
                "count": amount, "shade": round(100 * amount / total) if total else 0, "is_right": truth == column,
                "words": f"{amount} of {total} {name} called {result['classes'][column]}",
            }
            for column, amount in enumerate(row)
        ]  # fmt: skip
        rows.append({"name": name, "cells": cells, "total": total})
    return {"rows": rows, "totals": [sum(column) for column in zip(*counts, strict=True)]}


def _pairs(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The pairs of classes that are confused most, the most frequent first."""
    counts, classes = result["confusion"] or [], result["classes"]
    found = [
        {"true": classes[t], "predicted": classes[p], "count": amount, "of": sum(row)}
        for t, row in enumerate(counts)
        for p, amount in enumerate(row)
        if t != p and amount
    ]
    return sorted(found, key=lambda pair: (-pair["count"], pair["of"]))[:MOST_PAIRS]


def _class_chart(result: Mapping[str, Any]) -> Markup:
    """The share of each class that was recognised, the hardest first where there are many."""
    classes, many = list(result["per_class"]), words.noun(words.kind_of(result))
    if len(classes) > 8:
        classes.sort(key=lambda each: (2.0 if each["value"] is None else each["value"], each["class"]))
    rows = [
        Row(
            words.inert(each["class"]), each["value"], each["low"] if each["n"] else None,
            each["high"] if each["n"] else None, _class_note(each, many), "each",
        )
        for each in classes
    ]  # fmt: skip
    low = min([each["low"] for each in classes if each["n"]], default=0.0)
    label_width = min(40 + 7 * max(len(row.label) for row in rows), 230)
    return intervals(
        rows, name="classes", title="Share of each class that was recognised, with 95 % intervals",
        desc="; ".join(f"{row.label} {row.note}" for row in rows[:12]), low=max(0.0, low - 0.04), high=1.0,
        width=1040, label_width=label_width, note_width=230, row_height=34 if len(rows) <= 12 else 26,
    )  # fmt: skip


def _class_note(each: Mapping[str, Any], many: str) -> str:
    if not each["n"]:
        return f"no test {many}"
    return f"{each['right']} of {each['n']} · {words.number(each['value'])} ({words.span(each)})"


def _mistake(mistake: Mapping[str, Any], thumbnails: Mapping[str, bytes]) -> dict[str, Any]:
    jpeg = thumbnails.get(mistake["id"])
    source = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}" if jpeg else ""
    return {**mistake, "source": source, "probability": f"{100 * mistake['probability']:.1f} %"}
