"""Log records name the task in whose action they were made."""

from __future__ import annotations

import logging
import sys
from threading import get_ident
from typing import Final

from taskmill.logs import add_filter
from taskmill.tasks.actions.context import CurrentTask, Inline, Together, running
from taskmill.tasks.message import TaskMessage

MOST: Final = 20  # tasks of a batch that a record names


class TaskFilter(logging.Filter):
    """Gives each record the attributes ``task``, ``action`` and ``attempt`` of the task in whose action it is made.

    For handlers of an application's own; Taskmill's has one. Outside of actions they are empty, and a record's own are
    kept. In a batch action ``tasks`` has the ids, the first twenty. Within a span of OpenTelemetry, ``trace_id`` and
    ``span_id`` say which.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Name the task; every record passes."""
        found: dict[str, object] = {"task": "", "action": "", "attempt": None}
        task = _under_way()
        if isinstance(task, Together):
            ids = [_id(one) for one in task.tasks[:MOST]]
            found |= {"tasks": ids, "action": _action(task.tasks[0]) if ids else ""}
        elif task is not None:
            found = {"task": _id(task), "action": _action(task), "attempt": task.attempt}
        record.__dict__ |= {**found, **_span(), **record.__dict__}
        return True


def _under_way() -> TaskMessage | CurrentTask | Together | None:
    # What runs inline keeps the loop's thread: a record of another has nothing to do with it.
    if Inline.task is not None and get_ident() == Inline.thread:
        return Inline.task
    return running.get()


def _span() -> dict[str, str]:
    """Return where the record is in a trace, if the program has such a thing."""
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return {}
    span = api.get_current_span().get_span_context()
    if not span.is_valid:
        return {}
    return {"trace_id": api.format_trace_id(span.trace_id), "span_id": api.format_span_id(span.span_id)}


def _id(task: TaskMessage | CurrentTask) -> str:
    return task.id() if isinstance(task, TaskMessage) else task.id


def _action(task: TaskMessage | CurrentTask) -> str:
    return task.name if isinstance(task, TaskMessage) else task.action


_ours: Final = TaskFilter()


def name_tasks() -> None:
    """Have the records that go to standard error name their tasks."""
    add_filter(_ours)
