"""The canary: a few tasks that are run again before all the others, to see whether they fail as before."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Select, bindparam, select

from taskmill.tasks.lifecycle import Status
from taskmill.tasks.model import ShownError
from taskmill.tasks.rows import statements
from taskmill.tasks.rows.reader import Reader
from taskmill.tasks.rows.schema import task

PATIENCE = 60.0  # seconds to wait for a canary
GRACE = 1.0  # seconds to wait for the others once one has failed as before
LOOK = 0.05  # seconds between looks at the rows

# Parameter: id.
_STATE: Select[tuple[int, int, str | None]] = select(task.c.status, task.c.attempt, task.c.error).where(
    task.c.id == bindparam("id_")
)

_error = msgspec.json.Decoder(ShownError)


class Before(NamedTuple):
    """A task as it was before it was run again: its attempts, and the type of its error."""

    attempt: int
    error: str | None


class Canary(msgspec.Struct):
    """How the first tasks went. ``error`` is that of one that failed, one as before if there is one."""

    completed: int = 0
    failed: int = 0
    waiting: int = 0  # for which the time was too short
    error: ShownError | None = None


async def try_out(
    reader: Reader, retry: Callable[[Sequence[bytes]], Awaitable[Sequence[bytes]]], keys: Sequence[bytes]
) -> tuple[int, bool, Canary]:
    """Run tasks again, and wait until each has ended, or has failed an attempt.

    Returns how many run again, whether to stop there, and how they went. It is to stop where one failed with
    the type of error that it had before, and where the time was too short to know.
    """
    before = {key: await _before(reader, key) for key in keys}
    waiting = list(await retry(keys))
    count, as_before, canary = len(waiting), False, Canary()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE
    while waiting and loop.time() < deadline:
        for key in list(waiting):
            status, error = await _outcome(reader, key, before[key])
            if status is None:
                continue
            waiting.remove(key)
            canary.completed += status == Status.COMPLETED
            canary.failed += error is not None
            if error is not None and error.type == before[key].error and not as_before:
                as_before, canary.error = True, error
                deadline = min(deadline, loop.time() + GRACE)
            canary.error = canary.error or error
        if waiting:
            await asyncio.sleep(LOOK)
    canary.waiting = len(waiting)
    return count, as_before or bool(waiting), canary


async def _before(reader: Reader, key: bytes) -> Before:
    for _, attempt, error in await reader.read(_STATE, {"id_": key}):
        return Before(attempt, None if error is None else _error.decode(error).type)
    return Before(0, None)


async def _outcome(reader: Reader, key: bytes, before: Before) -> tuple[Status | None, ShownError | None]:
    """Tell how a task stands that has ended or failed an attempt, and with which error; None where it has not."""
    states = await reader.read(_STATE, {"id_": key})
    if not states or states[0][0] == Status.COMPLETED:  # one that was pruned has ended
        return Status.COMPLETED, None
    status, _, last = states[0]
    for attempt, _, _, error in await reader.read(statements.ATTEMPTS, {"id_": key}):
        if attempt > before.attempt:
            return Status(status), _error.decode(error)
    if status == Status.FAILED:  # without an attempt, such as by its expiry
        return Status.FAILED, _error.decode(last)
    return (Status.CANCELLED, None) if status == Status.CANCELLED else (None, None)
