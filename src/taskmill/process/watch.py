"""Minding when the running call of a worker process must have ended."""

import asyncio
from typing import Protocol

from taskmill.process.call import Call
from taskmill.process.ending import Cause

NEVER = float("inf")
SECOND_LOOK = 0.1  # seconds after which a call that has not begun is looked at once more


class Watched(Protocol):
    """A process that runs calls one after the other."""

    @property
    def busy(self) -> bool:
        """Whether its first call without an answer has begun."""

    def look(self) -> bool:
        """Handle the answers that are there, and tell whether another is waited for."""

    def kill(self, cause: Cause) -> None:
        """End it."""


class Watch:
    """Kills a process whose first call is not answered in time. A call that has not begun runs out of none."""

    def __init__(self, process: Watched) -> None:
        self._process = process
        self._loop = asyncio.get_running_loop()
        self._call: Call | None = None
        self._deadline = NEVER
        self._cause: Cause = "timeout"
        self._delayed = False  # the call had not begun at its deadline
        self._rings = NEVER  # when the timer does
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, call: Call) -> None:
        """Mind another call, which is now the first."""
        self._call = call
        self._delayed = False
        self._cause = "timeout"
        self._deadline = NEVER if call.timeout is None else self._loop.time() + call.timeout
        if call.cancelled:
            self.hasten(call.grace)
        elif self._deadline < NEVER:
            self._set_timer()

    def hasten(self, grace: float) -> None:
        """Mind that the first call is cancelled. A grace that ends later than one before it changes nothing."""
        deadline = self._loop.time() + (grace if self._process.busy else max(grace, SECOND_LOOK))
        if deadline < self._deadline:
            self._deadline, self._cause = deadline, "cancelled"
        self._set_timer()

    def close(self) -> None:
        """Mind nothing more."""
        if self._timer is not None:
            self._timer.cancel()

    def _set_timer(self) -> None:
        # One timer serves many short calls: it is set again only when it rings or would ring too late.
        if self._rings > self._deadline:
            self.close()
            self._rings = self._deadline
            self._timer = self._loop.call_at(self._deadline, self._ring)

    def _ring(self) -> None:
        self._rings = NEVER
        # If it was the loop that was late, the answer is there to be read.
        if not self._process.look() or self._call is None or self._deadline == NEVER:
            return
        if self._loop.time() < self._deadline:
            self._set_timer()
        elif (
            not self._process.busy
        ):  # that it waits for a process which does not come to it costs the call nothing
            self._delayed, self._deadline = True, self._loop.time() + SECOND_LOOK
            self._set_timer()
        elif self._delayed:
            self.begin(self._call)
        else:
            self._process.kill(self._cause)
