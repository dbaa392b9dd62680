"""Spaces as text, in TOML files and from Python."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from tame.app.api import asked
from tame.core.config import StudyConfig, read_toml
from tame.core.errors import UsageError
from tame.core.space import Choice, Float, Int, Space, parse_dimension, to_text
from tame.core.space_text import read_space, texts_of


@pytest.mark.parametrize(
    ("text", "name", "dimension"),
    [
        ("model.dropout=0..0.5:step=0.1", "model.dropout", Float(0, 0.5, step=0.1)),
        ("batch_size=16..256:log:step=16", "batch_size", Int(16, 256, log=True, step=16)),
        ("optimizer.lr = 1e-4..1 : log : nuisance", "optimizer.lr", Float(1e-4, 1, log=True, purpose="nuisance")),
        ("model.depth=1|2:scientific", "model.depth", Choice(1, 2, purpose="scientific")),
        ("batch_size=32|all", "batch_size", Choice(32, "all")),
        ("augment.flip=yes|no", "augment.flip", Choice(True, False)),
        ("model.name=timm:resnet18|cnn", "model.name", Choice("timm:resnet18", "cnn")),
        ("own.width=16..64", "own.width", Int(16, 64)),
        ("own.width=16.0..64", "own.width", Float(16, 64)),
        ('own.kind="a|b"|"1"|1.5|true', "own.kind", Choice("a|b", "1", 1.5, True)),
        ("optimizer.lr@sgd=1e-3..1:log", "optimizer.lr@sgd", Float(1e-3, 1, log=True)),
        (
            "optimizer.lr@sgd=1e-3..1:log if optimizer.name=momentum|nesterov and recipe.model.depth=2",
            "optimizer.lr@sgd",
            Float(1e-3, 1, log=True, when={"optimizer.name": ("momentum", "nesterov"), "model.depth": 2}),
        ),
        ('own.kind=a|"b if c" if own.x="p and q"', "own.kind", Choice("a", "b if c", when={"own.x": "p and q"})),
    ],
)
def test_a_dimension_is_read_from_text_and_written_again(text, name, dimension):
    assert parse_dimension(text) == (name, dimension)
    assert type(parse_dimension(text)[1]) is type(dimension)
    assert parse_dimension(to_text(name, dimension)) == (name, dimension)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("optimizer.lr=1e-4..", r"cannot read the range '1e-4\.\.' in 'optimizer.lr=1e-4\.\.': write NAME=LOW"),
        ("optimizer.lr=..", r"cannot read the range '\.\.'"),
        ("optimizer.lr=1..0", "not be above the high end"),
        ("optimizer.lr=0..1:step=x", "the step of a range must be numbers, got 'x'"),
        ("optimizer.lr=0..1:step=0.1:step=0.2", "gives its step twice"),
        ("optimizer.lr=1..2:log:linear", "gives its scale twice"),
        ("optimizer.lr=1..2:nuisanse", "cannot read the scale 'nuisanse'"),
        ("optimizer.lr=1..2 if", "cannot read"),
        ("optimizer.lr=1..2 if x", "cannot read the condition 'x' .* write \"if FIELD=VALUE"),
        ("optimizer.lr=1..2 if a=1 if b=2", "cannot read the space"),
        ("optimizer.lr=1..2 if own.a=1 and own.a=2", r"names own.a twice; write own.a=VALUE\|VALUE"),
        ("optimizer.lr=1|", "a value is missing"),
        ('own.kind="a', "quotes are closed"),
        ("own.kind=nan", "finite numbers, text"),
        ("batch_size=16..64:step=1.5", "the step of a range of whole numbers must be whole"),
    ],
)
def test_text_that_cannot_be_read_is_refused_with_the_right_form(text, words):
    with pytest.raises(UsageError, match=words):
        parse_dimension(text)


def test_the_error_names_which_of_several_texts_is_wrong():
    for text in ("model.dropout=nan..1", "model.dropout=0.3..0.1", "model.dropout=0..1:log", "model.dropout=0.1|0.1"):
        with pytest.raises(UsageError, match=r"model\.dropout"):
            parse_dimension(text)


TABLES = """
[space]
"model.hidden" = "0|64"
epochs = 7
augment.flip = {values = [true, false]}
[space.optimizer]
name = {values = ["adamw", "momentum"]}
"lr@adamw" = {low = 1e-4, high = 1e-2, log = true, purpose = "nuisance"}
"lr@fast" = {low = 0.1, high = 1, step = 0.1, when = {optimizer.name = "momentum"}}
[space."own.units"]
low = 1
high = 9
[space.own]
slope = {low = 1, high = 9.0}
low = "1..3"
"""
READ = {
    "model.hidden": Choice(0, 64),
    "epochs": Choice(7),
    "augment.flip": Choice(True, False),
    "optimizer.name": Choice("adamw", "momentum"),
    "optimizer.lr@adamw": Float(1e-4, 1e-2, log=True, purpose="nuisance"),
    "optimizer.lr@fast": Float(0.1, 1, step=0.1, when={"optimizer.name": "momentum"}),
    "own.units": Int(1, 9),
    "own.slope": Float(1, 9),
    "own.low": Int(1, 3),
}


def test_a_folder_is_not_a_space(tmp_path):
    with pytest.raises(UsageError, match=r"is a folder; a space is a TOML file of dimensions, or one dimension"):
        read_space(tmp_path)


def test_a_space_is_read_from_toml_in_a_config_and_in_a_file_of_its_own(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text(TABLES)
    assert dict(map(parse_dimension, read_space(path))) == READ
    assert read_toml(path)["space"] == read_space(path)
    config = StudyConfig.from_json({"data": "x", **read_toml(path)})
    assert StudyConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    path.write_text('"optimizer.lr" = "1e-3..1"\n')
    assert read_space(path) == ("optimizer.lr=1e-3..1",)
    path.write_text('space = ["optimizer.lr=1e-3..1", "epochs=1..3"]\n')
    assert read_space(path) == ("optimizer.lr=1e-3..1", "epochs=1..3")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            '"optimizer.lr" = {low = 1, hihg = 2}',
            "optimizer.lr: no key of a dimension named 'hihg'; did you mean 'high'",
        ),
        ('"optimizer.lr" = {low = 1}', "optimizer.lr needs either low and high or values, got low"),
        ('"optimizer.lr" = {}', "needs either low and high or values, got neither"),
        ('"optimizer.lr" = {values = [1], low = 1}', "needs either low and high or values"),
        ('"optimizer.lr" = {low = "1e-4", high = 1}', "optimizer.lr: the ends of a range must be numbers, got '1e-4'"),
        ('"optimizer.lr" = {low = 1, high = 2, log = "yes"}', "log is True or False, got 'yes'"),
        ('"optimizer.lr" = {low = 1, high = 2, when = "sgd"}', "when must be a table of fields, got 'sgd'"),
        ('"optimizer.lr" = {low = 1, high = 2, when = {optimizer.nam = "sgd"}}', "did you mean 'optimizer.name'"),
        ('"optimizer.lr" = {values = 3}', "values must be a list, got 3"),
        ('"optimizer.lr" = {values = []}', "at least one value"),
        ('"optimizer.lr" = {values = ["a"]}', "optimizer.lr must be a number, got 'a'"),
        ('"optimizer.lr" = [1e-4, 1]', r"write \"LOW\.\.HIGH\", \{low = LOW, high = HIGH\} or"),
        ('"optimizer.l" = {low = 1, high = 2}', "no recipe field named 'optimizer.l'; did you mean 'optimizer.lr'"),
        ('"epochs" = {low = 1.5, high = 2}', "epochs must be a whole number, got 1.5"),
        ("epochs = 2024-01-01", "epochs is datetime.date"),
        ("space = 5", "space must be a table of dimensions, got 5"),
        ("space = [5]", "the space has 5; give texts"),
        ("trials = 5\n[space]\nepochs = 3", "more than a space: trials; give a file of settings with --config"),
        ("= 5", "is not a TOML file of dimensions"),
        ("", "contains no dimension"),
        ("[space]", "contains no dimension"),
        ("x = " + "[" * 100_000, "nested too deep"),
        ("a." * 3000 + "b = 1", "nested too deep"),
    ],
)
def test_toml_that_is_not_a_space_is_refused_with_its_place(tmp_path, text, words):
    path = tmp_path / "space.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=words) as caught:
        read_space(path)
    assert "space.toml" in str(caught.value)


def test_the_page_on_spaces_says_the_same_in_its_three_forms():
    page = (Path(__file__).parents[2] / "docs" / "search.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| [a-z ]+ \| `(.+)` \| `(.+)` \| `(.+)` \|$", page.replace("\\|", "|"), re.MULTILINE)
    assert len(rows) == 6
    for text, _, toml in rows:
        name, dim = parse_dimension(text)
        (other,) = texts_of(tomllib.loads(f'"{name}" = {toml}'), where="docs")
        assert parse_dimension(other) == (name, dim)
    (block,) = re.findall(r"```toml\n(\[space\].+?)```", page, re.DOTALL)
    Space(dict(map(parse_dimension, texts_of(tomllib.loads(block)["space"], where="docs"))))


def test_a_config_refuses_a_field_that_is_fixed_and_searched_under_a_label():
    with pytest.raises(UsageError, match=r"optimizer\.lr is fixed with --set and searched with --space"):
        StudyConfig(data="x", set={"optimizer.lr": 0.1}, space=("optimizer.lr@adamw=0.1..1",))
    with pytest.raises(UsageError, match=r"the space of optimizer\.lr@adamw is given twice"):
        StudyConfig(data="x", space=("optimizer.lr@adamw=0.1..1", "optimizer.lr@adamw=0.1..1"))
    StudyConfig(data="x", space=("optimizer.lr@adamw=0.1..1",))  # the choice may be in the preset


def test_dimensions_given_from_python_keep_everything():
    def build(kind, width=8):
        raise AssertionError

    space = {
        "kind": Choice("a|b", "1", "deep", True),
        "width@deep": Int(8, 64, log=True, step=8),
        "optimizer.lr": Float(1, 2, when={"kind": "a|b"}, purpose="scientific"),
        "width@x": Float(16.0, 32.0, when={"kind": "1"}),
    }
    texts, _ = asked(build, space, None, None)
    read = dict(map(parse_dimension, texts))
    assert read == {
        "own.kind": space["kind"],
        "own.width@deep": space["width@deep"],
        "optimizer.lr": Float(1, 2, when={"own.kind": "a|b"}, purpose="scientific"),
        "own.width@x": Float(16.0, 32.0, when={"own.kind": "1"}),
    }
    Space(read)
    with pytest.raises(UsageError, match="epochs is a whole number"):
        asked(None, {"epochs": Float(5, 40)}, None, None)
