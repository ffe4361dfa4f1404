"""``current_task()``: the task that an action is running, as the action sees it. A batch action has several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec

from taskmill.tasks.actions.outgoing import Outgoing
from taskmill.tasks.message import TaskMessage
from taskmill.tasks.notes.said import line_of, progress_of

# Takes a progress (JSON), or a line of a log.
Say = Callable[[bytes | None, str | None], None]


class Inline:
    """What runs on the loop right now, with nothing in between: setting it costs next to nothing."""

    task: TaskMessage | Together | None = None
    thread = 0  # that of the loop


running: ContextVar[TaskMessage | CurrentTask | Together | None] = ContextVar(
    "taskmill_running", default=None
)


@dataclass(frozen=True, slots=True)
class Together:
    """The tasks that one call of a batch action runs."""

    tasks: Sequence[TaskMessage | CurrentTask]


def _to_nobody(_progress: bytes | None, _line: str | None) -> None:
    """Say it to nobody: there is no server around."""


@dataclass(frozen=True, slots=True)
class CurrentTask:
    """The task under way: its ``id`` and ``action``, which ``attempt`` this is, from 1 on, and its ``data`` as sent.

    ``outgoing`` is what it has submitted itself.
    """

    id: str
    attempt: int
    _body: str | bytes = field(repr=False)
    _cancelled: Callable[[], bool] = field(repr=False)
    _say: Say = field(default=_to_nobody, repr=False)
    action: str = field(default="", kw_only=True)
    outgoing: Outgoing = field(default_factory=Outgoing, repr=False)

    @property
    def data(self) -> Any:
        """The data, decoded afresh at each look."""
        return msgspec.json.decode(self._body)

    @property
    def cancelled(self) -> bool:
        """Whether the task was cancelled while it runs: then it should clean up and return, soon."""
        return self._cancelled()

    def progress(self, done: float, total: float | None = None, message: str = "") -> None:
        """Say how far the task has come: so much is ``done``, of so much in ``total``, and what it is at.

        Call it as often as you like, from any thread: the last one is shown, and written a few times a second.

        Raises:
            TypeError, ValueError: a number is none or not finite, or the message is no text.
        """
        self._say(progress_of(done, total, message), None)

    def log(self, message: str) -> None:
        """Add a line to the task's log. The last ones are kept with the task.

        Raises:
            TypeError: it is no text.
        """
        self._say(None, line_of(message))


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
        notes = task.registered.notes
        say = _to_nobody if notes is None else partial(notes.say, task)
        return CurrentTask(
            task.id(), task.attempt, task.body, lambda: task.stopping != "", say, action=task.name
        )
    return task
