"""Looks once a minute how much waits, so that there is a history of it."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from taskmill.sql import DatabaseError, Overloaded
from taskmill.tasks.stats.meter import Meter
from taskmill.tasks.view.queues import Overview

logger = logging.getLogger(__name__)

EVERY: Final = 60.0  # seconds


class Looking:
    """Tells the meter how many tasks wait. The first look is a minute after the start, which it does not delay."""

    def __init__(self, overview: Overview, meter: Meter, every: float = EVERY) -> None:
        self._overview = overview
        self._meter = meter
        self._every = every
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._run(), name="look how much waits")

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            try:
                states = await self._overview.states()
            except (DatabaseError, Overloaded) as error:
                logger.debug("nobody could look how much waits: %s", error)
            else:
                self._meter.looked({state.name: state.depth.queued for state in states})
