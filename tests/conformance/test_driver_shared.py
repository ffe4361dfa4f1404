"""Several processes at one queue, each with a driver of its own: shared out, handed over, and never two at once."""

import asyncio
from contextlib import AsyncExitStack

from channels import Recorder, messages
from drivers import Engine, name, run, until

from taskmill.queue.drivers.base import Channel

COUNT = 200


class Acking(Recorder):
    """A receiver that acks a message on its own turn of the loop, and so leaves the others something."""

    def receive(self, messages):  # type: ignore[no-untyped-def]
        super().receive(messages)
        asyncio.get_running_loop().call_later(0.005, self.settle)


def test_several_clients_share_the_work_each_message_going_to_one(broker: Engine) -> None:
    async def scenario() -> None:
        queue = name()
        async with AsyncExitStack() as stack:
            channels = [await stack.enter_async_context(broker.open(queue)) for _ in range(3)]
            receivers = [Acking(channel, credit=4) for channel in channels]
            for start in range(0, COUNT, 20):
                await channels[0].publish(messages(*range(start, start + 20)))

            def received() -> list[str]:
                return [id_ for receiver in receivers for id_ in receiver.ids]

            await until(lambda: len(received()) >= COUNT)
            assert sorted(received(), key=int) == [str(id_) for id_ in range(COUNT)]
            assert all(receiver.ids for receiver in receivers)

    run(scenario)


def test_what_is_held_at_a_shutdown_comes_again_at_once(broker: Engine) -> None:
    async def scenario() -> None:
        queue = name()
        async with broker.open(queue) as other:
            async with broker.open(queue) as channel:
                leaving = Recorder(channel, credit=3)
                await channel.publish(messages(*range(5)))
                await leaving.has(3)
                staying = Recorder(other)
                await staying.has(2)
                assert leaving.ids == ["0", "1", "2"]
                assert staying.ids == ["3", "4"]
                began = asyncio.get_running_loop().time()
            await staying.has(5)
            took = asyncio.get_running_loop().time() - began
            assert took < 5, "and not after the lease of 30 s"
            assert sorted(staying.ids) == ["0", "1", "2", "3", "4"]
            leaving.settle()  # too late, and harmless
            assert sorted(staying.ids) == ["0", "1", "2", "3", "4"]

    run(scenario)


def test_a_message_that_is_held_for_longer_than_its_lease_goes_to_nobody_else(broker: Engine) -> None:
    async def scenario() -> None:
        queue = name()
        async with broker.open(queue, lease=1) as channel, broker.open(queue, lease=1) as other:
            holder = Recorder(channel)
            await channel.publish(messages("long"))
            await holder.has(1)
            idle = Recorder(other)
            await asyncio.sleep(4)  # four leases
            assert (holder.ids, idle.ids) == (["long"], [])
            holder.settle()
            await asyncio.sleep(2)  # in which it would come again
            assert (holder.ids, idle.ids) == (["long"], [])

    run(scenario)


def test_a_nacked_message_may_come_to_another(broker: Engine) -> None:
    async def scenario() -> None:
        queue = name()
        async with broker.open(queue) as channel, broker.open(queue) as other:
            refusing = Recorder(channel, credit=1)
            await channel.publish(messages("a"))
            await refusing.has(1)
            channel.unsubscribe(refusing)
            refusing.settle(acknowledge=False)
            second = Recorder(other)
            received = await second.has(1)
            assert (received[0].id(), received[0].deliveries) == ("a", 2)

    run(scenario)


def test_a_message_may_be_published_again_with_its_id_where_it_is_unsure_and_is_not_lost(
    broker: Engine,
) -> None:
    async def scenario() -> None:
        async with broker.open(name()) as channel:
            await channel.publish(messages("a"))
            await channel.publish(messages("a", "b"))
            receiver = Recorder(channel)
            await _has(receiver, channel, "b")
            assert set(receiver.ids) == {"a", "b"}
            assert receiver.ids.count("a") <= 2

    async def _has(receiver: Recorder, channel: Channel, id_: str) -> None:
        count = 1
        while id_ not in receiver.ids:
            await receiver.has(count)
            receiver.settle()
            count += 1

    run(scenario)
