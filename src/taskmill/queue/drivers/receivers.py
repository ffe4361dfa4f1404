"""The receivers of a channel whose messages come from an engine: how much they want, and who is given what."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from taskmill.queue.drivers.base import Receiver
from taskmill.queue.message import Message


class Receivers:
    """Shares messages out to receivers, never beyond their credit, and in turn so that none is starved.

    Credit may shrink while messages are under way; those that nobody wants at the moment wait here. ``settle``
    hears of each message's ack or nack.
    """

    def __init__(self, settle: Callable[[Message, bool], None]) -> None:
        self._settle = settle
        self._receivers: list[Receiver] = []
        self._waiting: deque[Message] = deque()
        self._giving = False

    def __len__(self) -> int:
        return len(self._receivers)

    def add(self, receiver: Receiver) -> None:
        """Let a receiver have its share from now on."""
        self._receivers.append(receiver)

    def remove(self, receiver: Receiver) -> None:
        """Let a receiver have nothing any more; one that is unknown is no error."""
        if receiver in self._receivers:
            self._receivers.remove(receiver)

    def wanted(self) -> int:
        """How many messages there is credit for, beyond those that wait here; never below 0."""
        credit = sum([max(0, receiver.credit()) for receiver in self._receivers])
        return max(0, credit - len(self._waiting))

    def give(self, messages: Sequence[Message] = ()) -> None:
        """Share out what waits here and these messages, which count one more delivery as they are handed out."""
        self._waiting.extend(messages)
        if self._giving:  # a receiver settled a message while it was given one
            return
        self._giving = True
        try:
            while self._waiting and (willing := [one for one in self._receivers if one.credit() > 0]):
                share = -(-len(self._waiting) // len(willing))
                for receiver in willing:
                    self._give_one(receiver, share)
        finally:
            self._giving = False

    def take_back(self) -> list[Message]:
        """Return what waits here and was not handed out; it is the caller's to give back to the engine."""
        left = list(self._waiting)
        self._waiting.clear()
        return left

    def _give_one(self, receiver: Receiver, share: int) -> None:
        if receiver not in self._receivers:  # it left while another was served
            return
        count = min(share, receiver.credit(), len(self._waiting))
        if count <= 0:
            return
        self._receivers.remove(receiver)
        self._receivers.append(receiver)
        batch = [self._waiting.popleft() for _ in range(count)]
        for message in batch:
            message.delivered(self._settle)
        receiver.receive(batch)
