"""The relay and the claims of one process, with an engine between them that does all that engines do."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from engine import Consumer, Stage, until

from taskmill.queue import Message
from taskmill.tasks.cluster import outstanding, relay


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await scenario()

    asyncio.run(bounded())


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for lost messages at once."""
    monkeypatch.setattr(outstanding, "REST", 0.05)
    monkeypatch.setattr(relay, "REPAIR", 0.02)
    monkeypatch.setattr(relay, "LOOK", 0.01)
    monkeypatch.setattr(relay, "PAUSE", 0.01)


def keys(messages: list[Message]) -> list[str]:
    return [message.id() for message in messages]


def test_every_task_reaches_a_consumer_once_and_in_order() -> None:
    async def scenario() -> None:
        stage = Stage(1000)
        consumer = Consumer(stage, 7)
        stage.claims.front.subscribe(consumer)
        stage.start()
        await until(lambda: len(consumer.seen) >= 1000)
        assert keys(consumer.seen) == keys(list(stage.drawn))
        assert consumer.most <= 7
        await until(lambda: not stage.relay.outstanding.entries)
        assert stage.relay.outstanding.unclaimed == 0
        await stage.stop()

    run(scenario)


def test_few_tasks_leave_the_dispatcher_while_consumers_are_slow() -> None:
    async def scenario() -> None:
        stage = Stage(1000)
        consumer = Consumer(stage, 5, holds=True)
        stage.claims.front.subscribe(consumer)
        stage.start()
        await until(lambda: len(consumer.seen) >= 5)
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(stage.drawn) <= 5 + relay.LEAST
        consumer.let_go()
        await until(lambda: len(consumer.seen) >= 10)
        assert len(stage.drawn) <= 10 + relay.LEAST + 25  # what is used up in a second
        await stage.stop()

    run(scenario)


@pytest.mark.parametrize("habit", ["doubles", "shuffles"])
def test_messages_that_come_twice_or_in_any_order_run_nothing_twice(habit: str) -> None:
    async def scenario() -> None:
        stage = Stage(500)
        setattr(stage.engine, habit, True)
        consumer = Consumer(stage, 7)
        stage.claims.front.subscribe(consumer)
        stage.start()
        await until(lambda: len(consumer.seen) >= 500)
        await until(lambda: not stage.engine.waiting)
        assert sorted(keys(consumer.seen)) == sorted(keys(list(stage.drawn)))
        await stage.stop()

    run(scenario)


@pytest.mark.usefixtures("impatient")
def test_lost_messages_are_published_again_under_another_id() -> None:
    async def scenario() -> None:
        stage = Stage(100)
        stage.engine.loses = 40
        consumer = Consumer(stage, 7)
        stage.claims.front.subscribe(consumer)
        stage.start()
        await until(lambda: len(consumer.seen) >= 100)
        assert sorted(keys(consumer.seen)) == sorted(keys(list(stage.drawn)))
        assert len(stage.engine.published) == len(set(stage.engine.published)) == 140
        await stage.stop()

    run(scenario)


@pytest.mark.usefixtures("impatient")
def test_what_waits_at_the_engine_is_not_published_again() -> None:
    async def scenario() -> None:
        stage = Stage(10)
        stage.start()  # nobody takes anything
        await until(lambda: len(stage.engine.waiting) == 10)
        await asyncio.sleep(0.3)  # a bound on how long nothing may happen
        assert len(stage.engine.published) == 10
        await stage.stop()

    run(scenario)


@pytest.mark.usefixtures("impatient")
def test_an_engine_that_is_away_keeps_tasks_where_they_are() -> None:
    async def scenario() -> None:
        stage = Stage(200)
        stage.engine.away = True
        consumer = Consumer(stage, 7)
        stage.claims.front.subscribe(consumer)
        stage.start()
        await asyncio.sleep(0.1)  # a bound on how long nothing may happen
        assert len(stage.drawn) <= relay.LEAST
        stage.engine.away = False
        await until(lambda: len(consumer.seen) >= 200)
        assert keys(consumer.seen) == keys(list(stage.drawn))
        await stage.stop()

    run(scenario)


def test_what_a_consumer_refuses_comes_again_after_a_rest() -> None:
    async def scenario() -> None:
        stage = Stage(1)
        consumer = Consumer(stage, 1, holds=True)
        stage.claims.front.subscribe(consumer)
        stage.start()
        await until(lambda: consumer.held)
        consumer.held.pop().nack()
        await until(lambda: len(consumer.seen) == 2)
        assert consumer.seen[0] is consumer.seen[1]
        assert consumer.seen[1].deliveries == 2
        consumer.let_go()
        assert not stage.relay.outstanding.entries
        await stage.stop()

    run(scenario)


def test_what_is_held_at_the_end_goes_back_to_the_engine() -> None:
    async def scenario() -> None:
        stage = Stage(5)
        consumer = Consumer(stage, 3, holds=True)
        stage.claims.front.subscribe(consumer)
        stage.start()
        await until(lambda: len(consumer.held) == 3)
        stage.claims.front.unsubscribe(consumer)
        for message in consumer.held:
            message.nack()
        await stage.stop()
        assert len(stage.engine.waiting) == 5

    run(scenario)


def test_what_is_no_task_is_dropped() -> None:
    async def scenario() -> None:
        stage = Stage(1)
        await stage.engine.publish(
            [Message("a", "{}"), Message("b", "no json"), Message("c", '{"task":"x"}')]
        )
        consumer = Consumer(stage, 7)
        stage.claims.front.subscribe(consumer)
        stage.start()
        await until(lambda: len(consumer.seen) == 1)
        assert not stage.engine.waiting
        await stage.stop()

    run(scenario)
