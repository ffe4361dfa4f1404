"""The messages of a JetStream queue that are held here: kept alive, and settled once."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Mapping
from datetime import datetime

from nats.aio.client import Client
from nats.aio.msg import Msg

from taskmill.queue.drivers.nats_publish import HEADERS, id_in
from taskmill.queue.message import NO_HEADERS, Message

ACK = b"+ACK"
AGAIN = b"-NAK"
IN_PROGRESS = b"+WPI"


class NatsMessage(Message):
    """A message, its place in the stream, where its ack goes, and when the server heard of it last.

    Sequence numbers begin anew in a stream that was lost and made again, so its place is the time, too.
    """

    __slots__ = ("heard", "place", "reply")

    def __init__(self, found: Msg, heard: float) -> None:
        metadata, headers = found.metadata, found.headers or {}
        self.place = (metadata.sequence.stream, metadata.timestamp)
        self.reply = found.reply
        self.heard = heard
        carried: Mapping[str, str] = json.loads(headers[HEADERS]) if HEADERS in headers else NO_HEADERS
        super().__init__(id_in(found), found.data.decode(errors="replace"), carried)
        self.deliveries = metadata.num_delivered - 1  # handing it out counts this one


class Held:
    """What was delivered here and is not settled, by its place in the stream; and the answers that are due.

    Answers outlast the connection: they name the message, not who got it. ``ack_wait`` is after how many seconds
    of silence the server delivers a message again.
    """

    def __init__(self, ack_wait: float) -> None:
        self._ack_wait = ack_wait
        self._messages: dict[tuple[int, datetime], NatsMessage] = {}
        self._due: deque[tuple[str, bytes]] = deque()
        self._next_report = 0.0

    def __len__(self) -> int:
        return len(self._messages)

    def take(self, found: Msg) -> NatsMessage | None:
        """Hold what was delivered; return None where it is held already, and goes on being."""
        message = NatsMessage(found, asyncio.get_running_loop().time())
        held = self._messages.get(message.place)
        if held is not None:  # the server had not heard of it for too long
            held.reply = message.reply
            return None
        self._messages[message.place] = message
        return message

    def settle(self, message: Message, answer: bytes) -> None:
        """Hold a message no more; the answer is sent by :meth:`send`."""
        if isinstance(message, NatsMessage) and self._messages.pop(message.place, None) is not None:
            self._due.append((message.reply, answer))

    def give_all_back(self) -> None:
        """Have everything that is held delivered again at once."""
        for message in list(self._messages.values()):
            self.settle(message, AGAIN)

    async def send(self, client: Client) -> None:
        """Send the answers that are due, and tell the server of what has been held for long."""
        while self._due:
            await client.publish(*self._due[0])
            self._due.popleft()
        now = asyncio.get_running_loop().time()
        if now < self._next_report:
            return
        self._next_report = now + self._ack_wait / 8
        for message in list(self._messages.values()):
            if now - message.heard > self._ack_wait / 4:
                await client.publish(message.reply, IN_PROGRESS)
                message.heard = now
