"""A channel that draws from a source: only what is wanted, only while there is room, and in turn with the rest."""

from collections.abc import Sequence

from channels import Factory, Recorder, messages, run

from taskmill.queue import Message
from taskmill.queue.drivers.base import Window


class Source:
    """Hands out numbered messages, and notes how many were asked for each time."""

    def __init__(self, channel: Window, count: int = 1000, body: str = "{}") -> None:
        self.left = messages(*range(count), body=body)
        self.asked: list[int] = []
        channel.draw_from(self.draw)

    def draw(self, limit: int) -> Sequence[Message]:
        self.asked.append(limit)
        taken, self.left = self.left[:limit], self.left[limit:]
        return taken


def test_a_source_is_asked_for_no_more_than_there_is_credit_for(window: Factory) -> None:
    async def scenario(channel: Window) -> None:
        source = Source(channel)
        channel.pump()
        assert source.asked == [], "nobody wants anything"
        receiver = Recorder(channel, credit=3)
        await receiver.has(3)
        receiver.settle(count=2)
        await receiver.has(5)
        assert receiver.ids == [str(id_) for id_ in range(5)]
        assert source.asked == [3, 2]
        assert channel.length() == 3

    run(window, scenario)


def test_a_source_that_has_nothing_is_asked_again_at_the_next_pump(window: Factory) -> None:
    async def scenario(channel: Window) -> None:
        source = Source(channel, 0)
        receiver = Recorder(channel)
        assert source.asked == [1000]
        source.left = messages("new")
        channel.pump()
        await receiver.has(1)
        assert receiver.ids == ["new"]

    run(window, scenario)


def test_what_was_published_goes_before_what_a_source_has(window: Factory) -> None:
    async def scenario(channel: Window) -> None:
        source = Source(channel)
        await channel.publish(messages("a", "b"))
        receiver = Recorder(channel, credit=4)
        await receiver.has(4)
        assert receiver.ids == ["a", "b", "0", "1"]
        assert source.asked == [2]

    run(window, scenario)


def test_a_source_is_drawn_from_only_while_there_is_room(window: Factory) -> None:
    async def scenario(channel: Window) -> None:
        source = Source(channel)
        receiver = Recorder(channel)
        await receiver.has(4)
        assert channel.length() == 4
        assert source.asked == [4]
        receiver.settle(count=1)
        await receiver.has(5)
        assert channel.length() == 4

    run(window, scenario, max_length=4)


def test_no_more_is_drawn_once_the_bodies_fill_the_queue(window: Factory) -> None:
    async def scenario(channel: Window) -> None:
        Source(channel, body="x" * 60)
        first = Recorder(channel, credit=1)
        second = Recorder(channel, credit=1)
        third = Recorder(channel, credit=1)
        await second.has(1)
        assert [len(one.received) for one in (first, second, third)] == [1, 1, 0]
        channel.unsubscribe(first)
        first.settle()
        await third.has(1)

    run(window, scenario, max_bytes=100)


def test_a_drawn_message_that_is_nacked_comes_again(window: Factory) -> None:
    async def scenario(channel: Window) -> None:
        Source(channel, 1)
        receiver = Recorder(channel)
        await receiver.has(1)
        receiver.settle(acknowledge=False)
        assert channel.length() == 1, "it rests, and takes up its room"
        await receiver.has(2)
        assert receiver.ids == ["0", "0"]
        receiver.settle()
        assert channel.length() == 0

    run(window, scenario)


def test_receivers_take_turns_at_a_source(window: Factory) -> None:
    async def scenario(channel: Window) -> None:
        source = Source(channel, 0)
        receivers = [Recorder(channel) for _ in range(2)]
        for id_ in range(20):
            source.left = messages(id_)
            channel.pump()
        for receiver in receivers:
            await receiver.has(10)
        assert channel.receivers() == 2
        channel.unsubscribe(receivers[0])
        assert channel.receivers() == 1

    run(window, scenario)


def test_a_message_that_is_settled_as_it_is_received_makes_room_at_once(window: Factory) -> None:
    class Swift(Recorder):
        def receive(self, messages: Sequence[Message]) -> None:
            super().receive(messages)
            self.settle()  # which pumps, within a pump

    async def scenario(channel: Window) -> None:
        source = Source(channel, 50)
        receiver = Swift(channel, credit=3)
        await receiver.has(50)
        assert receiver.ids == [str(id_) for id_ in range(50)]
        assert source.left == []
        assert channel.length() == 0

    run(window, scenario, max_length=2)
