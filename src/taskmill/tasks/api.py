"""The functions behind the task queue's entries: HTTP handlers, the consumer's function, the migration."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from taskmill.http import BadRequest, Exchange, FieldError, direct, parse_query, problem
from taskmill.queue import Slot, handoff
from taskmill.registry import nearest
from taskmill.sql import SqliteDatabase, migrate
from taskmill.tasks.ids import from_text
from taskmill.tasks.lifecycle import STATUS_WORDS, Status
from taskmill.tasks.model import TaskPage
from taskmill.tasks.schema import COMPONENT, MIGRATIONS
from taskmill.tasks.service import TaskService


class ListQuery(msgspec.Struct):
    """The parameters of ``GET /tasks``."""

    status: str | None = None
    action: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    cursor: str | None = None


class NoQuery(msgspec.Struct):
    """No parameters."""


async def apply_migrations(*, database: SqliteDatabase) -> int:
    """Bring the database's tables up to date; the process behind ``app:migrate``."""
    await migrate(database, COMPONENT, MIGRATIONS)
    return 0


@direct
def create_task(exchange: Exchange, *, tasks: TaskService) -> None:
    """``POST /tasks``."""
    tasks.intake.submit(exchange)


@handoff
def process_task(slot: Slot, *, tasks: TaskService) -> None:
    """Run the tasks that a consumer's slot is given."""
    tasks.worker.work(slot)


async def list_tasks(request: Request, *, tasks: TaskService) -> TaskPage:
    """``GET /tasks``: newest first, a page at a time."""
    query = parse_query(request.scope["query_string"], ListQuery)
    cursor = None if query.cursor is None else from_text(query.cursor)
    if query.cursor is not None and cursor is None:
        raise BadRequest(
            "Take the cursor from the answer before, unchanged.", [FieldError("cursor", "not a cursor")]
        )
    page, more = await tasks.reader.page(_status(query.status), query.action, cursor, query.limit)
    return TaskPage(page, len(page), page[-1].id if more else None)


async def get_task(request: Request, *, tasks: TaskService) -> Response | object:
    """``GET /tasks/{id}``."""
    parse_query(request.scope["query_string"], NoQuery)
    id_ = from_text(request.path_params["id"])
    task = None if id_ is None else await tasks.reader.get(id_)
    if task is None:
        raise BadRequest("No task has this id.", status=404)
    return task


async def cancel_task(request: Request, *, tasks: TaskService) -> object:
    """``POST /tasks/{id}/cancel``."""
    return await _change(
        request, tasks, tasks.control.cancel, "It has ended: only what has not can be cancelled."
    )


async def retry_task(request: Request, *, tasks: TaskService) -> object:
    """``POST /tasks/{id}/retry``."""
    return await _change(
        request, tasks, tasks.control.retry, "Only a failed or cancelled task can be run again."
    )


async def _change(
    request: Request,
    tasks: TaskService,
    change: Callable[[Sequence[bytes]], Awaitable[Sequence[bytes]]],
    conflict: str,
) -> object:
    parse_query(request.scope["query_string"], NoQuery)
    id_ = from_text(request.path_params["id"])
    changed = [] if id_ is None else await change([id_])
    task = None if id_ is None else await tasks.reader.get(id_)
    if task is None:
        raise BadRequest("No task has this id.", status=404)
    if not changed:
        raise BadRequest(f"The task is {task.status}. {conflict}", status=409)
    return task


async def healthz(_: Request) -> dict[str, str]:
    """``GET /healthz``: the process is alive and its loop turns."""
    return {"status": "ok"}


async def readyz(_: Request, *, tasks: TaskService) -> Response | dict[str, str]:
    """``GET /readyz``: 503 with what is missing where tasks cannot be accepted."""
    missing = await tasks.readiness()
    if not missing:
        return {"status": "ok"}
    body = problem(503, "; ".join(missing))
    return Response(body, 503, {"retry-after": "1"}, "application/problem+json")


def _status(word: str | None) -> Status | None:
    if word is None:
        return None
    status = STATUS_WORDS.get(word)
    if status is None:
        near = nearest(word, STATUS_WORDS)
        hint = f"did you mean `{near}`?" if near else f"one of {', '.join(STATUS_WORDS)}"
        raise BadRequest(
            "Mend the query parameters that `errors` names.",
            [FieldError("status", f"unknown status; {hint}")],
        )
    return status
