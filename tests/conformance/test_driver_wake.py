"""A message that comes to an empty queue is delivered at once, however long the queue was empty."""

import asyncio
from statistics import median

from channels import Recorder, messages
from drivers import Engine, name, run

TIMES = 20


def test_an_empty_queue_wakes_up_at_once(engine: Engine) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        async with engine.open(name()) as channel:
            receiver = Recorder(channel, credit=TIMES + 1)
            await channel.publish(messages("first"))  # by which all is in place
            await receiver.has(1)
            receiver.settle()
            taken = []
            for number in range(TIMES):
                began = loop.time()
                await channel.publish(messages(number))
                await receiver.has(number + 2)
                taken.append((loop.time() - began) * 1000)
                receiver.settle()
            print(
                f"{type(engine).__name__}: from publishing to a receiver {median(taken):.1f} ms in the median,"
                f" {max(taken):.1f} at most"
            )
            assert median(taken) < 250, "it is found by looking now and then, and not as it comes"

    run(scenario)
