"""``Tasks``: a client of a task queue in the same process, which runs a task when it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import msgspec

from taskmill import application
from taskmill.client import AsyncClient, Client, NotEnded, Submission, Task
from taskmill.client.default import standing_in
from taskmill.client.wire import Answer
from taskmill.tasks.actions.action import Action
from taskmill.testing.clock import Clock
from taskmill.testing.engine import Engine

URL = "http://taskmill.test"  # that no request is sent to
MOST = 10_000  # tasks that run at once without anybody wondering
SHOWN = 20  # tasks in the message of an assertion


class AssertSubmitted(Protocol):
    """Asserts that a task was submitted."""

    def __call__(
        self, action: str | Action[Any, Any] | Submission[Any], data: object = None, /, **fields: object
    ) -> Task:
        """See :meth:`Tasks.assert_submitted`."""


class Tasks(Client):
    """A client whose server is a task queue in this process: no socket, no worker process, nothing on the disk.

    What is submitted waits until :meth:`run_next` or :meth:`run_all`. Everything else is as it is anywhere: data is
    validated, limits, priorities, retries, delays and schedules are the engine's own.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(URL, retry_for=0)
        self._engine = engine
        self._pool = _InProcess(engine)

    @property
    def clock(self) -> Clock:
        """The clock that the task queue goes by."""
        return self._engine.clock

    def run_next(self) -> Task | None:
        """Run the task that comes next, and return it as it is then; None where none may run now.

        One attempt is made: a task that fails waits for its next one.
        """
        id_ = self._engine.step()
        return None if id_ is None else self.get(id_)

    def run_all(self, limit: int = MOST) -> list[Task]:
        """Run all that may run now, what they submit too; return it in the order in which it ran.

        Raises RuntimeError after ``limit`` attempts: tasks that submit tasks may go on for ever.
        """
        ran = []
        while (task := self.run_next()) is not None:
            ran.append(task)
            if len(ran) >= limit:
                raise RuntimeError(f"{limit:,} attempts, and no end: give run_all(limit=…) if that is right")
        return ran

    def wait(self, id_: str, timeout: float | None = None) -> Task:
        """Run all that may run now, and return a task; raise NotEnded where that was not enough."""
        if not (task := self.get(id_)).ended:
            self.run_all()
            task = self.get(id_)
        if not task.ended:
            raise NotEnded(task, timeout or 0.0)
        return task

    @property
    def submitted(self) -> list[Task]:
        """All tasks that were submitted, by whomever, as they are now; the oldest first."""
        return list(self.list())[::-1]

    def assert_submitted(
        self, action: str | Action[Any, Any] | Submission[Any], data: object = None, /, **fields: object
    ) -> Task:
        """Assert that a task was submitted, and return the newest such.

        It has the action, and of ``data`` all that is given here: a mapping may have other keys beside. ``fields`` are
        those of the task, such as ``queue="mail"``, ``priority=5`` or ``tags=["demo"]``.
        """
        name, wanted = _what(action, data)
        found = [task for task in self.submitted if task.action == name and _matches(task, wanted, fields)]
        if not found:
            said = "" if wanted is None else f" {_shown(wanted)}"
            said += "".join(f", {field}={value!r}" for field, value in fields.items())
            raise AssertionError(f"no task {name}{said} was submitted; {_instead(self.submitted, name)}")
        return found[-1]

    def assert_not_submitted(
        self, action: str | Action[Any, Any] | Submission[Any], data: object = None, /, **fields: object
    ) -> None:
        """Assert that no such task was submitted."""
        name, wanted = _what(action, data)
        found = [task for task in self.submitted if task.action == name and _matches(task, wanted, fields)]
        if found:
            raise AssertionError(f"submitted was {_line(found[-1])}")


class AsyncTasks(AsyncClient):
    """The same task queue for what is submitted on an event loop."""

    def __init__(self, tasks: Tasks, engine: Engine) -> None:
        super().__init__(URL, retry_for=0)
        self._tasks = tasks
        self._pool = _InProcessAsync(engine)

    async def wait(self, id_: str, timeout: float | None = None) -> Task:  # noqa: ASYNC109
        """Run all that may run now, and return a task; raise NotEnded where that was not enough."""
        return await asyncio.to_thread(self._tasks.wait, id_, timeout)


@contextmanager
def running(directory: Path | None = None, *, actions: Iterable[object] = ()) -> Iterator[Tasks]:
    """Run the task queue of an application in this process, for a ``with`` block.

    ``directory`` is where its ``_index.yaml`` is; without one there are only the ``actions``, of which those that are
    none are left out. Inside the block an action's own ``submit`` submits here.

    Raises:
        RegistryError: the registry has mistakes.
        SupervisorError: a part of it did not start.
    """
    given = [one for one in actions if isinstance(one, Action)]
    engine = Engine((directory or application.BUILTIN).resolve(), given, builtin=directory is None)
    with engine.clock.installed():
        engine.start()
        try:
            tasks = Tasks(engine)
            with standing_in(tasks, AsyncTasks(tasks, engine)):
                yield tasks
        finally:
            engine.stop()


class _InProcess:
    """Sends the requests of a client to an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def send(self, data: bytes, timeout: float) -> Answer:  # noqa: ARG002 - as the pool of sockets has it
        return self._engine.run(self._engine.answer(data))

    def close(self) -> None:
        pass


class _InProcessAsync:
    """The same for a client on any loop, the engine's own too."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def send(self, data: bytes, timeout: float) -> Answer:  # noqa: ARG002, ASYNC109
        answer = self._engine.answer(data)
        if asyncio.get_running_loop() is self._engine.loop:
            return await answer
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(answer, self._engine.loop))

    async def close(self) -> None:
        pass


def _what(action: str | Action[Any, Any] | Submission[Any], data: object) -> tuple[str, object]:
    """Return the name of an action, and the data as JSON has it."""
    if isinstance(action, Submission):
        body = msgspec.json.decode(action.body)
        return action.action, body.get("data")
    name = action if isinstance(action, str) else action.name
    return name, None if data is None else msgspec.json.decode(msgspec.json.encode(data))


def _matches(task: Task, data: object, fields: Mapping[str, object]) -> bool:
    for name, wanted in fields.items():
        if not hasattr(task, name):
            raise TypeError(f"a task has no field `{name}`; it has {', '.join(task.__struct_fields__)}")
        if not _within(wanted, getattr(task, name)):
            return False
    return data is None or _within(data, task.data)


def _within(wanted: object, found: object) -> bool:
    """Whether something is there: of a mapping all that is wanted, of a list each member at its place."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(
            key in found and _within(value, found[key]) for key, value in wanted.items()
        )
    if isinstance(wanted, list | tuple) and isinstance(found, list):
        return len(wanted) == len(found) and all(map(_within, wanted, found))
    return wanted == found


def _instead(submitted: list[Task], name: str) -> str:
    if not submitted:
        return "nothing was"
    alike = [task for task in submitted if task.action == name] or submitted
    lines = "".join(f"\n  {_line(task)}" for task in alike[:SHOWN])
    more = f"\n  and {len(alike) - SHOWN} more" if len(alike) > SHOWN else ""
    return f"submitted were{lines}{more}"


def _line(task: Task) -> str:
    return f"{task.action} {_shown(task.data)}, {task.status}, in queue {task.queue}"


def _shown(value: object) -> str:
    return msgspec.json.encode(value).decode()
