"""The watchdog: names what keeps the event loop from everything else, while it does."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback

from taskmill.metrics import QUICK, Histogram

logger = logging.getLogger(__name__)

BLOCKED = 1.0  # seconds without a turn of the loop that are worth a warning
LOOK = 0.25  # seconds between looks


class Watchdog:
    """Watches the running loop from a thread of its own, and logs the stack of whatever blocks it, once each time.

    An ``async def`` that computes, or calls what blocks, stops the API and every other action; only the stack
    tells which line it is. ``late`` counts how long after it was due each turn of the loop came that it asked for.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._watched = threading.get_ident()
        self._turned = time.monotonic()
        self.late = Histogram(QUICK)
        self._beat: asyncio.TimerHandle | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="taskmill-watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._beat = self._loop.call_later(LOOK, self._turn)
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()
        if self._beat is not None:
            self._beat.cancel()

    def _turn(self) -> None:
        now = time.monotonic()
        self.late.observe(now - self._turned - LOOK)
        self._turned = now
        self._beat = self._loop.call_later(LOOK, self._turn)

    def _watch(self) -> None:
        reported = 0.0
        while not self._stopped.wait(LOOK):
            turned = self._turned
            blocked = time.monotonic() - turned
            if blocked > BLOCKED and turned != reported:
                reported = turned
                self._report(blocked)

    def _report(self, blocked: float) -> None:
        task = asyncio.current_task(self._loop)
        frame = sys._current_frames().get(self._watched)
        logger.warning(
            "the loop has been blocked for %.1f s by %s: no other action runs and nobody is answered meanwhile; "
            "make it a plain `def`, or await what takes long\n%s",
            blocked,
            "something on the loop" if task is None else f"action {task.get_name()}",
            "".join(traceback.format_stack(frame)[-8:]),
        )
