"""A few messages of an engine's channel, kept near for a consumer of several queues.

An engine cannot be asked for one message and answer at once, and whose turn it is must be decided at once. So each
such queue has some at hand.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from taskmill.queue.drivers.base import Channel, Receiver
from taskmill.queue.message import Message


class Reserve:
    """Stands between a channel and one receiver, which it gives messages only when told to :meth:`pump`.

    ``came`` is called when there are messages to give.
    """

    def __init__(self, channel: Channel, size: int, came: Callable[[], None]) -> None:
        self._channel = channel
        self._size = size
        self._came = came
        self._waiting: deque[Message] = deque()
        self._receiver: Receiver | None = None

    def subscribe(self, receiver: Receiver) -> None:
        """Begin to fill, for this receiver."""
        self._receiver = receiver
        self._channel.subscribe(self)

    def unsubscribe(self, _: Receiver) -> None:
        """Give back what nobody has taken."""
        self._channel.unsubscribe(self)
        self._receiver = None
        while self._waiting:
            self._waiting.popleft().nack()

    def credit(self) -> int:
        """How many more it holds; what it has handed on is no longer its own."""
        return self._size - len(self._waiting)

    def receive(self, messages: Sequence[Message]) -> None:
        """Keep messages."""
        self._waiting.extend(messages)
        self._came()

    def pump(self) -> None:
        """Give the receiver what it has credit for, and fill up."""
        receiver = self._receiver
        while receiver is not None and self._waiting and receiver.credit() > 0:
            receiver.receive([self._waiting.popleft()])
        self._channel.pump()
