"""What is done to all tasks of a selection: cancel them, or run them again, a batch at a time.

Batches go from the newest task to the oldest, so each is met once, and none that is submitted meanwhile. Between
two of them others have the writer, and no more than one batch is in memory.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from taskmill.tasks.control.canary import Canary, try_out
from taskmill.tasks.control.control import Control
from taskmill.tasks.rows.reader import Reader
from taskmill.tasks.view.filters import Selection
from taskmill.tasks.view.listing import Listing

BATCH = 100  # tasks in one transaction: some milliseconds of the writer's time

_Change = Callable[[Sequence[bytes]], Awaitable[Sequence[bytes]]]


@dataclass(frozen=True, slots=True)
class Done:
    """How many tasks were changed, and the cursor to go on from where there may be more."""

    count: int
    following: bytes | None = None
    stopped: bool = False  # by its canary
    canary: Canary | None = None


class Many:
    """Changes many tasks.

    ``limit`` is how many are changed at most: all of them if it is None. ``cursor`` goes on from an earlier
    call's :attr:`Done.following`.
    """

    def __init__(self, reader: Reader, listing: Listing, control: Control) -> None:
        self._reader = reader
        self._listing = listing
        self._control = control

    async def cancel(self, selection: Selection, cursor: bytes | None, limit: int | None) -> Done:
        """Cancel tasks that have not ended."""
        return await self._change(self._control.cancel, selection, cursor, limit)

    async def retry(
        self, selection: Selection, cursor: bytes | None, limit: int | None, canary: int | None
    ) -> Done:
        """Run failed and cancelled tasks again.

        With a ``canary``, first so many, and the others only if none of these fails as it did before.
        """
        if canary is None:
            return await self._change(self._control.retry, selection, cursor, limit)
        keys, following = await self._listing.keys(selection, cursor, min(canary, limit or canary))
        count, stopped, tried = await try_out(self._reader, self._control.retry, keys)
        left = None if limit is None else limit - count
        if stopped or following is None or left == 0:
            return Done(count, following, stopped, tried)
        done = await self._change(self._control.retry, selection, following, left)
        return Done(count + done.count, done.following, False, tried)

    async def _change(
        self, change: _Change, selection: Selection, cursor: bytes | None, limit: int | None
    ) -> Done:
        count = 0
        while limit is None or count < limit:
            batch = BATCH if limit is None else min(BATCH, limit - count)
            keys, cursor = await self._listing.keys(selection, cursor, batch)
            if keys:
                count += len(await change(keys))
            if cursor is None:
                break
        return Done(count, cursor)
