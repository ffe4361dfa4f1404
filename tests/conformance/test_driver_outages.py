"""An engine that is cut off, away or silent: told, survived, and made up for without anybody's help."""

import asyncio
import logging
from collections.abc import Sequence

import pytest
from channels import Recorder, messages
from drivers import Engine, name, run, until
from servers.proxy import Proxy

from taskmill.queue import Message, QueueUnavailable
from taskmill.queue.drivers.base import Channel

LIMIT = 60  # seconds for a scenario


class Worker(Recorder):
    """Acks whatever comes, and has done each message at least once."""

    def receive(self, messages: Sequence[Message]) -> None:
        super().receive(messages)
        self.settle()

    async def did(self, *ids: object) -> None:
        await until(lambda: {str(id_) for id_ in ids} <= set(self.ids), 30)


async def published(channel: Channel, *ids: object) -> None:
    """Publish as who must: again and again until it is confirmed."""
    async with asyncio.timeout(30):
        while True:
            try:
                await channel.publish(messages(*ids))
            except QueueUnavailable:
                await asyncio.sleep(0.05)  # before the next try
            else:
                return


def lines(caplog: pytest.LogCaptureFixture) -> tuple[int, int]:
    """Return how often the log says that an outage began, and that one ended."""
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    return sum("does not work" in line for line in said), sum("works again" in line for line in said)


def test_work_goes_on_after_two_cuts_in_three_seconds(
    broker: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        with Proxy(broker.port) as proxy:
            async with broker.open(name(), port=proxy.port) as channel:
                worker = Worker(channel, credit=10)
                await published(channel, *range(10))
                await worker.did(*range(10))
                for cut in (1, 2):
                    proxy.cut()
                    await published(channel, *range(cut * 10, cut * 10 + 10))
                    await asyncio.sleep(1)  # between the two
                await worker.did(*range(30))
                await until(lambda: channel.problem() is None)
                await published(channel, "last")
                await worker.did("last")
        began, ended = lines(caplog)
        assert began == ended <= 4

    run(scenario, LIMIT)


def test_what_is_held_at_a_cut_ends_once_it_is_acked(broker: Engine) -> None:
    async def scenario() -> None:
        queue = name()
        with Proxy(broker.port) as proxy:
            async with broker.open(queue, port=proxy.port) as channel:
                holder = Recorder(channel)
                await published(channel, "held")
                await holder.has(1)
                proxy.cut()
                await published(channel, "next")
                await until(lambda: "next" in holder.ids, 30)
                await until(lambda: done(channel, holder))
        async with broker.open(queue) as channel:
            left = Recorder(channel)
            await published(channel, "end")
            await left.has(1)
            assert left.ids == ["end"]

    async def done(channel: Channel, holder: Recorder) -> bool:
        count = len(holder.received)
        holder.settle()
        await asyncio.sleep(0.5)  # in which a copy would come
        return len(holder.received) == count and await channel.depth() == 0

    run(scenario, LIMIT)


def test_an_engine_that_is_away_is_told_once_and_used_again_when_it_is_back(
    broker: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        with Proxy(broker.port) as proxy:
            async with broker.open(name(), port=proxy.port) as channel:
                worker = Worker(channel)
                await published(channel, "before")
                await worker.did("before")
                proxy.refuse()
                began = loop.time()
                with pytest.raises(QueueUnavailable):
                    await channel.publish(messages("refused"))
                assert loop.time() - began < 10
                await until(lambda: channel.problem() is not None)
                await asyncio.sleep(3)  # of many tries
                assert lines(caplog) == (1, 0)
                proxy.refuse(False)
                back = loop.time()
                await published(channel, "after")
                await worker.did("after")
                assert loop.time() - back < 10
                await until(lambda: channel.problem() is None)
                assert lines(caplog) == (1, 1)

    run(scenario, LIMIT)


def test_a_driver_starts_while_its_engine_is_away(broker: Engine) -> None:
    if broker.needed_at_start:
        pytest.skip("nothing starts without its database")

    async def scenario() -> None:
        with Proxy(broker.port) as proxy:
            proxy.refuse()
            async with broker.open(name(), port=proxy.port) as channel:
                worker = Worker(channel)
                assert channel.problem() is not None
                with pytest.raises(QueueUnavailable):
                    await channel.publish(messages("early"))
                proxy.refuse(False)
                await published(channel, "a")
                await worker.did("a")
                await until(lambda: channel.problem() is None)

    run(scenario, LIMIT)


@pytest.mark.long
@pytest.mark.parametrize("directions", [["to server"], ["to client"], ["to server", "to client"]])
def test_a_connection_that_has_gone_silent_is_noticed_and_replaced(
    broker: Engine, directions: list[str]
) -> None:
    async def scenario() -> None:
        with Proxy(broker.port) as proxy:
            async with broker.open(name(), port=proxy.port, lease=2) as channel:
                worker = Worker(channel)
                await published(channel, "before")
                await worker.did("before")
                proxy.dry(*directions)  # type: ignore[arg-type]
                await until(lambda: channel.problem() is not None, 30)
                proxy.flow()
                await published(channel, "after")
                await worker.did("after")
                await until(lambda: channel.problem() is None, 30)

    run(scenario, 100)


@pytest.mark.long
def test_a_slow_connection_is_only_slow(broker: Engine) -> None:
    async def scenario() -> None:
        with Proxy(broker.port) as proxy:
            proxy.delay = 0.2
            async with broker.open(name(), port=proxy.port) as channel:
                worker = Worker(channel, credit=50)
                for start in range(0, 100, 50):
                    await published(channel, *range(start, start + 50))
                await worker.did(*range(100))
                assert worker.ids == [str(id_) for id_ in range(100)], "each once, in order"
                assert channel.problem() is None

    run(scenario, LIMIT)
