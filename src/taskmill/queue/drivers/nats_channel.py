"""One queue in JetStream: what is published and requested, handed out and settled."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from taskmill.queue.drivers.base import Receiver
from taskmill.queue.drivers.loop import Loop
from taskmill.queue.drivers.nats_held import ACK, AGAIN, Held, NatsMessage
from taskmill.queue.drivers.nats_publish import NoStream, Publishing
from taskmill.queue.drivers.receivers import Receivers
from taskmill.queue.errors import QueueError, QueueUnavailable
from taskmill.queue.message import Message

if TYPE_CHECKING:
    from taskmill.queue.drivers.nats_link import NatsLink

ANSWER = 5.0  # seconds for publications to be confirmed
ASK = 3.0  # seconds for an answer of JetStream to anything else
REQUEST = 5.0  # seconds that a request for messages waits at the server,
HEARTBEAT = 1.0  # which shows that it is still there once in so many,
SILENT = 4.0  # and is lost if that has not been heard for so long
IDLE = 1.0  # seconds that a round waits at most
LOOK = 4.0  # seconds between two looks whether the consumer is there and works
LINGER = 0.002  # seconds for more credit to gather before a request for little
AT_ONCE = 500  # messages in one request


@dataclass(slots=True)
class _Request:
    """A request that waits at the server: how many may come yet, and when it is lost if nothing is heard of it."""

    token: str
    left: int
    until: float


class NatsChannel:
    """One queue; see :class:`taskmill.queue.drivers.base.Channel`.

    One request for messages waits at the server at a time, for as many as there is credit for: so what arrives at
    an empty queue is delivered at once. A round of the loop sends what is to be sent, and renews the request.
    """

    def __init__(self, link: NatsLink, name: str, redelivery: Callable[[int], float]) -> None:
        self._link = link
        self._config = link.config
        self._name = name
        self._redelivery = redelivery
        self._token = re.sub(r"[^A-Za-z0-9_-]", _quoted, name)
        self._subject = f"{self._config.stream}.{self._token}"
        self._publishing = Publishing(name, self._subject)
        self._receivers = Receivers(self._settled)
        self._held = Held(link.config.ack_wait)
        self._arrived: list[NatsMessage] = []
        self._numbers = count()
        self._request: _Request | None = None
        self._client: Client | None = None  # on which all is prepared
        self._listening: Client | None = None  # on which answers come in
        self._known = False  # the stream is one of Taskmill's
        self._preparing = asyncio.Lock()
        self._subscription: Subscription | None = None
        self._inbox = ""
        self._next_look = 0.0
        self._wake = asyncio.Event()
        self._closed = False
        self._loop = Loop(f"queue {name}", link.outage, self._round, limit=15, failed=self._unprepare)
        self._loop.start()

    async def publish(self, messages: Sequence[Message]) -> None:
        """Publish messages, in order; return once the stream has them all."""
        client = self._link.client()
        prepared = self._publishing.prepare(messages, client.max_payload)
        with self._translated(client):
            await (self._listen(client) if self._known else self._prepare(client))
            try:
                await self._publishing.publish(client, self._inbox, prepared, ANSWER)
            except NoStream:  # it is made anew, once
                self._unprepare()
                await self._prepare(client)
                await self._publishing.publish(client, self._inbox, prepared, ANSWER)

    def subscribe(self, receiver: Receiver) -> None:
        """Deliver to a receiver from now on."""
        self._receivers.add(receiver)
        self.pump()

    def unsubscribe(self, receiver: Receiver) -> None:
        """Deliver no more to it."""
        self._receivers.remove(receiver)
        self._wake.set()

    def pump(self) -> None:
        """Look at the receivers' credit again."""
        self._receivers.give()
        self._wake.set()

    def receivers(self) -> int:
        """How many receivers have subscribed."""
        return len(self._receivers)

    async def depth(self) -> int:
        """How many messages wait. One that rests after a nack is held, to JetStream."""
        client = self._link.client()
        with self._translated(client):
            await self._prepare(client)
            info = await client.jetstream(timeout=ASK).consumer_info(self._config.stream, self._token)
        return info.num_pending or 0

    async def purge(self) -> None:
        """Drop every message of this queue."""
        client = self._link.client()
        with self._translated(client):
            await self._prepare(client)
            await client.jetstream(timeout=ASK).purge_stream(self._config.stream, subject=self._subject)

    def problem(self) -> str | None:
        """Why messages do not move."""
        return self._link.problem() or self._loop.problem()

    def disconnected(self) -> None:
        """Hear that the connection has ended."""
        self._unprepare()
        self._publishing.give_up()

    async def close(self) -> None:
        """Give back what is held, at once."""
        self._closed = True
        await self._loop.stop()
        client, subscription = self._client, self._subscription
        if client is None or client.is_closed or subscription is None:
            return
        with contextlib.suppress(Exception):
            async with asyncio.timeout(2):
                await subscription.drain()  # type: ignore[no-untyped-call]  # ends the request; what is under way still arrives
                self._held.give_all_back()
                await self._held.send(client)
                await client.flush(1)

    async def _round(self) -> None:
        client = await self._link.connected(IDLE)
        if client is None:
            return
        with self._translated(client):
            await self._work(client)
        if not self._wake.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(IDLE, self._config.ack_wait / 4)):
                    await self._wake.wait()
        self._wake.clear()

    async def _work(self, client: Client) -> None:
        """Send what is to be sent, and see that a request waits at the server where there is credit."""
        loop = asyncio.get_running_loop()
        if client is not self._client:
            await self._prepare(client)
        if not self._receivers:
            for message in self._receivers.take_back():
                self._held.settle(message, AGAIN)
        await self._held.send(client)
        await self._ask(client)
        if loop.time() > self._next_look:
            await self._link.look_at(client.jetstream(timeout=ASK), self._token)
            self._next_look = loop.time() + LOOK

    async def _listen(self, client: Client) -> None:
        """Have answers come in, which is all that publishing takes."""
        if client is self._listening:
            return
        inbox = client.new_inbox()
        self._subscription = await client.subscribe(
            f"{inbox}.*", cb=self._answer, pending_msgs_limit=0, pending_bytes_limit=0
        )
        self._inbox, self._listening = inbox, client

    async def _prepare(self, client: Client) -> None:
        """Make what is missing: the stream, the consumer, and the place where answers come in."""
        async with self._preparing:
            if client is self._client:
                return
            await self._listen(client)
            stream = client.jetstream(timeout=ASK)
            await self._link.make_stream(stream)
            await self._link.make_consumer(stream, self._token)
            self._request = None
            self._client, self._known = client, True
            self._next_look = asyncio.get_running_loop().time() + LOOK

    def _unprepare(self) -> None:
        """Look at everything anew, before anything else is done."""
        self._client = None
        self._wake.set()

    async def _ask(self, client: Client) -> None:
        """Request what there is credit for, if no request waits."""
        now = asyncio.get_running_loop().time()
        if self._request is not None:
            if now > self._request.until:
                raise QueueUnavailable(f"queue {self._name}: a request for messages was not answered")
            return
        wanted = self._receivers.wanted() - len(self._arrived)
        if 0 < wanted * 4 < len(self._held):  # under load more is about to be wanted
            await asyncio.sleep(LINGER)
            wanted = self._receivers.wanted() - len(self._arrived)
        if wanted <= 0:
            return
        token, batch = f"r{next(self._numbers)}", min(wanted, AT_ONCE)
        self._request = _Request(token, batch, now + SILENT)
        times = {"expires": int(REQUEST * 1e9), "idle_heartbeat": int(HEARTBEAT * 1e9)}  # nanoseconds
        asked = json.dumps({"batch": batch, **times}).encode()
        await client.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{self._config.stream}.{self._token}", asked, f"{self._inbox}.{token}"
        )

    async def _answer(self, found: Msg) -> None:
        """Take what the server sends: a message, the end of a request, or the confirmation of a publication."""
        if found.reply:
            self._take(found)
            return
        token = found.subject.rpartition(".")[2]
        if token.startswith("p"):
            self._publishing.confirmed(token, found)
            return
        if self._request is None or self._request.token != token:
            return
        status = (found.headers or {}).get("Status")
        if status == "100":
            self._request.until = asyncio.get_running_loop().time() + SILENT
            return
        self._request = None
        self._wake.set()
        if status not in ("404", "408"):  # as the consumer, or its leader, may be gone
            self._unprepare()

    def _take(self, found: Msg) -> None:
        if self._request is not None:
            self._request.left -= 1
            self._request.until = asyncio.get_running_loop().time() + SILENT
            if not self._request.left:
                self._request = None
                self._wake.set()
        message = self._held.take(found)
        if message is None:
            return
        if not self._arrived:
            asyncio.get_running_loop().call_soon(self._hand_out)
        self._arrived.append(message)

    def _hand_out(self) -> None:
        arrived, self._arrived = self._arrived, []
        if not self._closed:
            self._receivers.give(arrived)

    def _settled(self, message: Message, acknowledged: bool) -> None:
        if acknowledged:
            self._held.settle(message, ACK)
        else:
            rest = int(self._redelivery(message.deliveries) * 1e9)  # nanoseconds
            self._held.settle(message, AGAIN + b' {"delay": %d}' % rest)
        self._wake.set()

    @contextlib.contextmanager
    def _translated(self, client: Client) -> Iterator[None]:
        """Raise what goes wrong with the server as a QueueUnavailable."""
        try:
            yield
        except QueueError:
            raise
        except Exception as error:
            self._link.doubt(client)
            words = str(error).removeprefix("nats: ") or "no answer in time"
            raise QueueUnavailable(f"queue {self._name}: NATS does not confirm: {words}") from error


def _quoted(match: re.Match[str]) -> str:
    """Return a character as it may stand in a subject and in a consumer's name."""
    return "".join(f"={byte:02X}" for byte in match[0].encode())
