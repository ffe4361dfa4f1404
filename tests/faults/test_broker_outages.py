"""NATS and Valkey killed, frozen, wiped, cut off and slow, under load: nothing confirmed is lost, and work goes on."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from broker_load import Load
from brokers import BROKERS, Broker
from servers.proxy import Proxy

pytestmark = pytest.mark.fault


@pytest.fixture(params=sorted(BROKERS))
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    made = BROKERS[request.param](tmp_path)
    made.server.start()
    yield made
    made.server.stop()


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 110))


async def beside(call: Callable[[], None]) -> None:
    """Do something that blocks while the load goes on."""
    await asyncio.to_thread(call)


def test_killed_and_restarted_three_times(broker: Broker) -> None:
    async def scenario() -> None:
        async with Load(broker.driver) as load:
            for _ in range(3):
                await load.more()
                broker.server.kill()
                await asyncio.sleep(0.5)  # while it is away
                await beside(broker.server.start)
            await load.more()
            await load.end()
            print(load.books())
            assert load.longest_gap < 15

    run(scenario)


def test_frozen_for_eight_seconds(broker: Broker) -> None:
    async def scenario() -> None:
        async with Load(broker.driver) as load:
            await load.more()
            broker.server.freeze()
            await asyncio.sleep(8)  # longer than any answer is waited for
            assert load.channel.problem() is not None
            broker.server.thaw()
            await load.more()
            await load.end()
            print(load.books())
            await load.goes_on(lambda: load.channel.problem() is None)

    run(scenario)


def test_wiped(broker: Broker) -> None:
    async def scenario() -> None:
        async with Load(broker.driver) as load:
            await load.more()
            await beside(broker.wipe)
            await load.more()  # what waited is lost to the engine, and what is new comes
            await load.goes_on(lambda: load.channel.problem() is None)
            print(load.books())
            assert len(load.confirmed - load.came.keys()) <= 200

    run(scenario)


def test_cut_off_again_and_again(broker: Broker) -> None:
    async def scenario() -> None:
        with Proxy(broker.server.port) as proxy:
            async with Load(lambda: broker.driver(proxy.port)) as load:
                for _ in range(5):
                    await load.more(100)
                    proxy.cut()
                await load.more()
                await load.end()
                print(load.books())

    run(scenario)


@pytest.mark.parametrize("direction", ["to server", "to client"])
def test_silent_in_one_direction(broker: Broker, direction: str) -> None:
    async def scenario() -> None:
        with Proxy(broker.server.port) as proxy:
            async with Load(lambda: broker.driver(proxy.port)) as load:
                await load.more()
                proxy.dry(direction)  # type: ignore[arg-type]
                await load.goes_on(lambda: load.channel.problem() is not None)
                proxy.flow()
                await load.more()
                await load.end()
                print(load.books())

    run(scenario)


def test_slow(broker: Broker) -> None:
    async def scenario() -> None:
        with Proxy(broker.server.port) as proxy:
            async with Load(lambda: broker.driver(proxy.port)) as load:
                await load.more(100)
                proxy.delay = 0.3
                await load.more(100)
                assert load.channel.problem() is None
                proxy.delay = 0
                await load.more()
                await load.end()
                print(load.books())

    run(scenario)
