"""What goes in comes out: whole, in order, once, and no more at a time than there is credit for."""

from channels import Recorder, messages
from drivers import Engine, name, run, until

from taskmill.queue import Message


def test_messages_come_in_the_order_in_which_they_were_published(engine: Engine) -> None:
    async def scenario() -> None:
        async with engine.open(name()) as channel:
            await channel.publish(messages(*range(10)))
            receiver = Recorder(channel)
            await channel.publish(messages(*range(10, 200)))
            await channel.publish(messages(200))
            await receiver.has(201)
            assert receiver.ids == [str(id_) for id_ in range(201)]

    run(scenario)


def test_a_receiver_never_holds_more_than_its_credit(engine: Engine) -> None:
    async def scenario() -> None:
        async with engine.open(name()) as channel:
            receiver = Recorder(channel, credit=7)
            await channel.publish(messages(*range(100)))
            count = 7
            while count < 100:
                await receiver.has(count)
                receiver.settle(count=3)
                count = min(100, count + 3)
            await receiver.has(100)
            assert receiver.most == 7
            assert receiver.ids == [str(id_) for id_ in range(100)]

    run(scenario)


def test_a_message_arrives_as_it_was_sent(engine: Engine) -> None:
    bodies = [
        '{"text": "grüße, 世界 \U0001f680 \u202e \\u0000"}',
        "[" + "1," * 300_000 + "1]",
        '"' + "é" * 500_000 + '"',
        "null",
        '"\r\n\r\nPUB x 5\r\n"',
    ]
    headers = {
        "action": "größe",
        "x-empty": "",
        "x-long": "a" * 10_000,
        "X-Case": "Kept",
        "x y:z": " \r\n\t\U0001f680 ",
    }

    async def scenario() -> None:
        async with engine.open(name()) as channel:
            receiver = Recorder(channel)
            await channel.publish([Message(f"id-{i} ü", body, headers) for i, body in enumerate(bodies)])
            await channel.publish(messages("bare"))
            *received, bare = await receiver.has(len(bodies) + 1)
            assert [message.body for message in received] == bodies
            assert [message.id() for message in received] == [f"id-{i} ü" for i in range(len(bodies))]
            assert [dict(message.headers()) for message in received] == [headers] * len(bodies)
            assert [message.deliveries for message in received] == [1] * len(bodies)
            assert received[0].data == {"text": "grüße, 世界 \U0001f680 \u202e \0"}
            assert dict(bare.headers()) == {}

    run(scenario)


def test_queues_are_apart(engine: Engine) -> None:
    async def scenario() -> None:
        first, second = name(), name()
        async with engine.open(first) as channel, engine.open(second) as other:
            here, there = Recorder(channel), Recorder(other)
            await channel.publish(messages("a"))
            await other.publish(messages("b"))
            await here.has(1)
            await there.has(1)
            assert (here.ids, there.ids) == (["a"], ["b"])

    run(scenario)


def test_several_receivers_share_each_message_going_to_one(engine: Engine) -> None:
    async def scenario() -> None:
        async with engine.open(name()) as channel:
            receivers = [Recorder(channel, credit=5) for _ in range(3)]
            assert channel.receivers() == 3
            await channel.publish(messages(*range(15)))
            for receiver in receivers:
                await receiver.has(5)
            everything = sorted((id_ for receiver in receivers for id_ in receiver.ids), key=int)
            assert everything == [str(id_) for id_ in range(15)]

    run(scenario)


def test_no_receiver_starves_while_another_has_credit_for_all(engine: Engine) -> None:
    async def scenario() -> None:
        async with engine.open(name()) as channel:
            greedy, modest = Recorder(channel, credit=1000), Recorder(channel, credit=1000)
            for id_ in range(40):
                await channel.publish(messages(id_))
            await greedy.has(10)
            await modest.has(10)

    run(scenario)


def test_one_that_has_unsubscribed_gets_nothing_and_may_still_settle(engine: Engine) -> None:
    async def scenario() -> None:
        async with engine.open(name()) as channel:
            first = Recorder(channel, credit=2)
            await channel.publish(messages("a", "b", "c"))
            await first.has(2)
            channel.unsubscribe(first)
            channel.unsubscribe(first)  # twice is no error
            assert channel.receivers() == 0
            first.settle(count=1)
            first.settle(acknowledge=False)
            second = Recorder(channel)
            await second.has(2)
            assert sorted(second.ids) == ["b", "c"]
            assert first.ids == ["a", "b"]

    run(scenario)


def test_depth_counts_what_waits_and_purge_drops_it(engine: Engine) -> None:
    async def scenario() -> None:
        async with engine.open(name()) as channel:
            assert await channel.depth() == 0
            await channel.publish(messages(*range(10)))
            assert await channel.depth() == 10
            receiver = Recorder(channel, credit=4)
            await receiver.has(4)
            assert await channel.depth() == 6
            receiver.settle(count=1)
            await receiver.has(5)

            async def five_wait() -> bool:
                return await channel.depth() == 5

            await until(five_wait)
            await channel.purge()
            assert await channel.depth() == 0
            receiver.settle()
            await channel.publish(messages("after"))
            received = await receiver.has(6)
            assert received[-1].id() == "after"

    run(scenario)


def test_nothing_is_wrong_with_a_channel_that_works(engine: Engine) -> None:
    async def scenario() -> None:
        async with engine.open(name()) as channel:
            receiver = Recorder(channel)
            await channel.publish(messages("a"))
            await receiver.has(1)
            assert channel.problem() is None

    run(scenario)
