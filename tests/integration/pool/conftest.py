"""Fixtures of the pool's tests."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import uvloop
from pools import Body, Calls, Run

from taskmill.process.pool import WorkerPool


def workers_left() -> list[psutil.Process]:
    """Return the worker processes below this one, which may run servers for other tests, too."""
    left = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "taskmill.process.worker" in child.cmdline():
                left.append(child)
    return left


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a test's body with a pool; no process may be left after it."""

    def in_loop(body: Body, workers: int = 2, **options: Any) -> None:
        async def main() -> None:
            pool = WorkerPool(workers, **options)
            pool.start()
            try:
                await asyncio.wait_for(body(pool), 30)
            finally:
                await pool.stop(0.5)

        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(main())
        assert workers_left() == []

    return in_loop


@pytest.fixture
def calls(tmp_path: Path) -> Calls:
    return Calls(tmp_path)
