"""Messages that are handled together: how many, when, and that they take no place while they wait."""

import asyncio
from collections.abc import Sequence

import pytest
from consuming import Stage, run, until

from taskmill.queue import Message, Slot, handoff


class Handler:
    """Gathers messages, all of them or the even ones, and keeps what was handled together."""

    def __init__(self, size: int, wait: float, *, only_even: bool = False) -> None:
        self.batches: list[list[str]] = []
        self.alone: list[str] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self._size, self._wait, self._only_even = size, wait, only_even
        self._tasks: list[asyncio.Task[None]] = []

    @handoff
    def __call__(self, slot: Slot) -> None:
        while message := slot.take():
            if self._only_even and int(message.id()) % 2:
                self.alone.append(message.id())
                message.ack()
                slot.done()
            elif slot.gather("all", message, self._size, self._wait, self.run):
                return
        slot.free()

    def run(self, slot: Slot, messages: Sequence[Message]) -> None:
        self.batches.append([message.id() for message in messages])
        self._tasks.append(asyncio.get_running_loop().create_task(self._end(slot, messages)))

    async def _end(self, slot: Slot, messages: Sequence[Message]) -> None:
        await self.hold.wait()
        for message in messages:
            message.ack()
        slot.done()
        self(slot)


def numbers(*ranges: range) -> list[list[str]]:
    return [[str(number) for number in one] for one in ranges]


def test_more_are_gathered_than_a_consumer_holds_otherwise() -> None:
    async def scenario() -> None:
        handler = Handler(40, 60)
        stage = Stage(handler.__call__, concurrency=1, prefetch=1)
        await stage.start()
        await stage.publish(120)
        await stage.drained()
        await stage.stop()
        assert handler.batches == numbers(range(40), range(40, 80), range(80, 120))

    run(scenario)


def test_a_part_is_handled_after_its_wait_and_others_go_on_meanwhile() -> None:
    async def scenario() -> None:
        handler = Handler(40, 0.1, only_even=True)
        stage = Stage(handler.__call__, concurrency=1, prefetch=0)
        await stage.start()
        await stage.publish(6)
        await until(lambda: len(handler.alone) == 3)
        assert handler.batches == [], "a place that gathers is free for others"
        await stage.drained()
        await stage.stop()
        assert handler.batches == [["0", "2", "4"]]

    run(scenario)


def test_what_is_handled_together_counts_as_one_message_at_work() -> None:
    async def scenario() -> None:
        handler = Handler(2, 0.01)
        stage = Stage(handler.__call__, concurrency=1, prefetch=4)
        await stage.start()
        handler.hold.clear()
        await stage.publish(2)
        await until(lambda: len(handler.batches) == 1)
        await stage.publish(5, first=2)
        await until(lambda: stage.queue.window.length() == 7)
        assert len(handler.batches) == 1, (
            "one at a time: `concurrency` counts what is handled together as one"
        )
        handler.hold.set()
        await stage.drained()
        await stage.stop()
        assert handler.batches == numbers(range(2), range(2, 4), range(4, 6), range(6, 7))

    run(scenario)


def test_stopping_has_handled_what_was_gathered_and_waits_for_it() -> None:
    async def scenario() -> None:
        handler = Handler(40, 60)
        stage = Stage(handler.__call__, concurrency=1, prefetch=1)
        await stage.start()
        await stage.publish(3)
        await until(lambda: stage.consumer.gathering.held == 3)
        handler.hold.clear()
        stopping = asyncio.create_task(stage.consumer.stop())
        await until(lambda: handler.batches == numbers(range(3)))
        assert not stopping.done()
        handler.hold.set()
        await stopping
        assert stage.queue.window.length() == 0
        await stage.stop()

    run(scenario)


def test_what_cannot_be_handled_in_time_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        handler = Handler(2, 60)
        stage = Stage(handler.__call__, concurrency=1, prefetch=2, stop_timeout=0.05)
        await stage.start()
        handler.hold.clear()
        await stage.publish(2)
        await until(lambda: len(handler.batches) == 1)
        await stage.consumer.stop()
        await stage.stop()

    run(scenario)
    assert "1 messages were still at work" in caplog.text
