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
from typing import Any, Literal, NamedTuple

from taskmill.process.child import Call
from taskmill.process.messages import Outcome
from taskmill.process.pool import WorkerPool
from taskmill.queue import Message, Slot
from taskmill.tasks.actions.action import encode_result
from taskmill.tasks.actions.context import Inline
from taskmill.tasks.actions.context import running as current
from taskmill.tasks.actions.failure import Failure, failure_of, timed_out
from taskmill.tasks.message import TaskMessage
from taskmill.tasks.rows.store import Store
from taskmill.tasks.work.isolated import BATCH, end_of, gather, payload
from taskmill.tasks.work.noting import Noting
from taskmill.tasks.work.quarantine import Quarantine

logger = logging.getLogger(__name__)

BLOCKING = 100  # milliseconds on the loop that are worth a warning
GRACE = 1.0  # seconds that a cancelled action has to clean up


class Attempt(NamedTuple):
    """What runs now: in which slot, and what can be stopped."""

    slot: Slot
    handle: asyncio.Task[None] | Call | None


class Worker:
    """Runs tasks, each attempt's end going to the store together with its message.

    ``running`` is what runs. ``retry`` stores that a task runs again, ``settle`` lets go of messages whose end
    needs no store, ``dropped`` holds the keys of tasks that were cancelled and may still be on their way here.
    While queues are ``paused``, ``take_back`` gets each task that would begin, and keeps it if it is of one of them.
    """

    def __init__(
        self,
        store: Store[Any, Any],
        pool: WorkerPool,
        *,
        retry: Callable[[TaskMessage, Failure], None],
        settle: Callable[[list[TaskMessage]], None],
        dropped: set[bytes],
        paused: Collection[str],
        take_back: Callable[[TaskMessage], bool],
    ) -> None:
        self._store = store
        self._pool = pool
        self._retry = retry
        self._settle = settle
        self._dropped = dropped
        self._paused = paused
        self._take_back = take_back
        self._loop = asyncio.get_running_loop()
        self.running: dict[TaskMessage, Attempt] = {}
        self._claiming: set[TaskMessage] = set()  # whether their attempts begin is being written
        self._noting = Noting(store, self.running)
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
            if (self._dropped or self._paused) and self._held_back(task):
                continue
            task.started_at = int(time.time() * 1000)
            if task.careful:
                self._spawn(slot, task, self._carefully(slot, task))
                return
            if not task.registered.action.inline:
                self._launch(slot, task)
                return
            self._run_inline(task)
        slot.free()

    def _held_back(self, message: TaskMessage) -> bool:
        """Keep from starting what was cancelled on its way here, and what is of a queue paused meanwhile."""
        if message.key in self._dropped:
            self._dropped.discard(message.key)
            self._settle([message])
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
        self._stopping = True
        handles = {message: attempt.handle for message, attempt in self.running.items()}
        tasks = {message: task for message, task in handles.items() if isinstance(task, asyncio.Task)}
        for message in tasks.keys() - self._claiming:
            tasks[message].cancel()
        if tasks:
            await asyncio.wait(tasks.values(), timeout=1)
        for message in filter(lambda message: message.noted, self.running):
            self._store.release(message)
        self.running.clear()

    def _run_inline(self, message: TaskMessage) -> None:
        Inline.task = message
        try:
            result = encode_result(message.run())
        except BaseException as error:  # `sys.exit` in an action ends its task, not the server
            self._failed(message, failure_of(error, message.registered.action))
            now = time.time()
        else:
            now = time.time()
            self._store.complete(message, result, now)
        Inline.task = None
        spent = now * 1000 - message.started_at
        if spent > BLOCKING:
            text = "action %s is inline and kept the loop from everything else for %d ms; leave `inline` out"
            logger.warning(text, message.registered.action.name, spent)

    async def _carefully(self, slot: Slot, message: TaskMessage) -> None:
        """Begin an attempt only once it stands in the row."""
        if message.attempt > message.max_attempts:
            lost = Failure("worker_lost", f"the server died in the last of {message.max_attempts} attempts")
            self._store.fail(message, lost, message.attempts)
            self._go_on(slot, message)
            return
        if message.suspect:
            message.started_at = 0
            await self._quarantine.enter(message)
            message.started_at = int(time.time() * 1000)
        self._claiming.add(message)
        try:
            data = await self._store.claim(message)
        except Exception:  # such as a full disk: later, and not counted
            message.nack()
            self._go_on(slot, message)
            return
        finally:
            self._claiming.discard(message)
        message.noted = data is not None
        if self._stopping:
            return
        if data is None:  # cancelled, or ended otherwise, meanwhile
            self._settle([message])
            self._go_on(slot, message)
            return
        if data != message.body:  # a later submission has replaced it
            message.body, message.decoded = data, None
        if message.stopping:
            self._settle([message])
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
        self.running[message] = Attempt(slot, self._loop.create_task(coroutine, name=message.name))
        self._noting.wake()

    async def _run_async(self, slot: Slot, message: TaskMessage) -> None:
        current.set(message)
        failure, result = None, b""
        limit = message.timeout
        timer = None if limit is None else self._loop.call_later(limit, self._time_out, message)
        try:
            result = encode_result(await message.run())
        except BaseException as error:
            if self._stopping:  # broken off: whatever it raised on its way out costs no attempt
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
            self._settle([message])
        elif failure is not None:
            self._failed(message, failure)
        else:
            self._store.complete(message, result)
        self._go_on(slot, message)

    def _time_out(self, message: TaskMessage) -> None:
        if message in self.running and not message.stopping:
            self._stop(message, "timeout")

    def _stop(self, message: TaskMessage, reason: Literal["timeout", "cancelled"]) -> None:
        attempt = self.running[message]
        message.stopping = reason
        if isinstance(attempt.handle, Call):
            self._pool.cancel(attempt.handle, GRACE)
        elif attempt.handle is not None and (message.noted or not message.careful):
            attempt.handle.cancel()
            self._loop.call_later(GRACE, self._give_up, message)
        # Else it waits for its claim, which will be refused.

    def _give_up(self, message: TaskMessage) -> None:
        """Let go of an attempt on the loop that does not heed its cancellation."""
        attempt = self.running.get(message)
        if attempt is None or not isinstance(attempt.handle, asyncio.Task):
            return
        logger.error("action %s goes on though cancelled: it must not catch CancelledError", message.name)
        if message.stopping == "timeout":
            self._failed(message, timed_out(message.timeout))
        else:
            self._settle([message])
        self._go_on(attempt.slot, message)

    def _run_isolated(self, slot: Slot, first: TaskMessage) -> None:
        """Send an attempt to a worker process, and with it, where such are quick, the slot's next ones."""
        registered = first.registered
        batch, carried = gather(slot, first, self._may_be_held_back)
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

        calls = []
        quick = registered.seconds < BATCH
        for message in batch:
            call = Call(registered.function, payload(message), partial(done, message), message.timeout, quick)
            self.running[message] = Attempt(slot, call)
            calls.append(call)
        self._noting.wake()
        self._pool.submit(calls)

    def _may_be_held_back(self, message: TaskMessage) -> bool:
        return bool(self._paused) or message.key in self._dropped

    def _isolated_ended(self, message: TaskMessage, outcome: Outcome) -> None:
        ended = end_of(outcome, message)
        if message.stopping == "cancelled" or ended == "cancelled":  # its row has ended
            self._settle([message])
        elif isinstance(ended, bytes):
            self._store.complete(message, ended)
        elif isinstance(ended, Failure):
            self._failed(message, ended)
        elif message.noted:  # a shutdown broke it off
            self._store.release(message)

    def _failed(self, message: TaskMessage, failure: Failure) -> None:
        if failure.final or (failure.counts and message.attempt >= message.max_attempts):
            self._store.fail(message, failure)
        else:
            self._retry(message, failure)

    def _ended(self, slot: Slot, message: TaskMessage) -> None:
        self.running.pop(message, None)
        slot.done()

    def _go_on(self, slot: Slot, message: TaskMessage) -> None:
        self._ended(slot, message)
        self.work(slot)
