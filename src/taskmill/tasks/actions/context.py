"""``current_task()``: the task that an action is running, as the action sees it."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import msgspec

from taskmill.tasks.message import TaskMessage


class Inline:
    """The task whose action runs on the loop right now, with nothing in between: setting it costs next to nothing."""

    task: TaskMessage | None = None


running: ContextVar[TaskMessage | CurrentTask | None] = ContextVar("taskmill_running", default=None)


@dataclass(frozen=True, slots=True)
class CurrentTask:
    """The task under way: its ``id``, which ``attempt`` this is, from 1 on, and its ``data`` as it was sent."""

    id: str
    attempt: int
    _body: str | bytes = field(repr=False)
    _cancelled: Callable[[], bool] = field(repr=False)

    @property
    def data(self) -> Any:
        """The data, decoded afresh at each look."""
        return msgspec.json.decode(self._body)

    @property
    def cancelled(self) -> bool:
        """Whether the task was cancelled while it runs: then it should clean up and return, soon."""
        return self._cancelled()


def current_task() -> CurrentTask:
    """Return the task that the calling action runs.

    Raises:
        LookupError: no task runs here. A thread that an action started has none: pass it what it needs.
    """
    task = Inline.task or running.get()
    if task is None:
        raise LookupError(
            "current_task() was called outside an action, or in a thread that an action started"
        )
    if isinstance(task, TaskMessage):
        return CurrentTask(task.id(), task.attempt, task.body, lambda: task.stopping != "")
    return task
