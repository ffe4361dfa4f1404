"""Batches: attempts at tasks of a batch action, which run together and end one by one."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

from taskmill.process.call import Call
from taskmill.process.messages import Outcome
from taskmill.process.pool import WorkerPool
from taskmill.queue import Message, Slot
from taskmill.tasks.actions.batching import End, Items
from taskmill.tasks.actions.context import Inline, Together
from taskmill.tasks.actions.context import running as current
from taskmill.tasks.actions.failure import timed_out
from taskmill.tasks.message import TaskMessage
from taskmill.tasks.work.attempts import Attempt, Attempts
from taskmill.tasks.work.isolated import Unended, ends_of, payload_of
from taskmill.tasks.work.slow import GRACE, warn_of_blocking

logger = logging.getLogger(__name__)


class Batch:
    """Attempts that run together, in one slot. All have the same timeout."""

    def __init__(self, batches: Batches, slot: Slot, messages: Sequence[TaskMessage]) -> None:
        self.slot = slot
        self.messages = messages
        self.handle: asyncio.Task[None] | Call | None = None
        self.begun = self.ended = False
        self._batches = batches

    def stop(self) -> None:
        """Stop it if none of its attempts is wanted any more. What is unwanted of one that goes on is dropped."""
        if all(message.stopping for message in self.messages):
            self._batches.stop(self)


class Batches:
    """Runs batches.

    ``held_back`` keeps a task from starting that was cancelled or paused meanwhile, and ``go_on`` gives a slot the
    next message.
    """

    def __init__(
        self,
        attempts: Attempts,
        pool: WorkerPool,
        held_back: Callable[[TaskMessage], bool],
        go_on: Callable[[Slot], None],
    ) -> None:
        self._attempts = attempts
        self._pool = pool
        self._held_back = held_back
        self._go_on = go_on
        self._loop = asyncio.get_running_loop()

    def gather(self, slot: Slot, message: TaskMessage) -> bool:
        """Have a task wait for others of its action; tell whether the slot runs a batch from now on.

        A task's last attempt is made alone, if others came before: where one item brings down all that run beside
        it, those come through, and the one to blame is found.
        """
        options = message.registered.action.options
        assert options.batch  # noqa: S101 - only such are gathered
        again = message.attempts > 0 or message.suspect
        if options.batch == 1 or (again and message.attempt >= message.max_attempts):
            self.run(slot, [message])
            return True
        key = message.registered, message.timeout
        return slot.gather(key, message, options.batch, options.batch_wait, self.run)

    def run(self, slot: Slot, gathered: Sequence[Message]) -> None:
        """Run tasks together, as one thing that a slot does."""
        now = int(time.time() * 1000)
        messages: list[TaskMessage] = []
        for message in gathered:
            assert isinstance(message, TaskMessage)  # noqa: S101 - nothing else is gathered
            if not self._held_back(message):
                message.started_at = now
                messages.append(message)
        if not messages:
            self._free(slot)
            return
        batch = Batch(self, slot, messages)
        action = messages[0].registered.action
        if any(message.careful for message in messages):
            self._spawn(batch, self._carefully(batch))
        elif action.is_async:
            self._spawn(batch, self._run_async(batch))
        else:
            self._launch(batch)

    def stop(self, batch: Batch) -> None:
        """Stop a batch of which nothing is wanted any more."""
        if isinstance(batch.handle, Call):
            self._pool.cancel(batch.handle, GRACE)
        elif batch.handle is not None and batch.begun:
            batch.handle.cancel()
            self._loop.call_later(GRACE, self._give_up, batch)
        # Else it waits for the claims of its tasks, which will be refused.

    def _spawn(self, batch: Batch, coroutine: Coroutine[Any, Any, None]) -> None:
        batch.handle = self._loop.create_task(coroutine, name=batch.messages[0].name)
        self._add(batch)

    def _add(self, batch: Batch) -> None:
        for message in batch.messages:
            self._attempts.add(message, Attempt(batch.slot, batch))

    async def _carefully(self, batch: Batch) -> None:
        """Begin those attempts that must stand in their rows first once they do, and leave out what may not."""
        careful = [message for message in batch.messages if message.careful]
        begun = await asyncio.gather(*map(self._attempts.claim, careful))
        if self._attempts.stopping:
            return
        refused = {message for message, may_go_on in zip(careful, begun, strict=True) if not may_go_on}
        for message in refused:
            self._attempts.running.pop(message, None)
        batch.messages = [message for message in batch.messages if message not in refused]
        if not batch.messages or all(message.stopping for message in batch.messages):
            self._end(batch, ["cancelled"] * len(batch.messages))
        elif batch.messages[0].registered.action.is_async:
            await self._run_async(batch)
        else:
            batch.handle = None
            self._launch(batch)

    def _launch(self, batch: Batch) -> None:
        if batch.messages[0].registered.action.inline:
            self._run_inline(batch)
        else:
            self._run_isolated(batch)

    def _run_inline(self, batch: Batch) -> None:
        items = _items_of(batch)
        tracing = self._attempts.tracing
        began = time.time()
        Inline.task = _seen(batch, items)
        try:
            with nullcontext() if tracing is None else tracing.within(batch.messages):
                ends = items.returned(items.call() if items.items else [])
        except BaseException as error:
            ends = items.raised(error)
        Inline.task = None
        warn_of_blocking(batch.messages[0].name, (time.time() - began) * 1000)
        self._end(batch, ends)

    def _run_isolated(self, batch: Batch) -> None:
        tracing = self._attempts.tracing
        carried, end_span = (b"", None) if tracing is None else tracing.carry_all(batch.messages)

        def done(outcome: Outcome) -> None:
            if end_span is not None:
                end_span()
            self._end(batch, ends_of(outcome, batch.messages))

        first = batch.messages[0]
        what = payload_of(batch.messages, carried)
        batch.handle = Call(first.registered.function, what, done, first.timeout)
        batch.handle.said = partial(self._attempts.store.notes.hear, batch.messages)
        self._add(batch)
        self._pool.submit([batch.handle])

    async def _run_async(self, batch: Batch) -> None:
        items, limit = _items_of(batch), batch.messages[0].timeout
        current.set(_seen(batch, items))
        batch.begun = True
        ends: Sequence[End | Unended]
        timer = None if limit is None else self._loop.call_later(limit, self._time_out, batch)
        tracing = self._attempts.tracing
        try:
            with nullcontext() if tracing is None else tracing.within(batch.messages):
                ends = items.returned(await items.call() if items.items else [])
        except BaseException as error:
            if self._attempts.stopping:  # broken off: whatever it raised on its way out costs no attempt
                return
            ends = items.raised(error)
        finally:
            if timer is not None:
                timer.cancel()
        if not batch.ended:  # nobody has given it up
            self._end(batch, self._timed(batch, ends))

    def _timed(self, batch: Batch, ends: Sequence[End | Unended]) -> Sequence[End | Unended]:
        if not any(message.stopping == "timeout" for message in batch.messages):
            return ends
        late = timed_out(batch.messages[0].timeout)
        return [
            late if message.stopping == "timeout" else end
            for message, end in zip(batch.messages, ends, strict=True)
        ]

    def _time_out(self, batch: Batch) -> None:
        for message in batch.messages:
            message.stopping = message.stopping or "timeout"
        batch.stop()

    def _give_up(self, batch: Batch) -> None:
        """Let go of a batch on the loop that does not heed its cancellation."""
        if batch.ended:
            return
        logger.error(
            "action %s goes on though cancelled: it must not catch CancelledError", batch.messages[0].name
        )
        self._end(batch, self._timed(batch, ["cancelled"] * len(batch.messages)))

    def _end(self, batch: Batch, ends: Sequence[End | Unended]) -> None:
        batch.ended = True
        for message, end in zip(batch.messages, ends, strict=True):
            self._attempts.end(message, end)
            self._attempts.running.pop(message, None)
        self._free(batch.slot)

    def _free(self, slot: Slot) -> None:
        slot.done()
        self._loop.call_soon(self._go_on, slot)  # not from in here: it may well run the next batch


def _items_of(batch: Batch) -> Items:
    given = [(message.decoded, message.body) for message in batch.messages]
    return Items(batch.messages[0].registered.action, given)


def _seen(batch: Batch, items: Items) -> Together:
    return Together([batch.messages[place] for place in items.places])
