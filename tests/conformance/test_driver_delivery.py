"""What goes in comes out: whole, in order, once, and no more at a time than there is credit for."""

from channels import Factory, Recorder, messages, run

from taskmill.queue import Message
from taskmill.queue.drivers.base import Channel


def test_messages_come_in_the_order_in_which_they_were_published(driver: Factory) -> None:
    async def scenario(channel: Channel) -> None:
        await channel.publish(messages(*range(10)))
        receiver = Recorder(channel)
        await channel.publish(messages(*range(10, 20)))
        assert channel.offer(messages(*range(20, 25))) == 5
        await receiver.has(25)
        assert receiver.ids == [str(id_) for id_ in range(25)]

    run(driver, scenario)


def test_a_receiver_never_holds_more_than_its_credit(driver: Factory) -> None:
    async def scenario(channel: Channel) -> None:
        receiver = Recorder(channel, credit=7)
        await channel.publish(messages(*range(100)))
        count = 7
        while count < 100:
            await receiver.has(count)
            assert len(receiver.received) == count
            receiver.settle(count=3)
            count = min(100, count + 3)
        await receiver.has(100)
        assert receiver.most == 7
        assert receiver.ids == [str(id_) for id_ in range(100)]

    run(driver, scenario)


def test_a_message_arrives_as_it_was_sent(driver: Factory) -> None:
    bodies = [
        '{"text": "grüße, 世界 \U0001f680 \u202e \\u0000"}',
        "[" + "1," * 300_000 + "1]",
        '"' + "é" * 500_000 + '"',
        "null",
    ]
    headers = {"action": "größe", "x-empty": "", "x-long": "a" * 10_000, "X-Case": "Kept"}

    async def scenario(channel: Channel) -> None:
        receiver = Recorder(channel)
        await channel.publish([Message(f"id-{i}", body, headers) for i, body in enumerate(bodies)])
        received = await receiver.has(len(bodies))
        assert [message.body for message in received] == bodies
        assert [dict(message.headers()) for message in received] == [headers] * len(bodies)
        assert [message.deliveries for message in received] == [1] * len(bodies)
        assert received[0].data == {"text": "grüße, 世界 \U0001f680 \u202e \0"}

    run(driver, scenario)


def test_several_receivers_share_each_message_going_to_one(driver: Factory) -> None:
    async def scenario(channel: Channel) -> None:
        receivers = [Recorder(channel, credit=5) for _ in range(3)]
        await channel.publish(messages(*range(15)))
        for receiver in receivers:
            await receiver.has(5)
        everything = sorted((id_ for receiver in receivers for id_ in receiver.ids), key=int)
        assert everything == [str(id_) for id_ in range(15)]

    run(driver, scenario)


def test_no_receiver_starves_while_another_has_credit_for_all(driver: Factory) -> None:
    async def scenario(channel: Channel) -> None:
        greedy, modest = Recorder(channel, credit=1000), Recorder(channel, credit=1000)
        for id_ in range(20):
            await channel.publish(messages(id_))
        await greedy.has(10)
        await modest.has(10)

    run(driver, scenario)


def test_one_that_has_unsubscribed_gets_nothing_and_may_still_settle(driver: Factory) -> None:
    async def scenario(channel: Channel) -> None:
        first = Recorder(channel, credit=2)
        await channel.publish(messages("a", "b", "c"))
        await first.has(2)
        channel.unsubscribe(first)
        channel.unsubscribe(first)  # twice is no error
        first.settle(count=1)
        first.settle(acknowledge=False)
        second = Recorder(channel)
        await second.has(2)
        assert sorted(second.ids) == ["b", "c"]
        assert first.ids == ["a", "b"]
        assert channel.depth() == 2

    run(driver, scenario)
