"""Answering requests with tasks: one look at the rows for all who are to be answered at that moment."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

import msgspec

from taskmill.sql import Database, DatabaseError, Overloaded
from taskmill.tasks.lifecycle import ENDED
from taskmill.tasks.model import TaskDetails
from taskmill.tasks.redacting.redaction import Redaction
from taskmill.tasks.view.missing import missing
from taskmill.tasks.waiting import looking
from taskmill.tasks.waiting.waiter import Waiter

logger = logging.getLogger(__name__)

RETRY_AFTER = b"retry-after: 1\r\n"
_ENDED = frozenset(status.word for status in ENDED)


class Answering:
    """Answers waiters with their tasks. ``was_pruned`` tells whether there was one with an id."""

    def __init__(self, database: Database, was_pruned: Callable[[bytes], Awaitable[bool]]) -> None:
        self.redaction: Redaction | None = None
        self._database = database
        self._was_pruned = was_pruned
        self._due: dict[bytes, list[Waiter]] = {}
        self._holds: Callable[[Waiter], bool] = lambda _: False
        self._forget: Callable[[Waiter], None] = lambda _: None
        self._task: asyncio.Task[None] | None = None

    def connect(self, holds: Callable[[Waiter], bool], forget: Callable[[Waiter], None]) -> None:
        """Take what tells whether a waiter goes on waiting while its task has not ended, and what ends that."""
        self._holds = holds
        self._forget = forget

    def add(self, waiters: Iterable[Waiter]) -> None:
        """Answer waiters soon with their tasks; those that are held only where these have ended."""
        for waiter in waiters:
            self._due.setdefault(waiter.key, []).append(waiter)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="answer with tasks")

    async def stop(self) -> None:
        """Answer nobody any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            while self._due:
                keys = [key for key, _ in zip(self._due, range(looking.AT_ONCE), strict=False)]
                await self._answer({key: self._due.pop(key) for key in keys})
        finally:
            self._task = None

    async def _answer(self, due: dict[bytes, list[Waiter]]) -> None:
        try:
            tasks = await looking.whole(self._database, list(due))
            if self.redaction is not None:
                for task in tasks.values():
                    self.redaction.task(task)
            for key, waiters in due.items():
                await self._show(key, tasks.get(key), waiters)
        except Exception as error:  # whatever it is, all of these are to be answered
            for waiter in (waiter for waiters in due.values() for waiter in waiters):
                self._forget(waiter)
                _fail(waiter, error)

    async def _show(self, key: bytes, task: TaskDetails | None, waiters: list[Waiter]) -> None:
        if task is not None:
            body = b""
            for waiter in waiters:
                if task.status in _ENDED or not self._holds(waiter):
                    body = body or msgspec.json.encode(task)
                    self._forget(waiter)
                    waiter.show(body)
            return
        problem = await missing(self._was_pruned, key)
        for waiter in waiters:
            self._forget(waiter)
            waiter.refuse(problem.status, problem.detail)


def _fail(waiter: Waiter, error: Exception) -> None:
    """Say that the task cannot be read now. One that was submitted is stored all the same."""
    if not waiter.waits or waiter.accept():
        return
    if isinstance(error, DatabaseError | Overloaded):
        waiter.refuse(503, f"The task cannot be read now: {error}.", RETRY_AFTER)
        return
    logger.error("a task cannot be shown", exc_info=error)
    waiter.refuse(500, "The server failed to answer; its log says why.")
