"""Stopping gives back the reserve and waits for what runs; a broken handler costs one delivery and no slot."""

import asyncio
from typing import Any

import pytest
from consuming import Stage, run, until

from taskmill import queue
from taskmill.queue import Slot, handoff


def test_stopping_gives_back_the_reserve_untouched_and_waits_for_what_runs() -> None:
    async def scenario() -> None:
        release = asyncio.Event()

        async def handle(_: Any) -> bool:
            with stage.tally.run(queue.message().id()):
                await release.wait()
            return True

        stage = Stage(handle)
        await stage.start()
        await stage.publish(10)
        await until(lambda: stage.tally.running == 2)
        stopping = asyncio.create_task(stage.consumer.stop())
        await until(lambda: stage.tally.held == 2)
        assert not stopping.done()
        assert stage.queue.window.length() == 10
        release.set()
        await stopping
        assert stage.queue.window.length() == 8, "what ran has ended and is acknowledged"
        assert stage.tally.begun == ["0", "1"], "nothing new was begun"

        seen: list[tuple[str, int]] = []

        class Other:
            def credit(self) -> int:
                return 100

            def receive(self, messages: Any) -> None:
                seen.extend((message.id(), message.deliveries) for message in messages)

        stage.queue.channel.subscribe(Other())
        await until(lambda: len(seen) == 8)
        assert sorted(seen) == [(str(number), 1) for number in range(2, 10)], "nobody had seen them"
        await stage.stop()

    run(scenario)


def test_stopping_gives_up_on_what_runs_too_long(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async def handle(_: Any) -> bool:
            with stage.tally.run(queue.message().id()):
                await asyncio.Event().wait()
            return True

        stage = Stage(handle, stop_timeout=0.05)
        await stage.start()
        await stage.publish(3)
        await until(lambda: stage.tally.running == 2)
        await stage.consumer.stop()
        await until(lambda: stage.tally.running == 0)
        assert stage.queue.window.length() == 3
        await stage.stop()

    run(scenario)
    assert "2 messages were still at work after 0.0 s" in caplog.text


def test_stopping_twice_or_unstarted_does_no_harm() -> None:
    async def scenario() -> None:
        stage = Stage(lambda _: True)
        await stage.consumer.stop()
        await stage.start()
        await stage.publish(20)
        await stage.drained()
        await asyncio.gather(stage.consumer.stop(), stage.consumer.stop())
        await stage.stop()

    run(scenario)


def test_a_handler_of_slots_that_raises_costs_one_delivery_and_no_slot() -> None:
    async def scenario() -> None:
        handled: list[tuple[str, int]] = []

        @handoff
        def handle(slot: Slot) -> None:
            while message := slot.take():
                handled.append((message.id(), message.deliveries))
                if message.id() == "3" and message.deliveries < 4:
                    raise KeyError("on purpose")
                message.ack()
                slot.done()
            slot.free()

        stage = Stage(handle)
        await stage.start()
        await stage.publish(10)
        await stage.drained()
        await stage.stop()
        assert sorted(handled) == sorted(
            [(str(number), 1) for number in range(10)] + [("3", 2), ("3", 3), ("3", 4)]
        )

    run(scenario)


def test_a_refused_message_holds_up_no_other() -> None:
    async def scenario() -> None:
        async def handle(data: int) -> bool:
            with stage.tally.run(queue.message().id()):
                return data != 0 or queue.message().deliveries == 5

        stage = Stage(handle)
        await stage.start()
        await stage.publish(30)
        await stage.drained()
        await stage.stop()
        assert stage.tally.begun.count("0") == 5
        assert len(stage.tally.begun) == 34

    run(scenario)
