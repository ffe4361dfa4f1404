"""``current_task()``: the task that an action is running, as the action sees it. A batch action has several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import msgspec

from taskmill.tasks.message import TaskMessage


class Inline:
    """What runs on the loop right now, with nothing in between: setting it costs next to nothing."""

    task: TaskMessage | Together | None = None


running: ContextVar[TaskMessage | CurrentTask | Together | None] = ContextVar(
    "taskmill_running", default=None
)


@dataclass(frozen=True, slots=True)
class Together:
    """The tasks that one call of a batch action runs."""

    tasks: Sequence[TaskMessage | CurrentTask]


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
        LookupError: no task runs here, or several do. A thread that an action started has none: pass it what it
            needs.
    """
    task = under_way("current_task()")
    if isinstance(task, Together):
        text = "a batch action runs several tasks: current_tasks() returns them, in the order of its items"
        raise LookupError(text)  # noqa: TRY004 - of what is asked for there is none
    return _seen(task)


def current_tasks() -> list[CurrentTask]:
    """Return the tasks that the calling batch action runs: the n-th is that of the n-th item.

    Raises:
        LookupError: no task runs here. A thread that an action started has none: pass it what it needs.
    """
    task = under_way("current_tasks()")
    return [_seen(one) for one in task.tasks] if isinstance(task, Together) else [_seen(task)]


def under_way(call: str) -> TaskMessage | CurrentTask | Together:
    """Return what the calling action runs; raise LookupError where nothing does. ``call`` is who asks."""
    task = Inline.task or running.get()
    if task is None:
        raise LookupError(f"{call} was called outside an action, or in a thread that an action started")
    return task


def _seen(task: TaskMessage | CurrentTask) -> CurrentTask:
    if isinstance(task, TaskMessage):
        return CurrentTask(task.id(), task.attempt, task.body, lambda: task.stopping != "")
    return task
