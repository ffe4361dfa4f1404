"""What is expensive to read, and read once for all who ask."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final, Generic, TypeVar

T = TypeVar("T")

REST: Final = 10  # something is kept for so many times the time that reading it took,
FRESH: Final = 0.2  # and so many seconds at least


class Kept(Generic[T]):
    """Reads something where somebody asks, and not again before it is a few times as old as that took."""

    def __init__(self, read: Callable[[], Awaitable[T]]) -> None:
        self._read = read
        self._reading: asyncio.Task[T] | None = None
        self._stale_at = 0.0

    async def get(self) -> T:
        """Return it as it was read last, or is being read now."""
        if self._reading is None or (self._reading.done() and monotonic() >= self._stale_at):
            self._reading = asyncio.create_task(self._time())
        return await asyncio.shield(self._reading)

    async def _time(self) -> T:
        began = monotonic()
        try:
            return await self._read()
        finally:
            now = monotonic()
            self._stale_at = now + max(FRESH, REST * (now - began))
