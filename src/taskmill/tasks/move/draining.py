"""Having a task queue begin nothing more, while it takes in what comes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

from taskmill.process.child import Call
from taskmill.process.pool import WorkerPool
from taskmill.tasks.service import TaskService

LOOK: Final = 0.01  # seconds between two looks at what runs


async def drain(tasks: TaskService, patience: float, meanwhile: Callable[[], Awaitable[object]]) -> int:
    """Begin no more tasks, and wait for those that run, ``patience`` seconds at most; return how many are left.

    ``meanwhile`` is done again and again as it waits.
    """
    deadline = monotonic() + patience
    while True:
        for name, dispatcher in tasks.dispatchers.items():  # each time: somebody may resume a queue
            tasks.traffic.paused.add(name)
            dispatcher.paused = True
        await meanwhile()
        running = len(tasks.worker.running)
        if not running or monotonic() > deadline:
            return running
        await asyncio.sleep(LOOK)


async def break_off(tasks: TaskService, pool: WorkerPool) -> None:
    """Stop what still runs, as a shutdown does: its attempts are taken back, and run again."""
    attempts = {attempt.handle or attempt: attempt for attempt in tasks.worker.running.values()}
    await tasks.worker.stop()
    for attempt in attempts.values():
        call = attempt.inner
        if isinstance(call, Call):
            pool.cancel(call)
        else:  # nobody else will say so
            attempt.slot.done()
