"""Whether a server can be reached, said once when it cannot and once when it can again."""

from __future__ import annotations

import logging
import threading
from time import monotonic

logger = logging.getLogger(__name__)


class Outage:
    """What all threads that use a server know of it. ``place`` is what messages call the server."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._since: float | None = None
        self._lock = threading.Lock()

    def begin(self, why: str) -> None:
        """The server did not answer."""
        with self._lock:
            if self._since is None:
                self._since = monotonic()
                logger.error("%s is gone (%s); trying again until it is back", self._place, why)

    def end(self) -> None:
        """The server has answered."""
        if self._since is None:
            return
        with self._lock:
            if self._since is not None:
                logger.warning("%s is back after %.1f s", self._place, monotonic() - self._since)
                self._since = None
