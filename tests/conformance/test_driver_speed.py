"""How many messages a second go through each driver, printed: publishing in batches, and taking them with acks."""

import asyncio
from collections.abc import Sequence

import pytest
from channels import messages
from drivers import Engine, name, run, until

from taskmill.queue import Message
from taskmill.queue.drivers.base import Channel

COUNT = 4000
BATCH = 100


class Swift:
    """Acks at once whatever comes."""

    def __init__(self, channel: Channel) -> None:
        self.count = 0
        self._channel = channel

    def credit(self) -> int:
        return 200

    def receive(self, messages: Sequence[Message]) -> None:
        self.count += len(messages)
        for message in messages:
            message.ack()
        self._channel.pump()


@pytest.mark.long
def test_how_many_messages_a_second(engine: Engine) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        async with engine.open(name()) as channel:
            await channel.publish(messages("first"))  # by which all is in place
            began = loop.time()
            for start in range(0, COUNT, BATCH):
                await channel.publish(messages(*range(start, start + BATCH)))
            published = COUNT / (loop.time() - began)
            receiver = Swift(channel)
            began = loop.time()
            channel.subscribe(receiver)
            await until(lambda: receiver.count >= COUNT + 1)
            taken = COUNT / (loop.time() - began)
            print(f"{type(engine).__name__}: {published:,.0f} published, {taken:,.0f} taken a second")
            assert min(published, taken) > 200, "an engine is asked once for many, and not for each"

    run(scenario, 60)
