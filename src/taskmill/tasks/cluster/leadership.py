"""The lead: one node at a time dispatches, and does all else that one alone must do.

It is a lease in the database with a number, the fence, that grows with each holder. It is renewed with each beat; a
leader that cannot renew it stops a second before another may take it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from time import monotonic

logger = logging.getLogger(__name__)


class Leadership:
    """Whether this node leads. ``gained`` and ``lost`` hold what is called when that changes.

    The calls of ``gained`` are awaited one after another. Where the lead is lost meanwhile they are cancelled, and
    ``lost`` is called; where one fails, ``resign`` is: another node may be able to.
    """

    def __init__(
        self, resign: Callable[[], None] = lambda: None, clock: Callable[[], float] = monotonic
    ) -> None:
        self.gained: list[Callable[[], Awaitable[None]]] = []
        self.lost: list[Callable[[], None]] = []
        self._resign = resign
        self._clock = clock
        self._fence: int | None = None
        self._until = 0.0
        self._gaining: asyncio.Task[None] | None = None

    @property
    def is_leader(self) -> bool:
        """Whether this node leads at this instant."""
        return self._fence is not None and self._clock() < self._until

    @property
    def fence(self) -> int:
        """The number of this lead; -1 where another node leads."""
        return self._fence if self._fence is not None and self.is_leader else -1

    async def alone(self) -> None:
        """Lead for good: nobody else can have this database."""
        self._fence, self._until = 0, float("inf")
        for call in self.gained:
            await call()

    async def settled(self) -> None:
        """Wait until the calls of ``gained`` are done, if this node has just begun to lead."""
        if self._gaining is not None:
            await asyncio.wait([self._gaining])

    def heard(self, fence: int | None, until: float) -> None:
        """Take what a beat came to: the fence of this node's lead, if it has it, and until when."""
        if fence != self._fence:
            self._lose("another node has taken it" if fence is None else "it had run out meanwhile")
        self._until = until
        if fence is not None and self._fence is None and self._clock() < until:
            self._fence = fence
            logger.info("this node leads (%d)", fence)
            self._gaining = asyncio.create_task(self._gain(self._gaining), name="begin to lead")

    def check(self) -> None:
        """Stop leading where the lead has run out."""
        if not self.is_leader:
            self._lose("it could not be renewed in time")

    async def stop(self) -> None:
        """Lead no more, without a call of ``lost``: all of the node stops."""
        self._fence = None
        if self._gaining is not None:
            self._gaining.cancel()
            await asyncio.wait([self._gaining])

    def _lose(self, why: str) -> None:
        if self._fence is None:
            return
        self._fence = None
        logger.warning("this node leads no more: %s", why)
        if self._gaining is not None:
            self._gaining.cancel()
        for call in self.lost:
            call()

    async def _gain(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        try:
            for call in self.gained:
                await call()
        except Exception:
            logger.exception("this node cannot lead, and leaves it to others")
            self._lose("it could not begin to")
            self._resign()
