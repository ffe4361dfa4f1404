"""A part that cannot go on, and what parts learn of one another."""

import asyncio
from pathlib import Path

import pytest
from stage import Stage, hang, run

from taskmill.supervisor import StartError, SupervisorError


def test_a_failure_of_a_running_part_is_reported_once() -> None:
    stage = Stage({"a": [], "b": []})

    async def scenario() -> None:
        await stage.supervisor.start()
        waiting = asyncio.create_task(stage.supervisor.wait_failed())
        await asyncio.sleep(0)
        assert not waiting.done()
        error = OSError("gone")
        stage.contexts["a"].fail("a", error)
        stage.contexts["b"].fail("b", OSError("also gone"))
        assert await waiting == ("a", error)
        assert await stage.supervisor.wait_failed() == ("a", error)
        assert stage.states == {"a": "failed", "b": "failed"}
        assert await stage.supervisor.stop() == []
        assert sorted(stage.log[2:]) == ["-a", "-b"]
        assert stage.states["a"] == "failed"

    run(scenario)


def test_a_failure_while_others_still_start_ends_the_start(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage({"a": [], "b": ["a"]}, start={"b": hang})

    async def scenario() -> None:
        starting = asyncio.create_task(stage.supervisor.start())
        await stage.seen("+b")
        stage.contexts["a"].fail("a", OSError("gone"))
        with pytest.raises(StartError, match=r"^entry a did not start: OSError: gone$"):
            await starting
        assert stage.log == ["+a", "+b", "-b", "-a"]

    run(scenario)
    assert caplog.messages == ["entry a cannot go on: OSError: gone"]


def test_a_failure_while_stopping_changes_nothing() -> None:
    async def fail() -> None:
        stage.contexts["a"].fail("a", OSError("gone"))

    stage = Stage({"a": []}, stop={"a": fail})

    async def scenario() -> None:
        await stage.supervisor.start()
        assert await stage.supervisor.stop() == []

    run(scenario)


def test_parts_find_one_another_by_id_and_type() -> None:
    stage = Stage({"app:db": [], "app:web": ["app:db"]})

    async def scenario() -> None:
        await stage.supervisor.start()
        context = stage.contexts["app:web"]
        assert context.get("app:db", stage.part) is stage.supervisor.get("app:db", object)
        assert (context.data_dir, context.app_dir) == (Path("/data"), Path("/app"))
        with pytest.raises(SupervisorError, match=r"^no entry `app:dbb`; did you mean `app:db`\?$"):
            context.get("app:dbb", object)
        with pytest.raises(SupervisorError, match=r"^no entry `x`$"):
            context.get("x", object)
        with pytest.raises(SupervisorError, match=r"^entry `app:db` is a `part`, not a Path$"):
            context.get("app:db", Path)
        await stage.supervisor.stop()

    run(scenario)
