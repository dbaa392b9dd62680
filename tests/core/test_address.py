"""The address of a server: what is taken, and what is refused without a word of the password."""

from __future__ import annotations

import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tame.core.address import require_address
from tame.core.config import StudyConfig, command_of
from tame.core.errors import UsageError


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://ann@db.example/tame", "postgresql://db.example:5433/tame", "postgresql://[::1]:5432/tame",
        "postgresql:///tame", "postgresql://?service=studies", "postgresql://ann@/tame?host=/run/postgresql",
        "postgresql://ann%40corp@db.example/tame?sslmode=verify-full&connect_timeout=5",
    ],
)  # fmt: skip
def test_an_address_without_a_password_is_taken(address):
    require_address(address)
    assert StudyConfig(data="x", store=address).to_json()["store"] == address


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("mysql://ann@db.example/tame", "cannot be kept in a mysql database"),
        ("postgres://ann@db.example/tame", "cannot be kept in a postgres database"),
        ("postgresql+psycopg2://db.example/tame", r"cannot be kept in a postgresql\+psycopg2 database"),
        ("sqlite:///study.db", "cannot be kept in a sqlite database"),
        ("study.db", "cannot read the address"),
        ("", "cannot read the address"),
        ("postgresql://db.example:port/tame", "cannot read the address"),
        ("postgresql://[::1/tame", "cannot read the address"),
        ("postgresql://db.example/tame?sslmode", "cannot read the address"),
        ("postgresql://db.example/tame\n", "cannot read the address"),
    ],
)
def test_another_address_is_refused_with_what_would_be_right(address, words):
    with pytest.raises(UsageError, match=words) as refused:
        StudyConfig(data="x", store=address)
    assert "write postgresql://USER@HOST/DATABASE" in str(refused.value)


SECRET = "s3cr3tword"


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://ann:{SECRET}@db.example/tame", f"postgresql://:{SECRET}@db.example/tame",
        f"postgresql://db.example/tame?password={SECRET}", f"postgresql://db.example/tame?PassWord={SECRET}",
        f"postgresql://db.example/tame?sslpassword={SECRET}", f"postgresql://ann:{SECRET}/x@db.example/tame",
        f"postgresql://ann:12/{SECRET}@db.example/tame", f"postgresql://ann:12?{SECRET}@db.example/tame",
        f"postgresql://ann:12#{SECRET}@db.example/tame", f"postgresql://ann:{SECRET}#@db.example/tame",
        f"ann:{SECRET}@db.example/tame", f"mysql://ann:{SECRET}@db.example/tame", f"{SECRET} postgresql://x",
    ],
)  # fmt: skip
def test_an_address_with_a_password_is_refused_and_not_repeated(address):
    with pytest.raises(UsageError, match="PGPASSWORD") as refused:
        require_address(address)
    assert SECRET not in "".join(traceback.format_exception(refused.value))


@given(st.text(max_size=40), st.text(min_size=4, max_size=20, alphabet="abcdef#?/@:%&= "))
def test_whatever_is_taken_has_no_password_for_the_driver_either(user, word):
    sqlalchemy = pytest.importorskip("sqlalchemy")
    address = f"postgresql://{user}:{word}@db.example/tame"
    try:
        require_address(address)
    except UsageError:
        return
    assert sqlalchemy.make_url(address).password is None


def test_the_command_that_reproduces_a_study_names_no_server():
    config = StudyConfig(data="x", store="postgresql://ann@db.example/tame")
    assert command_of(config) == command_of(StudyConfig(data="x"))
