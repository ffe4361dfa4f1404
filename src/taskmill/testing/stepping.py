"""A consumer that takes a task when it is told to, and only then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from taskmill.queue import Consumer, Message
from taskmill.registry import Entry
from taskmill.supervisor import Context
from taskmill.tasks.message import TaskMessage

STEPS = 3  # pauses in which nothing may come before there is nothing


class SteppingConsumer(Consumer):
    """Holds one message at most. Until :meth:`step` it takes none: all else is as it is in any consumer."""

    def __init__(self, entry: Entry[Any], context: Context) -> None:
        one = msgspec.structs.replace(entry.config, concurrency=1, prefetch=0)
        super().__init__(replace(entry, config=one), context)
        self.gathering.close()  # no task of a batch action waits for others
        self._wanted = False
        self._taken: Message | None = None
        self._over = asyncio.Event()

    def credit(self) -> int:
        """How many more messages may be held now."""
        return super().credit() if self._wanted else 0

    def receive(self, messages: Sequence[Message]) -> None:
        """Take the one that was wanted."""
        self._wanted = False
        self._taken = messages[0]
        super().receive(messages)

    def done(self, count: int) -> None:
        """Note that it has been handled."""
        super().done(count)
        if not self._in_hand:
            self._over.set()

    async def step(self, settled: Callable[[], Awaitable[None]]) -> TaskMessage | None:
        """Run the next task that may run now, and return it once its end is stored; None where there is none.

        ``settled`` waits for all that goes on by itself.
        """
        await settled()
        self._taken = None
        self._over.clear()
        for _ in range(STEPS):
            self._wanted = True
            if self._source is not None:
                self._source.pump()
            await settled()
            if self._taken is not None:
                break
        self._wanted = False
        if self._taken is None:
            return None
        await self._over.wait()
        await settled()
        return self._taken if isinstance(self._taken, TaskMessage) else None
