"""A full queue: publishers wait in turn or are refused, as declared. Nothing is ever dropped."""

import asyncio

import pytest
from channels import Factory, Recorder, messages, run

from taskmill.queue import QueueError, QueueFull
from taskmill.queue.drivers.base import Room, Window


async def begun(channel: Window, *ids: object, body: str = "{}") -> asyncio.Task[None]:
    """Begin to publish, and return once that waits or has ended."""
    task = asyncio.create_task(channel.publish(messages(*ids, body=body)))
    await asyncio.sleep(0)
    return task


def test_publishers_wait_for_room_and_keep_their_order(window: Factory) -> None:
    async def scenario(channel: Window) -> None:
        publishers = [await begun(channel, f"{i}a", f"{i}b", f"{i}c") for i in range(10)]
        assert channel.length() == 4
        assert not publishers[1].done()
        receiver = Recorder(channel, credit=2)
        for count in range(2, 31):
            await receiver.has(count)
            receiver.settle(count=1)
        await asyncio.gather(*publishers)
        assert receiver.ids == [f"{i}{letter}" for i in range(10) for letter in "abc"]

    run(window, scenario, max_length=4)


def test_a_newcomer_overtakes_nobody_that_waits(window: Factory) -> None:
    async def scenario(channel: Window) -> None:
        first = await begun(channel, *range(5))
        receiver = Recorder(channel, credit=1)
        await receiver.has(1)
        assert channel.room() == Room(0, 0)
        receiver.settle()  # the one that waits has the place that this leaves
        second = await begun(channel, 5)
        assert channel.offer(messages("pushy")) == 0
        for count in range(2, 7):
            await receiver.has(count)
            receiver.settle()
        await asyncio.gather(first, second)
        assert receiver.ids == [str(id_) for id_ in range(6)]

    run(window, scenario, max_length=2)


def test_a_small_message_does_not_overtake_a_large_one_that_waits(window: Factory) -> None:
    async def scenario(channel: Window) -> None:
        await channel.publish(messages("a", "b", body="x" * 400))
        large = await begun(channel, "large", body="x" * 900)
        small = await begun(channel, "small", body="x")
        receiver = Recorder(channel, credit=1)
        for count in range(1, 5):
            await receiver.has(count)
            receiver.settle()
        await asyncio.gather(large, small)
        assert receiver.ids == ["a", "b", "large", "small"]

    run(window, scenario, max_bytes=1000)


def test_a_cancelled_publisher_leaves_no_trace_and_lets_the_others_in(window: Factory) -> None:
    async def scenario(channel: Window) -> None:
        await channel.publish(messages("a", body="x" * 600))
        large = await begun(channel, "large", body="x" * 900)
        small = await begun(channel, "small", body="x")
        assert not small.done()
        large.cancel()
        await asyncio.gather(large, return_exceptions=True)
        await small
        receiver = Recorder(channel)
        await receiver.has(2)
        receiver.settle()
        assert receiver.ids == ["a", "small"]
        assert channel.length() == 0

    run(window, scenario, max_bytes=1000)


def test_a_cancelled_publisher_has_published_a_first_part_at_most(window: Factory) -> None:
    async def scenario(channel: Window) -> None:
        task = await begun(channel, "a", "b", "c")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        receiver = Recorder(channel)
        await receiver.has(2)
        receiver.settle()
        await channel.publish(messages("d"))
        await receiver.has(3)
        assert receiver.ids == ["a", "b", "d"]

    run(window, scenario, max_length=2)


@pytest.mark.parametrize("limits", [{"max_length": 2}, {"max_bytes": 25}])
def test_one_that_refuses_takes_all_of_a_publication_or_nothing(
    window: Factory, limits: dict[str, int]
) -> None:
    async def scenario(channel: Window) -> None:
        ten = "x" * 10
        await channel.publish(messages("a", body=ten))
        with pytest.raises(QueueFull, match="no room"):
            await channel.publish(messages("b", "c", body=ten))
        await channel.publish(messages("d", body=ten))
        with pytest.raises(QueueFull, match="no room"):
            await channel.publish(messages("e", body=ten))
        receiver = Recorder(channel)
        await receiver.has(2)
        receiver.settle(count=1)
        await channel.publish(messages("f", body=ten))
        await receiver.has(3)
        assert receiver.ids == ["a", "d", "f"]

    run(window, scenario, when_full="refuse", **limits)


def test_an_offer_takes_what_there_is_room_for(window: Factory) -> None:
    async def scenario(channel: Window) -> None:
        assert channel.capacity == Room(3, 100)
        assert channel.offer(messages("a", body="x" * 60)) == 1
        assert channel.room() == Room(2, 40)
        assert channel.offer(messages("b", "c", "d", body="x" * 20)) == 2
        assert channel.offer(messages("e")) == 0
        receiver = Recorder(channel)
        await receiver.has(3)
        receiver.settle()
        assert channel.room() == channel.capacity

    run(window, scenario, max_length=3, max_bytes=100)


@pytest.mark.parametrize("body", ["x" * 5000, "\U0001f680" * 2000])
def test_one_message_always_fits_and_its_bytes_are_given_back(window: Factory, body: str) -> None:
    async def scenario(channel: Window) -> None:
        receiver = Recorder(channel)
        await channel.publish(messages("huge", body=body))
        assert channel.offer(messages("next")) == 0
        assert channel.room().bytes == 0
        await receiver.has(1)
        receiver.settle()
        assert channel.offer(messages("next")) == 1

    run(window, scenario, max_bytes=1000)


def test_what_waits_when_the_driver_stops_is_told(window: Factory) -> None:
    waiting: list[asyncio.Task[None]] = []

    async def scenario(channel: Window) -> None:
        waiting.append(await begun(channel, "a", "b"))

    async def all_of_it() -> None:
        async with window(max_length=1) as channel:
            await scenario(channel)
        with pytest.raises(QueueError, match="has stopped"):
            await waiting[0]
        with pytest.raises(QueueError, match="has stopped"):
            await channel.publish(messages("c"))
        assert channel.offer(messages("d")) == 0

    asyncio.run(asyncio.wait_for(all_of_it(), 20))
