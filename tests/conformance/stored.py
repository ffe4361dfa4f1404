"""A store on a database, and what it has reported."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from taskmill.process.messages import FunctionRef
from taskmill.sql import Database
from taskmill.tasks.actions.action import Action
from taskmill.tasks.actions.catalog import Registered
from taskmill.tasks.actions.failure import Failure
from taskmill.tasks.ids import IdSource
from taskmill.tasks.message import TaskMessage, from_row
from taskmill.tasks.model import TaskDetails
from taskmill.tasks.rows import statements
from taskmill.tasks.rows.reader import Reader
from taskmill.tasks.rows.statements import FULL
from taskmill.tasks.rows.store import Store

DEADLINE = 20.0  # seconds
REGISTERED = Registered(Action(lambda: None, name="work"), FunctionRef("", "", ""))


def now() -> int:
    return int(time.time() * 1000)


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds, while the loop goes on."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - a look now and then until the deadline
            await asyncio.sleep(0.005)


class Stored:
    """Stores tasks, and waits until each thing is."""

    registered = REGISTERED

    def __init__(self, database: Database, *, traced: bool = False) -> None:
        self.database = database
        self.reader = Reader(database)
        self.ids = IdSource()
        self.settled: dict[bytes, Exception | None] = {}  # of what was added
        self.ended: list[bytes] = []
        self.scheduled: list[int] = []
        self.store: Store[bytes, bytes] = Store(
            database,
            self._added,
            self._added,
            lambda messages: self.ended.extend(message.key for message in messages),
            self.scheduled.append,
            traced=traced,
        )

    async def add(
        self, count: int = 1, data: str = "{}", *, wait: bool = True, trace: str = ""
    ) -> list[TaskMessage]:
        """Store plain tasks; wait until they are, unless others come with them."""
        messages = [TaskMessage(self.ids.next(), "work", REGISTERED, data) for _ in range(count)]
        for message in messages:
            message.trace = trace
            self.store.add(message, "tasks", now(), message.key)
        if wait:
            await self._stored([message.key for message in messages])
        return messages

    async def add_full(self, **values: Any) -> bytes:
        """Store another task; what is not given is as by default."""
        row: dict[str, Any] = dict.fromkeys(FULL)
        row |= {
            "id": self.ids.next(), "action": "work", "queue": "tasks", "data": "{}", "status": 0, "max_attempts": 3,
            "created_at": now(), "rank": now(), "priority": 0,
        }  # fmt: skip
        row |= values
        self.store.add_full(tuple(row.values()), row["id"])
        await self._stored([row["id"]])
        return bytes(row["id"])

    async def message(self, key: bytes) -> TaskMessage:
        """Return a task as a dispatcher reads it."""
        (row,) = await self.reader.read(statements.FOR_RETRY, {"id_": key})
        return from_row(row, REGISTERED)

    async def start(self, message: TaskMessage) -> None:
        message.started_at = now()
        self.store.start(message)
        await self.committed()

    async def end(self, message: TaskMessage, how: str, value: str = '{"output":1}') -> None:
        """End an attempt: `complete`, `fail`, or `retry` a minute later."""
        self.tell(message, how, value)
        await self.committed()

    def tell(self, message: TaskMessage, how: str, value: str = '{"output":1}') -> None:
        """Say how an attempt ended, without waiting."""
        message.started_at = message.started_at or now()
        if how == "complete":
            self.store.complete(message, value.encode())
        elif how == "fail":
            self.store.fail(message, Failure("Broken", value, final=True))
        else:
            self.store.retry(message, Failure("Broken", value), now() + 60_000, 7)

    async def committed(self) -> None:
        """Wait until all that was asked for is committed."""
        await self.database.write(lambda _: None)

    async def show(self, key: bytes) -> TaskDetails:
        shown = await self.reader.get(key)
        assert shown is not None
        return shown

    async def states(self, keys: Sequence[bytes]) -> list[str]:
        return [(await self.show(key)).status for key in keys]

    def _added(self, rows: list[tuple[Any, ...]], waiters: list[bytes], error: Exception | None) -> None:
        self.settled.update(dict.fromkeys(waiters, error))

    async def _stored(self, keys: Sequence[bytes]) -> None:
        await until(lambda: all(key in self.settled for key in keys))
        for key in keys:
            error = self.settled[key]
            if error is not None:
                raise error
