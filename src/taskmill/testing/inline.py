"""What takes the place of worker processes: actions that are a plain `def` run in the thread of the test itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from traceback import format_exception
from typing import Any, TypeVar

from taskmill.process.asking import answering
from taskmill.process.call import Call
from taskmill.process.host import ProcessHost
from taskmill.process.messages import Completed, Failed, FunctionRef, Killed, NotRun, Outcome
from taskmill.process.pool import WorkerPool
from taskmill.process.runner import runner
from taskmill.registry import Entry
from taskmill.supervisor import Context

T = TypeVar("T")
Runner = Callable[[bytes], bytes]


class Bench:
    """Where a thread that waits for the loop does meanwhile what the loop gives it."""

    def __init__(self) -> None:
        self._given: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def give(self, work: Callable[[], None]) -> None:
        """On the loop, have something done."""
        self._given.put(work)

    def wait(self, future: Future[T]) -> T:
        """Do what is given until a future is done; return its result."""
        future.add_done_callback(lambda _: self._given.put(None))
        while (work := self._given.get()) is not None:
            work()
        return future.result()


class InlinePool(WorkerPool):
    """Runs calls at the bench. A debugger, a patched function and a caught print work as in any other test.

    Nothing can stop a function there; one that took longer than its timeout has timed out all the same.
    """

    def __init__(self, bench: Bench, known: Mapping[FunctionRef, Runner]) -> None:
        super().__init__(0)
        self._bench = bench
        self._known = known

    def start(self) -> None:
        """Start no process."""

    def preload(self, functions: Sequence[FunctionRef]) -> None:
        """Load nothing before it is needed."""

    def submit(self, calls: Sequence[Call]) -> None:
        """Run calls, in order."""
        for call in calls:
            self._bench.give(lambda call=call: self._run(call))  # type: ignore[misc]

    def cancel(self, call: Call, grace: float = 0.0) -> bool:  # noqa: ARG002 - as the pool of processes has it
        """Note that a call was cancelled: one that has not begun is never run."""
        call.cancelled = True
        return True

    async def stop(self, grace: float = 5.0) -> None:
        """Nothing to wait for."""

    def _run(self, call: Call) -> None:
        outcome: Outcome = NotRun("cancelled")
        if not call.cancelled:
            began = self._loop.time()
            outcome = self._outcome(call)
            if call.timeout is not None and self._loop.time() - began > call.timeout:
                outcome = Killed("timeout", "", None, None, 0)
        self._loop.call_soon_threadsafe(call.done, outcome)

    def _answer(self, call: Call, question: bytes) -> bytes:
        """Have the loop answer what a call asks."""
        reply: Future[bytes] = Future()
        if call.asked is None:
            raise LookupError("nobody answers what this call asks")
        self._loop.call_soon_threadsafe(call.asked, call.payload, question, reply.set_result)
        return reply.result()

    def _outcome(self, call: Call) -> Outcome:
        try:
            run = self._known.get(call.function) or runner(call.function)
            context = copy_context()
            context.run(answering.set, partial(self._answer, call))
            return Completed(context.run(run, call.payload))
        except Exception as error:
            return Failed(type(error).__qualname__, str(error), "".join(format_exception(error)))


class InlineHost(ProcessHost):
    """A host whose functions run at the bench."""

    def __init__(
        self, bench: Bench, known: Mapping[FunctionRef, Runner], entry: Entry[Any], context: Context
    ) -> None:
        super().__init__(entry, context)
        self._bench = bench
        self._known = known

    async def start(self) -> None:
        """Make the pool."""
        self.pool = InlinePool(self._bench, self._known)

    async def stop(self) -> None:
        """Nothing to let go of."""
        await asyncio.sleep(0)
