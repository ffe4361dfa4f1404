"""A task that is submitted in the caller's own transaction is there if, and only if, that transaction commits."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import psycopg
import pytest
import sqlalchemy
from servers.postgres import PostgresServer, postgres_server
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session

from taskmill import action
from taskmill.client import sql
from taskmill.tasks.lifecycle import Status
from taskmill.tasks.rows.schema import MIGRATIONS
from taskmill.tasks.sealing.keys import Keyring, new_key


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture
def url(postgres: PostgresServer) -> Iterator[str]:
    """A database with the tables of the task queue, and one of its user's."""
    made = postgres.create()
    with psycopg.connect(made) as connection:
        for migration in MIGRATIONS:
            connection.execute(migration.sql.get("postgresql", "").encode())
        connection.execute("CREATE TABLE orders (id int)")
    yield made
    postgres.drop(made)


def found(url: str) -> dict[str, tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT id, action, queue, data, status, max_attempts, rank, created_at, priority, run_at, tags FROM task"
        ).fetchall()
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (len(rows),)
    return {str(UUID(bytes=row[0])): row[1:] for row in rows}


def engine_url(url: str) -> str:
    return url.replace("postgresql:", "postgresql+psycopg:")


ORDER = "INSERT INTO orders VALUES (1)"
SUBMITTED = ("uppercase", {"text": "hi"})


def through_psycopg(url: str, *, commit: bool) -> str:
    with psycopg.connect(url) as connection:
        connection.execute(ORDER)
        id_ = sql.submit(connection, *SUBMITTED)
        if not commit:
            connection.rollback()
    return id_


def through_engine(url: str, *, commit: bool) -> str:
    engine = sqlalchemy.create_engine(engine_url(url))
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(ORDER))
        id_ = sql.submit(connection, *SUBMITTED)
        connection.commit() if commit else connection.rollback()
    engine.dispose()
    return id_


def through_orm(url: str, *, commit: bool) -> str:
    engine = sqlalchemy.create_engine(engine_url(url))
    with Session(engine) as session:
        session.execute(sqlalchemy.text(ORDER))
        id_ = sql.submit(session, *SUBMITTED)
        session.commit() if commit else session.rollback()
    engine.dispose()
    return id_


def through_async_psycopg(url: str, *, commit: bool) -> str:
    async def main() -> str:
        async with await psycopg.AsyncConnection.connect(url) as connection:
            await connection.execute(ORDER)
            id_ = await sql.submit_async(connection, *SUBMITTED)
            if not commit:
                await connection.rollback()
        return id_

    return asyncio.run(main())


def through_async_engine(url: str, *, commit: bool) -> str:
    async def main() -> str:
        engine = create_async_engine(engine_url(url))
        async with engine.connect() as connection:
            await connection.execute(sqlalchemy.text(ORDER))
            id_ = await sql.submit_async(connection, *SUBMITTED)
            await (connection.commit() if commit else connection.rollback())
        await engine.dispose()
        return id_

    return asyncio.run(main())


def through_asyncpg(url: str, *, commit: bool) -> str:
    async def main() -> str:
        connection = await asyncpg.connect(url)
        try:
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute(ORDER)
            id_ = await sql.submit_async(connection, *SUBMITTED)
            await (transaction.commit() if commit else transaction.rollback())
        finally:
            await connection.close()
        return id_

    return asyncio.run(main())


WAYS = [
    through_psycopg,
    through_engine,
    through_orm,
    through_async_psycopg,
    through_async_engine,
    through_asyncpg,
]


@pytest.mark.parametrize("way", WAYS)
def test_a_task_is_there_if_and_only_if_its_transaction_commits(url: str, way: Any) -> None:
    way(url, commit=False)
    assert found(url) == {}
    id_ = way(url, commit=True)
    ((action, queue, data, status, attempts, rank, created_at, *_),) = (found(url)[id_],)
    assert (action, queue, data) == ("uppercase", "tasks", '{"text":"hi"}')
    assert (status, attempts, rank) == (Status.QUEUED.value, 3, created_at)
    assert abs(created_at / 1000 - datetime.now(UTC).timestamp()) < 60
    assert list(found(url)) == [id_]


def test_options_are_stored(url: str) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    with psycopg.connect(url) as connection:
        for _ in range(2):
            connection.execute(ORDER)
        first = sql.submit(connection, "a", [1], queue="mail", priority=9, tags=["x"], max_attempts=1)
        second = sql.submit(connection, "a", run_at=at)
    rows = found(url)
    _, queue, data, status, attempts, rank, created_at, priority, _, tags = rows[first]
    assert (queue, data, status, attempts, priority, tags) == (
        "mail",
        "[1]",
        Status.QUEUED.value,
        1,
        9,
        '["x"]',
    )
    assert rank == created_at - 9 * 600_000
    _, _, data, status, _, rank, _, _, run_at, _ = rows[second]
    assert (data, status, rank, run_at) == ("{}", Status.SCHEDULED.value, run_at, int(at.timestamp() * 1000))


@action(max_attempts=7, priority=2)
def shout(text: str) -> str:
    return text.upper()


def test_an_action_brings_its_schema_and_its_options(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(ORDER)
        id_ = sql.submit(connection, shout, {"text": "hi"})
        with pytest.raises(msgspec.ValidationError, match=r"\$\.text"):
            sql.submit(connection, shout, {"text": 5})
    row = found(url)[id_]
    assert (row[0], row[4], row[7]) == ("shout", 7, 2)


def test_what_an_action_has_indexed_is_found(url: str) -> None:
    bill = action(index=["data.customer"])(_bill)
    with psycopg.connect(url) as connection:
        id_ = sql.submit(connection, bill, {"customer": 42})
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT path, value, task_id FROM task_index").fetchall()
    assert rows == [("data.customer", "42", UUID(id_).bytes)]


async def _bill(customer: int) -> None: ...


def test_what_cannot_be_is_refused_and_says_why(url: str) -> None:
    with psycopg.connect(url) as connection:
        with pytest.raises(msgspec.ValidationError, match="colour"):
            sql.submit(connection, "a", colour="red")
        with pytest.raises(ValueError, match=r"U\+0000"):
            sql.submit(connection, "a", {"text": "\0"})
    with pytest.raises(TypeError, match="no connection that is known"):
        sql.submit(object(), "a")
    lite = sqlalchemy.create_engine("sqlite://")
    with lite.connect() as connection, pytest.raises(ValueError, match="over HTTP"):
        sql.submit(connection, "a")

    async def asynchronous() -> None:
        async with await psycopg.AsyncConnection.connect(url) as connection:
            with pytest.raises(TypeError, match="submit_async"):
                sql.submit(connection, "a")

    asyncio.run(asynchronous())


def test_data_is_encrypted_where_the_keys_are_given(url: str) -> None:
    keys = new_key("k")
    with psycopg.connect(url) as connection:
        connection.execute(ORDER)
        sealed = sql.submit(connection, *SUBMITTED, encrypt=keys)
        connection.execute(ORDER)
        plain = sql.submit(connection, *SUBMITTED)
    stored = {id_: row[2] for id_, row in found(url).items()}
    assert (stored[sealed][:6], Keyring.of(keys).open(stored[sealed])) == ("tm1:k:", stored[plain])
