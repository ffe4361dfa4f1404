"""RabbitMQ over TLS: with the authority that signed its certificate, and never without."""

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from driver_nodes import amqp_driver
from queue_worker import Worker, opened, started, until
from servers.rabbitmq import RabbitServer
from servers.server import free_port
from support import require

from taskmill.queue import Message, QueueUnavailable
from taskmill.queue.drivers.tls import Tls

pytestmark = pytest.mark.fault


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that is its own authority; its key stands beside it as `key.pem`."""
    openssl = require(shutil.which("openssl"), "apt-get install openssl")
    made = tmp_path / "certificate.pem"
    subprocess.run(
        [
            openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(tmp_path / "key.pem"), "-out", str(made),
        ],
        check=True,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return made


@pytest.fixture
def encrypted(tmp_path: Path, certificate: Path) -> Iterator[str]:
    """The url of a node that takes encrypted connections there."""
    port = free_port()
    server = RabbitServer(
        tmp_path / "rabbit",
        f"listeners.ssl.1 = 127.0.0.1:{port}",
        f"ssl_options.cacertfile = {certificate}",
        f"ssl_options.certfile = {certificate}",
        f"ssl_options.keyfile = {certificate.with_name('key.pem')}",
        "ssl_options.verify = verify_none",
    )
    try:
        server.start()
        yield server.url_at(port).replace("amqp:", "amqps:")
    finally:
        server.close()


def test_tls(encrypted: str, certificate: Path) -> None:
    async def scenario() -> None:
        async with started(amqp_driver(encrypted, tls=Tls(ca=str(certificate)))) as driver:
            channel = await opened(driver, "secret")
            worker = Worker(channel)
            await channel.publish([Message("a", "1" * 1_000_000)])
            await until(lambda: worker.ids == ["a"])
        async with started(amqp_driver(encrypted)) as driver:
            channel = driver.open("secret", lambda _: 0.02)
            with pytest.raises(QueueUnavailable, match="certificate verify failed"):
                await channel.publish([Message("b", "1")])

    asyncio.run(asyncio.wait_for(scenario(), 60))
