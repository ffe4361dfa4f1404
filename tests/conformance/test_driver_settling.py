"""Acks and nacks: what is acked is gone, what is nacked comes again after its pause."""

import asyncio
from collections.abc import Sequence

from channels import PAUSE, Recorder, messages
from drivers import Engine, name, run

from taskmill.queue import Message


def test_an_acked_message_is_gone(engine: Engine) -> None:
    async def scenario() -> None:
        queue = name()
        async with engine.open(queue) as channel:
            receiver = Recorder(channel)
            await channel.publish(messages("a", "b"))
            await receiver.has(2)
            receiver.settle()
            channel.unsubscribe(receiver)
        async with engine.open(queue) as channel:  # nothing is left from before
            again = Recorder(channel)
            await channel.publish(messages("c"))
            await again.has(1)
            assert again.ids == ["c"]

    run(scenario)


def test_a_nacked_message_comes_again_after_its_pause_and_counts_its_deliveries(engine: Engine) -> None:
    async def scenario() -> None:
        async with engine.open(name()) as channel:
            loop = asyncio.get_running_loop()
            receiver = Recorder(channel)
            await channel.publish(messages("a"))
            for delivery in range(1, 5):
                received = await receiver.has(delivery)
                assert received[-1].id() == "a"
                assert received[-1].deliveries == delivery
                refused = loop.time()
                receiver.settle(acknowledge=False)
                assert len(receiver.received) == delivery
                await receiver.has(delivery + 1)
                assert loop.time() - refused >= PAUSE * 0.9  # timers count in milliseconds
            receiver.settle()

    run(scenario)


def test_a_resting_message_holds_up_no_other(engine: Engine) -> None:
    async def scenario() -> None:
        async with engine.open(name(), rest=2) as channel:
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

    run(scenario)


def test_poison_messages_are_refused_for_ever_and_block_nothing(engine: Engine) -> None:
    class Picky(Recorder):
        def receive(self, messages: Sequence[Message]) -> None:
            super().receive(messages)
            for message in messages:
                if message.id().startswith("poison"):
                    message.nack()
                else:
                    message.ack()
            self._held.clear()
            self._channel.pump()

    async def scenario() -> None:
        async with engine.open(name()) as channel:
            receiver = Picky(channel, credit=3)
            await channel.publish(messages(*[f"poison-{i}" for i in range(5)]))
            for start in range(0, 100, 10):
                await channel.publish(messages(*range(start, start + 10)))

            def good() -> list[str]:
                return [id_ for id_ in receiver.ids if not id_.startswith("poison")]

            count = 0
            while len(good()) < 100:
                count += 1
                await receiver.has(count)
            assert sorted(good(), key=int) == [str(id_) for id_ in range(100)]
            while min(receiver.ids.count(f"poison-{i}") for i in range(5)) < 3:
                count += 1
                await receiver.has(count)

    run(scenario)


def test_only_the_first_ack_or_nack_counts(engine: Engine) -> None:
    async def scenario() -> None:
        async with engine.open(name()) as channel:
            receiver = Recorder(channel)
            await channel.publish(messages("a", "b"))
            first, second = (await receiver.has(2))[:2]
            first.ack()
            first.nack()
            first.ack()
            second.nack()
            second.ack()
            await receiver.has(3)
            await channel.publish(messages("c"))
            await receiver.has(4)
            assert receiver.ids == ["a", "b", "b", "c"]

    run(scenario)


def test_a_receiver_may_settle_while_it_receives(engine: Engine) -> None:
    class Hasty(Recorder):
        def receive(self, messages: Sequence[Message]) -> None:
            super().receive(messages)
            self.settle()

    async def scenario() -> None:
        async with engine.open(name()) as channel:
            receiver = Hasty(channel, credit=2)
            await channel.publish(messages(*range(50)))
            await receiver.has(50)
            assert receiver.ids == [str(id_) for id_ in range(50)]

    run(scenario)
