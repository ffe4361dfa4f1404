"""Starting: the order, the limits, and what happens when a part cannot start."""

import asyncio
import logging

import pytest
from stage import Stage, fails, hang, hang_on, run

from taskmill.supervisor import StartError, SupervisorError


def test_parts_start_after_what_they_need_and_stop_before_it() -> None:
    stage = Stage({"web": ["queue"], "queue": ["db"], "db": []})

    async def scenario() -> None:
        await stage.supervisor.start()
        assert stage.log == ["+db", "+queue", "+web"]
        assert set(stage.states.values()) == {"running"}
        assert await stage.supervisor.stop() == []
        assert stage.log[3:] == ["-web", "-queue", "-db"]
        assert set(stage.states.values()) == {"stopped"}

    run(scenario)


def test_a_part_that_attaches_itself_starts_first_and_stops_last() -> None:
    stage = Stage({"server": [], "route": []}, attaches={"route": ["server"]})

    async def scenario() -> None:
        await stage.supervisor.start()
        await stage.supervisor.stop()
        assert stage.log == ["+route", "+server", "-server", "-route"]

    run(scenario)


def test_independent_parts_start_and_stop_in_parallel() -> None:
    barriers: list[asyncio.Barrier] = []

    async def meet_start() -> None:
        await barriers[0].wait()

    async def meet_stop() -> None:
        await barriers[1].wait()

    ids = ["a", "b", "c"]
    stage = Stage(
        {id_: [] for id_ in ids}, start=dict.fromkeys(ids, meet_start), stop=dict.fromkeys(ids, meet_stop)
    )

    async def scenario() -> None:
        barriers.extend(asyncio.Barrier(3) for _ in range(2))
        await stage.supervisor.start()  # each waits for the other two: one after the other would hang
        assert await stage.supervisor.stop() == []

    run(scenario)


def test_a_part_does_not_wait_for_what_it_does_not_need() -> None:
    ready: list[asyncio.Event] = []

    async def wait() -> None:
        await ready[0].wait()

    async def release() -> None:
        ready[0].set()

    # `quick` depends on `first` alone, and lets `slow` of the first wave go on.
    stage = Stage({"slow": [], "first": [], "quick": ["first"]}, start={"slow": wait, "quick": release})

    async def scenario() -> None:
        ready.append(asyncio.Event())
        await stage.supervisor.start()

    run(scenario)


def test_a_failure_stops_what_was_started_and_names_what_did_not_start() -> None:
    stage = Stage(
        {"db": [], "migrate": ["db"], "queue": ["migrate"], "web": ["queue"], "other": ["db"]},
        start={"migrate": fails()},
    )

    async def scenario() -> None:
        with pytest.raises(StartError) as caught:
            await stage.supervisor.start()
        assert str(caught.value) == (
            "entry migrate did not start: OSError: disk full; not started because of it: queue, web"
        )
        assert caught.value.entry == "migrate"
        assert caught.value.blocked == ["queue", "web"]
        assert isinstance(caught.value.__cause__, OSError)
        assert "+queue" not in stage.log
        assert stage.log[-1] == "-db"
        assert stage.log.index("-migrate") < stage.log.index("-db")
        assert stage.states["migrate"] == "failed"
        assert (stage.states["db"], stage.states["queue"]) == ("stopped", "waiting")
        assert await stage.supervisor.stop() == []
        assert stage.log.count("-db") == 1

    run(scenario)


def test_a_failure_breaks_off_what_is_starting() -> None:
    async def fail_late() -> None:
        await stage.seen("+slow")
        raise OSError("disk full")

    stage = Stage({"slow": [], "bad": []}, start={"slow": hang, "bad": fail_late})

    async def scenario() -> None:
        with pytest.raises(StartError, match=r"^entry bad did not start: OSError: disk full$"):
            await stage.supervisor.start()
        assert sorted(stage.log[2:]) == ["-bad", "-slow"]

    run(scenario)


def test_a_second_failure_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage({"a": [], "b": []}, start={"a": fails("one"), "b": fails("two")})

    async def scenario() -> None:
        with pytest.raises(StartError, match="one"):
            await stage.supervisor.start()

    run(scenario)
    assert caplog.messages == ["entry b did not start: OSError: two"]


