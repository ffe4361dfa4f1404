"""The duties of the leader: parts that one node alone runs, begun when it leads and ended when it does no more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple


class Duty(NamedTuple):
    """A part. It may be begun again once it has ended; ``stop`` does no harm where it was not begun."""

    start: Callable[[], Awaitable[None] | None]
    stop: Callable[[], Awaitable[None]]


class Duties:
    """Begins parts in order, and ends them in reverse. ``rest`` is called at once where the lead is lost."""

    def __init__(self, parts: Sequence[Duty], rest: Callable[[], None]) -> None:
        self._parts = parts
        self._rest = rest
        self._begun: list[Duty] = []
        self._ending: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Begin all; raise what one of them does."""
        if self._ending is not None:
            await asyncio.wait([self._ending])
        for part in self._parts:
            self._begun.append(part)
            begun = part.start()
            if begun is not None:
                await begun

    def lose(self) -> None:
        """End all: another node leads."""
        self._rest()
        self._ending = asyncio.create_task(self._end(self._ending), name="end to lead")

    async def stop(self) -> None:
        """End all: the node stops."""
        await self._end(self._ending)

    async def _end(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        while self._begun:
            await self._begun.pop().stop()
