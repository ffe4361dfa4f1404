"""A queue's two channels of a connection to RabbitMQ: publishing on one, consuming on the other.

Two, since an error closes a channel: a publication that is refused must not cut off what is being worked on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from taskmill.queue.errors import MessageTooLarge, QueueError, QueueFull, QueueUnavailable
from taskmill.queue.message import Message

if TYPE_CHECKING:
    from aiormq.abc import AbstractChannel, DeliveredMessage
    from aiormq.channel import Channel
    from aiormq.connection import Connection

    from taskmill.queue.drivers.amqp import AmqpConfig

logger = logging.getLogger(__name__)

CONFIRM = 10.0  # seconds within which the broker must have confirmed a publication
ANSWER = 5.0  # seconds for a question
CLOSE = 3.0  # seconds for handing in what was settled, at the end
HEADERS = 100_000  # bytes of all headers: they must fit into one frame
UNLIMITED = 4  # the major version from which on a queue without a delivery limit has to say so


class AmqpLink:
    """What a queue has of the broker until the first error. ``stir`` is called when that comes."""

    def __init__(
        self,
        name: str,
        max_message: int,
        publishing: Channel,
        incoming: AbstractChannel,
        stir: Callable[[], None],
    ) -> None:
        self.lost: str | None = None  # why it is of no use any more
        self.prefetch = 0
        self.generation = 0  # how many consumers it has had
        self._name = name
        self._max_message = max_message
        self._publishing = publishing
        self._incoming = incoming
        self._stir = stir
        self._consumer = ""
        self._unsettled: dict[int, None] = {}  # tags, in order
        self._acks: list[int] = []
        self._nacks: list[tuple[int, bool]] = []  # and whether to requeue
        self._tasks: set[asyncio.Task[None]] = set()
        self._flushing = False
        for channel in (publishing, incoming):
            channel.closing.add_done_callback(self._channel_closed)
        incoming.on_consumer_cancel_callbacks.add(
            lambda _: self.lose("the broker has ended the consumer: was the queue deleted?")
        )

    @classmethod
    async def open(
        cls, connection: Connection, name: str, config: AmqpConfig, stir: Callable[[], None]
    ) -> AmqpLink:
        """Declare the queue and open the channels."""
        publishing = await _declared(connection, name, config)
        incoming = await connection.channel(publisher_confirms=False)
        return cls(name, config.max_message, publishing, incoming, stir)

    async def publish(self, messages: Sequence[Message]) -> None:
        """Publish; see :meth:`taskmill.queue.drivers.base.Channel.publish`."""
        bodies = [message.body.encode() for message in messages]
        for message, body in zip(messages, bodies, strict=True):
            self._check(message, len(body))
        try:
            async with asyncio.timeout(CONFIRM):
                outcomes = await asyncio.gather(
                    *(self._publish(message, body) for message, body in zip(messages, bodies, strict=True)),
                    return_exceptions=True,
                )
        except TimeoutError:
            raise QueueUnavailable(
                f"queue {self._name}: RabbitMQ has not confirmed within {CONFIRM:g} s; "
                "does an alarm for memory or disk keep publishers waiting (rabbitmq-diagnostics alarms)?"
            ) from None
        errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if errors:
            raise self._refused(errors, len(messages))

    async def consume(self, prefetch: int, arrived: Callable[[AmqpLink, DeliveredMessage], None]) -> None:
        """Have so many messages sent at once, or none; what is held already stays held, and is not counted."""
        if self._consumer:
            tag, self._consumer = self._consumer, ""
            await self._incoming.basic_cancel(tag)
        self.prefetch = prefetch
        self.generation += 1
        if prefetch:

            async def callback(arrival: DeliveredMessage) -> None:
                if arrival.delivery_tag is not None:
                    self._unsettled[arrival.delivery_tag] = None
                arrived(self, arrival)

            await self._incoming.basic_qos(prefetch_count=prefetch)
            answer = await self._incoming.basic_consume(self._name, callback)
            self._consumer = answer.consumer_tag or ""

    async def look(self) -> None:
        """Ask the broker whether it has our consumer. Raises where it has not."""
        async with asyncio.timeout(ANSWER):
            answer = await self._publishing.queue_declare(self._name, passive=True)
        if self._consumer and not answer.consumer_count:
            raise QueueUnavailable("the broker does not know our consumer")

    async def depth(self) -> int:
        """How many messages wait for a consumer."""
        return int((await self._ask(self._publishing.queue_declare(self._name, passive=True))).message_count)

    async def purge(self) -> None:
        """Drop the messages that wait for a consumer."""
        await self._ask(self._publishing.queue_purge(self._name))

    def settle(self, tag: int, acknowledged: bool) -> None:
        """Acknowledge a message, or have it queued again."""
        if acknowledged:
            self._acks.append(tag)
        else:
            self._nacks.append((tag, True))
        self._flush_soon()

    def reject(self, tag: int) -> None:
        """Have the broker dead-letter a message, or drop it."""
        self._nacks.append((tag, False))
        self._flush_soon()

    def lose(self, why: str) -> None:
        """Note that the link is of no use any more."""
        if self.lost is None:
            self.lost = why
            self._stir()

    async def close(self) -> None:
        """Send what was settled, and close both channels: the broker has the rest again."""
        try:
            async with asyncio.timeout(CLOSE):
                if self._consumer:
                    await self._incoming.basic_cancel(self._consumer)
                await self._flush()
                await self._incoming.close()  # answered once all before it is done
                await self._publishing.close()
        except Exception as error:
            logger.debug("queue %s: %r while its channels were closed", self._name, error)

    def close_soon(self) -> None:
        """Close both channels in a task of its own."""
        self._keep(asyncio.create_task(self.close(), name=f"close queue {self._name}"))

    def _check(self, message: Message, size: int) -> None:
        if size > self._max_message:
            raise MessageTooLarge(
                f"queue {self._name}: message {message.id()} has {size} bytes, and `max_message` of its driver is "
                f"{self._max_message}"
            )
        if sum([len(key) + 4 * len(value) for key, value in message.headers().items()]) > HEADERS:
            raise MessageTooLarge(
                f"queue {self._name}: the headers of {message.id()} take over {HEADERS} bytes"
            )

    async def _publish(self, message: Message, body: bytes) -> None:
        from aiormq import spec  # noqa: PLC0415 - where the kind is used

        properties = spec.Basic.Properties(
            delivery_mode=2,
            content_type="application/json",
            message_id=message.id(),
            headers=dict(message.headers()),
        )
        await self._publishing.basic_publish(
            body, routing_key=self._name, properties=properties, mandatory=True, wait=False
        )

    def _refused(self, errors: Sequence[BaseException], count: int) -> QueueError:
        from aiormq import exceptions  # noqa: PLC0415 - where the kind is used

        error = errors[0]
        if isinstance(error, exceptions.PublishError):
            self.lose("the broker does not know the queue any more")
            return QueueUnavailable(f"queue {self._name} is gone at RabbitMQ, and is declared again")
        if isinstance(error, exceptions.DeliveryError) and len(errors) == count:
            return QueueFull(
                f"queue {self._name}: RabbitMQ takes no message now: has it reached its x-max-length?"
            )
        if isinstance(error, exceptions.ChannelPreconditionFailed) and "size" in str(error):
            return MessageTooLarge(f"queue {self._name}: {error}; lower `max_message` of its driver to that")
        if isinstance(error, ValueError):  # such as an id of more than 255 bytes
            return QueueError(f"queue {self._name}: {error}")
        return QueueUnavailable(f"queue {self._name}: {error or type(error).__name__}")

    async def _ask(self, question: Any) -> Any:
        try:
            async with asyncio.timeout(ANSWER):
                return await question
        except Exception as error:
            raise QueueUnavailable(f"queue {self._name}: {error or 'no answer'}") from error

    def _channel_closed(self, closing: asyncio.Future[Any]) -> None:
        error = None if closing.cancelled() else closing.exception()
        self.lose(str(error or "the connection is lost"))

    def _flush_soon(self) -> None:
        if not self._flushing and self.lost is None:
            self._flushing = True
            self._keep(asyncio.create_task(self._flush(), name=f"settle messages of {self._name}"))

    async def _flush(self) -> None:
        """Send acks and nacks: one for all the messages before the first that is still held."""
        try:
            while self._acks or self._nacks:
                acks, self._acks = sorted(self._acks), []
                nacks, self._nacks = self._nacks, []
                for tag in [*acks, *(tag for tag, _ in nacks)]:
                    self._unsettled.pop(tag, None)
                for tag, requeue in nacks:
                    await self._incoming.basic_nack(tag, requeue=requeue, wait=False)
                first = next(iter(self._unsettled), None)
                before = len([tag for tag in acks if first is None or tag < first])
                if before:
                    await self._incoming.basic_ack(acks[before - 1], multiple=True, wait=False)
                for tag in acks[before:]:
                    await self._incoming.basic_ack(tag, wait=False)
        except Exception as error:
            self.lose(str(error))  # and the messages come again
        finally:
            self._flushing = False

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _declared(connection: Connection, name: str, config: AmqpConfig) -> Channel:
    """Return a channel for publishing on which the queue is declared."""
    from aiormq import exceptions  # noqa: PLC0415 - where the kind is used

    channel = await connection.channel()
    try:
        await channel.queue_declare(name, durable=True, arguments=_arguments(connection, config))
    except exceptions.ChannelPreconditionFailed as error:
        logger.warning(
            "queue %s stands at RabbitMQ with other arguments, and is used as it is: %s. "
            "Set a policy, or delete it once it is empty",
            name,
            error,
        )
        channel = await connection.channel()
        await channel.queue_declare(name, passive=True)
    return cast("Channel", channel)


def _arguments(connection: Connection, config: AmqpConfig) -> dict[str, Any]:
    """Return the queue's arguments: what is not given stays as the node has it."""
    version = str(connection.server_properties.get("version", "0"))
    major = int(version.partition(".")[0]) if version.partition(".")[0].isdigit() else 0
    arguments: dict[str, Any] = {
        "x-queue-type": "quorum",
        "x-consumer-timeout": int(config.consumer_timeout * 1000),
    }
    # Before 4.0 there was no limit unless declared, and -1 dropped a message at its first return.
    if config.delivery_limit >= 0 or major >= UNLIMITED:
        arguments["x-delivery-limit"] = config.delivery_limit
    if config.dead_letter_exchange is not None:
        arguments["x-dead-letter-exchange"] = config.dead_letter_exchange
    if config.dead_letter_routing_key is not None:
        arguments["x-dead-letter-routing-key"] = config.dead_letter_routing_key
    return {**arguments, **config.arguments}
