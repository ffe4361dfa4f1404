"""What a driver gives a queue: the protocol that every engine implements, and what only memory can do besides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

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

    Messages are delivered in the order in which they were published, each to one receiver of one process. One
    that was nacked comes again after the queue's redelivery pause, as often as it is nacked, and holds up no
    other meanwhile; one whose holder dies, or is cut off, comes again to another. So a message may come twice,
    and ``deliveries`` says how often it has come as far as the engine counts.

    A channel mends itself: while its engine is away it tries again for ever, and afterwards its receivers are
    given messages as before. It logs one line when an outage begins and one when it ends.
    """

    async def publish(self, messages: Sequence[Message]) -> None:
        """Publish messages, in order; return once the engine has confirmed that it keeps them all.

        An id stands for one publication. After QueueUnavailable publish the same messages again: an engine that
        remembers ids drops the second of the same id. What is to be delivered anew, such as a task's next
        attempt, needs a new id.

        Raises:
            QueueUnavailable: the engine is away or does not answer; it may have taken a part of them.
            MessageTooLarge: the engine would never take one of them; none has been published.
            QueueFull: it holds as much as it may; the first of them may have been published.
            QueueError: it refuses them for another reason, or the driver has stopped.
        """

    def subscribe(self, receiver: Receiver) -> None:
        """Deliver to a receiver from now on, as it has credit."""

    def unsubscribe(self, receiver: Receiver) -> None:
        """Deliver no more to it. What it still holds stays its own until acked or nacked."""

    def pump(self) -> None:
        """Look at the receivers' credit again: somebody has more."""

    def receivers(self) -> int:
        """How many receivers have subscribed here, in this process."""

    async def depth(self) -> int:
        """How many messages wait at the engine, not counting those that a receiver of any process holds.

        A message that rests after a nack counts where the engine can tell it from one that is held.

        Raises:
            QueueUnavailable: the engine is away.
        """

    async def purge(self) -> None:
        """Drop every message that waits. One that is held may still be acked; nacked, it need not come again.

        Raises:
            QueueUnavailable: the engine is away.
        """

    def problem(self) -> str | None:
        """Why messages do not move at the moment, in words for whoever runs the server; None while all is well."""


@runtime_checkable
class Window(Channel, Protocol):
    """A channel inside the process, bounded, whose publisher may hold messages back until they are wanted.

    A message takes up room until it is acked.
    """

    @property
    def capacity(self) -> Room:
        """How much it holds at most."""

    def offer(self, messages: Sequence[Message]) -> int:
        """Take as many of the messages as there is room for, from the first on; return how many.

        Never waits, and never overtakes a publisher that does: while one waits there is no room.
        """

    def room(self) -> Room:
        """How much :meth:`offer` would take now. One message always fits into an empty queue."""

    def length(self) -> int:
        """How many messages take up room: waiting, held, running or resting."""

    def draw_from(self, source: Callable[[int], Sequence[Message]]) -> None:
        """Where receivers want more than waits here, take it from ``source(limit)``, which may return fewer.

        So a publisher can hold its messages back, and choose the best only when one is wanted. It calls
        :meth:`pump` when it has new ones, and what it gives is delivered before ``pump`` returns.
        """


@runtime_checkable
class Driver(Protocol):
    """What a queue needs of its driver's entry.

    ``start`` raises QueueError within five seconds where the engine refuses the credentials. Where it is away,
    the driver starts all the same, says so in its channels' ``problem()``, and goes on trying: tasks are rows,
    and can be accepted meanwhile. ``stop`` gives back at once what receivers still hold, and forgets its channels.
    """

    def open(self, queue_name: str, redelivery: Callable[[int], float]) -> Channel:
        """Return the channel of a name, the same for the same name. Does no I/O.

        ``redelivery(deliveries)`` is how many seconds a message rests after a nack, by how often it has come.
        """
