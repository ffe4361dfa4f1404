"""`function.python` and `process.python`: loading, needs, and where the function runs."""

import asyncio
import contextvars
import threading
from pathlib import Path
from typing import Any

import pytest

from taskmill.process.function import FunctionConfig, PythonFunction
from taskmill.process.messages import FunctionRef
from taskmill.process.python_process import ProcessConfig, ProcessError, PythonProcess
from taskmill.registry import Entry, Mistake
from taskmill.supervisor import Context

SOURCE = """
import threading

async def on_loop(*args):
    return args, threading.current_thread()

def in_thread(*args, **needs):
    return args, needs, threading.current_thread()
"""


def no_failure(entry: str, error: BaseException) -> None:
    raise AssertionError(entry) from error


def function(
    tmp_path: Path, method: str, needs: dict[str, str] | None = None, **parts: Any
) -> PythonFunction:
    (tmp_path / "taskmill_unit_functions.py").write_text(SOURCE)
    config = FunctionConfig(
        name="f",
        kind="function.python",
        source="file://taskmill_unit_functions.py",
        method=method,
        needs=needs or {},
    )
    entry = Entry("app:f", "function.python", config, tmp_path / "_index.yaml", 1, tmp_path)
    components = {f"app:{name}": part for name, part in parts.items()}
    return PythonFunction(entry, Context(components, no_failure, data_dir=tmp_path, app_dir=tmp_path))


def process(tmp_path: Path, call: Any) -> PythonProcess:
    config = ProcessConfig(name="p", kind="process.python", source="", method="")
    entry = Entry("app:p", "process.python", config, tmp_path, 1, tmp_path)
    made = PythonProcess(entry, Context({}, no_failure, data_dir=tmp_path, app_dir=tmp_path))
    made.call = call
    return made


def test_async_runs_on_the_loop_and_def_in_a_thread(tmp_path: Path) -> None:
    async def body() -> None:
        on_loop, in_thread = function(tmp_path, "on_loop"), function(tmp_path, "in_thread")
        await on_loop.start()
        await in_thread.start()
        assert (on_loop.is_async, in_thread.is_async) == (True, False)
        assert await on_loop.invoke(1) == ((1,), threading.current_thread())
        args, needs, thread = await in_thread.invoke(1, 2)
        assert (args, needs) == ((1, 2), {})
        assert thread is not threading.current_thread()
        await on_loop.stop()
        await on_loop.stop()

    asyncio.run(body())


def test_needs_are_handed_over_by_name(tmp_path: Path) -> None:
    async def body() -> None:
        database = object()
        made = function(tmp_path, "in_thread", {"db": "app:database"}, database=database)
        await made.start()
        assert made.call("x")[:2] == (("x",), {"db": database})
        assert not made.is_async
        assert made.reference("a:b") == FunctionRef(
            "file://taskmill_unit_functions.py", "in_thread", str(tmp_path), "a:b"
        )

    asyncio.run(body())


def test_a_missing_method_is_found_by_check(tmp_path: Path) -> None:
    made = function(tmp_path, "on_lop")
    entry: Entry[Any] = Entry("app:f", "function.python", made.config, tmp_path, 1, tmp_path)
    expected = Mistake("method", "`file://taskmill_unit_functions.py` defines no `on_lop`", "on_loop")
    assert list(PythonFunction.check(entry)) == [expected]


@pytest.mark.parametrize("result", [0, None, False])
def test_a_process_that_returns_zero_is_done(tmp_path: Path, result: object) -> None:
    async def on_loop() -> object:
        return result

    async def body() -> None:
        await process(tmp_path, on_loop).run()
        await process(tmp_path, lambda: result).run()

    asyncio.run(body())


def test_what_else_a_process_does_is_an_error(tmp_path: Path) -> None:
    def raises(error: BaseException) -> None:
        raise error

    async def leaves() -> None:
        raise SystemExit(4)

    async def body() -> None:
        with pytest.raises(ProcessError, match=r"^process `app:p` returned 3; 0 would mean that it is done$"):
            await process(tmp_path, lambda: 3).run()
        with pytest.raises(ProcessError, match="returned 4"):
            await process(tmp_path, leaves).run()
        with pytest.raises(ProcessError, match="returned 5"):
            await process(tmp_path, lambda: raises(SystemExit(5))).run()
        with pytest.raises(KeyError):
            await process(tmp_path, lambda: raises(KeyError())).run()
        with pytest.raises(RuntimeError, match="StopIteration"):
            await process(tmp_path, lambda: raises(StopIteration())).run()

    asyncio.run(body())


def test_a_cancelled_thread_is_waited_for(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()
    seen = contextvars.ContextVar("seen", default="nothing")
    ended = []

    def body_of_process() -> int:
        begun.set()
        go_on.wait(10)
        ended.append(seen.get())
        return 0

    async def body() -> None:
        seen.set("the caller's context")
        run = asyncio.create_task(process(tmp_path, body_of_process).run())
        await asyncio.to_thread(begun.wait, 10)
        run.cancel()
        asyncio.get_running_loop().call_soon(go_on.set)
        with pytest.raises(asyncio.CancelledError):
            await run
        assert ended == ["the caller's context"]

    asyncio.run(body())
