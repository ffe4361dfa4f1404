"""PostgreSQL as a queue: killed, frozen, and its sessions ended, under load; dead nodes; and nobody who listens."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator

import psycopg
import pytest
from broker_load import Load
from driver_nodes import PostgresNode
from queue_worker import Worker, opened, started, until
from servers.postgres import PostgresServer, postgres_server

from taskmill.queue import Message
from taskmill.units import Duration

pytestmark = pytest.mark.fault


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture
def url(server: PostgresServer) -> Iterator[str]:
    url = server.create()
    yield url
    server.drop(url)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 110))


def under_load(url: str, name: str, fault: Callable[[], Awaitable[object]]) -> Load:
    load = Load(lambda: PostgresNode(url, lease=Duration(5)), name)

    async def scenario() -> None:
        async with load:
            await load.more()
            await fault()
            await load.more()
            await load.end()
            print(f"{name}: {load.books()}")
            await until(lambda: load.channel.problem() is None)

    run(scenario)
    return load


def test_a_server_that_is_killed_and_comes_back_twice(server: PostgresServer, url: str) -> None:
    def restart() -> None:
        for _ in range(2):
            server.kill()
            server.start()

    load = under_load(url, "killed", lambda: asyncio.to_thread(restart))
    assert load.longest_gap < 20


def test_a_server_that_is_frozen_for_longer_than_a_lease(server: PostgresServer, url: str) -> None:
    async def freeze() -> None:
        server.freeze()
        try:
            await asyncio.sleep(8)  # the fault
        finally:
            server.thaw()

    under_load(url, "frozen", freeze)


def test_sessions_that_are_ended_again_and_again(server: PostgresServer, url: str) -> None:
    database = url.rpartition("/")[2]

    async def terminate() -> None:
        for _ in range(10):
            await asyncio.to_thread(
                server.execute,
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'",
            )
            await asyncio.sleep(0.2)  # the fault: again while it comes back

    under_load(url, "terminated", terminate)


def test_what_a_dead_node_held_comes_again_after_its_lease(server: PostgresServer, url: str) -> None:
    async def scenario() -> None:
        async with started(PostgresNode(url, lease=Duration(2))) as node:
            channel = await opened(node, "dead")
            await channel.publish([Message(str(number), "1") for number in range(3)])
            await asyncio.to_thread(_claim_as_one_that_dies, url)
            claimed = time.monotonic()
            worker = Worker(channel)
            await until(lambda: len(worker.ids) == 3)
            assert 1.5 < time.monotonic() - claimed < 10
            assert worker.ids == ["0", "1", "2"]
            await until(lambda: not worker.held)

    run(scenario)


def test_without_notifications_messages_are_found_by_looking(url: str) -> None:
    async def scenario() -> None:
        options = {"listen": False, "poll_interval": Duration(0.3)}
        async with (
            started(PostgresNode(url, **options)) as publisher,  # type: ignore[arg-type]
            started(PostgresNode(url, **options)) as consumer,  # type: ignore[arg-type]
        ):
            far = await opened(consumer, "polled")
            worker = Worker(far)
            channel = await opened(publisher, "polled")
            for number in range(5):
                await channel.publish([Message(str(number), "1")])
                await until(lambda: len(worker.ids) > number)  # noqa: B023 - within the round
            far.unsubscribe(worker)
            near = Worker(channel, work=None)
            await channel.publish([Message("refused", "1")])
            await until(lambda: near.ids == ["refused"])
            channel.unsubscribe(near)
            far.subscribe(worker)
            near.settle(near.held[0], acknowledged=False)
            await until(lambda: "refused" in worker.ids)

    run(scenario)


def test_the_table_is_made_once_by_many_that_start_together(url: str) -> None:
    async def scenario() -> None:
        nodes = [PostgresNode(url) for _ in range(5)]
        await asyncio.gather(*(node.start() for node in nodes))
        try:
            worker = Worker(await opened(nodes[0], "made"))
            await (await opened(nodes[4], "made")).publish([Message("a", "1")])
            await until(lambda: worker.ids == ["a"])
        finally:
            await asyncio.gather(*(node.stop() for node in nodes))

    run(scenario)


def _claim_as_one_that_dies(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "UPDATE taskmill_message SET holder = 'dead', visible_at = now() + interval '2 s', deliveries = 1"
        )
