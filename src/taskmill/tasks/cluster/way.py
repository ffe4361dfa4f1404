"""The ways of queues: what is of a queue's tasks beyond its dispatcher, with an engine or with other nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence

from taskmill.queue import Queue
from taskmill.queue.drivers.base import Window
from taskmill.tasks.cluster.alone import OwnBook
from taskmill.tasks.cluster.claims import Book, Claims
from taskmill.tasks.cluster.outstanding import Outstanding
from taskmill.tasks.cluster.relay import Relay
from taskmill.tasks.message import TaskMessage


class Way:
    """What is out of one queue.

    An engine has both ends of its way here: a relay, and claims, from whose front this node's consumers take. A
    queue in memory has neither, and nothing is out but what nodes have that led before.
    """

    def __init__(
        self,
        queue: Queue,
        make_book: Callable[[Outstanding], Book] = OwnBook,
        may_begin: Callable[[], bool] = lambda: True,
        now: Callable[[], float] | None = None,
    ) -> None:
        self.name = queue.name
        self.outstanding = Outstanding(asyncio.get_running_loop().time())
        self.claims: Claims | None = None
        self.relay: Relay | None = None
        if not isinstance(queue.channel, Window):
            book = make_book(self.outstanding)
            self.claims = Claims(queue.channel, book, queue.redelivery, may_begin, now)
            self.relay = Relay(queue.name, queue.channel, self.claims.front, self.outstanding)
            queue.front = self.claims.front

    def has_claimed(self, key: bytes) -> bool:
        """Whether this node has claimed a task that has not ended."""
        return self.claims is not None and self.claims.has(key)

    def in_hand(self) -> Iterator[TaskMessage]:
        """Give the tasks that this node has claimed."""
        if self.claims is not None:
            yield from self.claims.in_hand()

    def start(self) -> None:
        """Begin to claim."""
        if self.claims is not None:
            self.claims.start()

    async def stop(self) -> None:
        """Give back what was claimed."""
        if self.claims is not None:
            await self.claims.stop()


def engines(queues: Sequence[Queue]) -> dict[str, Way]:
    """Make the ways of those queues that have an engine."""
    return {queue.name: Way(queue) for queue in queues if not isinstance(queue.channel, Window)}
