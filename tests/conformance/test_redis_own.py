"""What is particular to Redis and Valkey: memory, what the dead leave, and keys that others delete."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from channels import Recorder, messages
from drivers import Engine, name, run, until
from redis.asyncio import Redis
from servers.valkey import ValkeyServer

from taskmill.queue import Message, QueueFull
from taskmill.queue.drivers.redis_channel import GROUP, RedisChannel


@pytest.fixture
def engine(running: Callable[[str], Engine]) -> Engine:
    return running("redis")


def client(engine: Engine) -> Redis:
    return Redis(port=engine.port, protocol=2)


def test_a_server_that_may_drop_messages_is_warned_of(
    engine: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = ValkeyServer(tmp_path, policy="allkeys-lru")
    server.start()

    async def scenario(port: int) -> None:
        async with engine.open(name(), port=port):
            pass

    try:
        run(lambda: scenario(server.port))
    finally:
        server.stop()
    assert "set `maxmemory-policy noeviction` in place of `allkeys-lru`" in caplog.text
    caplog.clear()
    run(lambda: scenario(engine.port))
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_server_without_memory_refuses_and_takes_again_when_there_is_some(engine: Engine) -> None:
    async def scenario() -> None:
        async with client(engine) as server, engine.open(name()) as channel:
            await channel.publish(messages("a"))
            await server.config_set("maxmemory", "1")
            try:
                with pytest.raises(QueueFull, match="has no memory left: raise its `maxmemory`"):
                    await channel.publish(messages("b", "c"))
            finally:
                await server.config_set("maxmemory", "512mb")
            await channel.publish(messages("d"))
            receiver = Recorder(channel)
            await receiver.has(2)
            assert receiver.ids == ["a", "d"]

    run(scenario)


def test_what_the_dead_held_is_claimed_after_the_lease_and_counts_as_a_delivery(engine: Engine) -> None:
    async def scenario() -> None:
        queue = name()
        async with client(engine) as server, engine.open(queue, lease=1) as channel:
            await channel.publish([Message("left", '"body"', {"a": "ü"})])
            stream = f"taskmill:{{{queue}}}"
            await until(lambda: _grouped(server, stream))
            await server.xreadgroup(GROUP, "dead", {stream: ">"}, count=1)
            began = asyncio.get_running_loop().time()
            receiver = Recorder(channel)
            (message,) = await receiver.has(1)
            assert 0.9 < asyncio.get_running_loop().time() - began < 10
            assert (message.id(), message.data, dict(message.headers())) == ("left", "body", {"a": "ü"})
            assert message.deliveries == 2

    async def _grouped(server: Redis, stream: str) -> bool:
        return bool(await server.exists(stream)) and bool(await server.xinfo_groups(stream))

    run(scenario)


def test_one_that_was_frozen_for_longer_than_its_lease_lets_go_of_what_others_took(engine: Engine) -> None:
    async def scenario() -> None:
        queue = name()
        async with engine.open(queue, lease=1) as channel, engine.open(queue, lease=1) as other:
            assert isinstance(channel, RedisChannel)
            frozen = Recorder(channel, credit=1)
            await channel.publish(messages("a"))
            await frozen.has(1)
            for loop in channel._loops:
                await loop.stop()  # as good as frozen: it renews nothing
            second = Recorder(other)
            await second.has(1)
            await channel._renew()  # it is back
            frozen.settle(acknowledge=False)
            await channel._send()
            await asyncio.sleep(1.5)  # in which the message would come again
            assert second.ids == ["a"]
            second.settle()

    run(scenario)


def test_keys_that_are_deleted_under_a_running_driver_are_made_again(engine: Engine) -> None:
    async def scenario() -> None:
        async with client(engine) as server, engine.open(name()) as channel:
            receiver = Recorder(channel)
            await channel.publish(messages("a"))
            await receiver.has(1)
            await server.flushall()
            receiver.settle()  # of a message that is no more
            await channel.publish(messages("b"))
            await receiver.has(2)
            await until(lambda: channel.problem() is None)
            assert receiver.ids == ["a", "b"]

    run(scenario)


def test_a_driver_that_stops_leaves_no_consumer_behind(engine: Engine) -> None:
    async def scenario() -> None:
        queue = name()
        async with client(engine) as server:
            async with engine.open(queue) as channel:
                receiver = Recorder(channel, credit=1)
                await channel.publish(messages("a", "b"))
                await receiver.has(1)
                assert len(await server.xinfo_consumers(f"taskmill:{{{queue}}}", GROUP)) == 1
            assert await server.xinfo_consumers(f"taskmill:{{{queue}}}", GROUP) == []
            assert await server.xlen(f"taskmill:{{{queue}}}") == 2

    run(scenario)
