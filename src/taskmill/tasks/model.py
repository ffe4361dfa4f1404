"""A task as the API shows it, and the words that it is described in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from taskmill.http import means
from taskmill.tasks.ids import to_text
from taskmill.tasks.lifecycle import STATUS_WORDS, Status
from taskmill.tasks.notes.said import Progress

NULL = msgspec.Raw(b"null")

# What the texts of the API hold, for its OpenAPI document. They are written here and never read, so nothing is checked.
Id = Annotated[str, means("A UUIDv7.", format="uuid")]
Time = Annotated[str, means("RFC 3339, UTC, milliseconds.", format="date-time")]
StatusWord = Annotated[str, means("See the life of a task.", enum=list(STATUS_WORDS))]
Result = Annotated[
    msgspec.Raw,
    means(
        'What the action returned: a mapping as it is, all else as `{"output": …}`. Null until completed.',
        type=["object", "null"],
    ),
]


class TaskError(msgspec.Struct):
    """Why an attempt failed. ``at`` is RFC 3339."""

    type: str
    message: str
    at: Time
    traceback: str = ""


class ShownError(msgspec.Struct):
    """An error as lists show it: without its traceback."""

    type: str
    message: str
    at: Time


class Attempt(msgspec.Struct):
    """One attempt that has ended; ``error`` is null where it went well."""

    attempt: int
    started_at: Time | None
    ended_at: Time
    error: TaskError | None


class StepTaken(msgspec.Struct):
    """A step whose result is kept."""

    name: str
    started_at: Time
    ended_at: Time


class Task(msgspec.Struct, kw_only=True):
    """A task, as ``GET /tasks`` lists it."""

    id: Id
    action: str
    data: Annotated[msgspec.Raw, means("As it was submitted.")]
    status: StatusWord
    result: Result
    error: ShownError | None
    queue: str
    priority: int
    key: str | None
    fair_key: str | None
    tags: list[str]
    after: Annotated[list[Id], means("The tasks that it was submitted to follow.")]
    batch: Annotated[Id, means("The batch that it is a member of.")] | None
    name: Annotated[str, means("What it is called in its batch.")] | None
    attempt: int
    max_attempts: int
    timeout: float | None
    created_at: Time
    run_at: Time | None
    held_until: Time | None
    expires_at: Time | None
    started_at: Time | None
    finished_at: Time | None


class TaskDetails(Task, kw_only=True):
    """A task, as ``GET /tasks/{id}`` shows it: with its progress, last attempts, and steps, the oldest first."""

    progress: Annotated[Progress | None, means("How far its last attempt has come, if that says so.")]
    attempts: list[Attempt]
    steps: Annotated[list[StepTaken], means("Only there where it has taken some.")] | msgspec.UnsetType = (
        msgspec.UNSET
    )


class TaskPage(msgspec.Struct):
    """A part of the list of tasks; ``next`` is the cursor of the part after it."""

    tasks: list[Task]
    count: int
    next: Annotated[str, means("The `cursor` of the part after this one.")] | None


_shown_error = msgspec.json.Decoder(ShownError)
_error = msgspec.json.Decoder(TaskError)
_progress = msgspec.json.Decoder(Progress)
_tags = msgspec.json.Decoder(list[str])
_raw = msgspec.json.Decoder(msgspec.Raw)


def from_row(row: Sequence[Any]) -> Task:
    """Make a task of a row, columns in the order of the table."""
    return Task(**_fields(row))


def details(
    row: Sequence[Any], behind: Sequence[Sequence[Any]], progress: Sequence[Any] | None = None
) -> TaskDetails:
    """Make a task of a row, and of what is behind it as :mod:`taskmill.tasks.rows.history` has that.

    ``progress`` is the last that it has noted, and in which attempt.
    """
    fields = _fields(row)
    behind = sorted(behind, key=lambda one: one[1])
    ended = [
        Attempt(number, moment(started), timestamp(at), _error.decode(error))
        for _, number, started, at, error, _ in behind
        if error is not None
    ]
    if fields["status"] == Status.COMPLETED.word:
        ended.append(Attempt(fields["attempt"], fields["started_at"], fields["finished_at"], None))
    steps = [
        StepTaken(name, timestamp(began), timestamp(at))
        for _, _, began, at, _, name in behind
        if name is not None
    ]
    shown = progress_in(progress, fields["attempt"])
    return TaskDetails(**fields, progress=shown, attempts=ended, steps=steps or msgspec.UNSET)


def progress_in(noted: Sequence[Any] | None, attempt: int) -> Progress | None:
    """Return a progress as it is noted, with its attempt, unless a later attempt is under way."""
    return None if noted is None or noted[1] < attempt else _progress.decode(noted[0])


def _fields(row: Sequence[Any]) -> dict[str, Any]:
    (
        id_, action, queue, data, status, attempt, max_attempts, created, started, finished, result, error,
        _rank, priority, run_at, expires_at, timeout, key, fair_key, _limit_key, tags, _node, held, _version,
        after, batch, name, _trace,
    ) = row  # fmt: skip
    return {
        "id": to_text(id_),
        "action": action,
        "data": as_json(data),
        "status": Status(status).word,
        "result": NULL if result is None else as_json(result),
        "error": None if error is None else _shown_error.decode(error),
        "queue": queue,
        "priority": priority or 0,
        "key": key,
        "fair_key": fair_key,
        "tags": [] if tags is None else _tags.decode(tags),
        "after": [] if after is None else _tags.decode(after),
        "batch": None if batch is None else to_text(batch),
        "name": name,
        "attempt": attempt,
        "max_attempts": max_attempts,
        "timeout": None if timeout is None else timeout / 1000,
        "created_at": timestamp(created),
        "run_at": moment(run_at if held is None else held or None),
        "held_until": moment(run_at) if held is not None and status == Status.SCHEDULED else None,
        "expires_at": moment(expires_at),
        "started_at": moment(started),
        "finished_at": moment(finished),
    }


def as_json(text: str) -> msgspec.Raw:
    """Return stored JSON as it is; what a damaged row holds instead as a string, so that lists stay whole."""
    try:
        return _raw.decode(text)
    except msgspec.DecodeError:
        return msgspec.Raw(msgspec.json.encode(text))


def timestamp(milliseconds: int) -> str:
    """Write milliseconds since 1970 as RFC 3339 in UTC."""
    at = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


def moment(milliseconds: int | None) -> str | None:
    """Write a time that may be missing."""
    return None if milliseconds is None else timestamp(milliseconds)
