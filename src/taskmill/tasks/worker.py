"""The worker: takes messages out of a consumer's slots and runs their actions, each where it belongs.

It does not wait for a result's commit: it hands the result over and takes the next message. The message is
acknowledged when the result is durable; a crash in between only has the task run again.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Coroutine
from functools import partial
from typing import Any

from taskmill.process.child import Call
from taskmill.process.messages import Completed, Failed, Killed, NotRun, Outcome
from taskmill.process.pool import WorkerPool
from taskmill.queue import Message, Slot
from taskmill.tasks.actions import encode_result
from taskmill.tasks.message import TaskMessage
from taskmill.tasks.model import TaskError
from taskmill.tasks.quarantine import Quarantine
from taskmill.tasks.store import Store

logger = logging.getLogger(__name__)

SHOWN_AS_RUNNING = 50  # milliseconds after which a task that still runs is stored as running
QUICK = 0.005  # seconds: isolated actions below it travel in batches
BLOCKING = 100  # milliseconds on the loop that are worth a warning
TEXT_LIMIT = 10_000  # characters of an error's message or traceback that are kept


class Worker:
    """Runs tasks, each attempt's end going to the store together with its message."""

    def __init__(self, store: Store[Any], pool: WorkerPool) -> None:
        self._store = store
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._running: dict[TaskMessage, asyncio.Task[None] | None] = {}
        self._noting = False
        self._quarantine = Quarantine()
        self._stopping = False

    def work(self, slot: Slot, message: Message | None = None) -> None:
        """Handle a slot's messages until it has none, or until one that takes its time has gone off.

        Whatever goes off calls this again for the same slot when it is back, so a slot runs one thing at a time.
        """
        while message or (message := slot.take()):
            task, message = message, None
            if not isinstance(task, TaskMessage):
                logger.error("message %s is dropped: a function published it, and it is no task", task.id())
                task.ack()
                continue
            task.started_at = int(time.time() * 1000)
            if task.attempt > 1 or task.suspect:
                self._spawn(task, self._carefully(slot, task))
                return
            if not task.registered.action.inline:
                self._launch(slot, task)
                return
            self._run_inline(task)
        slot.free()

    async def stop(self) -> None:
        """Break off what still runs on the loop. Its attempts are taken back: they cost nothing."""
        self._stopping = True
        tasks = [task for task in self._running.values() if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1)
        for message in self._running:
            if message.noted:
                self._store.release(message)
        self._running.clear()

    def _run_inline(self, message: TaskMessage) -> None:
        try:
            result = encode_result(message.run())
        except BaseException as error:  # `sys.exit` in an action ends its task, not the server
            self._store.fail(message, message.attempt, _described(error))
        else:
            self._store.complete(message, result)
        spent = time.time() * 1000 - message.started_at
        if spent > BLOCKING:
            logger.warning(
                "action %s is inline and kept the loop from everything else for %d ms; leave `inline` out",
                message.registered.action.name, spent,
            )  # fmt: skip

    async def _carefully(self, slot: Slot, message: TaskMessage) -> None:
        """Begin an attempt only once it stands in the row: its task may be one that kills the process."""
        action = message.registered.action
        if message.attempt > action.max_attempts:
            error = TaskError("WorkerLost", f"the worker died in each of {action.max_attempts} attempts", "")
            self._store.fail(message, action.max_attempts, error)
            self._go_on(slot, message)
            return
        if message.suspect:
            message.started_at = 0
            await self._quarantine.enter(message)
            message.started_at = int(time.time() * 1000)
        message.noted = True
        try:
            await self._store.start(message)
        except Exception:
            # Such as a full disk: later, and not counted.
            message.deliveries -= 1
            message.nack()
            self._go_on(slot, message)
            return
        if action.inline:
            self._run_inline(message)
            self._go_on(slot, message)
        else:
            self._launch(slot, message)

    def _launch(self, slot: Slot, message: TaskMessage) -> None:
        if message.registered.action.is_async:
            self._spawn(message, self._run_async(slot, message))
        else:
            self._run_isolated(slot, message)

    def _spawn(self, message: TaskMessage, coroutine: Coroutine[Any, Any, None]) -> None:
        self._running[message] = self._loop.create_task(coroutine)
        self._note_later()

    async def _run_async(self, slot: Slot, message: TaskMessage) -> None:
        try:
            result = encode_result(await message.run())
        except BaseException as error:
            if self._stopping and isinstance(error, asyncio.CancelledError):
                raise
            self._store.fail(message, message.attempt, _described(error))
        else:
            self._store.complete(message, result)
        self._go_on(slot, message)

    def _run_isolated(self, slot: Slot, first: TaskMessage) -> None:
        """Send an attempt to a worker process, and with it, where such are quick, the slot's next ones."""
        registered = first.registered
        batch = [first]
        carried: Message | None = None
        while registered.seconds < QUICK and len(batch) < slot.share and (taken := slot.take()):
            if (
                not isinstance(taken, TaskMessage)
                or taken.registered is not registered
                or taken.attempt > 1
                or taken.suspect
            ):
                carried = taken
                break
            taken.started_at = first.started_at
            batch.append(taken)
        began = self._loop.time()
        left = len(batch)

        def done(message: TaskMessage, outcome: Outcome) -> None:
            nonlocal left
            left -= 1
            self._isolated_ended(message, outcome)
            self._ended(slot, message)
            if not left:
                spent = (self._loop.time() - began) / len(batch)
                registered.seconds += 0.2 * (spent - registered.seconds)
                self.work(slot, carried)

        for message in batch:
            self._running[message] = None
        self._note_later()
        self._pool.submit(
            [Call(registered.function, message.body.encode(), partial(done, message)) for message in batch]
        )

    def _isolated_ended(self, message: TaskMessage, outcome: Outcome) -> None:
        if isinstance(outcome, Completed):
            self._store.complete(message, outcome.result)
        elif isinstance(outcome, Failed):
            self._store.fail(
                message, message.attempt, _error(outcome.type, outcome.message, outcome.traceback)
            )
        elif isinstance(outcome, Killed) and outcome.reason == "crashed":
            if message.attempt < message.registered.action.max_attempts:
                logger.warning("task %s runs again: %s", message.id(), outcome.message)
                message.nack()
            else:
                self._store.fail(message, message.attempt, _error("WorkerCrashed", outcome.message, ""))
        elif isinstance(outcome, Killed | NotRun) and message.noted:  # a shutdown broke it off
            self._store.release(message)

    def _ended(self, slot: Slot, message: TaskMessage) -> None:
        self._running.pop(message, None)
        slot.done()

    def _go_on(self, slot: Slot, message: TaskMessage) -> None:
        self._ended(slot, message)
        self.work(slot)

    def _note_later(self) -> None:
        if not self._noting:
            self._noting = True
            self._loop.call_later(SHOWN_AS_RUNNING / 1000, self._note)

    def _note(self) -> None:
        """Store as running what has been running for a moment. Most tasks end before, and cost no such write."""
        self._noting = False
        limit = time.time() * 1000 - SHOWN_AS_RUNNING
        for message in self._running:
            if not message.noted and 0 < message.started_at <= limit:
                message.noted = True
                self._store.start(message)
        if self._running:
            self._note_later()


def _described(error: BaseException) -> TaskError:
    try:
        message = str(error)
    except Exception:
        message = "an error that cannot be shown as text"
    return _error(type(error).__qualname__, message, "".join(traceback.format_exception(error)))


def _error(type_: str, message: str, trace: str) -> TaskError:
    """Keep of an error what can be stored: valid text of a bounded length."""

    def bounded(text: str) -> str:
        return text.encode("utf-8", "replace").decode()[:TEXT_LIMIT]

    return TaskError(bounded(type_), bounded(message), "", bounded(trace))
