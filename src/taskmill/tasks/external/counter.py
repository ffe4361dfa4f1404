"""The counter of a queue: where claims of workers outside wait, and are given tasks out of the same line as consumers.

It takes tasks in the order in which they would be handed to consumers, and only while somebody asks. Where the queue is
in memory it draws from the dispatcher, after the consumers of this process; where an engine carries it, it is one more
receiver of this node's front.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from taskmill.queue import Message
from taskmill.queue.drivers.base import Channel, Window
from taskmill.supervisor import SupervisorError
from taskmill.tasks.dispatch.dispatcher import Dispatcher
from taskmill.tasks.message import TaskMessage

LINGER: Final = 0.01  # seconds for which a claim waits for more, where an engine brings tasks bit by bit
SHORTEST: Final = 0.25  # seconds that a claim waits at least for what is known to be on its way
SCANS: Final = 50_000  # tasks passed over in a second, of all that are of other actions
IDLE: Final = 1.0  # seconds without a claim after which what an engine brought in advance is given back


class Open:
    """A claim that waits for its tasks: so many at most, of these actions if any are given."""

    def __init__(self, limit: int, actions: frozenset[str] | None) -> None:
        self.limit = limit
        self.actions = actions
        self.tasks: list[TaskMessage] = []
        self.served = asyncio.Event()
        self.is_cut = False

    def begin(self) -> None:
        """Wait, with no tasks yet."""
        self.tasks = []
        if not self.is_cut:
            self.served.clear()

    def cut(self) -> None:
        """Wait no longer, and never again."""
        self.is_cut = True
        self.served.set()

    @property
    def room(self) -> int:
        """How many more tasks it takes."""
        return 0 if self.served.is_set() else self.limit - len(self.tasks)

    def takes(self, task: TaskMessage) -> bool:
        """Whether it takes a task."""
        return self.room > 0 and (self.actions is None or task.name in self.actions)


class Counter:
    """Serves claims on one queue, the first first.

    ``refused`` gets tasks that must not begin now, and tells whether it has kept one: it was cancelled on its way, or
    its queue is paused. ``unwanted`` gets what an engine brought and no claim takes, ``idle`` hears that nobody has
    asked for a while.
    """

    def __init__(
        self,
        front: Channel,
        dispatcher: Dispatcher,
        refused: Callable[[TaskMessage], bool],
        unwanted: Callable[[Sequence[TaskMessage]], None],
        idle: Callable[[], None],
    ) -> None:
        self.in_memory = isinstance(front, Window)
        self._front = front
        self._dispatcher = dispatcher
        self._refused = refused
        self._unwanted = unwanted
        self._idle = idle
        self._loop = asyncio.get_running_loop()
        self._open: list[Open] = []
        self._serving: asyncio.Handle | None = None
        self._not_before = 0.0  # the next look for some actions among many others
        self._stopped = False

    async def take(self, claim: Open, wait: float) -> list[TaskMessage]:
        """Return tasks for a claim as soon as there is one, or none after ``wait`` seconds, or once it is cut off."""
        claim.begin()
        self._open.append(claim)
        if len(self._open) == 1:
            self._front.subscribe(self)
        if self.in_memory:
            self._serve()
        else:
            self._front.pump()
        if not self.in_memory or self._dispatcher.waiting:
            wait = max(wait, SHORTEST)
        try:
            if not self._stopped:
                async with asyncio.timeout(wait):
                    await claim.served.wait()
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            self.put_back(claim.tasks)
            raise
        finally:
            self._close(claim)
        return claim.tasks

    def put_back(self, tasks: Sequence[TaskMessage]) -> None:
        """Take tasks back that have not begun."""
        if self.in_memory:
            for task in tasks:
                self._dispatcher.take_back(task)
            self._dispatcher.feed()
        elif tasks:
            self._unwanted(tasks)

    def stop(self) -> None:
        """Answer all claims with what they have, and let no more wait."""
        self._stopped = True
        for claim in self._open:
            claim.served.set()

    # What a channel asks of a receiver.

    def credit(self) -> int:
        """How many more messages are wanted of an engine. In memory it is drawn instead, once the channel is done."""
        if self.in_memory:
            self._serve_soon()
            return 0
        return sum([claim.room for claim in self._open])

    def receive(self, messages: Sequence[Message]) -> None:
        """Give tasks that an engine brought to the claims that take them."""
        unwanted = []
        for message in messages:
            if not isinstance(message, TaskMessage):
                message.ack()
            elif not self._refused(message):
                claim = next((claim for claim in self._open if claim.takes(message)), None)
                if claim is None:
                    unwanted.append(message)
                    continue
                claim.tasks.append(message)
                if not claim.room:
                    claim.served.set()
                elif len(claim.tasks) == 1:
                    self._loop.call_later(LINGER, claim.served.set)
        if unwanted:
            self._unwanted(unwanted)

    def _serve_soon(self) -> None:
        if self._serving is None and self._open:
            wait = 0.0
            if all(claim.actions is not None for claim in self._open):
                wait = max(0.0, self._not_before - self._loop.time())
            self._serving = self._loop.call_later(wait, self._serve)

    def _serve(self) -> None:
        if self._serving is not None:
            self._serving.cancel()
            self._serving = None
        for claim in self._open:
            if claim.room:
                claim.tasks += self._drawn(claim)
                if claim.tasks:
                    claim.served.set()

    def _drawn(self, claim: Open) -> Sequence[TaskMessage]:
        if claim.actions is None:
            return self._dispatcher.draw(claim.room)
        now = self._loop.time()
        if now < self._not_before:
            self._serve_soon_after(self._not_before - now)
            return ()
        drawn, others = self._dispatcher.draw_of(claim.actions, claim.room)
        self._not_before = now + others / SCANS
        return drawn

    def _serve_soon_after(self, seconds: float) -> None:
        if self._serving is None:
            self._serving = self._loop.call_later(seconds, self._serve)

    def _close(self, claim: Open) -> None:
        claim.served.set()
        self._open.remove(claim)
        if not self._open:
            self._front.unsubscribe(self)
            if not self.in_memory:
                self._loop.call_later(IDLE, self._rest)

    def _rest(self) -> None:
        if not self._open:
            self._idle()


class Reserved:
    """The front of a queue that only workers outside take from: it tells a consumer so."""

    def __init__(self, front: Channel, queue: str, action: str) -> None:
        self._front = front
        self._why = (
            f"no consumer may take queue `{queue}`: workers outside serve its action `{action}`; "
            "give the consumer another queue, or the action"
        )

    def __getattr__(self, name: str) -> object:
        return getattr(self._front, name)

    def subscribe(self, receiver: object) -> None:  # noqa: ARG002 - as channels have it
        """Refuse a consumer."""
        raise SupervisorError(self._why)
