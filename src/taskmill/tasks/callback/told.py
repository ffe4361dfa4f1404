"""What a callback tells."""

from __future__ import annotations

import msgspec

from taskmill.tasks.callback.asked import Event
from taskmill.tasks.lifecycle import ENDED, Status
from taskmill.tasks.model import TaskDetails, Time

_ENDS: dict[str, Event] = {
    Status.COMPLETED.word: "task.completed",
    Status.FAILED.word: "task.failed",
    Status.CANCELLED.word: "task.cancelled",
}
assert len(_ENDS) == len(ENDED)  # noqa: S101 - each end has a word


class Told(msgspec.Struct):
    """A task has ended, then. Errors come without their tracebacks."""

    type: Event
    timestamp: Time
    data: TaskDetails


def told(task: TaskDetails) -> Told | None:
    """Return what is told of a task, or None where it has not ended."""
    type_ = _ENDS.get(task.status)
    if type_ is None or task.finished_at is None:
        return None
    for attempt in task.attempts:
        if attempt.error is not None:
            attempt.error = msgspec.structs.replace(attempt.error, traceback="")
    return Told(type_, task.finished_at, task)
