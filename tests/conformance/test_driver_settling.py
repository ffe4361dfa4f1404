"""Acks and nacks: what is acked is gone, what is nacked comes again after its pause."""

import asyncio

from channels import PAUSE, Factory, Recorder, messages, run

from taskmill.queue.drivers.base import Channel


def test_an_acked_message_is_gone(driver: Factory) -> None:
    async def scenario(channel: Channel) -> None:
        receiver = Recorder(channel)
        await channel.publish(messages("a", "b"))
        await receiver.has(2)
        assert channel.depth() == 2
        receiver.settle(count=1)
        assert channel.depth() == 1
        receiver.settle()
        assert channel.depth() == 0
        Recorder(channel)
        assert receiver.ids == ["a", "b"]

    run(driver, scenario)


def test_a_nacked_message_comes_again_after_its_pause_and_counts_its_deliveries(driver: Factory) -> None:
    async def scenario(channel: Channel) -> None:
        loop = asyncio.get_running_loop()
        receiver = Recorder(channel)
        await channel.publish(messages("a"))
        for delivery in range(1, 4):
            received = await receiver.has(delivery)
            assert received[-1].id() == "a"
            assert received[-1].deliveries == delivery
            refused = loop.time()
            receiver.settle(acknowledge=False)
            assert len(receiver.received) == delivery
            assert channel.depth() == 1, "a resting message still takes up room"
            await receiver.has(delivery + 1)
            assert loop.time() - refused >= PAUSE * 0.9  # timers count in milliseconds
        receiver.settle()
        assert channel.depth() == 0

    run(driver, scenario)


def test_a_resting_message_holds_up_no_other(driver: Factory) -> None:
    async def scenario(channel: Channel) -> None:
        receiver = Recorder(channel, credit=1)
        await channel.publish(messages("bad", "a", "b"))
        await receiver.has(1)
        receiver.settle(acknowledge=False)
        await receiver.has(2)
        receiver.settle()
        await receiver.has(3)
        receiver.settle()
        await receiver.has(4)
        assert receiver.ids == ["bad", "a", "b", "bad"]

    run(driver, scenario)


def test_only_the_first_ack_or_nack_counts(driver: Factory) -> None:
    async def scenario(channel: Channel) -> None:
        receiver = Recorder(channel)
        await channel.publish(messages("a", "b"))
        first, second = (await receiver.has(2))[:2]
        first.ack()
        first.nack()
        first.ack()
        assert channel.depth() == 1
        second.nack()
        second.ack()
        await receiver.has(3)
        assert receiver.ids == ["a", "b", "b"]
        assert channel.depth() == 1

    run(driver, scenario)


def test_a_receiver_may_settle_while_it_receives(driver: Factory) -> None:
    class Hasty(Recorder):
        def receive(self, messages):  # type: ignore[no-untyped-def]
            super().receive(messages)
            self.settle()

    async def scenario(channel: Channel) -> None:
        receiver = Hasty(channel, credit=2)
        await channel.publish(messages(*range(50)))
        await receiver.has(50)
        assert receiver.ids == [str(id_) for id_ in range(50)]
        assert channel.depth() == 0

    run(driver, scenario, max_length=10)
