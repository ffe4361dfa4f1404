"""Stopping: at any moment, more than once, and although a part does not stop."""

import asyncio

import pytest
from stage import Stage, fails, hang, hang_on, run

from taskmill.supervisor import SupervisorError


def test_stop_without_start() -> None:
    stage = Stage({"a": []})

    async def scenario() -> None:
        assert await stage.supervisor.stop() == []
        assert await stage.supervisor.stop() == []
        assert stage.log == []

    run(scenario)


def test_stop_twice_and_at_the_same_time_stops_each_part_once() -> None:
    stage = Stage({"a": [], "b": ["a"]})

    async def scenario() -> None:
        await stage.supervisor.start()
        await asyncio.gather(stage.supervisor.stop(), stage.supervisor.stop())
        assert await stage.supervisor.stop() == []
        assert stage.log == ["+a", "+b", "-b", "-a"]

    run(scenario)


def test_stop_while_starting() -> None:
    stage = Stage({"a": [], "b": ["a"], "c": ["b"]}, start={"b": hang})

    async def scenario() -> None:
        starting = asyncio.create_task(stage.supervisor.start())
        await stage.seen("+b")
        await asyncio.gather(stage.supervisor.stop(), stage.supervisor.stop())
        with pytest.raises(SupervisorError, match=r"^the application was stopped while it started$"):
            await starting
        assert stage.log == ["+a", "+b", "-b", "-a"]

    run(scenario)


def test_stop_while_a_failed_start_cleans_up_lets_it_finish() -> None:
    release: list[asyncio.Event] = []

    async def wait() -> None:
        await release[0].wait()
        stage.log.append("a is clean")

    stage = Stage({"a": [], "b": ["a"]}, start={"b": fails()}, stop={"a": wait})

    async def scenario() -> None:
        release.append(asyncio.Event())
        starting = asyncio.create_task(stage.supervisor.start())
        await stage.seen("-a")
        stopping = asyncio.create_task(stage.supervisor.stop())
        await asyncio.sleep(0)
        release[0].set()
        assert await stopping == []
        assert stage.log[-1] == "a is clean"
        with pytest.raises(SupervisorError, match="disk full"):
            await starting

    run(scenario)


@pytest.mark.parametrize("moment", range(12))
def test_stop_at_any_step_of_starting(moment: int) -> None:
    stage = Stage({"a": [], "b": ["a"], "c": ["b"]})

    async def scenario() -> None:
        starting = asyncio.create_task(stage.supervisor.start())
        for _ in range(moment):
            await asyncio.sleep(0)
        assert await stage.supervisor.stop() == []
        await asyncio.gather(starting, return_exceptions=True)
        begun = [entry[1:] for entry in stage.log if entry.startswith("+")]
        assert [entry[1:] for entry in stage.log if entry.startswith("-")] == begun[::-1]

    run(scenario)


@pytest.mark.parametrize("act", [hang, hang_on])
def test_a_part_that_does_not_stop_in_time_does_not_hold_up_the_rest(
    act: object, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.supervisor.supervisor._GRACE", 0.01)
    stage = Stage({"a": [], "b": ["a"]}, stop={"b": act}, lifecycle={"b": {"stop_timeout": "20ms"}})  # type: ignore[dict-item]

    async def scenario() -> None:
        await stage.supervisor.start()
        assert await stage.supervisor.stop() == ["b"]
        assert stage.log[2:] == ["-b", "-a"]

    run(scenario)
    assert caplog.messages == ["entry b did not stop: it took longer than its stop_timeout of 20ms"]


def test_a_part_that_fails_to_stop_does_not_hold_up_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage({"a": [], "b": ["a"]}, stop={"b": fails()})

    async def scenario() -> None:
        await stage.supervisor.start()
        assert await stage.supervisor.stop() == ["b"]
        assert stage.log[2:] == ["-b", "-a"]

    run(scenario)
    assert caplog.messages == ["entry b did not stop: disk full"]
    assert caplog.records[0].exc_info


def test_a_second_interrupt_breaks_off_the_stopping() -> None:
    stage = Stage({"a": []}, stop={"a": hang})

    async def scenario() -> None:
        await stage.supervisor.start()
        stopping = asyncio.create_task(stage.supervisor.stop())
        await stage.seen("-a")
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping

    run(scenario)
