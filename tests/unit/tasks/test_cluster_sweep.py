"""What a dead node had in hand waits again, or has failed where no attempt is left; what others have is left alone."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from clustering import on_loop_with_path
from sqlalchemy import insert, select

from taskmill.registry import Entry
from taskmill.sql import SqliteDatabase, migrate
from taskmill.sql.sqlite import SqliteConfig
from taskmill.supervisor import Context
from taskmill.tasks.cluster import beat as beats
from taskmill.tasks.cluster.beat import Details
from taskmill.tasks.cluster.sweep import AT_ONCE, Sweep
from taskmill.tasks.lifecycle import Status
from taskmill.tasks.message import Dispatchable
from taskmill.tasks.rows.over import Over
from taskmill.tasks.rows.schema import COMPONENT, MIGRATIONS, attempt, task

LEADER, OTHER, DEAD = b"L" * 16, b"O" * 16, b"D" * 16


def leading() -> Any:
    """Return what the sweep needs of a node that leads."""
    return SimpleNamespace(id=LEADER, leadership=SimpleNamespace(fence=1, is_leader=True), buried=[])


class Stage:
    """A database with two nodes that live, the first of which leads, and what the sweep has told."""

    def __init__(self, database: SqliteDatabase) -> None:
        self.database = database
        self.nodes = leading()
        self.returned: list[Dispatchable] = []
        self.ended: list[Over] = []
        self.sweep = Sweep(database, self.nodes, self.returned.extend, self.ended.extend)
        self._number = 0

    async def put(self, status: Status, node: bytes | None, attempts: int = 0, of: int = 3) -> bytes:
        self._number += 1
        key = self._number.to_bytes(16)
        values = {
            "id": key, "action": "a", "queue": "tasks", "data": "{}", "status": status.value, "attempt": attempts,
            "max_attempts": of, "created_at": 1, "started_at": 5, "rank": 7, "node": node,
        }  # fmt: skip
        await self.database.write(lambda transaction: transaction.change(insert(task).values(**values)))
        return key

    async def rows(self) -> dict[bytes, tuple[Any, ...]]:
        columns = (task.c.id, task.c.status, task.c.attempt, task.c.node, task.c.error)
        rows = await self.database.write(lambda transaction: transaction.fetch(select(*columns)))
        return {row[0]: tuple(row[1:]) for row in rows}

    async def attempts(self) -> Sequence[Any]:
        return await self.database.write(lambda transaction: transaction.fetch(select(attempt)))


@asynccontextmanager
async def stage(directory: Path) -> AsyncIterator[Stage]:
    config = SqliteConfig(name="db", kind="db.sql.sqlite", file=":memory:")
    entry: Entry[Any] = Entry("app:db", config.kind, config, Path("_index.yaml"), 1, Path())
    database = SqliteDatabase(entry, Context({}, lambda *_: None, data_dir=directory, app_dir=directory))
    await database.start()
    try:
        await migrate(database, COMPONENT, MIGRATIONS)
        for id_ in (LEADER, OTHER):
            enter = partial(beats.register, id_=id_, name="n", version="1", roles=[], details=Details())
            await database.write(enter)
        lead = partial(beats.beat, id_=LEADER, details=Details(), fence=None, seek=True, judge=False)
        assert (await database.write(lead)).lease.fence == 1
        yield Stage(database)
    finally:
        await database.stop()


@on_loop_with_path
async def test_it_gives_back_what_a_dead_node_had_and_nothing_else(tmp_path: Path) -> None:
    async with stage(tmp_path) as there:
        claimed = await there.put(Status.QUEUED, DEAD)
        first = await there.put(Status.RUNNING, DEAD, 1)
        last = await there.put(Status.RUNNING, DEAD, 3)
        others = [
            await there.put(Status.QUEUED, None),
            await there.put(Status.QUEUED, OTHER),
            await there.put(Status.RUNNING, LEADER, 1),
            await there.put(Status.RUNNING, OTHER, 3),
            await there.put(Status.SCHEDULED, DEAD, 1),
            await there.put(Status.COMPLETED, DEAD, 1),
            await there.put(Status.CANCELLED, DEAD, 1),
        ]
        before = await there.rows()
        assert await there.sweep.once() == 3
        after = await there.rows()
        assert {key: after[key] for key in others} == {key: before[key] for key in others}
        assert after[claimed] == (Status.QUEUED, 0, None, None), "nothing shows that it had begun"
        assert after[first] == (Status.QUEUED, 1, None, None), "its attempt stays counted"
        status, attempts, _, error = after[last]
        assert (status, attempts) == (Status.FAILED, 3)
        assert json.loads(error)["type"] == "worker_lost"
        assert json.loads(error)["message"] == "the server died in the last of 3 attempts"
        assert [(row[0], row[1], row[2], row[4]) for row in await there.attempts()] == [(last, 3, 5, error)]
        assert there.returned == [
            (claimed, "a", "{}", 0, 3, "tasks", 7, None, None, None, None, None, None),
            (first, "a", "{}", 1, 3, "tasks", 7, None, None, None, None, None, None),
        ]
        assert there.ended == [Over(last, "tasks", "a", Status.FAILED)]
        assert await there.sweep.once() == 0


@on_loop_with_path
async def test_it_takes_them_in_batches(tmp_path: Path) -> None:
    async with stage(tmp_path) as there:
        keys = [await there.put(Status.QUEUED, DEAD) for _ in range(AT_ONCE + 1)]
        keys += [await there.put(Status.RUNNING, b"another" + bytes(9), 1) for _ in range(AT_ONCE)]
        assert await there.sweep.once() == len(keys)
        assert sorted(row[0] for row in there.returned) == keys
        assert {row[2] for row in (await there.rows()).values()} == {None}


@on_loop_with_path
async def test_whoever_leads_no_more_changes_nothing(tmp_path: Path) -> None:
    """It was frozen in the middle, and another has taken the lead: its fence is of yesterday."""
    async with stage(tmp_path) as there:
        await there.put(Status.RUNNING, DEAD, 1)
        await there.put(Status.QUEUED, DEAD)
        before = await there.rows()
        there.nodes.leadership.fence = 0
        assert await there.sweep.once() == 0
        there.nodes.leadership.fence, there.nodes.id = 1, OTHER
        assert await there.sweep.once() == 0
        assert await there.rows() == before
        there.nodes.id = LEADER
        assert await there.sweep.once() == 2
