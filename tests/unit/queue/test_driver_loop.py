"""The loop of a driver: what fails, hangs or dies is told once, and begun again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest
from consuming import run, until

from taskmill.queue import QueueUnavailable
from taskmill.queue.drivers.loop import Loop
from taskmill.queue.drivers.outage import Outage


class Rounds:
    """Runs rounds that do what is declared, one after the other, the last one for ever."""

    def __init__(self, *deeds: Callable[[], Awaitable[None]]) -> None:
        self.count = 0
        self._deeds = deeds

    async def __call__(self) -> None:
        deed = self._deeds[min(self.count, len(self._deeds) - 1)]
        self.count += 1
        await deed()


async def work() -> None:
    await asyncio.sleep(0.001)


async def fail() -> None:
    raise QueueUnavailable("it is away")


async def hang() -> None:
    await asyncio.Event().wait()


async def hang_and_ignore() -> None:
    """Hang for a while, whoever wants it to end."""
    until_then = asyncio.get_running_loop().time() + 0.5
    while asyncio.get_running_loop().time() < until_then:
        try:
            await asyncio.sleep(0.5)
        except asyncio.CancelledError:
            continue


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_an_outage_is_told_once_when_it_begins_and_once_when_it_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        outage = Outage("app:driver (nats://broker:4222)")
        rounds = Rounds(work, fail, fail, fail, work)
        loop = Loop("queue tasks", outage, rounds, limit=5)
        loop.start()
        await until(lambda: loop.problem() is not None)
        assert loop.problem() == "app:driver (nats://broker:4222) does not work: it is away"
        await until(lambda: rounds.count > 6)
        assert loop.problem() is None
        await loop.stop()

    run(scenario)
    begin, end = lines(caplog)
    assert begin == "app:driver (nats://broker:4222) does not work, trying again until it does: it is away"
    assert end.startswith("app:driver (nats://broker:4222) works again after ")


def test_several_parts_tell_of_one_outage(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        outage = Outage("it")
        outage.begins("the connection", "gone")
        outage.begins("queue a", "closed")
        assert outage.problem("queue b") is None
        assert outage.problem("queue a", "the connection") == "it does not work: closed"
        outage.ends("the connection")
        outage.ends("the connection")
        assert len(lines(caplog)) == 1
        outage.ends("queue a")
        assert len(lines(caplog)) == 2

    run(scenario)


def test_a_round_that_hangs_is_broken_off_and_begun_again() -> None:
    async def scenario() -> None:
        let_go = []
        rounds = Rounds(hang, work)
        loop = Loop("reading", Outage("it"), rounds, limit=0.05, failed=lambda: let_go.append(1))
        loop.start()
        await until(lambda: loop.problem() == "it does not work: reading has got nowhere for 0.05 s")
        await until(lambda: rounds.count > 2 and loop.problem() is None)
        assert let_go == [1]
        await loop.stop()

    run(scenario)


def test_a_round_that_cannot_even_be_broken_off_is_told_meanwhile() -> None:
    async def scenario() -> None:
        rounds = Rounds(hang_and_ignore, work)
        loop = Loop("reading", Outage("it"), rounds, limit=0.05)
        loop.start()
        await until(lambda: (loop.problem() or "").startswith("it: reading has got nowhere for "))
        await until(lambda: rounds.count > 2 and loop.problem() is None)
        await loop.stop()

    run(scenario)


def test_a_loop_that_dies_is_begun_again(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        rounds = Rounds(work)
        loop = Loop("reading", Outage("it"), rounds, limit=5)
        loop.start()
        await until(lambda: rounds.count > 0)
        (task,) = [task for task in asyncio.all_tasks() if task.get_name() == "reading"]
        task.cancel()
        await until(task.done)
        before = rounds.count
        await until(lambda: rounds.count > before + 1)
        assert loop.problem() is None
        await loop.stop()

    run(scenario)
    assert any("reading ended by itself and is begun again" in line for line in lines(caplog))


def test_a_stopped_loop_does_no_more_and_says_so() -> None:
    async def scenario() -> None:
        rounds = Rounds(work)
        loop = Loop("reading", Outage("it"), rounds, limit=5)
        loop.start()
        await until(lambda: rounds.count > 2)
        await loop.stop()
        await loop.stop()
        before = rounds.count
        await asyncio.sleep(0.02)  # of many rounds
        assert rounds.count == before
        assert loop.problem() == "it: reading does not run"

    run(scenario)
