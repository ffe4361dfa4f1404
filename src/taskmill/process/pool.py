"""The pool of worker processes: each batch of calls goes to the least loaded; those that die are replaced."""

import asyncio
import logging
import sys
from collections.abc import Sequence
from contextlib import suppress

from taskmill.process.child import Call, Child
from taskmill.process.messages import Completed, Failed, FunctionRef, Killed, NotRun, Outcome, encode
from taskmill.process.runner import PREPARE

log = logging.getLogger("taskmill.process")

FAILED_STARTS = 3  # in a row, before calls are refused instead of kept waiting
LONGEST_PAUSE = 10.0  # seconds between attempts to start a worker that does not come up


class WorkerPool:
    """Runs calls in worker processes. Every method is called on the loop.

    A batch goes to one worker, which runs it in order. A worker's death costs the call that ran in it and no
    other: those behind it go to another worker. A call that takes long keeps those behind it waiting, so a
    batch suits functions that are quick.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._children: list[Child] = []
        self._ready: set[Child] = set()
        self._waiting: list[Call] = []  # while there is no process to give them to
        self._preload: list[FunctionRef] = []
        self._failed_starts = 0
        self._why = f"the process host has `workers: {workers}`"  # no call can be run
        self._stopping = False
        self._empty = asyncio.Event()
        self._empty.set()
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        """Begin to start the worker processes. Calls may be submitted at once: they wait."""
        for _ in range(self.workers):
            self._loop.call_soon(self._spawn)

    def preload(self, functions: Sequence[FunctionRef]) -> None:
        """Load functions in every worker process, now and whenever one is replaced."""
        self._preload += functions
        for child in self._children:
            self._prepare(child)

    @property
    def outstanding(self) -> int:
        """How many calls have no outcome yet, a starting worker's own preparation among them."""
        return len(self._waiting) + sum(len(child.calls) for child in self._children)

    @property
    def idle(self) -> int:
        """How many worker processes have nothing to do."""
        return sum(not child.calls for child in self._children)

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers."""
        return [child.pid for child in self._children]

    def submit(self, calls: Sequence[Call]) -> None:
        """Run calls, in order, in one worker. Each call's `done` is called later, never from in here."""
        if self._stopping:
            self._refuse(calls, NotRun("shutdown"))
        elif self._children:
            child = min(self._children, key=lambda child: len(child.calls))
            if child.ended:  # a callback submits while the last answers of a dead worker are read
                self._waiting += calls
            else:
                child.send(calls)
        elif self._broken():
            self._refuse(calls, Failed("WorkerStartError", self._why, ""))
        else:
            self._waiting += calls

    def cancel(self, call: Call) -> bool:
        """Stop a call, killing the worker that runs it; return False if it has its outcome already."""
        if call in self._waiting:
            self._waiting.remove(call)
            self._refuse([call], NotRun("cancelled"))
            return True
        for child in self._children:
            if call in child.calls:
                child.cancel(call)
                return True
        return False

    async def stop(self, grace: float = 5.0) -> None:
        """Take no more calls, finish those there are, and kill what is left after `grace` seconds."""
        self._stopping = True
        self._resubmit([])
        for child in self._children:
            child.close()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self._empty.wait()
        finally:  # also when this very wait is cancelled
            for child in self._children:
                child.kill("shutdown")
        await self._empty.wait()

    def _spawn(self) -> None:
        if self._stopping:
            return
        try:
            child = Child(self._ended)
        except OSError as error:
            self._start_failed(f"no worker process can be started: {error}")
            return
        self._children.append(child)
        self._empty.clear()
        self._prepare(child)
        self._resubmit([])

    def _prepare(self, child: Child) -> None:
        def done(outcome: Outcome) -> None:
            if isinstance(outcome, Completed):
                self._ready.add(child)
                self._failed_starts = 0

        child.send([Call(PREPARE, encode((sys.path, self._preload)), done)])

    def _ended(self, child: Child, how: Killed, left: list[Call]) -> None:
        self._children.remove(child)
        if not self._children:
            self._empty.set()
        if child in self._ready:
            self._ready.remove(child)
            if not self._stopping:
                log.warning("worker process %d is replaced: %s", child.pid, how.message)
                self._loop.call_soon(self._spawn)
        elif not self._stopping:
            self._start_failed(f"worker processes die while they start: {how.message}")
        self._resubmit([call for call in left if call.function is not PREPARE])

    def _start_failed(self, why: str) -> None:
        self._why = f"{why}. What they printed is on standard error"
        log.error("%s", self._why)
        self._loop.call_later(min(0.1 * 2 ** min(self._failed_starts, 10), LONGEST_PAUSE), self._spawn)
        self._failed_starts += 1
        self._resubmit([])

    def _broken(self) -> bool:
        return not self.workers or (self._failed_starts >= FAILED_STARTS and not self._ready)

    def _resubmit(self, calls: Sequence[Call]) -> None:
        """Find a place for calls that a worker gave back, and for those that wait for one."""
        calls, self._waiting = [*calls, *self._waiting], []
        self._refuse([call for call in calls if call.cancelled], NotRun("cancelled"))
        if left := [call for call in calls if not call.cancelled]:
            self.submit(left)

    def _refuse(self, calls: Sequence[Call], outcome: Outcome) -> None:
        for call in calls:
            self._loop.call_soon(call.done, outcome)
