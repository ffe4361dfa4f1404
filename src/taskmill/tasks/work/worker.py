"""The worker: takes messages out of a consumer's slots and runs their actions, each where it belongs.

It does not wait for a result's commit: it hands the result over and takes the next message. The message is
acknowledged when the result is durable; a crash in between only has the task run again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Coroutine, Iterable
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any, Literal

from taskmill.process.call import Call
from taskmill.process.messages import Outcome
from taskmill.process.pool import WorkerPool
from taskmill.queue import Message, Slot
from taskmill.tasks.actions.action import encode_result
from taskmill.tasks.actions.context import Inline
from taskmill.tasks.actions.context import running as current
from taskmill.tasks.actions.failure import Failure, failure_of, timed_out
from taskmill.tasks.actions.named import name_tasks
from taskmill.tasks.intake.completing import Completing
from taskmill.tasks.message import TaskMessage
from taskmill.tasks.rows.store import Store
from taskmill.tasks.work.attempts import Attempt, Attempts
from taskmill.tasks.work.batches import Batches
from taskmill.tasks.work.isolated import BATCH, end_of, gather, payload
from taskmill.tasks.work.slow import GRACE, warn_of_blocking

if TYPE_CHECKING:
    from taskmill.tasks.tracing.tracing import Tracing

logger = logging.getLogger(__name__)


class Worker:
    """Runs tasks, each attempt's end going to the store together with its message.

    ``running`` is what runs. ``retry`` stores that a task runs again, ``settle`` lets go of messages whose end
    needs no store, ``completing`` stores the results of those that have submitted others, ``dropped`` holds the keys
    of tasks that were cancelled and may still be on their way here. While queues are ``paused``, ``take_back`` gets
    each task that would begin, and keeps it if it is of one of them.
    """

    def __init__(
        self,
        store: Store[Any, Any],
        pool: WorkerPool,
        *,
        retry: Callable[[TaskMessage, Failure], None],
        settle: Callable[[list[TaskMessage]], None],
        completing: Completing,
        dropped: set[bytes],
        paused: Collection[str],
        take_back: Callable[[TaskMessage], bool],
    ) -> None:
        self._store = store
        self._pool = pool
        self._dropped = dropped
        self._paused = paused
        self._take_back = take_back
        self._loop = asyncio.get_running_loop()
        Inline.thread = get_ident()
        name_tasks()
        self._attempts = Attempts(store, retry, settle, completing)
        self._batches = Batches(self._attempts, pool, self._is_held_back, self.work)
        self.running = self._attempts.running
        self._tracing: Tracing | None = None

    def trace(self, tracing: Tracing) -> None:
        """Have attempts be traced."""
        self._tracing = tracing
        self._attempts.trace(tracing)

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
            if (self._dropped or self._paused) and self._held_back(task):
                continue
            if task.careful or not task.registered.at_once:
                if self._goes_off(slot, task):
                    return
                continue
            task.started_at = int(time.time() * 1000)
            self._run_inline(task)
        slot.free()

    def _goes_off(self, slot: Slot, message: TaskMessage) -> bool:
        """Begin an attempt that is not over at once; tell whether it has the slot, or waits to be run with others."""
        if message.registered.action.options.batch and message.attempt <= message.max_attempts:
            return self._batches.gather(slot, message)
        message.started_at = int(time.time() * 1000)
        if message.careful:
            self._spawn(slot, message, self._carefully(slot, message))
        else:
            self._launch(slot, message)
        return True

    def _is_held_back(self, message: TaskMessage) -> bool:
        return bool(self._dropped or self._paused) and self._held_back(message)

    def _held_back(self, message: TaskMessage) -> bool:
        """Keep from starting what was cancelled on its way here, and what is of a queue paused meanwhile."""
        if message.key in self._dropped:
            self._dropped.discard(message.key)
            self._attempts.settle([message])
            return True
        return self._take_back(message)

    def cancel(self, keys: Iterable[bytes]) -> list[bytes]:
        """Stop those of the tasks that run, and return them: their rows say already that they are cancelled."""
        wanted = set(keys)
        messages = [message for message in self.running if message.key in wanted]
        for message in messages:
            self._stop(message, "cancelled")
        return [message.key for message in messages]

    def has(self, key: bytes) -> bool:
        """Whether a task is under way."""
        return any(message.key == key for message in self.running)

    async def stop(self) -> None:
        """Break off what still runs on the loop. Its attempts are taken back: they cost nothing."""
        await self._attempts.stop()

    def _run_inline(self, message: TaskMessage) -> None:
        Inline.task = message
        try:
            tracing = self._tracing
            result = encode_result(message.run() if tracing is None else tracing.run(message))
        except BaseException as error:  # `sys.exit` in an action ends its task, not the server
            self._attempts.failed(message, failure_of(error, message.registered.action))
            now = time.time()
        else:
            now = time.time()
            if message.registered.submits:
                self._attempts.completed(message, result, now)
            else:
                self._store.complete(message, result, now)
        Inline.task = None
        warn_of_blocking(message.registered.action.name, now * 1000 - message.started_at)

    async def _carefully(self, slot: Slot, message: TaskMessage) -> None:
        """Begin an attempt only once it stands in the row."""
        if message.attempt > message.max_attempts:
            lost = Failure("worker_lost", f"the server died in the last of {message.max_attempts} attempts")
            self._store.fail(message, lost, message.attempts)
            self._go_on(slot, message)
            return
        may_go_on = await self._attempts.claim(message)
        if self._attempts.stopping:
            return
        if not may_go_on:
            self._go_on(slot, message)
        elif message.registered.action.inline:
            self._run_inline(message)
            self._go_on(slot, message)
        else:
            self._launch(slot, message)

    def _launch(self, slot: Slot, message: TaskMessage) -> None:
        if message.registered.action.is_async:
            self._spawn(slot, message, self._run_async(slot, message))
        else:
            self._run_isolated(slot, message)

    def _spawn(self, slot: Slot, message: TaskMessage, coroutine: Coroutine[Any, Any, None]) -> None:
        self._attempts.add(message, Attempt(slot, self._loop.create_task(coroutine, name=message.name)))

    async def _run_async(self, slot: Slot, message: TaskMessage) -> None:
        current.set(message)
        if self._tracing is not None:
            self._tracing.enter(message)
        failure, result = None, b""
        limit = message.timeout
        timer = None if limit is None else self._loop.call_later(limit, self._time_out, message)
        try:
            result = encode_result(await message.run())
        except BaseException as error:
            if self._attempts.stopping:  # broken off: whatever it raised on its way out costs no attempt
                return
            failure = failure_of(error, message.registered.action)
        finally:
            if timer is not None:
                timer.cancel()
        if message not in self.running:  # it was given up before it came to its end
            return
        if message.stopping == "timeout":
            failure = timed_out(message.timeout)
        if message.stopping == "cancelled":
            self._attempts.settle([message])
        elif failure is not None:
            self._attempts.failed(message, failure)
        else:
            self._attempts.completed(message, result)
        self._go_on(slot, message)

    def _time_out(self, message: TaskMessage) -> None:
        if message in self.running and not message.stopping:
            self._stop(message, "timeout")

    def _stop(self, message: TaskMessage, reason: Literal["timeout", "cancelled"]) -> None:
        handle = self.running[message].handle
        message.stopping = reason
        if isinstance(handle, Call):
            self._pool.cancel(handle, GRACE)
        elif handle is not None and not isinstance(handle, asyncio.Task):
            handle.stop()
        elif handle is not None and (message.noted or not message.careful):
            handle.cancel()
            self._loop.call_later(GRACE, self._give_up, message)
        # Else it waits for its claim, which will be refused.

    def _give_up(self, message: TaskMessage) -> None:
        """Let go of an attempt on the loop that does not heed its cancellation."""
        attempt = self.running.get(message)
        if attempt is None or not isinstance(attempt.handle, asyncio.Task):
            return
        logger.error("action %s goes on though cancelled: it must not catch CancelledError", message.name)
        if message.stopping == "timeout":
            self._attempts.failed(message, timed_out(message.timeout))
        else:
            self._attempts.settle([message])
        self._go_on(attempt.slot, message)

    def _run_isolated(self, slot: Slot, first: TaskMessage) -> None:
        """Send an attempt to a worker process, and with it, where such are quick, the slot's next ones."""
        registered = first.registered
        batch, taken = gather(slot, first, self._may_be_held_back)
        began = self._loop.time()
        left = len(batch)

        def done(message: TaskMessage, outcome: Outcome) -> None:
            nonlocal left
            left -= 1
            self._attempts.end(message, end_of(outcome, message.timeout))
            self._ended(slot, message)
            if not left:
                spent = (self._loop.time() - began) / len(batch)
                registered.seconds += 0.2 * (spent - registered.seconds)
                self.work(slot, taken)

        calls = []
        asked = None if registered.keeping is None else registered.keeping.answer
        notes, tracing = self._store.notes, self._tracing
        quick = registered.seconds < BATCH
        for message in batch:
            carried = b"" if tracing is None else tracing.carry(message)
            what = payload(message, carried)
            call = Call(registered.function, what, partial(done, message), message.timeout, quick)
            call.asked = asked
            call.said = partial(notes.hear, (message,))
            self._attempts.add(message, Attempt(slot, call))
            calls.append(call)
        self._pool.submit(calls)

    def _may_be_held_back(self, message: TaskMessage) -> bool:
        return bool(self._paused) or message.key in self._dropped

    def _ended(self, slot: Slot, message: TaskMessage) -> None:
        self.running.pop(message, None)
        slot.done()

    def _go_on(self, slot: Slot, message: TaskMessage) -> None:
        self._ended(slot, message)
        self.work(slot)
