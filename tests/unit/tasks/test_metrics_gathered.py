"""What `GET /metrics` gathers where the rows cannot be read: all that stands in memory."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from prometheus_client.exposition import generate_latest

from taskmill import action
from taskmill.sql import DatabaseUnavailable
from taskmill.tasks.metrics import collecting
from taskmill.tasks.service import TaskService
from taskmill.testing import running

Read = Callable[[], Coroutine[Any, Any, Any]]


@action
def quick() -> None: ...


async def away() -> None:
    raise DatabaseUnavailable("it is away")


async def hangs() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(("read", "why"), [(away, "it is away"), (hangs, "slow")])
def test_figures_in_memory_are_told_while_the_database_is_away(
    read: Read, why: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(collecting, "PATIENCE", 0.01)
    with running(actions=[quick]) as tasks:
        quick.submit()
        engine = tasks._engine
        (service,) = engine._all(TaskService)
        monkeypatch.setattr(service.overview, "states", read)
        text = generate_latest(engine.run(collecting.gather(service))).decode()
    assert 'taskmill_tasks_submitted_total{queue="tasks"} 1.0\n' in text
    assert 'taskmill_database_writable{database="app:db"} 1.0\n' in text
    assert "taskmill_queue_tasks{" not in text
    assert why in caplog.text
