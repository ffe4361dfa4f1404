"""One queue of RabbitMQ.

A message that was nacked rests here, still unacknowledged at the broker, and is requeued when its rest is over. A
second queue with a time to live would do without that memory, but take a publication and an acknowledgement that
no transaction holds together; this way nothing is copied, a crash loses and doubles nothing, and RabbitMQ's count
of deliveries, its limit and its dead letters stay true.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from taskmill.queue.drivers.amqp_link import AmqpLink
from taskmill.queue.drivers.base import Receiver
from taskmill.queue.drivers.loop import Loop
from taskmill.queue.drivers.receivers import Receivers
from taskmill.queue.errors import QueueError, QueueUnavailable
from taskmill.queue.message import Message

if TYPE_CHECKING:
    from aiormq.abc import DeliveredMessage

    from taskmill.queue.drivers.amqp import AmqpDriver

logger = logging.getLogger(__name__)

PART = "the connection"  # what the driver's own loop is called in an outage
LOOK = 2.0  # seconds between two questions whether the broker knows of our consumer
LIMIT = 8.0  # seconds within which a queue is declared, or a question answered
MOST = 65_535  # the prefetch that fits into the protocol
LONGEST_NAME = 255  # characters
RESTING = 1_000  # nacked messages beyond which no others are taken in their place
DONE = 10_000  # ids of messages acked while the broker was away, to be told when it has them again


@dataclass(slots=True, eq=False)
class _Delivery:
    """A message that is held here, and by which number the broker knows it."""

    message: Message
    link: AmqpLink
    tag: int
    generation: int  # of the link's consumers


class AmqpChannel:
    """One queue of RabbitMQ; see :class:`taskmill.queue.drivers.base.Channel`."""

    def __init__(self, driver: AmqpDriver, name: str, redelivery: Callable[[int], float]) -> None:
        self._driver = driver
        self._name = name
        # What AMQP has no letter for stands as `+` and the hexadecimal digits of its UTF-8; so does `+` itself.
        self._name_there = re.sub(r"[^A-Za-z0-9_.:@#,/ -]", _quoted, name)
        if len(self._name_there) > LONGEST_NAME:
            raise QueueError(f"RabbitMQ has no queue of so long a name: {name}")
        self._redelivery = redelivery
        self._receivers = Receivers(self._settle)
        self._held: dict[str, _Delivery] = {}  # by id: waiting here, with a receiver, or resting
        self._resting: dict[_Delivery, asyncio.TimerHandle] = {}
        self._done: dict[str, None] = {}  # ids acked while cut off
        self._target = 0  # the most that receivers have been willing to hold together
        self._link: AmqpLink | None = None
        self._up = asyncio.Event()  # there is a link
        self._stirred = asyncio.Event()
        self._closed = False
        self._loop = Loop(
            f"queue {name}", driver.outage, self._round, limit=LOOK + LIMIT, failed=lambda: self.cut("")
        )
        self._loop.start()

    async def publish(self, messages: Sequence[Message]) -> None:
        """Publish, and return once the broker has confirmed every message."""
        if self._closed:
            raise QueueError(f"queue {self._name} has stopped")
        await (await self._linked()).publish(messages)

    def subscribe(self, receiver: Receiver) -> None:
        """Deliver to a receiver from now on."""
        self._receivers.add(receiver)
        self._measure_anew()

    def unsubscribe(self, receiver: Receiver) -> None:
        """Deliver no more to it."""
        self._receivers.remove(receiver)
        self._measure_anew()

    def pump(self) -> None:
        """Give what waits here, and see whether receivers want to hold more than before."""
        self._receivers.give()
        wanted = min(MOST, self._receivers.wanted() + len(self._held) - len(self._resting))
        if wanted > self._target:
            self._target = wanted
            self._stirred.set()

    def receivers(self) -> int:
        """How many receivers have subscribed here."""
        return len(self._receivers)

    async def depth(self) -> int:
        """How many messages wait at the broker, or rest here."""
        return await (await self._linked()).depth() + len(self._resting)

    async def purge(self) -> None:
        """Drop what waits at the broker, or rests here."""
        await (await self._linked()).purge()
        for delivery, timer in list(self._resting.items()):
            timer.cancel()
            self._end(delivery, True)

    def problem(self) -> str | None:
        """Why messages do not move."""
        if self._closed:
            return f"queue {self._name} has stopped"
        if self._link is None:
            outage = self._driver.outage
            return (
                outage.problem("the connection")
                or f"queue {self._name} at {outage.what} is not connected yet"
            )
        return self._loop.problem()

    def cut(self, why: str) -> None:
        """Let go of the link. What is held here comes again, and is known by its id then."""
        link, self._link = self._link, None
        self._up.clear()
        if link is not None:
            link.lose(why)
            link.close_soon()
        for message in self._receivers.take_back():
            self._held.pop(message.id(), None)
        self._stirred.set()

    async def close(self) -> None:
        """Hand in what was acked; the broker has the rest again, at once."""
        self._closed = True
        await self._loop.stop()
        for timer in self._resting.values():
            timer.cancel()
        if self._link is not None:
            await self._link.close()
        self._held.clear()
        self._resting.clear()

    async def _round(self) -> None:
        """Have a link that consumes as much as is wanted; look after it when stirred, or after a while."""
        link = self._link
        if link is None:
            link = self._link = await self._open()
            self._up.set()
            await link.consume(self._target, self._arrived)
            return
        self._stirred.clear()
        if link.lost is not None:
            raise QueueUnavailable(link.lost)
        if self._target != link.prefetch or self._starved(link):
            await link.consume(self._target, self._arrived)
        try:
            async with asyncio.timeout(LOOK):
                await self._stirred.wait()
        except TimeoutError:
            await link.look()

    async def _open(self) -> AmqpLink:
        driver = self._driver
        try:
            async with asyncio.timeout(LOOK):
                await driver.connected.wait()
        except TimeoutError:
            raise QueueUnavailable("there is no connection") from None
        if driver.connection is None:
            raise QueueUnavailable("the connection was lost again")
        return await AmqpLink.open(driver.connection, self._name_there, driver.config, self._stirred.set)

    def _starved(self, link: AmqpLink) -> bool:
        """Whether half of the prefetch is taken by messages that rest; a new consumer begins without them."""
        if len(self._resting) > RESTING or not self._resting:
            return False
        resting = sum([one.link is link and one.generation == link.generation for one in self._resting])
        return resting > 0 and resting * 2 >= link.prefetch

    def _arrived(self, link: AmqpLink, arrival: DeliveredMessage) -> None:
        """Take a message that the broker has sent."""
        tag = arrival.delivery_tag
        if link is not self._link or tag is None:
            return  # it comes again
        properties = arrival.header.properties
        id_ = properties.message_id or str(uuid.uuid4())
        known = self._held.get(id_)
        if known is not None and known.link is not link:  # it was cut off from us, who hold it still
            known.link, known.tag, known.generation = link, tag, link.generation
            return
        if known is not None or id_ in self._done:  # published twice, or acked while the broker was away
            self._done.pop(id_, None)
            link.settle(tag, True)
            return
        try:
            body = arrival.body.decode()
        except UnicodeDecodeError as error:
            logger.warning(
                "queue %s: message %s is not text, and is dead-lettered: %s", self._name, id_, error
            )
            link.reject(tag)
            return
        headers = dict(properties.headers or {})
        message = Message(id_, body, {k: v for k, v in headers.items() if _own(k) and isinstance(v, str)})
        count = headers.get("x-delivery-count", int(bool(arrival.redelivered)))
        message.deliveries = count if isinstance(count, int) else 0
        self._held[id_] = _Delivery(message, link, tag, link.generation)
        self._receivers.give([message])

    def _settle(self, message: Message, acknowledged: bool) -> None:
        delivery = self._held.get(message.id())
        if delivery is None or delivery.message is not message:
            return
        if acknowledged:
            self._end(delivery, True)
            return
        delay = self._redelivery(message.deliveries)
        self._resting[delivery] = asyncio.get_running_loop().call_later(delay, self._end, delivery, False)
        self._stirred.set()

    def _end(self, delivery: _Delivery, acknowledged: bool) -> None:
        """Tell the broker what became of a message, now or when it is back."""
        id_ = delivery.message.id()
        self._resting.pop(delivery, None)
        del self._held[id_]
        if delivery.link is self._link:
            delivery.link.settle(delivery.tag, acknowledged)
        elif acknowledged:
            self._done[id_] = None
            if len(self._done) > DONE:
                del self._done[next(iter(self._done))]

    def _measure_anew(self) -> None:
        self._target = 0
        if not self._receivers:
            for message in self._receivers.take_back():  # nobody here wants it
                self._end(self._held[message.id()], False)
        else:
            self.pump()
        self._stirred.set()

    async def _linked(self) -> AmqpLink:
        """Return the link, soon; raise QueueUnavailable where it is known that there is none."""
        if self._link is None and self._driver.outage.problem(self._loop.part, PART) is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await self._up.wait()
        if self._link is None:
            raise QueueUnavailable(str(self.problem()))
        return self._link


def _own(header: str) -> bool:
    """Whether a header is the publisher's, and not one that the broker has added."""
    return not header.startswith(
        ("x-delivery-count", "x-acquired-count", "x-death", "x-first-death", "x-last-death")
    )


def _quoted(match: re.Match[str]) -> str:
    return "".join(f"+{byte:02X}" for byte in match[0].encode())
