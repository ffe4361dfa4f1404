"""The entry of a PostgreSQL database: what it needs, and what it must never show."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from taskmill.registry import Entry
from taskmill.sql import DatabaseError, PostgresDatabase, postgres
from taskmill.sql.postgres import PostgresConfig, Tls
from taskmill.sql.postgres_connect import parts_of
from taskmill.supervisor import Context

SECRET = "s3cret"


def entry(**fields: Any) -> Entry[PostgresConfig]:
    config = PostgresConfig(name="db", kind=PostgresDatabase.kind, **fields)
    return Entry("app:db", config.kind, config, Path("_index.yaml"), 1, Path())


def database(**fields: Any) -> PostgresDatabase:
    return PostgresDatabase(
        entry(**fields), Context({}, lambda *_: None, data_dir=Path(), app_dir=Path("/app"))
    )


def mistakes(**fields: Any) -> Iterator[str]:
    return (mistake.message for mistake in PostgresDatabase.check(entry(**fields)))


def test_it_needs_a_place() -> None:
    assert list(mistakes(url="postgresql://h/d")) == []
    assert list(mistakes(host="h")) == []
    assert list(mistakes()) == ["missing: give the `url`, or `host`, `database`, `username` and `password`"]


def test_without_the_driver_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "find_spec", lambda _: None)
    wanted = '`db.sql.postgres` needs psycopg: pip install "taskmill[postgres]"'
    assert list(mistakes(host="h")) == [wanted]
    with pytest.raises(DatabaseError) as refused:
        asyncio.run(database(host="h").start())
    assert str(refused.value) == wanted


def test_no_secret_is_shown() -> None:
    shown = repr(entry(url=f"postgresql://u:{SECRET}@h/d", password=SECRET).config)
    assert SECRET not in shown
    assert "db" in shown


def test_parts_count_before_those_of_the_url() -> None:
    parts = parts_of(f"postgresql://u:{SECRET}@h:1/d?sslmode=require", {"host": "other", "port": None})
    assert parts == {
        "host": "other",
        "port": "1",
        "user": "u",
        "password": SECRET,
        "dbname": "d",
        "sslmode": "require",
    }


def test_a_url_that_is_none_is_not_shown() -> None:
    with pytest.raises(DatabaseError) as refused:
        parts_of(f"postgresql://u:{SECRET}@[h", {})
    assert SECRET not in str(refused.value)
    assert refused.value.__cause__ is None


def test_tls_files_stand_below_the_application() -> None:
    parts = database(host="h", tls=Tls(ca="ca.pem", certificate="/abs/c.pem", key="k.pem"))._parts()
    assert parts["sslmode"] == "verify-full"
    assert parts["sslrootcert"] == "/app/ca.pem"
    assert parts["sslcert"] == "/abs/c.pem"
    assert parts["sslkey"] == "/app/k.pem"
    assert database(host="h", tls=Tls())._parts()["sslrootcert"] == "system"


def test_stopping_before_it_has_started_does_no_harm() -> None:
    asyncio.run(database(host="h").stop())
