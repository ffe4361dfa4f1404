"""Noting starts: a task that has been running for a moment is stored as running."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from typing import Any

from taskmill.tasks.message import TaskMessage
from taskmill.tasks.rows.store import Store

SHOWN_AS_RUNNING = 50  # milliseconds; most tasks end before, and cost no such write


class Noting:
    """Looks at what runs, as long as something does."""

    def __init__(self, store: Store[Any, Any], running: Collection[TaskMessage]) -> None:
        self._store = store
        self._running = running
        self._awake = False
        self._loop = asyncio.get_running_loop()

    def wake(self) -> None:
        """Look in a moment: something has begun."""
        if not self._awake:
            self._awake = True
            self._loop.call_later(SHOWN_AS_RUNNING / 1000, self._look)

    def _look(self) -> None:
        self._awake = False
        limit = time.time() * 1000 - SHOWN_AS_RUNNING
        for message in self._running:
            if message.noted or message.careful or message.stopping:
                continue  # one that is being stopped may have been queued anew: it must not claim that
            if 0 < message.started_at <= limit:
                message.noted = True
                self._store.start(message)
        if self._running:
            self.wake()
