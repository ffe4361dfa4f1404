"""An engine outside of the process, as far as relays and claims can tell, and what they stand between."""

import asyncio
import random
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from taskmill.queue import Message
from taskmill.queue.drivers.base import Receiver
from taskmill.queue.errors import QueueUnavailable
from taskmill.tasks.cluster.alone import OwnBook
from taskmill.tasks.cluster.claims import Claims
from taskmill.tasks.cluster.outstanding import Outstanding
from taskmill.tasks.cluster.relay import Relay
from taskmill.tasks.ids import IdSource
from taskmill.tasks.message import TaskMessage


class Engine:
    """A channel that answers a turn of the loop later, and can lose, double, reorder and be away."""

    def __init__(self) -> None:
        self.waiting: list[Message] = []
        self.published: list[str] = []  # ids
        self.away = False
        self.doubles = False
        self.shuffles = False
        self.loses = 0  # so many of the next messages
        self._receivers: list[Receiver] = []
        self._due: asyncio.Handle | None = None

    async def publish(self, messages: Sequence[Message]) -> None:
        await asyncio.sleep(0)
        if self.away:
            raise QueueUnavailable("the engine is away")
        for message in messages:
            self.published.append(message.id())
            if self.loses:
                self.loses -= 1
                continue
            for _ in range(1 + self.doubles):
                self.waiting.append(Message(message.id(), message.body))
        if self.shuffles:
            random.shuffle(self.waiting)
        self.pump()

    def subscribe(self, receiver: Receiver) -> None:
        self._receivers.append(receiver)
        self.pump()

    def unsubscribe(self, receiver: Receiver) -> None:
        if receiver in self._receivers:
            self._receivers.remove(receiver)

    def receivers(self) -> int:
        return len(self._receivers)

    def pump(self) -> None:
        if self._due is None:
            self._due = asyncio.get_running_loop().call_soon(self._deliver)

    async def depth(self) -> int:
        await asyncio.sleep(0)
        if self.away:
            raise QueueUnavailable("the engine is away")
        return len(self.waiting)

    async def purge(self) -> None:
        self.waiting.clear()

    def problem(self) -> str | None:
        return "away" if self.away else None

    def _deliver(self) -> None:
        self._due = None
        for receiver in [] if self.away else self._receivers:
            taken = self.waiting[: max(0, receiver.credit())]
            del self.waiting[: len(taken)]
            for message in taken:
                message.delivered(self._settled)
            if taken:
                receiver.receive(taken)

    def _settled(self, message: Message, acknowledged: bool) -> None:
        if not acknowledged:
            self.waiting.append(message)
            self.pump()


class Consumer:
    """A consumer of so much room. It holds what it is given until told otherwise, or lets go of all at once."""

    def __init__(self, stage: "Stage", room: int, *, holds: bool = False) -> None:
        self._stage = stage
        self.seen: list[Message] = []
        self.held: list[Message] = []
        self.most = 0
        self._room = room
        self._holds = holds

    def credit(self) -> int:
        return self._room - len(self.held)

    def receive(self, messages: Sequence[Message]) -> None:
        assert len(messages) <= self.credit()
        self.seen += messages
        self.held += messages
        self.most = max(self.most, len(self.held))
        if not self._holds:
            asyncio.get_running_loop().call_soon(self.let_go)

    def let_go(self) -> None:
        held, self.held = self.held, []
        for message in held:
            message.ack()
        self._stage.relay.pump()  # as a dispatcher does when something has ended


class Stage:
    """A relay and the claims of one process, with an engine between them, and tasks to hand out."""

    def __init__(self, tasks: int = 0, *, body: str = "{}") -> None:
        self.engine = Engine()
        outstanding = Outstanding(asyncio.get_running_loop().time())
        self.claims = Claims(self.engine, OwnBook(outstanding), lambda _: 0.01)
        self.relay = Relay("tasks", self.engine, self.claims.front, outstanding)
        self.drawn: list[TaskMessage] = []
        ids = IdSource()
        registered: Any = SimpleNamespace(action=SimpleNamespace(options=None))
        self.tasks = [TaskMessage(ids.next(), "known", registered, body) for _ in range(tasks)]
        self.relay.draw_from(self._draw)

    def start(self) -> None:
        self.relay.start()
        self.claims.start()

    async def stop(self) -> None:
        await self.claims.stop()
        self.relay.rest()

    def _draw(self, limit: int) -> Sequence[TaskMessage]:
        taken, self.tasks = self.tasks[:limit], self.tasks[limit:]
        self.drawn += taken
        return taken


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition; a deadline of the caller ends it."""
    while not condition():  # noqa: ASYNC110 - what it looks at tells nobody
        await asyncio.sleep(0.001)
