"""The worker processes of a pool: as many as there shall be, and a new one for each that dies or is worn."""

import asyncio
import logging
import sys
from collections.abc import Callable, Sequence
from typing import Literal

from taskmill import logs
from taskmill.process.child import Call, Child
from taskmill.process.ending import Cause
from taskmill.process.messages import Completed, FunctionRef, Killed, Outcome, encode
from taskmill.process.runner import PREPARE
from taskmill.process.wear import Limits, Wear

log = logging.getLogger("taskmill.process")

FAILED_STARTS = 3  # in a row, before calls are refused instead of kept waiting
LONGEST_PAUSE = 10.0  # seconds between attempts to start a worker that does not come up

Replaced = Literal["crashed", "timeout", "cancelled", "recycled", "stalled"]
COUNTED: dict[Cause, Replaced] = {
    "crashed": "crashed",
    "lost": "crashed",
    "timeout": "timeout",
    "cancelled": "cancelled",
    "stalled": "stalled",
}


class Crew:
    """Starts, replaces and ends worker processes. `place` finds a place for calls; it is also asked with none.

    A worn worker goes on until its successor is ready. Then it finishes the call that it has begun and gives back
    the others, and only then does the successor take calls: never do more than `size` run at once.
    """

    def __init__(self, size: int, limits: Limits, place: Callable[[Sequence[Call]], None]) -> None:
        self.size = size
        self.active: list[Child] = []  # they take calls
        self.ready: set[Child] = set()
        self.replaced: dict[Replaced, int] = dict.fromkeys([*COUNTED.values(), "recycled"], 0)
        self.empty = asyncio.Event()
        self.empty.set()
        self.why_broken = f"the process host has `workers: {size}`"  # no call can be run
        self._limits = limits
        self._limited = any(limit is not None for limit in limits)
        self._place = place
        self._wear: dict[Child, Wear] = {}  # of all that there are
        self._worn: list[Child] = []  # of the active ones, the first to be replaced first
        self._spares: list[Child] = []  # successors that are starting
        # Retired ones, each with the successor that waits for the end of its running call, if one still does.
        self._leaving: dict[Child, Child | None] = {}
        self._preload: list[FunctionRef] = []
        self._failed_starts = 0
        self._stopping = False
        self._loop = asyncio.get_running_loop()

    @property
    def everyone(self) -> list[Child]:
        """All processes that there are, in the order in which they were started."""
        return list(self._wear)

    @property
    def broken(self) -> bool:
        """Whether calls need not wait, since no process comes up to run them."""
        return not self.size or (self._failed_starts >= FAILED_STARTS and not self.ready)

    def least_loaded(self, *, quick: bool) -> Child | None:
        """Return the process to give a call to, if one is free; for a `quick` one that may be behind others."""
        best, least = None, sys.maxsize
        for child in self.active:
            load = len(child.calls)
            if not load:
                return child
            if quick and not child.slow and load < least:
                best, least = child, load
        return best

    def start(self) -> None:
        """Begin to start the processes."""
        self._limits.warn()
        for _ in range(self.size):
            self._loop.call_soon(self._spawn)

    def preload(self, functions: Sequence[FunctionRef]) -> None:
        """Load functions in every process, now and whenever one is replaced."""
        self._preload += functions
        for child in [*self.active, *self._spares]:
            self._prepare(child)

    def stop(self) -> None:
        """Start no more, and let those that there are end after the calls they have."""
        self._stopping = True
        for child in self.everyone:
            child.close()

    def weigh(self, child: Child) -> None:
        """Have a process replaced if it is worn."""
        if self._stopping or child in self._worn or child not in self.active:
            return
        if reason := self._wear[child].reason(child.answered):
            log.info("worker process %d is replaced: %s", child.pid, reason)
            self._worn.append(child)
            self._loop.call_soon(self._spawn)

    def answered(self, child: Child) -> None:
        """See `Owner`."""
        if self._leaving and child in self._leaving:
            self._hand_over(child)
        elif self._limited:
            self.weigh(child)
        self._place(())

    def returned(self, calls: Sequence[Call]) -> None:
        """See `Owner`."""
        self._place([call for call in calls if call.function is not PREPARE])

    def ended(self, child: Child, how: Killed, left: Sequence[Call]) -> None:
        """See `Owner`."""
        was_ready = child in self.ready
        self._forget(child)
        if child in self._leaving:
            self._hand_over(child)
            del self._leaving[child]
        elif not self._stopping:
            self.replaced[COUNTED.get(child.cause, "crashed")] += 1
            if self._is_short and self._spares:
                self.active.append(self._spares.pop(0))
            if was_ready:
                log.warning("worker process %d is replaced: %s", child.pid, how.message)
                self._loop.call_soon(self._spawn)
            else:
                self._start_failed(f"worker processes die while they start: {how.message}")
        self.returned(left)

    @property
    def _is_short(self) -> bool:
        waiting = sum(successor is not None for successor in self._leaving.values())
        return len(self.active) + waiting < self.size

    def _spawn(self) -> None:
        """Start one process, if one is missing."""
        short = self._is_short
        # Not all successors start at once: workers that began together are worn together.
        wanted = short or len(self._spares) < min(len(self._worn), 1 + self.size // 4)
        if self._stopping or not wanted:
            return
        try:
            child = Child(self)
        except OSError as error:
            self._start_failed(f"no worker process can be started: {error}")
            return
        (self.active if short else self._spares).append(child)
        self._wear[child] = Wear(self._limits, child.pid)
        self.empty.clear()
        self._prepare(child)
        self._place([])

    def _prepare(self, child: Child) -> None:
        def done(outcome: Outcome) -> None:
            if isinstance(outcome, Completed):
                self._wear[child].preparations += 1
                self._failed_starts = 0
                self.ready.add(child)
                if child in self._spares and not self._stopping:
                    self._relieve(child)

        child.send([Call(PREPARE, encode((sys.path, self._preload, logs.settings())), done, quick=True)])

    def _relieve(self, successor: Child) -> None:
        """Retire the worker that was worn first, now that its successor is ready."""
        self._spares.remove(successor)
        worn = self._worn.pop(0)
        self.active.remove(worn)
        self._leaving[worn] = successor
        self.replaced["recycled"] += 1
        worn.retire()
        self._hand_over(worn)
        self._loop.call_soon(self._spawn)  # the successor of the next

    def _hand_over(self, leaving: Child) -> None:
        """Let the successor of a worker take calls, if nothing runs in that any more."""
        successor = self._leaving[leaving]
        if successor is not None and (leaving.ended or not leaving.busy):
            self._leaving[leaving] = None
            self.active.append(successor)
            self._place([])

    def _forget(self, child: Child) -> None:
        for group in (self.active, self._worn, self._spares):
            if child in group:
                group.remove(child)
        for leaving, successor in self._leaving.items():
            if successor is child:
                self._leaving[leaving] = None
        self.ready.discard(child)
        del self._wear[child]
        if not self._wear:
            self.empty.set()

    def _start_failed(self, why: str) -> None:
        self.why_broken = f"{why}. What they printed is on standard error"
        log.error("%s", self.why_broken)
        self._loop.call_later(min(0.1 * 2 ** min(self._failed_starts, 10), LONGEST_PAUSE), self._spawn)
        self._failed_starts += 1
        self._place([])
