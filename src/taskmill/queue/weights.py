"""Several queues in front of one consumer: whose turn it is to give a message.

Smooth weighted round-robin, as nginx shares requests out: each time, every queue that may have work gains its
weight, and the one with the most goes first and pays the sum of all weights. So 5, 1, 1 gives a a b a c a a, and
not a a a a a b c. A queue that has nothing is left out, and gathers no right to a burst.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from taskmill.queue.drivers.base import Channel, Receiver, Window
from taskmill.queue.message import Message
from taskmill.queue.reserve import Reserve


class Share:
    """One of the queues, as its channel's receiver. It has credit only while it is its turn."""

    def __init__(self, turns: Turns, channel: Channel | Reserve, weight: int) -> None:
        self.channel = channel
        self.weight = weight
        self.gained = 0
        self.allowed = 0
        self._turns = turns

    def credit(self) -> int:
        """How many more messages the queue may give now: one, or none."""
        if not self._turns.under_way:
            self._turns.soon()  # the channel has something to give, perhaps
        return self.allowed

    def receive(self, messages: Sequence[Message]) -> None:
        """Take the message that it was this queue's turn to give."""
        self.allowed = 0
        self._turns.receiver.receive(messages)


class Turns:
    """Fills a receiver's credit from several queues, in proportion to their weights.

    The credit is given out one message at a time, so it is never promised to two queues.
    """

    def __init__(self, receiver: Receiver, weights: Sequence[tuple[Channel, int]]) -> None:
        self.receiver = receiver
        self.under_way = False
        near = max(1, receiver.credit() // len(weights))
        self._shares = [
            Share(self, channel if isinstance(channel, Window) else Reserve(channel, near, self.soon), weight)
            for channel, weight in weights
        ]
        self._soon: asyncio.Handle | None = None

    def start(self) -> None:
        """Begin to take messages."""
        for share in self._shares:
            share.channel.subscribe(share)

    def stop(self) -> None:
        """Take no more messages."""
        for share in self._shares:
            share.channel.unsubscribe(share)
        if self._soon is not None:
            self._soon.cancel()
        self._shares = []

    def soon(self) -> None:
        """Take turns once the loop has come round: what asks for it is inside a channel."""
        if self._soon is None and self.receiver.credit() > 0:
            self._soon = asyncio.get_running_loop().call_soon(self._begin)

    def pump(self) -> None:
        """Take messages while there is credit, and a queue that has any."""
        if self.under_way:
            return
        self.under_way = True
        try:
            shares = self._shares
            while shares and self.receiver.credit() > 0:
                share = max(shares, key=lambda share: share.gained + share.weight)
                share.allowed = 1
                share.channel.pump()
                if share.allowed:  # it has nothing
                    share.allowed = share.gained = 0
                    shares = [other for other in shares if other is not share]
                    continue
                for other in shares:
                    other.gained += other.weight
                share.gained -= sum([other.weight for other in shares])
        finally:
            self.under_way = False

    def _begin(self) -> None:
        self._soon = None
        self.pump()
