"""The pool of worker processes: each call goes to one that is free for it."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import groupby

from taskmill.process.child import Call
from taskmill.process.crew import Crew, Replaced
from taskmill.process.messages import Failed, FunctionRef, NotRun, Outcome
from taskmill.process.patrol import Patrol
from taskmill.process.wear import Limits


class WorkerPool:
    """Runs calls in worker processes. Every method is called on the loop.

    A batch of quick calls goes to one worker, which runs it in order; any other call waits here until a worker is
    idle, so that it never waits behind one that takes long. A worker's death costs the call that ran in it and no
    other: those behind it go to another worker.

    `lease` is how many seconds a worker that has calls may be stopped (SIGSTOP) before it is replaced. A worker is
    replaced as well after `max_tasks` calls, or when it holds more than `max_memory` bytes between two calls.
    """

    def __init__(
        self,
        workers: int,
        *,
        lease: float = 30.0,
        max_tasks: int | None = None,
        max_memory: int | None = None,
    ) -> None:
        self.workers = workers
        self._crew = Crew(workers, Limits(max_tasks, max_memory), self._place)
        self._patrol = Patrol(self._crew, lease)
        self._waiting: deque[Call] = deque()  # while there is no process to give them to
        self._stopping = False
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        """Begin to start the worker processes. Calls may be submitted at once: they wait."""
        self._crew.start()
        self._patrol.start()

    def preload(self, functions: Sequence[FunctionRef]) -> None:
        """Load functions in every worker process, now and whenever one is replaced."""
        self._crew.preload(functions)

    @property
    def outstanding(self) -> int:
        """How many calls have no outcome yet, a starting worker's own preparation among them."""
        return len(self._waiting) + sum(len(child.calls) for child in self._crew.everyone)

    @property
    def idle(self) -> int:
        """How many worker processes have nothing to do."""
        return sum(not child.calls for child in self._crew.active)

    @property
    def busy(self) -> int:
        """How many worker processes have something to do."""
        return sum(bool(child.calls) for child in self._crew.everyone)

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers, of those too that are on their way in or out."""
        return [child.pid for child in self._crew.everyone]

    @property
    def replaced(self) -> Mapping[Replaced, int]:
        """How many workers were replaced since the start, by the reason; a reason that never came counts 0."""
        return dict(self._crew.replaced)

    def submit(self, calls: Sequence[Call]) -> None:
        """Run calls, in order; several of them in one worker. Each `done` is called later, never from in here."""
        if not calls:
            return
        if self._stopping:
            self._refuse(calls, NotRun("shutdown"))
        elif child := self._crew.least_loaded(quick=all(call.quick for call in calls)):
            if child.ended:  # a callback submits while the last answers of a dead worker are read
                self._waiting.extend(calls)
            else:
                child.send(calls)
        elif self._crew.broken:
            self._refuse(calls, Failed("WorkerStartError", self._crew.why_broken, ""))
        else:
            self._waiting.extend(calls)

    def cancel(self, call: Call, grace: float = 0.0) -> bool:
        """Stop a call; return False if it has its outcome already.

        One that has not begun is never run: its outcome is NotRun, at the latest when its turn would have come. One
        that runs is asked to end (`taskmill.process.worker.cancelled`) and killed if it has no outcome `grace`
        seconds later. Asking again with another grace sets a new one, if that ends sooner.
        """
        if call in self._waiting:
            self._waiting.remove(call)
            self._refuse([call], NotRun("cancelled"))
            return True
        for child in self._crew.everyone:
            if call in child.calls:
                child.cancel(call, grace)
                return True
        return False

    async def stop(self, grace: float = 5.0) -> None:
        """Take no more calls, finish those there are, and kill what is left after `grace` seconds."""
        self._stopping = True
        self._place([])
        self._crew.stop()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self._crew.empty.wait()
        finally:  # also when this very wait is cancelled
            self._patrol.stop()
            for child in self._crew.everyone:
                child.kill("shutdown")
        await self._crew.empty.wait()

    def _place(self, calls: Sequence[Call]) -> None:
        """Find a place for calls that a worker gave back, and for those that wait for one."""
        if not calls and not self._waiting:
            return
        waiting, self._waiting = [*calls, *self._waiting], deque()
        self._refuse([call for call in waiting if call.cancelled], NotRun("cancelled"))
        for quick, together in groupby(waiting, lambda call: call.quick):
            left = [call for call in together if not call.cancelled]
            for batch in [left] if quick else [[call] for call in left]:
                self.submit(batch)

    def _refuse(self, calls: Sequence[Call], outcome: Outcome) -> None:
        for call in calls:
            self._loop.call_soon(call.done, outcome)