@pytest.mark.parametrize("act", [hang, hang_on])
def test_a_start_over_its_timeout_has_failed(act: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskmill.supervisor.supervisor._GRACE", 0.01)
    stage = Stage({"a": [], "b": ["a"]}, start={"a": act}, lifecycle={"a": {"start_timeout": "20ms"}})  # type: ignore[dict-item]

    async def scenario() -> None:
        with pytest.raises(StartError) as caught:
            await stage.supervisor.start()
        assert str(caught.value) == (
            "entry a did not start: it took longer than its start_timeout of 20ms; "
            "not started because of it: b"
        )
        assert stage.log == ["+a", "-a"]

    run(scenario)


def test_a_part_that_cancels_itself_has_failed() -> None:
    async def cancel() -> None:
        raise asyncio.CancelledError

    stage = Stage({"a": []}, start={"a": cancel})

    async def scenario() -> None:
        with pytest.raises(StartError, match=r"^entry a did not start: it was cancelled from within$"):
            await stage.supervisor.start()

    run(scenario)


def test_a_part_that_cannot_be_made() -> None:
    stage = Stage({"a": [], "b": ["a"]}, refuse="a")

    async def scenario() -> None:
        with pytest.raises(StartError) as caught:
            await stage.supervisor.start()
        assert str(caught.value) == (
            "entry a did not start: ValueError: no such colour; not started because of it: b"
        )
        assert stage.log == []

    run(scenario)


def test_auto_start_false_starts_only_for_what_refers_to_it() -> None:
    off = {"auto_start": False}
    stage = Stage(
        {
            "unused": ["deep"],
            "deep": [],
            "used": ["base"],
            "base": [],
            "main": ["used"],
            "route": [],
            "web": [],
        },
        attaches={"route": ["web"]},
        lifecycle={"unused": off, "deep": off, "used": off, "base": off, "route": off},
    )

    async def scenario() -> None:
        await stage.supervisor.start()
        assert sorted(stage.log) == ["+base", "+main", "+used", "+web"]
        assert stage.states["unused"] == stage.states["deep"] == stage.states["route"] == "waiting"
        await stage.supervisor.stop()
        assert sorted(stage.log[4:]) == ["-base", "-main", "-used", "-web"]

    run(scenario)


def test_a_route_does_not_start_its_unwanted_server() -> None:
    stage = Stage(
        {"route": [], "web": []}, attaches={"route": ["web"]}, lifecycle={"web": {"auto_start": False}}
    )

    async def scenario() -> None:
        await stage.supervisor.start()
        assert stage.log == ["+route"]
        assert stage.supervisor.get("web", stage.part)  # it exists all the same
        await stage.supervisor.stop()

    run(scenario)


def test_cancellation_during_start_up_stops_cleanly() -> None:
    stage = Stage({"db": [], "web": ["db"], "late": ["web"]}, start={"web": hang})

    async def scenario() -> None:
        task = asyncio.create_task(stage.supervisor.start())
        await stage.seen("+web")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert stage.log == ["+db", "+web", "-web", "-db"]
        assert stage.states == {"db": "stopped", "web": "stopped", "late": "waiting"}
        assert await stage.supervisor.stop() == []
        assert len(asyncio.all_tasks()) == 1

    run(scenario)


def test_a_supervisor_starts_only_once() -> None:
    stage = Stage({"a": []})

    async def scenario() -> None:
        await stage.supervisor.start()
        with pytest.raises(SupervisorError, match=r"^a supervisor starts only once$"):
            await stage.supervisor.start()
        await stage.supervisor.stop()
        with pytest.raises(SupervisorError, match=r"^a supervisor starts only once$"):
            await stage.supervisor.start()
        assert stage.log == ["+a", "-a"]

    run(scenario)


def test_an_error_in_the_clean_up_of_a_cancelled_start_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def clean_up_badly() -> None:
        try:
            await hang()
        finally:
            raise OSError("disk full")

    stage = Stage({"a": []}, start={"a": clean_up_badly}, lifecycle={"a": {"start_timeout": "10ms"}})

    async def scenario() -> None:
        with pytest.raises(StartError, match="start_timeout of 10ms"):
            await stage.supervisor.start()

    with caplog.at_level(logging.ERROR):
        run(scenario)
    assert caplog.messages == ["a cancelled part ended with OSError: disk full"]
