"""The front: what a node's consumers take from, in place of the channel of an engine outside of the process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from taskmill.queue import Message
from taskmill.queue.drivers.base import Channel, Receiver


class Supply(Protocol):
    """Where the front has its messages from."""

    def draw(self, limit: int) -> Sequence[Message]:
        """Return so many messages at most that are ready for a consumer."""

    def settled(self, message: Message, acknowledged: bool) -> None:
        """Hear that a consumer is done with a message, or refuses it."""

    def wanted(self) -> None:
        """Hear that consumers may want more."""


class Front:
    """Gives consumers what a supply has ready. What is published goes to the engine's own channel."""

    def __init__(self, channel: Channel, supply: Supply) -> None:
        self._channel = channel
        self._supply = supply
        self._receivers: list[Receiver] = []
        self._pumping = False
        self._most = 0  # credit that there has been at once
        self._short = 0  # so many were asked for in vain, by one that asks for them only in its turn

    async def publish(self, messages: Sequence[Message]) -> None:
        """Publish messages to the engine."""
        await self._channel.publish(messages)

    async def depth(self) -> int:
        """How many messages wait at the engine."""
        return await self._channel.depth()

    async def purge(self) -> None:
        """Drop what waits at the engine."""
        await self._channel.purge()

    def problem(self) -> str | None:
        """Why messages do not move."""
        return self._channel.problem()

    def subscribe(self, receiver: Receiver) -> None:
        """Deliver to a receiver from now on."""
        self._receivers.append(receiver)
        self.pump()

    def unsubscribe(self, receiver: Receiver) -> None:
        """Deliver no more to it."""
        if receiver in self._receivers:
            self._receivers.remove(receiver)

    def receivers(self) -> int:
        """How many receivers have subscribed."""
        return len(self._receivers)

    def credit(self) -> int:
        """How many more messages the receivers would take now."""
        if not self._receivers:
            return 0
        credit = max(self._short, sum([max(0, receiver.credit()) for receiver in self._receivers]))
        self._most = max(self._most, credit)
        return credit

    def is_dry(self) -> bool:
        """Whether the receivers hold less than half of what they may."""
        return 2 * self.credit() > self._most

    def pump(self) -> None:
        """Deliver what is ready while somebody has credit; receivers take turns, so that none is starved."""
        if self._pumping:  # a receiver settled a message while it was given one
            return
        self._pumping = True
        try:
            while self._deliver():
                pass
        finally:
            self._pumping = False
        if self._receivers:
            self._supply.wanted()

    def _deliver(self) -> bool:
        for receiver in self._receivers:
            credit = receiver.credit()
            if credit <= 0:
                continue
            messages = self._supply.draw(credit)
            self._short = 0 if messages else credit
            if not messages:
                return False
            if len(self._receivers) > 1:
                self._receivers.remove(receiver)
                self._receivers.append(receiver)
            for message in messages:
                message.delivered(self._supply.settled)
            receiver.receive(messages)
            return True
        return False


class Rests:
    """Messages that were refused and rest before they are ready again."""

    def __init__(self, again: Callable[[Message], None]) -> None:
        self._again = again
        self._timers: dict[Message, asyncio.TimerHandle] = {}

    def add(self, message: Message, seconds: float) -> None:
        """Have a message rest."""
        loop = asyncio.get_running_loop()
        self._timers[message] = loop.call_later(seconds, self._ring, message)

    def end(self) -> None:
        """Wake no more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _ring(self, message: Message) -> None:
        del self._timers[message]
        self._again(message)
