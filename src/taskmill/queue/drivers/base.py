"""What a driver gives a queue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from taskmill.queue.message import Message


class Room(NamedTuple):
    """So many messages, and so many bytes of their bodies."""

    messages: int
    bytes: int


class Receiver(Protocol):
    """A consumer as a channel sees it."""

    def credit(self) -> int:
        """How many more messages it may hold now."""

    def receive(self, messages: Sequence[Message]) -> None:
        """Take messages, no more than there is credit for; each will be acked or nacked."""


class Channel(Protocol):
    """One queue of a driver. Everything is called on the loop.

    Messages are delivered in the order in which they were published, each to one receiver, except that one
    which was nacked comes again after a pause. A message takes up room until it is acked.
    """

    @property
    def capacity(self) -> Room:
        """How much it holds at most."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Take messages, in order; wait for room or raise QueueFull, as declared. Never drops one.

        Those that wait are served in the order in which they came. A publisher that is refused has published
        nothing; one that is cancelled while it waits, the first part of its messages at most.
        """

    def offer(self, messages: Sequence[Message]) -> int:
        """Take as many of the messages as there is room for, from the first on; return how many.

        Never waits, and never overtakes a publisher that does: while one waits there is no room.
        """

    def room(self) -> Room:
        """How much :meth:`offer` would take now. One message always fits into an empty queue."""

    def subscribe(self, receiver: Receiver) -> None:
        """Deliver to a receiver from now on."""

    def unsubscribe(self, receiver: Receiver) -> None:
        """Deliver no more to it. What it still holds stays its own until acked or nacked."""

    def draw_from(self, source: Callable[[int], Sequence[Message]]) -> None:
        """Where receivers want more than waits here, take it from ``source(limit)``, which may return fewer.

        So a publisher can hold its messages back, and choose the best only when one is wanted. It calls
        :meth:`pump` when it has new ones.
        """

    def pump(self) -> None:
        """Deliver what can be delivered: a receiver has credit again, or a source has messages."""

    def depth(self) -> int:
        """How many messages are waiting, held or running."""

    def receivers(self) -> int:
        """How many receivers have subscribed."""
