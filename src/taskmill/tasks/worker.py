"""The worker: takes messages out of a consumer's slots and runs their actions, each where it belongs.

It does not wait for a result's commit: it hands the result over and takes the next message. The message is
acknowledged when the result is durable; a crash in between only has the task run again.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from taskmill.process.child import Call
from taskmill.process.messages import Completed, Failed, Killed, NotRun, Outcome
from taskmill.process.pool import WorkerPool
from taskmill.queue import Message, Slot
from taskmill.tasks.actions import encode_result
from taskmill.tasks.catalog import Catalog, Registered
from taskmill.tasks.ids import from_text
from taskmill.tasks.model import Status, TaskError, timestamp
from taskmill.tasks.store import Store

logger = logging.getLogger(__name__)

SHOWN_AS_RUNNING = 0.05  # seconds after which a task that still runs is stored as running
QUICK = 0.005  # seconds: isolated actions below it travel in batches
BLOCKING = 0.1  # seconds on the loop that are worth a warning
MESSAGE_LIMIT = 10_000  # characters of an error's message or traceback that are kept


@dataclass(slots=True, eq=False)
class Attempt:
    """One run of a task."""

    message: Message
    id: bytes
    registered: Registered
    number: int
    started_at: int  # milliseconds since 1970
    noted: bool = False  # that it runs stands in its row


class Worker:
    """Runs tasks. ``store`` gets each end, with the message to acknowledge."""

    def __init__(self, store: Store[Any, Message], catalog: Catalog, pool: WorkerPool) -> None:
        self._store = store
        self._catalog = catalog
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._running: dict[Attempt, asyncio.Task[None] | None] = {}
        self._noting = False

    def work(self, slot: Slot, message: Message | None = None) -> None:
        """Handle a slot's messages until it has none, or until one that takes its time has gone off.

        Whatever goes off calls this again for the same slot when it is back, so a slot runs one thing at a time.
        """
        while message or (message := slot.take()):
            attempt = self._begin(message)
            message = None
            if attempt is None:
                slot.done()
            elif attempt.number > 1 or "suspect" in attempt.message.headers():
                self._spawn(attempt, self._carefully(slot, attempt))
                return
            elif attempt.registered.action.inline:
                self._run_inline(attempt)
                slot.done()
            else:
                self._launch(slot, attempt)
                return
        slot.free()

    async def stop(self) -> None:
        """Break off what still runs on the loop. Its attempts are taken back: they cost nothing."""
        tasks = [task for task in self._running.values() if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1)
        for attempt in self._running:
            if attempt.noted:
                self._store.release(attempt.id)
        self._running.clear()

    def _begin(self, message: Message) -> Attempt | None:
        headers = message.headers()
        registered = self._catalog.find(headers["action"])
        id_ = from_text(message.id())
        if registered is None or id_ is None:
            # Perhaps the next version knows it: the row stays, and waits for a restart.
            logger.error("task %s waits: this application has no action %r", message.id(), headers["action"])
            return None
        number = int(headers.get("attempt", 0)) + message.deliveries
        attempt = Attempt(message, id_, registered, number, int(time.time() * 1000))
        if number > registered.action.max_attempts:
            error = TaskError("WorkerLost", f"the worker died in each of {number - 1} attempts", "")
            self._failed(attempt, error, number - 1)
            return None
        return attempt

    def _run_inline(self, attempt: Attempt) -> None:
        action = attempt.registered.action
        try:
            result = encode_result(action.run(action.decode(attempt.message.body)))
        except Exception as error:
            self._failed(attempt, _described(error))
            return
        now = int(time.time() * 1000)
        if now - attempt.started_at > BLOCKING * 1000:
            logger.warning(
                "action %s is inline and kept the loop from everything else for %d ms; leave `inline` out",
                action.name, now - attempt.started_at,
            )  # fmt: skip
        self._store.finish(
            attempt.id, Status.COMPLETED, attempt.number, (attempt.started_at, now), result.decode(), None,
            attempt.message,
        )  # fmt: skip

    async def _carefully(self, slot: Slot, attempt: Attempt) -> None:
        """Begin an attempt only once it stands in the row: its task may be one that kills the process."""
        attempt.noted = True
        try:
            await self._store.start(attempt.id, attempt.number, attempt.started_at)
        except Exception:
            self._running.pop(attempt, None)
            attempt.message.deliveries -= 1
            attempt.message.nack()
            slot.done()
            self.work(slot)
            return
        if attempt.registered.action.inline:
            self._run_inline(attempt)
            self._ended(slot, attempt)
            self.work(slot)
        else:
            self._launch(slot, attempt)

    def _launch(self, slot: Slot, attempt: Attempt) -> None:
        if attempt.registered.action.is_async:
            self._spawn(attempt, self._run_async(slot, attempt))
        else:
            self._run_isolated(slot, attempt)

    def _spawn(self, attempt: Attempt, coroutine: Any) -> None:
        self._running[attempt] = self._loop.create_task(coroutine)
        self._note_later()

    async def _run_async(self, slot: Slot, attempt: Attempt) -> None:
        action = attempt.registered.action
        try:
            result = encode_result(await action.run(action.decode(attempt.message.body)))
        except Exception as error:
            self._failed(attempt, _described(error))
        else:
            self._completed(attempt, result)
        self._ended(slot, attempt)
        self.work(slot)

    def _run_isolated(self, slot: Slot, first: Attempt) -> None:
        """Send an attempt to a worker process, and with it, where such are quick, the slot's next ones."""
        batch = [first]
        carried: Message | None = None
        while first.registered.seconds < QUICK and len(batch) < slot.share and (message := slot.take()):
            registered = self._catalog.find(message.headers()["action"])
            attempt = self._begin(message) if registered is first.registered else None
            if attempt is None or attempt.number > 1 or "suspect" in message.headers():
                carried = message
                break
            batch.append(attempt)
        began = self._loop.time()
        left = len(batch)

        def done(attempt: Attempt, outcome: Outcome) -> None:
            nonlocal left
            left -= 1
            self._isolated_ended(attempt, outcome)
            self._ended(slot, attempt)
            if not left:
                spent = (self._loop.time() - began) / len(batch)
                first.registered.seconds += 0.2 * (spent - first.registered.seconds)
                self.work(slot, carried)

        for attempt in batch:
            self._running[attempt] = None
        self._note_later()
        function = first.registered.function
        self._pool.submit(
            [Call(function, attempt.message.body.encode(), partial(done, attempt)) for attempt in batch]
        )

    def _isolated_ended(self, attempt: Attempt, outcome: Outcome) -> None:
        if isinstance(outcome, Completed):
            self._completed(attempt, outcome.result)
        elif isinstance(outcome, Failed):
            self._failed(attempt, _clean(outcome.type, outcome.message, outcome.traceback))
        elif isinstance(outcome, Killed) and outcome.reason == "crashed":
            if attempt.number < attempt.registered.action.max_attempts:
                logger.warning("task %s runs again: %s", attempt.message.id(), outcome.message)
                attempt.message.nack()
            else:
                self._failed(attempt, _clean("WorkerCrashed", outcome.message, ""))
        elif isinstance(outcome, Killed | NotRun) and attempt.noted:  # a shutdown broke it off
            self._store.release(attempt.id)

    def _completed(self, attempt: Attempt, result: bytes) -> None:
        times = (attempt.started_at, int(time.time() * 1000))
        self._store.finish(
            attempt.id, Status.COMPLETED, attempt.number, times, result.decode(), None, attempt.message
        )

    def _failed(self, attempt: Attempt, error: TaskError, number: int | None = None) -> None:
        now = int(time.time() * 1000)
        error.at = timestamp(now) or ""
        text = msgspec.json.encode(error).decode()
        times = (attempt.started_at, now)
        self._store.finish(
            attempt.id, Status.FAILED, number or attempt.number, times, None, text, attempt.message
        )

    def _ended(self, slot: Slot, attempt: Attempt) -> None:
        self._running.pop(attempt, None)
        slot.done()

    def _note_later(self) -> None:
        if not self._noting:
            self._noting = True
            self._loop.call_later(SHOWN_AS_RUNNING, self._note)

    def _note(self) -> None:
        """Store as running what has been running for a moment. Most tasks end before, and cost no such write."""
        self._noting = False
        limit = time.time() * 1000 - SHOWN_AS_RUNNING * 1000
        for attempt in self._running:
            if not attempt.noted and attempt.started_at <= limit:
                attempt.noted = True
                self._store.start(attempt.id, attempt.number, attempt.started_at)
        if self._running:
            self._note_later()


def _described(error: Exception) -> TaskError:
    lines = traceback.format_exception(error)
    return _clean(type(error).__qualname__, str(error), "".join(lines))


def _clean(type_: str, message: str, trace: str) -> TaskError:
    """Keep of an error what can be stored: valid text of a bounded length."""

    def bounded(text: str) -> str:
        return text.encode("utf-8", "replace").decode()[:MESSAGE_LIMIT]

    return TaskError(bounded(type_), bounded(message), "", bounded(trace))
