"""Descriptions of models with a value that cannot be: refused when they are read, or as good as they were."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from tame.core.errors import TameError
from tame.kinds.materials import prediction_of, read_model

OLD = Path(__file__).parents[1] / "data" / "old_studies"  # their models have no hash of the description
GIVEN = {"table": ("table", "rows.csv"), "pictures": ("pictures-study", "new")}
ODD = (None, True, -1, 0, 3.5, 2**70, 1e308, float("nan"), "", "../../x", "\x1b[2J", [], {}, [[]], {"a": 1}, ["x"] * 3)


def spots(value, path=()):
    """The places in a JSON value, of lists the first two."""
    yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, part in parts:
        yield from spots(part, (*path, key))


def put(value, path, new):
    """The JSON value with another one at this place."""
    if not path:
        return new
    changed = value.copy()
    changed[path[0]] = put(value[path[0]], path[1:], new)
    return changed


def is_refused(folder, given):
    """Whether a model folder is refused; False where it predicts."""
    try:
        network = read_model(folder)
        prediction_of(network.kind).of_paths(network, [given])
    except TameError:
        return True
    return False


def opened(name, folder):
    """The description of an old study's model, and what it may predict."""
    with zipfile.ZipFile(OLD / f"{name}.zip") as archive:
        archive.extractall(folder)
    study, given = GIVEN[name]
    return folder / study / "model" / "model.json", folder / given


@pytest.mark.parametrize("name", GIVEN)
@pytest.mark.parametrize("start", [pytest.param(start, marks=pytest.mark.slow if start else ()) for start in range(16)])
def test_a_poisoned_description_is_refused_or_predicts(name, start, tmp_path):
    file, given = opened(name, tmp_path)
    text = file.read_text()
    about = json.loads(text)
    places = [path for path in spots(about) if path[:1] not in (("recipe",), ("backbone",), ("weights",))]
    refused = 0
    for number, path in enumerate(places):
        file.write_text(json.dumps(put(about, path, ODD[(number + start) % len(ODD)])))
        refused += is_refused(file.parent, given)
    assert refused > len(places) // 4
    file.write_text(text)
    assert not is_refused(file.parent, given)


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("table", ("prepared", "beside"), 3), ("table", ("prepared", "columns"), 3.5), ("table", ("prepared",), {}),
        ("table", ("prepared", "encoder"), None), ("table", ("prepared", "encoder", "columns"), []),
        ("table", ("prepared", "model_columns", "dense"), 0),
        ("table", ("labels",), ["a", "a"]), ("table", ("task",), "binary"), ("pictures", ("prepared",), [1]),
        ("pictures", ("shortest",), -1), ("pictures", ("run",), 3), ("pictures", ("labels",), [1, 2]),
    ],
)  # fmt: skip
def test_what_is_prepared_is_looked_at_when_a_model_is_read(name, path, value, tmp_path):
    file, _ = opened(name, tmp_path)
    about = json.loads(file.read_text())
    file.write_text(json.dumps(put(about, path, value)))
    with pytest.raises(TameError):
        read_model(file.parent)
