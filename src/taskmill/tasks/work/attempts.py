"""The attempts under way: how they begin where their rows must say so first, and what becomes of their ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from taskmill.process.call import Call
from taskmill.queue import Slot
from taskmill.tasks.actions.failure import Failure
from taskmill.tasks.intake.completing import Completing
from taskmill.tasks.message import TaskMessage
from taskmill.tasks.rows.store import Store
from taskmill.tasks.work.isolated import Submitting, Unended
from taskmill.tasks.work.noting import Noting
from taskmill.tasks.work.quarantine import Quarantine

if TYPE_CHECKING:
    from taskmill.tasks.tracing.tracing import Tracing


class Bundle(Protocol):
    """A batch of which an attempt is a part."""

    handle: asyncio.Task[None] | Call | None

    def stop(self) -> None:
        """Stop it if none of its attempts is wanted any more."""


class Attempt(NamedTuple):
    """What runs now: in which slot, and what can be stopped."""

    slot: Slot
    handle: asyncio.Task[None] | Call | Bundle | None

    @property
    def inner(self) -> asyncio.Task[None] | Call | None:
        """What can be stopped of a batch, too."""
        handle = self.handle
        return handle if handle is None or isinstance(handle, asyncio.Task | Call) else handle.handle


class Attempts:
    """What runs in this process, by its message.

    ``retry`` stores that a task runs again, ``settle`` lets go of messages whose end needs no store.
    """

    def __init__(
        self,
        store: Store[Any, Any],
        retry: Callable[[TaskMessage, Failure], None],
        settle: Callable[[list[TaskMessage]], None],
        completing: Completing,
    ) -> None:
        self.running: dict[TaskMessage, Attempt] = {}
        self.claiming: set[TaskMessage] = set()  # whether their attempts begin is being written
        self.stopping = False
        self.tracing: Tracing | None = None
        self.store = store
        self.settle = settle
        self._retry = retry
        self._completing = completing
        completing.connect(self.failed, settle)
        self._noting = Noting(store, self.running)
        self._quarantine = Quarantine()

    def trace(self, tracing: Tracing) -> None:
        """Have attempts be traced."""
        self.tracing = tracing
        self.settle = tracing.settling(self.settle)
        self._completing.connect(self.failed, self.settle)

    def add(self, message: TaskMessage, attempt: Attempt) -> None:
        """Take an attempt that begins; it is noted in its row if it takes its time."""
        self.running[message] = attempt
        self._noting.wake()

    async def claim(self, message: TaskMessage) -> bool:
        """Begin an attempt once it stands in the row; tell whether it may go on.

        Where it may not, its message is settled, unless everything is being stopped.
        """
        if message.suspect:
            message.started_at = 0
            await self._quarantine.enter(message)
            message.started_at = int(time.time() * 1000)
        self.claiming.add(message)
        try:
            data = await self.store.claim(message)
        except Exception:  # such as a full disk: later, and not counted
            message.nack()
            return False
        finally:
            self.claiming.discard(message)
        message.noted = data is not None
        if self.stopping:
            return False
        if data is None or message.stopping:  # cancelled, or ended otherwise, meanwhile
            self.settle([message])
            return False
        if data != message.body:  # a later submission has replaced it
            message.body, message.decoded = data, None
        return True

    def completed(self, message: TaskMessage, result: bytes, at: float | None = None) -> None:
        """Store the result of an attempt made in this process, and what it has submitted."""
        outgoing = getattr(message, "outgoing", None)
        if outgoing is None:
            self.store.complete(message, result, at)
        else:
            self._completing.complete(message, result, outgoing.tasks)

    def end(self, message: TaskMessage, ended: bytes | Submitting | Failure | Unended) -> None:
        """Store what an attempt came to: its result, its failure, or nothing where it was broken off."""
        if message.stopping == "cancelled" or ended == "cancelled":  # its row has ended
            self.settle([message])
        elif isinstance(ended, bytes):
            self.store.complete(message, ended)
        elif isinstance(ended, Submitting):
            self._completing.complete(message, ended.result, ended.tasks)
        elif isinstance(ended, Failure):
            self.failed(message, ended)
        elif message.noted:  # a shutdown broke it off
            self.store.release(message)

    def failed(self, message: TaskMessage, failure: Failure) -> None:
        """Store that an attempt failed: for good, or until the next."""
        if failure.final or (failure.counts and message.attempt >= message.max_attempts):
            self.store.fail(message, failure)
        else:
            self._retry(message, failure)

    async def stop(self) -> None:
        """Break off what still runs on the loop. Its attempts are taken back: they cost nothing."""
        self.stopping = True
        self._completing.stop()
        tasks = {
            message: handle
            for message, attempt in self.running.items()
            if isinstance(handle := attempt.inner, asyncio.Task)
        }
        kept = {tasks[message] for message in self.claiming if message in tasks}
        for task in set(tasks.values()) - kept:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks.values(), timeout=1)
        for message in filter(lambda message: message.noted, self.running):
            self.store.release(message)
        self.running.clear()
