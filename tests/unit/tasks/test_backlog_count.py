"""The backlog's number: seeded from the rows, changed by batches, mended by counting again."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from taskmill.tasks.actions.options import Options
from taskmill.tasks.dispatch.limiter import Limiter
from taskmill.tasks.intake import backlog
from taskmill.tasks.intake.backlog import LONGEST, Backlog
from taskmill.tasks.view.line import held_for


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await scenario()

    asyncio.run(bounded())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.001)


def test_what_changes_during_the_count_is_not_lost() -> None:
    async def scenario() -> None:
        counted: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        one = Backlog(100, lambda: counted)
        one.start()
        await asyncio.sleep(0)
        one.changed(5)
        one.changed(-2)
        counted.set_result(90)
        await until(lambda: one.tasks == 93)
        assert not one.full
        one.changed(7)
        assert one.full
        await one.stop()

    run(scenario)


def test_a_number_that_has_gone_astray_is_mended_when_it_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        there = 0

        async def count() -> int:
            return there

        one = Backlog(10, count)
        one.start()
        await asyncio.sleep(0.01)
        one.changed(10)  # as if ends had not been heard of
        assert one.full
        await until(lambda: not one.full)
        assert one.tasks == 0
        await one.stop()

    monkeypatch.setattr(backlog, "RECOUNT_FULL", 0.01)
    run(scenario)


def test_a_count_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        failures = [OSError("no such disk")] * 2

        async def count() -> int:
            if failures:
                raise failures.pop()
            return 7

        one = Backlog(10, count)
        one.start()
        await until(lambda: one.tasks == 7)
        await one.stop()

    monkeypatch.setattr(backlog, "RECOUNT", 0.01)
    run(scenario)


def test_without_a_limit_nothing_is_counted_and_nothing_refused() -> None:
    async def scenario() -> None:
        async def count() -> int:
            raise AssertionError

        one = Backlog(None, count)
        one.start()
        one.changed(10**9)
        assert not one.full
        await one.stop()

    run(scenario)


@pytest.mark.parametrize(
    ("tasks", "rate", "seconds"),
    [
        (1000, 10.0, 1),
        (1000, 1.0, 10),
        (1090, 10.0, 10),
        (1000, 0.001, LONGEST),
        (1000, None, LONGEST),
        (1000, 1e6, 1),
    ],
)
def test_a_client_waits_until_a_good_many_places_are_free(
    tasks: int, rate: float | None, seconds: int
) -> None:
    async def scenario() -> None:
        async def count() -> int:
            return tasks

        one = Backlog(1000, count)
        one.changed(tasks)
        assert one.retry_after(rate) == seconds

    run(scenario)


@pytest.mark.parametrize(
    ("starts", "before", "seconds"),
    [
        ([], 0, 0),
        ([99], 0, 0),
        ([99, 100], 0, 9),
        ([99, 100], 1, 10),
        ([99, 100], 2, 19),
        ([100], 1, 10),
        ([50, 60], 0, 0),
    ],
)
def test_a_rate_holds_a_task_up_by_the_starts_before_it(
    starts: list[float], before: int, seconds: float
) -> None:
    one = Limiter("limited", Options.of({"rate_limit": "2/10s"}))
    one.starts = [float(at) for at in starts]
    assert held_for(one, before, 100) == pytest.approx(seconds)


def test_nobody_knows_when_another_ends() -> None:
    one = Limiter("limited", Options.of({"concurrency": 2}))
    assert held_for(one, 1, 100) == 0
    assert held_for(one, 2, 100) is None
