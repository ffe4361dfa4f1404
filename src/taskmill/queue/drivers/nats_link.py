"""The connection to NATS: made anew for ever, and looked at whether it lives."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable

from nats.aio.client import Client
from nats.js import JetStreamContext, api
from nats.js.errors import NotFoundError

from taskmill.queue.drivers.library import shown
from taskmill.queue.drivers.loop import Loop
from taskmill.queue.drivers.nats import NatsConfig
from taskmill.queue.drivers.nats_channel import NatsChannel
from taskmill.queue.drivers.outage import Outage
from taskmill.queue.errors import QueueError, QueueUnavailable

CONNECT = 4.0  # seconds for connecting; a start waits no longer
ANSWER = 5  # seconds for an answer of the server
TRIAL = 3.0  # seconds that a new connection is kept whatever JetStream says
UNHEARD = 4.0  # seconds; servers of a cluster hear of each other once a second
LOOK = 2.0  # seconds between two looks whether the connection lives
NEVER = 3600  # seconds


class Minority(Exception):
    """The server is cut off from most of its cluster."""


class Refused(QueueUnavailable):
    """The server does not take the credentials. That ends a start; later it may be mended at the server."""


class NatsLink:
    """Keeps one connection, and the channels on it.

    A connection that ends is replaced by a new one: nothing of the old one is carried over, so nothing of it can
    be half alive. ``outage`` is what all of them tell when they cannot work.
    """

    def __init__(self, entry_id: str, config: NatsConfig) -> None:
        self.config = config
        self._servers = [part.strip() for part in config.url.split(",")]
        self.outage = Outage(f"{entry_id} ({', '.join(map(shown, self._servers))})")
        random.shuffle(self._servers)  # so that many processes spread over the servers
        self._channels: dict[str, NatsChannel] = {}
        self._client: Client | None = None
        self._since = 0.0  # when it was made
        self._connected = asyncio.Event()
        self._closed = asyncio.Event()
        self._loop = Loop("the connection", self.outage, self._round, limit=15, failed=self._abandon)
        self._closing: set[asyncio.Task[None]] = set()
        self._stopped = False

    async def start(self) -> None:
        """Connect, and begin to keep the connection; raise QueueError where the credentials are refused."""
        try:
            await self._connect()
        except Refused as error:
            raise QueueError(str(error)) from None
        except QueueUnavailable as error:
            self.outage.begins(self._loop.part, str(error))
        self._loop.start()

    async def stop(self) -> None:
        """Give back what is held, and disconnect."""
        self._stopped = True
        await asyncio.gather(*[channel.close() for channel in self._channels.values()])
        await self._loop.stop()
        self._abandon()
        if self._closing:
            await asyncio.wait(self._closing)

    def open(self, queue_name: str, redelivery: Callable[[int], float]) -> NatsChannel:
        """Return the channel of a name, the same for the same name."""
        if queue_name not in self._channels:
            self._channels[queue_name] = NatsChannel(self, queue_name, redelivery)
        return self._channels[queue_name]

    async def connected(self, patience: float) -> Client | None:
        """Return the connection, once there is one; None where there is none in so many seconds."""
        if self._client is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._connected.wait()
        return self._client

    def client(self) -> Client:
        """Return the connection; raise QueueUnavailable where there is none, QueueError after the stop."""
        if self._stopped:
            raise QueueError(f"{self.outage.what} has stopped")
        if self._client is None:
            raise QueueUnavailable(self.problem() or f"{self.outage.what} is not connected")
        return self._client

    def doubt(self, client: Client) -> None:
        """Hear that a server answers, and its JetStream does not: it may be cut off from the others of a cluster.

        The next connection is to the next of the servers. A new one is given some time: a cluster that elects a
        leader answers nowhere, and changing servers all the while would only be in the way.
        """
        age = asyncio.get_running_loop().time() - self._since
        if client is self._client and not client.is_closed and age > TRIAL:
            self._close_soon(client)

    def problem(self) -> str | None:
        """What is wrong with the connection."""
        return self._loop.problem()

    async def make_stream(self, stream: JetStreamContext) -> None:
        """Make the stream if it is missing; raise QueueError where something else has its name."""
        name, config = self.config.stream, self.config
        try:
            found = (await stream.stream_info(name)).config
        except NotFoundError:
            await stream.add_stream(
                api.StreamConfig(
                    name=name,
                    subjects=[f"{name}.*"],
                    retention=api.RetentionPolicy.WORK_QUEUE,
                    storage=api.StorageType(config.storage),
                    num_replicas=config.replicas,
                    discard=api.DiscardPolicy.NEW,  # what does not fit is refused; nothing that is there is dropped
                    duplicate_window=120,
                )
            )
            return
        if found.retention != api.RetentionPolicy.WORK_QUEUE or f"{name}.*" not in (found.subjects or ()):
            raise QueueError(f"the stream `{name}` is no work queue of `{name}.*`: name another `stream`")

    async def make_consumer(self, stream: JetStreamContext, name: str) -> None:
        """Make the consumer of a queue, or change it to what is declared.

        It is looked at first, which takes only its own leader in a cluster, and not that of all.
        """
        config = self.config
        with contextlib.suppress(NotFoundError):
            found = (await stream.consumer_info(config.stream, name)).config
            if (found.ack_wait, found.max_deliver) == (config.ack_wait, config.max_deliver):
                return
        await stream.add_consumer(
            config.stream,
            api.ConsumerConfig(
                durable_name=name,
                filter_subject=f"{config.stream}.{name}",
                ack_policy=api.AckPolicy.EXPLICIT,
                ack_wait=config.ack_wait,
                max_deliver=config.max_deliver,
                max_ack_pending=-1,  # credit bounds what each holds
            ),
        )

    async def look_at(self, stream: JetStreamContext, name: str) -> None:
        """Look whether a queue's consumer works.

        A server that has been cut off from its cluster goes on for a while as if it led the consumer, so it is asked
        when it heard of the others.

        Raises:
            NotFoundError: there is no such consumer.
            Minority: it is led by a server that does not hear of most of the others.
        """
        info = await stream.consumer_info(self.config.stream, name)
        others = (info.cluster and info.cluster.replicas) or ()
        silent = [one for one in others if one.offline or (one.active or 0) > UNHEARD * 1e9]
        if len(silent) * 2 > len(others):
            raise Minority("the server is cut off from its cluster")

    async def _round(self) -> None:
        if self._client is None:
            await self._connect()
        client = self._client
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK):
                await self._closed.wait()
        if client is None or client.is_closed:
            raise QueueUnavailable("the connection was closed")
        try:
            await client.flush(ANSWER)  # an answer shows that both directions live
        except Exception as error:
            raise QueueUnavailable(f"the server did not answer within {ANSWER} s") from error

    async def _connect(self) -> None:
        client, closed = Client(), asyncio.Event()
        heard: list[Exception] = []

        async def note(error: Exception) -> None:
            heard.append(error)

        async def close() -> None:
            closed.set()

        config = self.config
        tls = config.tls.context() if config.tls else None
        self._servers.append(
            self._servers.pop(0)
        )  # the one that was tried last is the last to be tried again
        try:
            async with asyncio.timeout(CONNECT):
                await client.connect(
                    self._servers,
                    name="taskmill",
                    allow_reconnect=False,
                    dont_randomize=True,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    connect_timeout=2,
                    flush_timeout=ANSWER,
                    ping_interval=NEVER,  # a round looks oftener
                    error_cb=note,
                    closed_cb=close,
                    tls=tls,
                    user_credentials=config.credentials or None,
                )
        except Exception as error:
            self._close_soon(client)
            words = str(heard[-1] if heard else error).removeprefix("nats: ") or "it does not answer"
            if "authorization" in words.lower() or "authentication" in words.lower():
                raise Refused(
                    f"{self.outage.what} refuses the credentials: mend user and password in `url`, or `credentials`"
                ) from None
            raise QueueUnavailable(words) from None
        self._client, self._closed = client, closed
        self._since = asyncio.get_running_loop().time()
        self._connected.set()
        self.outage.ends(self._loop.part)

    def _abandon(self) -> None:
        """Let go of the connection."""
        client, self._client = self._client, None
        self._connected.clear()
        for channel in self._channels.values():
            channel.disconnected()
        if client is not None:
            self._close_soon(client)

    def _close_soon(self, client: Client) -> None:
        """Close a connection beside everything else: with a peer that is frozen it may take long."""
        task = asyncio.get_running_loop().create_task(_close(client))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _close(client: Client) -> None:
    with contextlib.suppress(Exception):
        async with asyncio.timeout(1):
            await client.close()
    transport = client._transport  # what close() could not do politely
    with contextlib.suppress(Exception):
        if transport is not None:
            transport.close()  # type: ignore[no-untyped-call]
