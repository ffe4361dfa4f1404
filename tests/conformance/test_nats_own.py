"""What is particular to JetStream: sizes, streams that are somebody else's, and messages of other publishers."""

from collections.abc import Callable

import nats
import pytest
from channels import Recorder, messages
from drivers import Engine, name, run, until
from nats.js import api
from parts import entry

from taskmill.queue import Message, MessageTooLarge, NatsDriver, QueueError
from taskmill.queue.drivers.nats import NatsConfig


@pytest.fixture
def engine(running: Callable[[str], Engine]) -> Engine:
    return running("nats")


def test_what_is_over_the_servers_limit_is_refused_whole_with_the_mend(engine: Engine) -> None:
    async def scenario() -> None:
        async with engine.open(name()) as channel:
            receiver = Recorder(channel)
            with pytest.raises(
                MessageTooLarge, match=r"message big of .* takes 1048576: raise its `max_payload`"
            ):
                await channel.publish([*messages("before"), Message("big", '"' + "x" * 2**20 + '"')])
            await channel.publish(messages("after"))
            await receiver.has(1)
            assert receiver.ids == ["after"]
            assert channel.problem() is None

    run(scenario)


def test_a_stream_of_another_use_is_left_alone_and_named(engine: Engine) -> None:
    async def scenario() -> None:
        async with await nats.connect(f"nats://127.0.0.1:{engine.port}") as client:
            await client.jetstream().add_stream(api.StreamConfig(name="orders", subjects=["orders.*"]))
        config = NatsConfig(name="d", kind="k", url=f"nats://127.0.0.1:{engine.port}", stream="orders")
        driver = entry(NatsDriver, config)
        await driver.start()
        try:
            channel = driver.open("tasks", lambda _: 0.1)
            with pytest.raises(
                QueueError, match=r"the stream `orders` is no work queue .* name another `stream`"
            ):
                await channel.publish(messages("a"))
            await until(lambda: "is no work queue" in str(channel.problem()))
        finally:
            await driver.stop()

    run(scenario)


def test_a_message_of_another_publisher_is_taken_as_it_is(engine: Engine) -> None:
    async def scenario() -> None:
        async with engine.open("plain") as channel:
            receiver = Recorder(channel)
            await channel.publish(messages("own"))
            await receiver.has(1)
            async with await nats.connect(f"nats://127.0.0.1:{engine.port}") as client:
                await client.jetstream().publish(
                    "lease-30.plain", b'{"a": 1}', headers={"Nats-Msg-Id": "theirs"}
                )
                await client.jetstream().publish("lease-30.plain", b"\xff\xfe")
            _, first, second = await receiver.has(3)
            assert first.data == {"a": 1}
            assert first.id().startswith("lease-30-")
            assert second.body == "\ufffd\ufffd"

    run(scenario)


def test_the_stream_deleted_under_a_running_driver_is_made_again(engine: Engine) -> None:
    async def scenario() -> None:
        async with engine.open(name(), lease=7) as channel:
            receiver = Recorder(channel)
            await channel.publish(messages("a"))
            await receiver.has(1)
            async with await nats.connect(f"nats://127.0.0.1:{engine.port}") as client:
                await client.jetstream().delete_stream("lease-7")
            receiver.settle()  # of a message that is no more
            await channel.publish(messages("b"))
            await receiver.has(2)
            await until(lambda: channel.problem() is None)
            assert receiver.ids == ["a", "b"]

    run(scenario)


def test_the_consumer_deleted_under_a_running_driver_is_made_again(engine: Engine) -> None:
    async def scenario() -> None:
        async with engine.open("deleted", lease=8) as channel:
            receiver = Recorder(channel)
            await channel.publish(messages("a"))
            await receiver.has(1)
            receiver.settle()
            async with await nats.connect(f"nats://127.0.0.1:{engine.port}") as client:
                await client.jetstream().delete_consumer("lease-8", "deleted")
            await channel.publish(messages("b"))
            await receiver.has(2)
            await until(lambda: channel.problem() is None)

    run(scenario)
