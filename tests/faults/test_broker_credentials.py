"""Credentials that a broker refuses: at the start a clear error within seconds, later an outage that can be mended."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from broker_load import Load
from brokers import BROKERS, Broker
from servers.nats import NatsServer

from taskmill.queue import QueueError

WORD = "correct-horse"

USERS = {"nats": "app", "valkey": ""}


@pytest.fixture(params=sorted(BROKERS))
def guarded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Broker, str]]:
    """A broker that wants a password, and the user that has it."""
    broker = BROKERS[request.param](tmp_path, WORD)
    broker.server.start()
    yield broker, USERS[request.param]
    broker.server.stop()


@pytest.mark.parametrize("credentials", ["", "{user}:battery-staple"])
def test_a_start_with_wrong_credentials_ends_with_a_clear_error(
    guarded: tuple[Broker, str], credentials: str, caplog: pytest.LogCaptureFixture
) -> None:
    broker, user = guarded

    async def scenario() -> None:
        driver = broker.driver(credentials=credentials.format(user=user))
        began = time.monotonic()
        with pytest.raises(
            QueueError, match="refuses the credentials: mend user and password in `url`"
        ) as told:
            await driver.start()
        assert time.monotonic() - began < 5
        await driver.stop()
        for text in (str(told.value), caplog.text):
            assert "battery" not in text
        assert f"127.0.0.1:{broker.server.port}" in str(told.value)

    asyncio.run(asyncio.wait_for(scenario(), 20))


def test_the_right_credentials_work_and_are_never_shown(
    guarded: tuple[Broker, str], caplog: pytest.LogCaptureFixture
) -> None:
    broker, user = guarded

    async def scenario() -> None:
        async with Load(lambda: broker.driver(credentials=f"{user}:{WORD}")) as load:
            await load.more()
            broker.server.kill()
            await load.goes_on(lambda: load.channel.problem() is not None)
            assert WORD not in str(load.channel.problem())
            await asyncio.to_thread(broker.server.start)
            await load.more()
            await load.end()
        assert "works again" in caplog.text
        assert WORD not in caplog.text

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_credentials_that_are_changed_while_it_runs_are_an_outage_until_they_are_changed_back(
    tmp_path: Path,
) -> None:
    directory = tmp_path / "nats"
    server = NatsServer(directory, users={"app": WORD})
    server.start()
    broker = BROKERS["nats"](tmp_path, WORD)
    broker.server.port = server.port

    async def scenario() -> None:
        async with Load(lambda: broker.driver(credentials=f"app:{WORD}")) as load:
            await load.more()
            server._users = {"app": "another"}
            server.kill()
            await asyncio.to_thread(server.start)
            await load.goes_on(lambda: "refuses the credentials" in str(load.channel.problem()))
            server._users = {"app": WORD}
            server.kill()
            await asyncio.to_thread(server.start)
            await load.more()
            await load.end()
            await load.goes_on(lambda: load.channel.problem() is None)

    try:
        asyncio.run(asyncio.wait_for(scenario(), 60))
    finally:
        server.stop()
