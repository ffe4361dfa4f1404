"""A task as the API shows it, and the words that it is described in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

import msgspec

from taskmill.tasks.ids import to_text

NULL = msgspec.Raw(b"null")


class Status(IntEnum):
    """Where a task is in its life; the numbers are stored."""

    QUEUED = 0
    RUNNING = 2
    COMPLETED = 3
    FAILED = 4

    @property
    def word(self) -> str:
        """As the API says it."""
        return self.name.lower()


STATUS_WORDS = {status.word: status for status in Status}


class TaskError(msgspec.Struct):
    """Why an attempt failed. ``at`` is RFC 3339; the traceback stays in the database."""

    type: str
    message: str
    at: str
    traceback: str = ""


class ShownError(msgspec.Struct):
    """An error as readers see it."""

    type: str
    message: str
    at: str


class Task(msgspec.Struct):
    """A task, as ``GET /tasks/{id}`` shows it."""

    id: str
    action: str
    data: msgspec.Raw
    status: str
    result: msgspec.Raw
    error: ShownError | None
    queue: str
    attempt: int
    max_attempts: int
    created_at: str
    started_at: str | None
    finished_at: str | None


class TaskPage(msgspec.Struct):
    """A part of the list of tasks; ``next`` is the cursor of the part after it."""

    tasks: list[Task]
    count: int
    next: str | None


_error = msgspec.json.Decoder(ShownError)


def from_row(row: Sequence[Any]) -> Task:
    """Make a task of a row, columns in the order of the table."""
    id_, action, queue, data, status, attempt, max_attempts, created, started, finished, result, error = row
    return Task(
        id=to_text(id_),
        action=action,
        data=msgspec.Raw(data.encode()),
        status=Status(status).word,
        result=NULL if result is None else msgspec.Raw(result.encode()),
        error=None if error is None else _error.decode(error),
        queue=queue,
        attempt=attempt,
        max_attempts=max_attempts,
        created_at=timestamp(created),
        started_at=None if started is None else timestamp(started),
        finished_at=None if finished is None else timestamp(finished),
    )


def timestamp(milliseconds: int) -> str:
    """Write milliseconds since 1970 as RFC 3339 in UTC."""
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"
