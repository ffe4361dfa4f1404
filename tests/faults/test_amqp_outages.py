"""RabbitMQ killed, frozen and cut off under load: nothing that was confirmed is lost, and the consumers go on."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import aiormq
import pytest
from broker_load import Load
from driver_nodes import amqp_driver
from queue_worker import Worker, opened, started, until
from servers.proxy import Direction, Proxy
from servers.rabbitmq import RabbitServer

from taskmill.queue import Message

pytestmark = pytest.mark.fault


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitServer]:
    server = RabbitServer(tmp_path_factory.mktemp("rabbit"))
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def proxy(rabbit: RabbitServer) -> Iterator[Proxy]:
    with Proxy(rabbit.port) as proxy:
        yield proxy


def under_load(url: str, name: str, fault: Callable[[], Awaitable[object]]) -> Load:
    """Let something happen while messages are published by one client and taken by another."""
    load = Load(lambda: amqp_driver(url), name)

    async def scenario() -> None:
        async with load:
            await load.more()
            await fault()
            await load.more()
            await load.end()
            print(f"{name}: {load.books()}")
            await until(lambda: load.channel.problem() is None)

    asyncio.run(asyncio.wait_for(scenario(), 110))
    return load


def said(caplog: pytest.LogCaptureFixture, text: str) -> int:
    return sum(text in record.getMessage() for record in caplog.records if record.name.startswith("taskmill"))


def test_a_broker_that_is_killed_and_comes_back(
    rabbit: RabbitServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    def restart() -> None:
        rabbit.kill()
        rabbit.start()

    async def kill() -> None:
        # RabbitMQ 3.10 confirms a new queue up to half a second before its disk knows of it; killed before, it
        # brings up a queue that answers nothing any more.
        await asyncio.sleep(1)
        await asyncio.to_thread(restart)

    under_load(rabbit.url, "killed", kill)
    assert said(caplog, "does not work") == 2, "once by each of the two clients"
    assert said(caplog, "works again") == 2
    assert "s3cret" not in caplog.text


@pytest.mark.long
def test_a_broker_that_is_frozen_for_a_while(rabbit: RabbitServer) -> None:
    async def freeze() -> None:
        rabbit.freeze()
        try:
            await asyncio.sleep(12)  # the fault: longer than the driver waits for an answer
        finally:
            rabbit.thaw()

    under_load(rabbit.url, "frozen", freeze)


def test_a_connection_that_is_cut_five_times_in_three_seconds(rabbit: RabbitServer, proxy: Proxy) -> None:
    async def cut() -> None:
        for _ in range(5):
            proxy.cut()
            await asyncio.sleep(0.6)  # the fault: again before all is as it was

    load = under_load(rabbit.url_at(proxy.port), "cut", cut)
    assert proxy.connections >= 5
    assert load.longest_gap < 10


@pytest.mark.parametrize("direction", ["to server", "to client"])
def test_a_connection_that_is_dead_in_one_direction(
    rabbit: RabbitServer, proxy: Proxy, direction: Direction
) -> None:
    async def dry() -> None:
        before = proxy.connections
        proxy.dry(direction)
        try:
            await until(lambda: proxy.connections > before)
        finally:
            proxy.cut()
            proxy.flow()

    under_load(rabbit.url_at(proxy.port), f"one way, {direction}", dry)


@pytest.mark.long
def test_a_slow_connection_is_no_outage(
    rabbit: RabbitServer, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    async def slow() -> None:
        proxy.delay = 0.3

    under_load(rabbit.url_at(proxy.port), "slow", slow)
    assert said(caplog, "does not work") == 0


def test_what_is_held_at_a_cut_is_not_run_twice_and_its_ack_still_counts(
    rabbit: RabbitServer, proxy: Proxy
) -> None:
    async def scenario() -> None:
        async with started(amqp_driver(rabbit.url_at(proxy.port))) as driver:
            channel = await opened(driver, "held")
            worker = Worker(channel, work=None)
            await channel.publish([Message("before", "1"), Message("meanwhile", "1"), Message("after", "1")])
            await until(lambda: len(worker.held) == 3)
            before, meanwhile, after = worker.held
            proxy.refuse()
            await until(lambda: channel.problem() is not None)
            worker.settle(meanwhile)
            proxy.refuse(False)
            await until(lambda: channel.problem() is None)
            await channel.publish([Message("new", "1")])
            await until(lambda: "new" in worker.ids)
            worker.settle(before)
            worker.settle(after)
            assert worker.ids == ["before", "meanwhile", "after", "new"]
        async with started(amqp_driver(rabbit.url)) as driver:
            channel = await opened(driver, "held")
            worker = Worker(channel)
            await until(lambda: worker.ids)
            assert worker.ids == ["new"], "the others were acked, one of them while the broker was away"
            await until(lambda: not worker.held)

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_a_queue_that_is_deleted_is_declared_again(rabbit: RabbitServer) -> None:
    async def delete() -> None:
        connection = await aiormq.connect(rabbit.url)
        try:
            await (await connection.channel()).queue_delete("deleted")
        finally:
            await connection.close()

    async def scenario() -> None:
        async with Load(lambda: amqp_driver(rabbit.url), "deleted") as load:
            await load.more()
            await delete()
            await load.more()  # what waited went with the queue
            await until(lambda: load.channel.problem() is None)

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_the_driver_starts_without_the_broker_and_works_once_it_is_there(tmp_path: Path) -> None:
    server = RabbitServer(tmp_path / "late")
    try:

        async def scenario() -> None:
            begun = time.monotonic()
            async with started(amqp_driver(server.url)) as driver:
                assert time.monotonic() - begun < 5
                channel = driver.open("late", lambda _: 0.02)
                problem = channel.problem()
                assert problem is not None
                assert "cannot be reached" in problem
                assert "s3cret" not in problem
                await asyncio.to_thread(server.start)
                await until(lambda: channel.problem() is None)
                worker = Worker(channel)
                await channel.publish([Message("a", "1")])
                await until(lambda: worker.ids == ["a"])

        asyncio.run(asyncio.wait_for(scenario(), 110))
    finally:
        server.close()
