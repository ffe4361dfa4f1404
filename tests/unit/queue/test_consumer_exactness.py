"""Never more than `concurrency` run, never more than `concurrency + prefetch` are held, however long each takes."""

import asyncio
import os
import time
from collections.abc import Callable
from typing import Any

import pytest
from consuming import Stage, run, until
from hypothesis import given, settings
from hypothesis import strategies as st

from taskmill import queue
from taskmill.queue import Message, Slot, handoff

EXAMPLES = int(os.environ.get("TASKMILL_EXAMPLES", "25"))

# What happens to a message's deliveries, one after another, before the one that is acknowledged.
ends = st.lists(st.sampled_from(["refused", "raised", "exited"]), max_size=2)
plans = st.lists(
    st.tuples(st.integers(0, 4), ends), min_size=1, max_size=40
)  # how long it takes, how it ends
Plan = list[tuple[int, list[str]]]


def end(message: Message, plan: Plan) -> bool:
    how = plan[int(message.id())][1][message.deliveries - 1 : message.deliveries]
    if how == ["raised"]:
        raise ValueError("on purpose")
    if how == ["exited"]:
        raise SystemExit(3)
    return not how


def on_loop(stage: "list[Stage]", plan: Plan) -> Callable[..., Any]:
    async def handle(data: int) -> bool:
        with stage[0].tally.run(queue.message().id()):
            for _ in range(plan[data][0]):
                await asyncio.sleep(0)
            return end(queue.message(), plan)

    return handle


def in_threads(stage: "list[Stage]", plan: Plan) -> Callable[..., Any]:
    def handle(data: int) -> bool:
        with stage[0].tally.run(queue.message().id()):
            time.sleep(plan[data][0] / 4000)  # its work
            return end(queue.message(), plan)

    return handle


def by_slots(stage: "list[Stage]", plan: Plan) -> Callable[..., Any]:
    tasks = set()

    async def work(slot: Slot, batch: list[Message]) -> None:
        with stage[0].tally.run(batch[0].id()):
            for message in batch:
                for _ in range(plan[message.data][0]):
                    await asyncio.sleep(0)
                acknowledged = False
                try:
                    acknowledged = end(message, plan)
                except (ValueError, SystemExit):
                    pass
                finally:
                    if acknowledged:
                        message.ack()
                    else:
                        message.nack()
                    slot.done()
        slot.free()

    @handoff
    def handle(slot: Slot) -> None:
        batch = []
        while len(batch) < slot.share and (message := slot.take()):
            batch.append(message)
        if batch:
            task = asyncio.get_running_loop().create_task(work(slot, batch))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        else:
            slot.free()

    return handle


@pytest.mark.parametrize("how", [on_loop, in_threads, by_slots])
@settings(max_examples=EXAMPLES, deadline=None)
@given(plan=plans, concurrency=st.integers(1, 4), prefetch=st.integers(0, 6))
def test_the_limits_hold_and_every_message_ends_once(
    how: Callable[..., Any], plan: Plan, concurrency: int, prefetch: int
) -> None:
    async def scenario() -> None:
        stages: list[Stage] = []
        stages.append(Stage(how(stages, plan), concurrency=concurrency, prefetch=prefetch))
        stage = stages[0]
        await stage.start()
        await stage.publish(len(plan))
        await stage.drained()
        await stage.stop()
        tally = stage.tally
        assert tally.most_running <= concurrency
        assert tally.most_held <= concurrency + prefetch
        assert tally.running == tally.held == 0
        if how is not by_slots:  # which notes the first of a batch only
            deliveries = {str(number): 1 + len(ends) for number, (_, ends) in enumerate(plan)}
            assert {id_: tally.begun.count(id_) for id_ in set(tally.begun)} == deliveries

    run(scenario)


@pytest.mark.parametrize(("concurrency", "prefetch"), [(2, 5), (1, 0), (50, 3)])
@pytest.mark.parametrize("threads", [False, True])
def test_the_limits_are_reached(concurrency: int, prefetch: int, threads: bool) -> None:
    async def scenario() -> None:
        loop, release = asyncio.get_running_loop(), asyncio.Event()

        async def on_loop(_: Any) -> bool:
            with stage.tally.run(queue.message().id()):
                await release.wait()
            return True

        def in_thread(_: Any) -> bool:
            with stage.tally.run(queue.message().id()):
                asyncio.run_coroutine_threadsafe(release.wait(), loop).result()
            return True

        stage = Stage(in_thread if threads else on_loop, concurrency=concurrency, prefetch=prefetch)
        await stage.start()
        await stage.publish(100)
        await until(lambda: stage.tally.running == concurrency)
        assert stage.tally.held == concurrency + prefetch
        release.set()
        await stage.drained()
        await stage.stop()
        assert stage.tally.most_running == concurrency
        assert stage.tally.most_held == concurrency + prefetch

    run(scenario)


def test_messages_are_handled_in_the_order_in_which_they_were_published() -> None:
    async def scenario() -> None:
        async def handle(_: Any) -> bool:
            with stage.tally.run(queue.message().id()):
                await asyncio.sleep(0)
            return True

        stage = Stage(handle)
        await stage.start()
        await stage.publish(300)
        await stage.drained()
        await stage.stop()
        assert stage.tally.begun == [str(number) for number in range(300)]

    run(scenario)
