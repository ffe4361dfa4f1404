"""``queue.driver.amqp``: RabbitMQ, with quorum queues, confirmed publications, and credit as prefetch."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from msgspec import Meta, field

from taskmill.queue.drivers.amqp_channel import PART, AmqpChannel
from taskmill.queue.drivers.library import library, shown, url_mistake
from taskmill.queue.drivers.loop import Loop
from taskmill.queue.drivers.outage import Outage
from taskmill.queue.drivers.tls import Tls
from taskmill.queue.errors import QueueError, QueueUnavailable
from taskmill.registry import Entry, EntryConfig, Mistake
from taskmill.supervisor import Context
from taskmill.units import Duration, Size

if TYPE_CHECKING:
    from aiormq.abc import AbstractChannel
    from aiormq.connection import Connection

CONNECT = 4.0  # seconds that connecting may take, so that a start tells within five what is wrong
LOOK = 2.0  # seconds between two questions whether the broker still answers
ANSWER = 5.0  # seconds within which it must


class AmqpConfig(EntryConfig, kw_only=True, forbid_unknown_fields=True):
    """Dispatch by RabbitMQ 3.10 or later, over AMQP 0-9-1: a quorum queue for each queue.

    How often a task may be tried is counted in its row; the broker need not limit deliveries for that.
    """

    url: Annotated[
        str,
        Meta(
            min_length=1,
            description="`amqp://user:password@host:5672/vhost` or `amqps://…`; the nodes of a cluster with commas.",
        ),
    ]
    tls: Annotated[Tls | None, Meta(description="Certificates, for `amqps://`.")] = None
    heartbeat: Annotated[
        Duration, Meta(description="How often both sides show that they live, in whole seconds.")
    ] = Duration(10)
    delivery_limit: Annotated[
        int, Meta(ge=-1, description="Deliveries after which the broker dead-letters a message; -1 is never.")
    ] = -1
    dead_letter_exchange: Annotated[
        str | None, Meta(description="Where the broker publishes what is over the limit; dropped otherwise.")
    ] = None
    dead_letter_routing_key: Annotated[
        str | None, Meta(description="With which routing key; the queue's name by default.")
    ] = None
    consumer_timeout: Annotated[
        Duration,
        Meta(
            description="How long a message may be held before the broker takes it away. A queue argument, which "
            "RabbitMQ knows since 3.12; before that the node's `consumer_timeout` of 30 minutes counts."
        ),
    ] = Duration(30 * 86400)
    max_message: Annotated[
        Size, Meta(description="The largest body; no more than the node's `max_message_size`.")
    ] = Size(2**24)
    arguments: Annotated[
        dict[str, bool | int | str],
        Meta(description="More arguments for the queues, such as `x-max-length: 100000`."),
    ] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"AmqpConfig(name={self.name!r})"  # it holds a secret


class AmqpDriver:
    """One connection to RabbitMQ, and the channels of its queues."""

    kind: ClassVar[str] = "queue.driver.amqp"
    Config: ClassVar[type[EntryConfig]] = AmqpConfig

    def __init__(self, entry: Entry[Any], context: Context) -> None:  # noqa: ARG002 - every kind's signature
        self.config: AmqpConfig = entry.config
        self.connection: Connection | None = None
        self.connected = asyncio.Event()
        self._control: AbstractChannel | None = None  # for questions only
        self._ended: asyncio.Future[Any]
        self._urls = deque(url.strip() for url in self.config.url.split(","))
        self.outage = Outage(f"{entry.id} (RabbitMQ at {', '.join(map(shown, self._urls))})")
        self._loop = Loop(PART, self.outage, self._round, limit=LOOK + ANSWER, failed=self._drop)
        self._tls: ssl.SSLContext | None = None
        self._channels: dict[str, AmqpChannel] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @classmethod
    def check(cls, entry: Entry[Any]) -> Iterator[Mistake]:
        """Find a URL that cannot be one, and certificates for what is not encrypted."""
        for url in entry.config.url.split(","):
            if wrong := url_mistake(url.strip(), "amqp", "amqps"):
                yield Mistake("url", wrong)
        if entry.config.tls is not None and "amqps://" not in entry.config.url:
            yield Mistake("tls", "takes a `url` that begins with `amqps://`")

    async def start(self) -> None:
        """Connect, if the broker is there. Raises QueueError where it refuses the credentials or the vhost."""
        library("aiormq", "amqp")
        self._tls = self.config.tls.context() if self.config.tls is not None else None
        # It logs each attempt as an error; here an outage is said once.
        logging.getLogger("aiormq").setLevel(logging.CRITICAL)
        try:
            self.connection = await self._connect()
        except QueueUnavailable as error:
            self.outage.begins(PART, str(error))
        self._loop.start()

    async def stop(self) -> None:
        """Hand in what was acked, and close the connection, whereupon the broker takes back what is held."""
        await self._loop.stop()
        await asyncio.gather(*(channel.close() for channel in self._channels.values()))
        self._channels.clear()
        self._drop()
        if self._closing:
            await asyncio.wait(self._closing, timeout=3)

    def open(self, queue_name: str, redelivery: Callable[[int], float]) -> AmqpChannel:
        """Return the channel of a name; see :meth:`taskmill.queue.drivers.base.Driver.open`."""
        if queue_name not in self._channels:
            self._channels[queue_name] = AmqpChannel(self, queue_name, redelivery)
        return self._channels[queue_name]

    async def _round(self) -> None:
        """See for a while that the connection lives; have a new one where there is none."""
        if self._control is None:
            self.connection = connection = self.connection or await self._connect()
            self._control = await connection.channel(publisher_confirms=False)
            self._ended = self._control.closing
            self.connected.set()
            return
        done, _ = await asyncio.wait([self._ended], timeout=LOOK)
        if done:
            raise QueueUnavailable("the connection was closed")
        # A question, since a frozen broker, or a way that is cut in one direction, closes nothing.
        async with asyncio.timeout(ANSWER):
            await self._control.basic_qos(prefetch_count=1)

    async def _connect(self) -> Connection:
        from aiormq import connect, exceptions  # noqa: PLC0415 - where the kind is used

        url = self._urls[0]
        heartbeat = f"heartbeat={max(1, round(self.config.heartbeat))}"
        try:
            async with asyncio.timeout(CONNECT):
                return await connect(f"{url}{'&' if '?' in url else '?'}{heartbeat}", context=self._tls)
        except (exceptions.ProbableAuthenticationError, exceptions.AuthenticationError):
            raise QueueError(
                f"{shown(url)} refuses the credentials: mend user and password in `url`"
            ) from None
        except exceptions.InvalidFrameError:  # it closes instead of opening
            raise QueueError(
                f"{shown(url)} refuses the virtual host that `url` ends with: create it, "
                "and let the user have it (rabbitmqctl add_vhost, set_permissions)"
            ) from None
        except TimeoutError:
            why: object = f"no answer within {CONNECT:g} s"
        except Exception as error:
            why = error
        self._urls.rotate(-1)  # another node next time
        raise QueueUnavailable(f"{shown(url)} cannot be reached: {why}")

    def _drop(self) -> None:
        """Let go of the connection: what it held comes again."""
        self.connected.clear()
        connection, self.connection, self._control = self.connection, None, None
        if connection is None:
            return
        for channel in self._channels.values():
            channel.cut("the connection is lost")
        closing = asyncio.create_task(connection.close(timeout=2), name="close RabbitMQ")
        self._closing.add(closing)
        closing.add_done_callback(self._closed)

    def _closed(self, task: asyncio.Task[None]) -> None:
        self._closing.discard(task)
        if not task.cancelled():
            task.exception()  # it is being let go of, however that ends
