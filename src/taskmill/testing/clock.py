"""The clock of a test: it goes on as any clock does, and it can be moved forward."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

from taskmill.client.submission import Duration, seconds

_time = time.time


class Clock:
    """What the task queue takes for the time. ``move`` is called with the seconds that it is to be moved by.

    What an action reads from ``datetime.now()`` is the computer's own time; ``time.time()`` is moved along.
    """

    def __init__(self, move: Callable[[float], None]) -> None:
        self.ahead = 0.0  # seconds before the computer's own
        self._move = move

    def time(self) -> float:
        """Return the seconds since 1970."""
        return _time() + self.ahead

    def now(self) -> datetime:
        """Return the time, in UTC."""
        return datetime.fromtimestamp(self.time(), UTC)

    def advance(self, duration: Duration) -> None:
        """Move the clock forward, by seconds, a text such as `1h`, or a `timedelta`.

        What comes due on the way does so in its order: retries, delays, schedules, expiry. It is queued, and runs when
        it is told to. Raises ValueError for what is no duration.
        """
        by = seconds("duration", duration)
        if by < 0:
            raise ValueError("a clock is moved forward only")
        self._move(by)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Have Taskmill, and `time.time()`, go by this clock."""
        with ExitStack() as patches:
            patches.enter_context(patch.object(time, "time", self.time))
            for name, module in list(sys.modules.items()):
                if name.startswith("taskmill.") and getattr(module, "time", None) is _time:
                    patches.enter_context(patch.object(module, "time", self.time))
            yield


class Loop(asyncio.SelectorEventLoop):
    """An event loop that goes by a clock as well: what waits on it is due when the clock says so."""

    def __init__(self, clock: Clock, *args: Any) -> None:
        super().__init__(*args)
        self._ahead_of = clock

    def time(self) -> float:
        """Return the loop's time."""
        return super().time() + self._ahead_of.ahead
