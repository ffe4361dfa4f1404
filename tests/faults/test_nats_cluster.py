"""A cluster of three NATS servers that keeps three copies: its leader is killed, and a minority is cut off."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import nats as client
import pytest
from broker_load import Load
from brokers import nats_driver
from parts import DriverPart
from servers.nats import NatsServer
from servers.proxy import Proxy

pytestmark = [pytest.mark.fault, pytest.mark.long]

STREAM = "taskmill"


class Cluster:
    """Three servers that reach each other through proxies, so that one can be cut off from the two others."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.servers = [NatsServer(directory / f"n{number}") for number in range(3)]
        # Of each server: the ways by which the two others come to it.
        self.ways: dict[str, list[Proxy]] = {server.name: [] for server in self.servers}
        for server in self.servers:
            server.cluster = self.servers
            server.routes = {}
            for other in self.servers:
                if other is not server:
                    way = stack.enter_context(Proxy(other.cluster_port))
                    server.routes[other.cluster_port] = way.port
                    self.ways[server.name].append(way)
                    self.ways[other.name].append(way)
        for server in self.servers:
            stack.callback(server.kill)

    def start(self) -> None:
        for server in self.servers:
            server.start()

    def driver(self) -> DriverPart:
        return nats_driver(",".join(f"127.0.0.1:{server.port}" for server in self.servers), 2, replicas=3)

    async def leader(self) -> NatsServer:
        """Return the server that leads the stream."""
        leader: NatsServer = await self._until(self._leader)
        return leader

    async def used_by(self, channel: Any) -> NatsServer:
        """Return the server that a channel is connected to."""

        async def used() -> NatsServer | None:
            client = await channel._link.connected(5)
            port = client and client.connected_url and client.connected_url.port
            return next((server for server in self.servers if server.port == port), None)

        found: NatsServer = await self._until(used)
        return found

    async def healed(self) -> None:
        """Wait until the leader hears of both others again."""

        async def heard() -> bool:
            others = (await self._info()).cluster.replicas
            return len(others) == 2 and not any(one.offline or one.active > 3e9 for one in others)

        await self._until(heard)

    def cut_off(self, server: NatsServer, cut: bool = True) -> None:
        for way in self.ways[server.name]:
            way.refuse(cut)

    async def _leader(self) -> NatsServer | None:
        info = await self._info()
        return next((server for server in self.servers if server.name == info.cluster.leader), None)

    async def _info(self) -> Any:
        urls = [server.url for server in self.servers]
        async with await client.connect(
            urls, connect_timeout=1, max_reconnect_attempts=1, reconnect_time_wait=0
        ) as connection:
            return await connection.jetstream(timeout=2).stream_info(STREAM)

    async def _until(self, look: Callable[[], Awaitable[Any]]) -> Any:
        async with asyncio.timeout(60):
            while True:
                try:
                    if found := await look():
                        return found
                except Exception as error:  # there is no leader at the moment
                    print(f"not yet: {error!r}")
                await asyncio.sleep(0.2)  # before the next look


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with ExitStack() as stack:
        made = Cluster(tmp_path, stack)
        made.start()
        yield made


async def formed(load: Load) -> None:
    """Wait until the cluster works, which takes it some seconds after its start."""
    await load.goes_on(lambda: sum(load.came.values()) > 100, 60)
    load.longest_gap = 0.0


def test_the_leader_killed_and_back_again(cluster: Cluster) -> None:
    async def scenario() -> None:
        async with Load(cluster.driver) as load:
            await formed(load)
            for _ in range(2):
                leader = await cluster.leader()
                leader.kill()
                await load.more()  # by the two that are left
                await asyncio.to_thread(leader.start)
                await cluster.healed()
            await load.end()
            print(load.books())
            assert load.longest_gap < 30

    asyncio.run(asyncio.wait_for(scenario(), 115))


@pytest.mark.parametrize("role", ["leader", "publisher's", "consumer's"])
def test_a_minority_cut_off_from_the_others(cluster: Cluster, role: str) -> None:
    async def scenario() -> None:
        async with Load(cluster.driver) as load:
            await formed(load)
            if role == "leader":
                victim = await cluster.leader()
            else:
                victim = await cluster.used_by(load.to if role == "publisher's" else load.channel)
            cluster.cut_off(victim)
            await load.more()  # by the majority, wherever its clients were connected
            cluster.cut_off(victim, False)
            await cluster.healed()
            await load.more()
            await load.end()
            print(load.books())
            assert load.longest_gap < 30

    asyncio.run(asyncio.wait_for(scenario(), 115))
