"""Who waits for which task: requests whose answer is held until the task has ended, or their time is over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from taskmill.http import Exchange
from taskmill.sql import Database
from taskmill.tasks.message import TaskMessage
from taskmill.tasks.redacting.redaction import Redaction
from taskmill.tasks.waiting.answering import Answering
from taskmill.tasks.waiting.waiter import Accepted, Waiter
from taskmill.tasks.waiting.watching import Watching


class Waiters:
    """Holds answers by the ids of tasks. A task's end on this node is told; Watching finds those of other nodes.

    A waiter costs a few hundred bytes beside its connection. No coroutine stands behind it, and it is gone at once
    when its client is.
    """

    def __init__(self, answering: Answering, watching: Watching) -> None:
        self._by_key: dict[bytes, set[Waiter]] = {}
        self._answering = answering
        self._watching = watching
        self._closing: dict[asyncio.Event, asyncio.Task[None]] = {}  # of the servers that have had a waiter
        watching.connect(self._by_key, self._wake)
        answering.connect(self._holds, self._remove)

    @classmethod
    def of(
        cls, database: Database, alone: Callable[[], bool], was_pruned: Callable[[bytes], Awaitable[bool]]
    ) -> Waiters:
        """Make them for the tasks of a database; ``alone`` tells whether this is its only node."""
        return cls(Answering(database, was_pruned), Watching(database, alone))

    @property
    def count(self) -> int:
        """How many wait."""
        return sum(map(len, self._by_key.values()))

    def redact(self, redaction: Redaction) -> None:
        """Have fields of the tasks that are answered be hidden."""
        self._answering.redaction = redaction

    def look(self, exchange: Exchange, key: bytes, seconds: float) -> None:
        """Answer with a task once it has ended, or with what it is after some seconds, at most; 0: at once."""
        waiter = Waiter(exchange, key)
        if seconds:
            self._hold(waiter, seconds)
        self._answering.add([waiter])  # it may have ended already

    def submitted(self, exchange: Exchange, key: bytes, accepted: Accepted, seconds: float) -> None:
        """Answer with a task that has just been stored once it has ended, or after some seconds that it is accepted."""
        waiter = Waiter(exchange, key, accepted)
        if not seconds or not self._hold(waiter, seconds):
            waiter.accept()
        elif not accepted.new:
            self._answering.add([waiter])

    def finished(self, messages: Sequence[TaskMessage]) -> None:
        """Answer all who wait for tasks that have ended, as :meth:`ended` does. Nobody waits, mostly."""
        self._watching.tell()
        if self._by_key:
            self._wake([message.key for message in messages])

    def ended(self, keys: Iterable[bytes]) -> None:
        """Answer all who wait for tasks that have ended, as their rows say."""
        self._watching.tell()
        if self._by_key:
            self._wake(keys)

    async def stop(self) -> None:
        """Answer nobody any more; a server that closes has had all answered before."""
        for task in self._closing.values():
            task.cancel()
        await self._watching.stop()
        await self._answering.stop()

    def _wake(self, keys: Iterable[bytes]) -> None:
        for key in keys:
            waiting = self._by_key.pop(key, None)
            if waiting is not None:
                self._answering.add(waiting)

    def _hold(self, waiter: Waiter, seconds: float) -> bool:
        """Hold an answer; tell whether it is held: not where its server closes, or where nothing would tell that."""
        closing = waiter.closing
        if closing is None or closing.is_set():
            return False
        if closing not in self._closing:
            self._closing[closing] = asyncio.create_task(self._hurry(closing))
        waiter.hold(seconds, self._over, self._gone)
        self._by_key.setdefault(waiter.key, set()).add(waiter)
        self._watching.begin()
        return True

    def _holds(self, waiter: Waiter) -> bool:
        return waiter in self._by_key.get(waiter.key, ())

    def _remove(self, waiter: Waiter) -> None:
        waiting = self._by_key.get(waiter.key)
        if waiting is not None:
            waiting.discard(waiter)
            if not waiting:
                del self._by_key[waiter.key]

    def _over(self, waiter: Waiter) -> None:
        """Answer a waiter whose time is over."""
        self._remove(waiter)
        if not waiter.accept():
            self._answering.add([waiter])

    def _gone(self, waiter: Waiter) -> None:
        """Forget a waiter whose client has gone."""
        self._remove(waiter)
        waiter.release()

    async def _hurry(self, closing: asyncio.Event) -> None:
        """Answer all who wait at a server once that closes."""
        await closing.wait()
        everyone = [waiter for waiting in self._by_key.values() for waiter in waiting]
        for waiter in everyone:
            if waiter.closing is closing:
                self._over(waiter)
        del self._closing[closing]
