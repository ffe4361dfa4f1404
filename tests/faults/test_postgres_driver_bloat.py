"""Messages pass through PostgreSQL while another session holds an old snapshot, so that no dead row can be removed.

`TASKMILL_MESSAGES` says how many. Printed is how long a claim of up to a hundred takes as the dead rows pile up: the
usual one, which begins after the last, and the one that looks through the whole queue now and then.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import psycopg
import pytest
from driver_nodes import PostgresNode
from queue_worker import Worker, opened, started, until
from servers.postgres import PostgresServer, postgres_server
from sqlalchemy import ClauseElement

from taskmill.queue import Message
from taskmill.queue.drivers import postgres_rows as rows
from taskmill.sql.database import Transaction

pytestmark = pytest.mark.fault

MESSAGES = int(os.environ.get("TASKMILL_MESSAGES", "20000"))
AT_ONCE = 1_000
CREDIT = 100
PARTS = 5  # of which each has a line


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


class Clock:
    """Measures the claims that go through a database, each by itself, without what shares its commit."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.usual: list[float] = []  # seconds
        self.whole: list[float] = []
        fetch = Transaction.fetch

        def timed(transaction: Transaction, statement: ClauseElement, **values: Any) -> list[Any]:
            begun = time.perf_counter()
            found = fetch(transaction, statement, **values)
            if statement is rows.CLAIM:
                (self.usual if values["after_"] else self.whole).append(time.perf_counter() - begun)
            return found

        monkeypatch.setattr(Transaction, "fetch", timed)

    def take(self) -> tuple[float, float]:
        """Return the median of each kind since the last call, in milliseconds."""
        usual, self.usual = self.usual, []
        whole, self.whole = self.whole, []
        return median(usual or [0]) * 1000, median(whole or [0]) * 1000


def size(url: str) -> tuple[float, int]:
    """Return the size of the table with its index, in MB, and its dead rows."""
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute(
            "SELECT pg_total_relation_size('taskmill_message'), n_dead_tup FROM pg_stat_user_tables "
            "WHERE relname = 'taskmill_message'"
        ).fetchone()
        assert found is not None
        return found[0] / 1e6, found[1]


def passing(url: str, clock: Clock, note: Callable[[int, float, float], None]) -> float:
    """Let messages pass; return how many a second."""

    async def scenario() -> float:
        async with started(PostgresNode(url)) as node:
            channel = await opened(node, "bloat")
            worker = Worker(channel, credit=CREDIT, work=0)
            begun = time.monotonic()
            for count in range(AT_ONCE, MESSAGES + 1, AT_ONCE):
                await channel.publish([Message(str(count - i), '{"task": "0190"}') for i in range(AT_ONCE)])
                await until(lambda: len(worker.came) >= count)  # noqa: B023 - within the round
                if count % (MESSAGES // PARTS) == 0:
                    note(count, *clock.take())
            assert len(worker.came) == len(set(worker.ids)) == MESSAGES, "each came once"
            return MESSAGES / (time.monotonic() - begun)

    return asyncio.run(asyncio.wait_for(scenario(), 60 + MESSAGES / 1000))


@pytest.mark.timeout(120 + MESSAGES // 500)
@pytest.mark.parametrize("held", [False, True], ids=["free", "old snapshot"])
def test_claims_stay_quick_while_dead_rows_pile_up(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch, held: bool
) -> None:
    url = server.create()
    with psycopg.connect(url) as old:
        if held:
            old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            old.execute("SELECT 1").fetchall()  # from now on nothing that dies may be removed
        clock = Clock(monkeypatch)
        medians: list[float] = []

        def note(count: int, usual: float, whole: float) -> None:
            medians.append(usual)
            megabytes, dead = size(url)
            print(
                f"{'old snapshot' if held else 'no snapshot'}, {count} messages passed: a claim {usual:.2f} ms, "
                f"through the whole queue {whole:.1f} ms, table {megabytes:.0f} MB, {dead} dead rows"
            )

        rate = passing(url, clock, note)
        print(f"{rate:.0f} messages a second")
        assert medians[-1] < 3 * medians[0] + 2, "a claim has to pass over what is dead"
        old.rollback()
    server.drop(url)
