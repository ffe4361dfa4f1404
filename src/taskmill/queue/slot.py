"""Slots: a consumer's places of work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskmill.queue.gathering import Run
from taskmill.queue.message import Message

if TYPE_CHECKING:
    from taskmill.queue.consumer import Consumer


class Slot:
    """One of a consumer's ``concurrency`` places of work."""

    __slots__ = ("_consumer", "_in_hand", "_last", "share")

    def __init__(self, consumer: Consumer, share: int) -> None:
        self._consumer = consumer
        self.share = share  # how many messages it may take at once and leave the other slots theirs
        self._in_hand = 0
        self._last: Message | None = None

    def take(self) -> Message | None:
        """Take the next message that is held in reserve, or None."""
        message = self._consumer.take()
        if message is not None:
            self._in_hand += 1
            self._last = message
        return message

    def gather(self, key: object, message: Message, size: int, wait: float, run: Run) -> bool:
        """Lay a message that was taken aside, to be handled with others of the same ``key``, as one message.

        As soon as ``size`` are together, or ``wait`` seconds after the first came, ``run(slot, messages)`` gets
        them, with this slot or any other of the consumer. Return whether that was this one, just now; else go on.
        """
        together = self._consumer.gathering.add(key, message, size, wait, run)
        if together is None:
            self.done()
        else:
            together.run(self, together.messages)
        return together is not None

    def begin(self) -> None:
        """Count what was gathered as one message in hand."""
        self._in_hand += 1
        self._last = None

    def done(self) -> None:
        """Say that one of the messages taken is handled, though perhaps not acknowledged yet."""
        self._in_hand -= 1
        self._consumer.done(1)

    def free(self) -> None:
        """Give the slot back; every message taken is handled."""
        if self._in_hand:
            self._consumer.done(self._in_hand)
            self._in_hand = 0
        self._consumer.freed(self)

    def refuse(self) -> None:
        """Refuse the last message taken: its handler raised. Give the slot back."""
        if self._last is not None:
            self._last.nack()
        self.free()
