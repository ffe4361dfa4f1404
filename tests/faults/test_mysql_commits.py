"""Commits on MySQL beside other transactions, and over connections that end: tried again, or of unknown outcome."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

import pymysql
import pytest
from mysql_load import opened, query
from servers.mariadb import MariadbServer
from servers.proxy import Proxy

from taskmill.sql import DatabaseUnavailable, Transaction, mysql_connect, mysql_transactor
from taskmill.tasks.rows import statements

pytestmark = pytest.mark.fault

PAUSES = "SELECT queue, paused_by FROM pause ORDER BY queue"


def pause(transaction: Transaction, queue: str, by: str = "me") -> int:
    return transaction.change(statements.PAUSE, queue_=queue, paused_at_=1, paused_by_=by)


@contextlib.contextmanager
def beside(mariadb: MariadbServer, url: str) -> Any:
    """Another transaction, of the administrator."""
    connection = pymysql.connect(
        host="127.0.0.1", port=mariadb.port, user="root", database=url.rpartition("/")[2], read_timeout=30
    )
    with contextlib.closing(connection), connection.cursor() as cursor:
        yield cursor.execute, connection


def change(queue: str, by: str) -> str:
    return f"UPDATE pause SET paused_by = CONCAT(paused_by, '{by}') WHERE queue = '{queue}'"


def test_a_deadlock_is_tried_again_unseen(mariadb: MariadbServer, mariadb_url: str) -> None:
    tries = 0

    async def main() -> None:
        async with opened(mariadb_url) as database:
            await database.write(lambda transaction: [pause(transaction, queue) for queue in ("a", "b")])
            with beside(mariadb, mariadb_url) as (execute, other):
                execute(change("b", "2"))
                # The server ends the transaction that has changed less: this one must not.
                execute(
                    "INSERT INTO idempotency VALUES " + ",".join(f"('{n}', '', '', 0)" for n in range(100))
                )
                waits = threading.Thread(target=execute, args=[change("a", "2")])

                def call(transaction: Transaction) -> int:
                    nonlocal tries
                    tries += 1
                    connection = transaction._connection
                    if tries == 2:
                        waits.join(10)
                        other.commit()
                    connection.execute(change("a", "1"))
                    if tries == 1:
                        waits.start()
                    connection.execute(change("b", "1"))
                    return tries

                assert await database.write(call) == 2
            assert query(mariadb_url, PAUSES) == (("a", "me21"), ("b", "me21"))

    asyncio.run(main())


def test_a_row_that_is_held_is_waited_for(
    mariadb: MariadbServer, mariadb_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mysql_connect, "LOCK_SECONDS", 1)
    tries = 0

    async def main() -> None:
        async with opened(mariadb_url) as database:
            await database.write(lambda transaction: pause(transaction, "a"))
            with beside(mariadb, mariadb_url) as (execute, other):
                execute(change("a", "2"))

                def call(transaction: Transaction) -> int:
                    nonlocal tries
                    tries += 1
                    if tries == 3:
                        other.commit()
                    pause(transaction, f"with {tries}")
                    return int(transaction._connection.execute(change("a", "1")).rowcount)

                assert await database.write(call) == 1
            assert tries == 3
            assert query(mariadb_url, PAUSES) == (("a", "me21"), ("with 3", "me"))

    asyncio.run(main())


def test_a_row_that_is_held_for_too_long_is_unavailable(
    mariadb: MariadbServer, mariadb_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mysql_connect, "LOCK_SECONDS", 1)
    monkeypatch.setattr(mysql_transactor, "PATIENCE", 1.5)

    async def main() -> None:
        async with opened(mariadb_url) as database:
            await database.write(lambda transaction: pause(transaction, "a"))
            with beside(mariadb, mariadb_url) as (execute, _):
                execute(change("a", "2"))
                with pytest.raises(DatabaseUnavailable, match="Lock wait timeout"):
                    await database.write(
                        lambda transaction: transaction.change(statements.RESUME, queue_="a")
                    )
            assert (
                await database.write(lambda transaction: transaction.change(statements.RESUME, queue_="a"))
                == 1
            )

    asyncio.run(main())


@pytest.mark.parametrize("when", ["before", "between"])
def test_a_connection_that_ends_before_the_commit_is_unseen(
    mariadb: MariadbServer, mariadb_url: str, when: str
) -> None:
    tries = 0

    async def main() -> None:
        async with opened(mariadb_url) as database:

            def end(connection: Any) -> None:
                ((number,),) = connection.execute("SELECT CONNECTION_ID()").fetchall()
                mariadb.execute(f"KILL {number}")

            def call(transaction: Transaction) -> int:
                nonlocal tries
                tries += 1
                pause(transaction, "a")
                if when == "between" and tries == 1:
                    end(transaction._connection)
                return pause(transaction, "b")

            if when == "before":
                with contextlib.suppress(DatabaseUnavailable):
                    await database.write(lambda transaction: end(transaction._connection))
            assert await database.write(call) == 1
            assert query(mariadb_url, PAUSES) == (("a", "me"), ("b", "me"))
        assert tries == (2 if when == "between" else tries)

    asyncio.run(main())


@pytest.mark.parametrize("lost", ["the answer", "the commit"])
def test_a_commit_whose_answer_does_not_come_is_reported_to_nobody(
    mariadb: MariadbServer, mariadb_url: str, lost: str
) -> None:
    def through(proxy: Proxy, break_: Callable[[], None]) -> Any:
        async def main() -> None:
            async with opened(mariadb_url.replace(f":{mariadb.port}/", f":{proxy.port}/")) as database:

                def call(transaction: Transaction) -> None:
                    pause(transaction, "a")
                    # Alone in its commit, the call is followed by nothing but that.
                    break_()

                with pytest.raises(DatabaseUnavailable, match="did not say whether it has committed"):
                    await asyncio.gather(database.write(call), _cut(proxy))
                proxy.flow()
                assert await database.write(lambda transaction: pause(transaction, "b")) == 1

        return main()

    async def _cut(proxy: Proxy) -> None:
        await asyncio.sleep(0.5)  # long enough for a commit whose answer is held
        await asyncio.to_thread(proxy.cut)

    with Proxy(mariadb.port) as proxy:
        direction = "to client" if lost == "the answer" else "to server"
        asyncio.run(through(proxy, lambda: proxy.dry(direction)))  # type: ignore[arg-type]
    there = query(mariadb_url, PAUSES)
    assert there == ((("a", "me"),) if lost == "the answer" else ()) + (("b", "me"),)


def test_a_circle_of_a_name_and_a_row_is_broken(mariadb: MariadbServer, mariadb_url: str) -> None:
    def change_by(by: str) -> Callable[[Any], None]:
        return lambda connection: connection.execute(change("a", by))

    async def main() -> None:
        async with opened(mariadb_url) as one, opened(mariadb_url) as other:
            await one.write(lambda transaction: pause(transaction, "a"))
            both = threading.Barrier(2, timeout=10)
            first = {"name first": True, "row first": True}

            def named(connection: Any) -> None:
                one.serialize(connection, "x")

            def in_order(label: str, *steps: Callable[[Any], None]) -> Callable[[Transaction], None]:
                def call(transaction: Transaction) -> None:
                    steps[0](transaction._connection)
                    if first.pop(label, False):
                        both.wait()
                    steps[1](transaction._connection)

                return call

            began = time.monotonic()
            await asyncio.gather(
                one.write(in_order("name first", named, change_by("1"))),
                other.write(in_order("row first", change_by("2"), named)),
            )
            assert time.monotonic() - began < mysql_connect.LOCK_SECONDS
        ((_, by),) = query(mariadb_url, PAUSES)
        assert sorted(by) == sorted("me12")

    asyncio.run(main())


def test_nothing_is_left_locked_by_name(mariadb: MariadbServer, mariadb_url: str) -> None:
    async def main() -> None:
        async with opened(mariadb_url) as one, opened(mariadb_url) as other:

            def call(transaction: Transaction, fails: bool) -> None:
                one.serialize(transaction._connection, "x")
                if fails:
                    raise LookupError

            with pytest.raises(LookupError):
                await one.write(lambda transaction: call(transaction, fails=True))
            await asyncio.gather(
                *(
                    database.write(lambda t: call(t, fails=False))
                    for database in (one, other)
                    for _ in range(20)
                )
            )

    asyncio.run(asyncio.wait_for(main(), 20))
