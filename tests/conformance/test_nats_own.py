"""What is particular to JetStream: sizes, streams that are somebody else's, and messages of other publishers."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import nats
import pytest
from channels import Recorder, messages
from drivers import Engine, name, run, until
from nats.js import api
from parts import entry
from servers.nats import NatsServer
from support import require

from taskmill.queue import Message, MessageTooLarge, NatsDriver, QueueError
from taskmill.queue.drivers.nats import NatsConfig
from taskmill.queue.drivers.tls import Tls


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


def test_a_server_with_tls_is_used_if_its_certificate_is_trusted_and_not_otherwise(tmp_path: Path) -> None:
    openssl = require(shutil.which("openssl"), "apt-get install openssl")
    certificate, key = tmp_path / "server.pem", tmp_path / "server.key"
    request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([openssl, *request, *files], check=True, capture_output=True, timeout=30)
    server = NatsServer(tmp_path / "nats", tls=(certificate, key))
    server.start()

    async def scenario() -> None:
        url = f"tls://127.0.0.1:{server.port}"
        trusting = entry(NatsDriver, NatsConfig(name="d", kind="k", url=url, tls=Tls(ca=str(certificate))))
        await trusting.start()
        channel = trusting.open("tasks", lambda _: 0.1)
        receiver = Recorder(channel)
        await channel.publish(messages("a"))
        await receiver.has(1)
        await trusting.stop()
        wary = entry(NatsDriver, NatsConfig(name="d", kind="k", url=url))
        await wary.start()
        assert "CERTIFICATE_VERIFY_FAILED" in str(wary.open("tasks", lambda _: 0.1).problem())
        await wary.stop()

    try:
        run(scenario)
    finally:
        server.stop()


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
