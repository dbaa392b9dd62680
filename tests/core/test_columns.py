"""What a user says of columns, in each place where it is said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tame.core.columns import SAYABLE, parse_columns, write_columns
from tame.core.config import StudyConfig, command_of, config_of
from tame.core.errors import UsageError


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.sampled_from(SAYABLE), max_size=5))
def test_what_is_written_is_read_again(columns):
    assert parse_columns(write_columns(columns)) == columns
    config = StudyConfig(data="a.csv", columns=columns)
    assert StudyConfig.from_json(config.to_json()) == config


def test_flags_files_and_python_say_the_same(tmp_path):
    wanted = {"year": "category", "id": "ignore", "a=b": "number:comma"}
    flags = config_of({"data": ("a.csv",), "columns": tuple(f"{name}={kind}" for name, kind in wanted.items())})
    file = tmp_path / "tame.toml"
    file.write_text('data = "a.csv"\n[columns]\nyear = "category"\nid = "ignore"\n"a=b" = "number:comma"\n')
    assert flags == config_of({}, file) == StudyConfig(data="a.csv", columns=wanted)
    assert "--column year=category --column id=ignore --column a=b=number:comma" in command_of(flags)
    assert "--column" not in command_of(StudyConfig(data="a.csv"))


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (("year",), "cannot read 'year': write COLUMN=KIND"), (("=number",), "cannot read '=number'"),
        (("a=categroy",), "column 'a': no kind named 'categroy'; did you mean 'category'"),
        (("a=number", "a=date"), "column 'a' is given twice"),
    ],
)  # fmt: skip
def test_what_cannot_be_said_is_refused(texts, words):
    with pytest.raises(UsageError, match=words):
        parse_columns(texts)


def test_values_of_other_types_are_refused(tmp_path):
    file = tmp_path / "tame.toml"
    file.write_text('data = "a.csv"\ncolumns = ["year"]\n')
    with pytest.raises(UsageError, match="columns must be a table of kinds by name"):
        config_of({}, file)
    for columns in (["year"], {"year": 3}, {"": "number"}):
        with pytest.raises(UsageError):
            StudyConfig(data="a.csv", columns=columns)
