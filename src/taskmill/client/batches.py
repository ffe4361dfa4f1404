"""Batches of the two clients: what makes them, and what is returned for one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, Final, Protocol, TypeVar, Unpack

from taskmill.client import batch_calls as calls
from taskmill.client.batch_calls import BatchOptions, Making
from taskmill.client.batch_model import Batch, BatchMade, Member
from taskmill.client.calls import Call
from taskmill.client.submission import Submission

T = TypeVar("T")

FIRST: Final = 0.05  # seconds between the first looks at a batch that has not ended
SLOWEST: Final = 1.0  # and between the last


class Asking(Protocol):
    """What a client is, here."""

    def ask(self, call: Call[T], /) -> T:
        """Send a request, and return what its answer becomes."""


class AskingAsync(Protocol):
    """What an asynchronous one is."""

    async def ask(self, call: Call[T], /) -> T:
        """Send a request, and return what its answer becomes."""


class _Made:
    """A batch: ``id``, the ``ids`` of its tasks as they were given, and of its last task, ``on_complete``."""

    def __init__(self, made: BatchMade) -> None:
        self.id = made.id
        self.ids = made.ids
        self.on_complete = made.on_complete

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} of {len(self.ids)}>"


class BatchHandle(_Made):
    """A batch that a :class:`taskmill.client.Client` made."""

    def __init__(self, client: Asking, made: BatchMade) -> None:
        super().__init__(made)
        self._client = client

    def get(self) -> Batch:
        """Return the batch as it is now, with those of its tasks that failed."""
        return self._client.ask(calls.get(self.id))

    def wait(self, timeout: float | None = None) -> Batch:
        """Return the batch once it has ended; raise TimeoutError after ``timeout`` seconds."""
        looks = _Looks(timeout)
        while (batch := self.get()).status != "ended":
            time.sleep(looks.rest(batch))
        return batch

    def add(self, tasks: Iterable[Submission[Any]]) -> list[str]:
        """Give it more tasks, where it is open; return their ids. Raises ProblemError (409) where it is closed."""
        ids = self._client.ask(calls.add(self.id, list(tasks))).ids
        self.ids += ids
        return ids

    def close(self) -> Batch:
        """Have it take no more tasks."""
        return self._client.ask(calls.close(self.id))

    def cancel(self) -> Batch:
        """Cancel all of it that has not ended; raise ProblemError (409) where nothing is left."""
        return self._client.ask(calls.cancel(self.id))

    def results(self) -> Iterator[Member]:
        """Yield what its tasks came to, in the order in which they were given."""
        cursor: str | None = None
        while True:
            page = self._client.ask(calls.results(self.id, cursor))
            yield from page.results
            if (cursor := page.next) is None:
                return


class AsyncBatchHandle(_Made):
    """A batch that an :class:`taskmill.client.AsyncClient` made."""

    def __init__(self, client: AskingAsync, made: BatchMade) -> None:
        super().__init__(made)
        self._client = client

    async def get(self) -> Batch:
        """Return the batch as it is now, with those of its tasks that failed."""
        return await self._client.ask(calls.get(self.id))

    async def wait(self, timeout: float | None = None) -> Batch:  # noqa: ASYNC109
        """Return the batch once it has ended; raise TimeoutError after ``timeout`` seconds."""
        looks = _Looks(timeout)
        while (batch := await self.get()).status != "ended":  # noqa: ASYNC110 - what is waited for is elsewhere
            await asyncio.sleep(looks.rest(batch))
        return batch

    async def add(self, tasks: Iterable[Submission[Any]]) -> list[str]:
        """Give it more tasks, where it is open; return their ids. Raises ProblemError (409) where it is closed."""
        ids = (await self._client.ask(calls.add(self.id, list(tasks)))).ids
        self.ids += ids
        return ids

    async def close(self) -> Batch:
        """Have it take no more tasks."""
        return await self._client.ask(calls.close(self.id))

    async def cancel(self) -> Batch:
        """Cancel all of it that has not ended; raise ProblemError (409) where nothing is left."""
        return await self._client.ask(calls.cancel(self.id))

    async def results(self) -> AsyncIterator[Member]:
        """Yield what its tasks came to, in the order in which they were given."""
        cursor: str | None = None
        while True:
            page = await self._client.ask(calls.results(self.id, cursor))
            for member in page.results:
                yield member
            if (cursor := page.next) is None:
                return


class Batching:
    """What a client does with batches."""

    def batch(
        self: Asking, tasks: Iterable[Submission[Any]] = (), **options: Unpack[BatchOptions]
    ) -> BatchHandle:
        """Make a batch of tasks, and perhaps of one more that runs once they have ended.

        Up to 5,000 are stored all or none; more are given to it by as many at a time, and then it is closed.
        """
        making = Making(tasks, options)
        while (call := making.following()) is not None:
            making.take(self.ask(call))
        if (closing := making.closing()) is not None:
            self.ask(closing)
        return BatchHandle(self, making.made)

    def get_batch(self: Asking, id_: str) -> Batch:
        """Return a batch with those of its tasks that failed; raise ProblemError (404)."""
        return self.ask(calls.get(id_))

    def batches(self: Asking) -> Iterator[Batch]:
        """Yield the batches, newest first, page by page."""
        cursor: str | None = None
        while True:
            page = self.ask(calls.page(cursor))
            yield from page.batches
            if (cursor := page.next) is None:
                return


class AsyncBatching:
    """What an asynchronous client does with batches."""

    async def batch(
        self: AskingAsync, tasks: Iterable[Submission[Any]] = (), **options: Unpack[BatchOptions]
    ) -> AsyncBatchHandle:
        """Make a batch of tasks, and perhaps of one more that runs once they have ended.

        Up to 5,000 are stored all or none; more are given to it by as many at a time, and then it is closed.
        """
        making = Making(tasks, options)
        while (call := making.following()) is not None:
            making.take(await self.ask(call))
        if (closing := making.closing()) is not None:
            await self.ask(closing)
        return AsyncBatchHandle(self, making.made)

    async def get_batch(self: AskingAsync, id_: str) -> Batch:
        """Return a batch with those of its tasks that failed; raise ProblemError (404)."""
        return await self.ask(calls.get(id_))

    async def batches(self: AskingAsync) -> AsyncIterator[Batch]:
        """Yield the batches, newest first, page by page."""
        cursor: str | None = None
        while True:
            page = await self.ask(calls.page(cursor))
            for batch in page.batches:
                yield batch
            if (cursor := page.next) is None:
                return


class _Looks:
    """How long to rest between looks at a batch."""

    def __init__(self, timeout: float | None) -> None:
        self._timeout = timeout
        self._until = None if timeout is None else time.monotonic() + timeout
        self._rest = FIRST

    def rest(self, batch: Batch) -> float:
        """Return the seconds to rest; raise TimeoutError where the time is over."""
        rest, self._rest = self._rest, min(SLOWEST, 1.5 * self._rest)
        if self._until is None:
            return rest
        left = self._until - time.monotonic()
        if left <= 0:
            done, total = batch.progress.done, batch.progress.total
            raise TimeoutError(
                f"batch {batch.id} has not ended after {self._timeout:g} s: {done} of {total} have"
            )
        return min(rest, left)
