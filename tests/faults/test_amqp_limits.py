"""RabbitMQ's own limits: deliveries, how long a message is held, sizes, credentials; and queues it knows already."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiormq
import pytest
from driver_nodes import amqp_driver
from queue_worker import Worker, opened, started, until
from servers.rabbitmq import RabbitServer

from taskmill.queue import Message, MessageTooLarge, QueueError, QueueFull, QueueUnavailable
from taskmill.queue.drivers.amqp_link import AmqpLink

pytestmark = pytest.mark.fault

CONSUMER_TIMEOUT = 2.0  # seconds, instead of RabbitMQ's 30 minutes


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitServer]:
    server = RabbitServer(
        tmp_path_factory.mktemp("rabbit"), f"consumer_timeout = {int(CONSUMER_TIMEOUT * 1000)}"
    )
    try:
        server.start()
        yield server
    finally:
        server.close()


@asynccontextmanager
async def administered(rabbit: RabbitServer) -> AsyncIterator[Any]:
    """A channel of another client."""
    connection = await aiormq.connect(rabbit.url)
    try:
        yield await connection.channel()
    finally:
        await connection.close()


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_a_task_longer_than_the_consumer_timeout_runs_once(rabbit: RabbitServer) -> None:
    async def scenario() -> None:
        async with started(amqp_driver(rabbit.url)) as driver:
            channel = await opened(driver, "long")
            links: list[AmqpLink | None] = []
            worker = Worker(channel, credit=2, work=None)
            await channel.publish([Message("long", "1")])
            await until(lambda: worker.ids == ["long"])
            links.append(channel._link)  # type: ignore[attr-defined]
            held = time.monotonic()

            def taken_away() -> bool:
                if channel._link not in (None, *links):  # type: ignore[attr-defined]
                    links.append(channel._link)  # type: ignore[attr-defined]
                return len(links) >= 3 or time.monotonic() - held > 6 * CONSUMER_TIMEOUT

            await until(taken_away)
            await channel.publish([Message("short", "1")])
            await until(lambda: "short" in worker.ids)
            assert worker.ids == ["long", "short"], (
                f"it was run again; the broker cut it off {len(links)} times"
            )
            for message in list(worker.held):
                worker.settle(message)
            await until(lambda: channel.problem() is None)
        async with administered(rabbit) as channel:
            answer = await channel.queue_declare("long", passive=True)
            assert answer.message_count == 0, "its ack counted"

    run(scenario)


def test_over_its_delivery_limit_a_message_is_dead_lettered(rabbit: RabbitServer) -> None:
    async def scenario() -> None:
        async with administered(rabbit) as admin:
            await admin.exchange_declare("dead", exchange_type="fanout", durable=True)
            await admin.queue_declare("graveyard", durable=True, arguments={"x-queue-type": "quorum"})
            await admin.queue_bind("graveyard", "dead")
            driver = amqp_driver(rabbit.url, delivery_limit=2, dead_letter_exchange="dead")
            async with started(driver):
                worker = Worker(await opened(driver, "limited"), work=None)
                await driver.open("limited", lambda _: 0).publish([Message("bad", '{"poison": true}')])
                for delivery in range(1, 4):
                    await until(lambda: worker.held)
                    assert worker.held[0].deliveries == delivery
                    worker.settle(worker.held[0], acknowledged=False)
                async with started(amqp_driver(rabbit.url)) as other:
                    graveyard = Worker(await opened(other, "graveyard"))
                    await until(lambda: graveyard.ids == ["bad"])
                    assert graveyard.came[0].data == {"poison": True}
                    await until(lambda: not graveyard.held)
                assert worker.ids == ["bad"] * 3

    run(scenario)


def test_without_a_limit_a_message_is_delivered_for_ever(rabbit: RabbitServer) -> None:
    async def scenario() -> None:
        async with started(amqp_driver(rabbit.url)) as driver:
            channel = await opened(driver, "unlimited")
            worker = Worker(channel, work=None)
            await channel.publish([Message("bad", "1")])
            for delivery in range(1, 31):  # RabbitMQ 4 gives up after 20, unless it is told not to
                await until(lambda: worker.held)
                assert worker.held[0].deliveries == delivery
                worker.settle(worker.held[0], acknowledged=delivery == 30)

    run(scenario)


def test_a_message_that_is_no_text_is_put_aside_and_holds_up_nothing(
    rabbit: RabbitServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with started(amqp_driver(rabbit.url)) as driver, administered(rabbit) as admin:
            channel = await opened(driver, "foreign")
            worker = Worker(channel)
            await admin.basic_publish(b"\xff\xfe", routing_key="foreign")
            await admin.basic_publish(b'{"from": "elsewhere"}', routing_key="foreign")
            await until(lambda: worker.came)
            assert worker.came[0].data == {"from": "elsewhere"}
            assert worker.came[0].id()

    run(scenario)
    assert "is not text, and is dead-lettered" in caplog.text


def test_what_is_too_large_is_refused_before_anything_is_sent(rabbit: RabbitServer) -> None:
    async def scenario() -> None:
        async with started(amqp_driver(rabbit.url, max_message=1000)) as driver:
            channel = await opened(driver, "sizes")
            with pytest.raises(MessageTooLarge, match="`max_message` of its driver is 1000"):
                await channel.publish([Message("small", "1"), Message("large", "1" * 1001)])
            with pytest.raises(MessageTooLarge, match="headers"):
                await channel.publish([Message("headers", "1", {"key": "é" * 100_000})])
            with pytest.raises(QueueError, match="maximum length of 255 bytes"):
                await channel.publish([Message("i" * 300, "1")])
            await until(lambda: channel.problem() is None)
            assert await channel.depth() == 0

    run(scenario)


def test_a_queue_that_is_full_refuses(rabbit: RabbitServer) -> None:
    async def scenario() -> None:
        arguments = {"x-max-length": 5, "x-overflow": "reject-publish"}
        async with started(amqp_driver(rabbit.url, arguments=arguments)) as driver:
            channel = await opened(driver, "full")
            with contextlib.suppress(QueueFull):
                for number in range(20):
                    await channel.publish([Message(str(number), "1")])
            with pytest.raises(QueueFull, match="x-max-length"):
                await channel.publish([Message("more", "1")])
            worker = Worker(channel)
            await until(lambda: len(worker.ids) >= 5)
            await until(lambda: not worker.held)
            await channel.publish([Message("again", "1")])
            await until(lambda: "again" in worker.ids)

    run(scenario)


def test_a_queue_that_stands_with_other_arguments_is_used_as_it_is(
    rabbit: RabbitServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with administered(rabbit) as admin:
            await admin.queue_declare("old", durable=True)  # a classic queue
        async with started(amqp_driver(rabbit.url)) as driver:
            channel = await opened(driver, "old")
            worker = Worker(channel)
            await channel.publish([Message("a", "1")])
            await until(lambda: worker.ids == ["a"])
            assert channel.problem() is None

    run(scenario)
    assert "stands at RabbitMQ with other arguments, and is used as it is" in caplog.text


@pytest.mark.parametrize(
    ("wrong", "mend"),
    [
        (
            lambda url: url.replace("s3cret", "0ther"),
            "refuses the credentials: mend user and password in `url`",
        ),
        (lambda url: url + "nowhere", "refuses the virtual host"),
    ],
    ids=["password", "vhost"],
)
def test_what_the_broker_refuses_at_the_start_is_told_within_five_seconds(
    rabbit: RabbitServer, caplog: pytest.LogCaptureFixture, wrong: Callable[[str], str], mend: str
) -> None:
    caplog.set_level(logging.DEBUG)

    async def scenario() -> None:
        begun = time.monotonic()
        driver = amqp_driver(wrong(rabbit.url))
        with pytest.raises(QueueError, match=mend) as raised:
            await driver.start()
        assert time.monotonic() - begun < 5
        await driver.stop()
        for text in (str(raised.value), caplog.text):
            assert "s3cret" not in text
            assert "0ther" not in text

    run(scenario)


def test_credentials_that_are_changed_while_it_runs_are_an_outage_that_says_why(rabbit: RabbitServer) -> None:
    async def scenario() -> None:
        driver = amqp_driver(rabbit.url)
        async with started(driver):
            channel = await opened(driver, "changed")
            good, driver._urls[0] = driver._urls[0], rabbit.url.replace("s3cret", "0ther")
            driver._drop()
            await until(lambda: "refuses the credentials" in (channel.problem() or ""))
            with pytest.raises(QueueUnavailable, match="refuses the credentials"):
                await channel.publish([Message("a", "1")])
            driver._urls[0] = good
            await until(lambda: channel.problem() is None)
            await channel.publish([Message("a", "1")])

    run(scenario)
