"""An engine that is away: said once when it begins and once when it ends, however many parts notice."""

from __future__ import annotations

import asyncio
import logging
import random

logger = logging.getLogger(__name__)

FIRST_REST = 0.05  # seconds
LONGEST_REST = 2.0  # seconds; as long as that may pass until messages move again


class Outage:
    """What is wrong with an engine, by the parts of a driver that notice it: its connection, its channels.

    ``what`` names the engine in the log: the entry, and the address without its secrets.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self._reasons: dict[str, str] = {}
        self._since = 0.0

    def begins(self, part: str, why: str) -> None:
        """Note that a part cannot work."""
        if not self._reasons:
            self._since = asyncio.get_running_loop().time()
            logger.warning("%s does not work, trying again until it does: %s", self.what, why)
        self._reasons[part] = why

    def ends(self, part: str) -> None:
        """Note that a part works."""
        if self._reasons.pop(part, None) is not None and not self._reasons:
            lasted = asyncio.get_running_loop().time() - self._since
            logger.warning("%s works again after %.1f s", self.what, lasted)

    def problem(self, *parts: str) -> str | None:
        """What is wrong with the first of these parts that something is wrong with."""
        for part in parts:
            if part in self._reasons:
                return f"{self.what} does not work: {self._reasons[part]}"
        return None


class Backoff:
    """How long to rest before the next try: longer each time, and never the same for two that failed together."""

    def __init__(self) -> None:
        self._next = FIRST_REST

    def reset(self) -> None:
        """Begin with short rests again."""
        self._next = FIRST_REST

    async def rest(self) -> None:
        """Rest."""
        delay, self._next = self._next, min(LONGEST_REST, self._next * 2)
        await asyncio.sleep(delay * random.uniform(0.5, 1))  # noqa: S311 - spreads load, keeps no secret
