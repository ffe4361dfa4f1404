"""Limits against a model: whatever arrives, runs, is cancelled or cannot be read, and however long each takes."""

import asyncio
import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from limiting import EPOCH, SimulatedLoop, World, message

from taskmill.tasks.dispatch import limiter, limits
from taskmill.tasks.dispatch.limiter import Limiter

EXAMPLES = int(os.environ.get("TASKMILL_EXAMPLES", "60"))
PARKED = 4  # so few that most are rows
ROUNDING = 0.002  # seconds: starts are stored in milliseconds

options = st.one_of(
    st.fixed_dictionaries({"concurrency": st.integers(1, 3)}),
    st.fixed_dictionaries({"rate_limit": st.sampled_from(["1/s", "2/s", "3/2s", "5/s"])}),
    st.fixed_dictionaries(
        {"concurrency": st.integers(1, 3), "rate_limit": st.sampled_from(["1/s", "3/s", "4/2s"])}
    ),
)
moments = st.floats(0.001, 1.5).map(lambda seconds: round(seconds, 3))
few_moments = st.lists(moments, min_size=1, max_size=5)
delays = st.lists(st.one_of(moments, st.none()), max_size=3).map(
    lambda found: [*found, 0.01]
)  # None: it fails


@pytest.fixture(autouse=True, scope="module")
def few_parked() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "PARKED", PARKED)
        yield


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    options=options,
    arrivals=st.lists(moments, min_size=1, max_size=30),
    cancels=st.lists(st.tuples(moments, st.integers(1, 30)), max_size=4),
    capacity=st.integers(1, 6),
    delays=delays,
    holds=few_moments,
    runs=few_moments,
)
def test_no_limit_is_exceeded_and_everybody_gets_through(
    options: dict[str, Any],
    arrivals: list[float],
    cancels: list[tuple[float, int]],
    capacity: int,
    delays: list[float | None],
    holds: list[float],
    runs: list[float],
) -> None:
    loop = SimulatedLoop()

    async def scenario() -> World:
        world = World(loop, options, capacity, delays, holds, runs)
        at = 0.0
        for number, gap in enumerate(arrivals, 1):
            at += gap if number % 3 else 0.001
            loop.call_at(at, world.commit, number)
        for when, number in cancels:
            loop.call_at(when * 5, world.cancel, number)
        deadline = at + 200
        while len(world.ended) + len(world.cancelled) < len(arrivals) or loop.now < at:
            assert loop.now < deadline, f"left behind: {set(range(1, len(arrivals) + 1)) - world.ended}"
            await asyncio.sleep(0.25)
        world.limits.stop()
        return world

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "time", loop.wall)
        patch.setattr(limiter, "time", loop.wall)
        try:
            world = loop.run_until_complete(scenario())
        finally:
            loop.close()
    assert sorted(number for _, number in world.started) == sorted(world.ended), "each once"
    assert world.ended.isdisjoint(world.cancelled)
    assert world.admitted == sorted(world.admitted), "in their order"
    limited = world.registered.action.options
    if limited.concurrency is not None:
        assert world.most_at_once <= limited.concurrency
    if limited.rate is not None:
        times = [at for at, _ in world.started]
        for first, last in zip(times, times[limited.rate.count :], strict=False):
            assert last - first >= limited.rate.seconds - ROUNDING


def rated(loop: SimulatedLoop) -> tuple[Limiter, World]:
    world = World(loop, {"rate_limit": "2/s"}, 1, [0], [0], [0])
    return Limiter("limited", world.registered.action.options), world


def in_loop(check: Any) -> None:
    """Run a check within a simulated loop and its clocks."""
    loop = SimulatedLoop()

    async def scenario() -> None:
        check(loop, *rated(loop))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limiter, "time", loop.wall)
        try:
            loop.run_until_complete(scenario())
        finally:
            loop.close()


def test_a_start_counts_from_when_it_happened_however_late_it_is_seen() -> None:
    def check(loop: SimulatedLoop, one: Limiter, world: World) -> None:
        first, second = message(world.registered, 1), message(world.registered, 2)
        one.give(first, 0)
        one.give(second, 0)
        assert one.free(50) == 0, "neither has started, and both may at any moment"
        first.started_at = int((EPOCH + 60) * 1000)
        loop.now = 60.5
        assert one.free(60.5) == 0
        assert one.next_start(60.5) == pytest.approx(61, abs=0.01)
        assert one.free(61.1) == 1

    in_loop(check)


def test_what_never_started_takes_up_no_start() -> None:
    def check(_: SimulatedLoop, one: Limiter, world: World) -> None:
        taken_back = message(world.registered, 1)
        one.give(taken_back, 0)
        one.take_back(taken_back, 5)
        assert one.free(5) == 2
        assert one.idle()

    in_loop(check)


@pytest.mark.parametrize("hours", [-1, 1, 24])
def test_a_clock_that_is_set_neither_loses_nor_adds_a_start(hours: int) -> None:
    def check(loop: SimulatedLoop, one: Limiter, world: World) -> None:
        started = message(world.registered, 1)
        one.give(started, 10)
        started.started_at = int((EPOCH + 10 - hours * 3600) * 1000)
        loop.now = 10.2
        assert one.free(10.2) == 1
        assert one.free(11.3) == 2, (
            "it counts from when it was given its place at the earliest, and now at the latest"
        )

    in_loop(check)
