"""The functions behind the task queue's entries: HTTP handlers, the consumer's function, the migration."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from taskmill.http import (
    Answer,
    BadRequest,
    Exchange,
    FieldError,
    Operation,
    caller_of,
    direct,
    means,
    parse_open_query,
    parse_query,
    problem,
)
from taskmill.queue import Slot, handoff
from taskmill.sql import Database, DatabaseError, Overloaded, migrate
from taskmill.tasks.control import dead_letter
from taskmill.tasks.ids import from_text, to_text
from taskmill.tasks.intake.submission import Submission
from taskmill.tasks.model import TaskDetails, TaskPage
from taskmill.tasks.move import schema as move_schema
from taskmill.tasks.move.journal import refuse_moved
from taskmill.tasks.openapi import words
from taskmill.tasks.retention import schema as retention_schema
from taskmill.tasks.rights.doors import let_near, may_submit
from taskmill.tasks.rights.rights import check_scope, narrow, shown
from taskmill.tasks.rows.schema import COMPONENT, MIGRATIONS
from taskmill.tasks.schedules import schema as schedules
from taskmill.tasks.service import TaskService
from taskmill.tasks.usage import schema as usage_schema
from taskmill.tasks.usage.noting import Noted
from taskmill.tasks.view.filters import DATA, Filters, select
from taskmill.tasks.view.missing import missing as no_task
from taskmill.tasks.waiting.looks import LookQuery, look

Cursor = Annotated[str, means("`next` of the answer before, unchanged.", format="uuid")]


class ListQuery(Filters):
    """The parameters of ``GET /tasks``."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    cursor: Cursor | None = None


class NoQuery(msgspec.Struct):
    """No parameters."""


async def apply_migrations(*, database: Database) -> int:
    """Bring the database's tables up to date, if the tasks are there; the process behind ``app:migrate``."""
    await migrate(database, move_schema.COMPONENT, move_schema.MIGRATIONS)
    await refuse_moved(database)
    await make_tables(database)
    return 0


async def make_tables(database: Database) -> None:
    """Bring all tables of a database up to date."""
    await migrate(database, move_schema.COMPONENT, move_schema.MIGRATIONS)
    await migrate(database, COMPONENT, MIGRATIONS)
    await migrate(database, dead_letter.COMPONENT, dead_letter.MIGRATIONS)
    await migrate(database, retention_schema.COMPONENT, retention_schema.MIGRATIONS)
    await migrate(database, schedules.COMPONENT, schedules.MIGRATIONS)
    await migrate(database, usage_schema.COMPONENT, usage_schema.MIGRATIONS)


class Health(msgspec.Struct):
    """The answer of ``GET /healthz`` and ``GET /readyz``: all is well."""

    status: Literal["ok"] = "ok"


@Operation(
    "Submit a task", words.TASKS, scope="submit", for_limited=True,
    headers={"Idempotency-Key": words.IDEMPOTENCY_KEY, "Prefer": words.PREFER},
    body=Annotated[Submission, msgspec.Meta(extra_json_schema=words.not_both("delay", "run_at"))],
    examples={
        "plain": {"action": "uppercase", "data": {"text": "hi"}},
        "urgent": {"action": "uppercase", "data": {"text": "hi"}, "priority": 9, "expires_in": 60, "tags": ["demo"]},
        "later": {"action": "sum", "data": {"numbers": [1, 2.5]}, "delay": 30, "key": "nightly"},
        "held": {"action": "uppercase", "data": {"text": "hi"}, "hold": 60},
    },
    answers={200: words.ENDED, 202: words.SUBMITTED},
    problems={
        409: "A task with this unique key waits or runs, and its action takes no second.",
        422: "The `Idempotency-Key` came with another body before.",
        503: "`max_backlog` tasks wait or run, too much waits for the disk, the disk refuses, or the task would not "
        "begin by its `start_by`.",
    },
)  # fmt: skip
@direct
def create_task(exchange: Exchange, *, tasks: TaskService) -> None:
    """``POST /tasks``."""
    caller = exchange.caller
    if caller is not None:
        if not may_submit(exchange, tasks.intake):
            return
        if tasks.ledger is not None:
            exchange = Noted(exchange, caller, tasks.ledger)
    tasks.intake.submit(exchange)


@handoff
def process_task(slot: Slot, *, tasks: TaskService) -> None:
    """Run the tasks that a consumer's slot is given."""
    tasks.worker.work(slot)


@Operation(
    "List tasks, newest first", words.TASKS, scope="observe", for_limited=True, query=ListQuery,
    description="Where an action has indexed what stands in its data, `data.customer=42` finds by that, too.",
    answers={200: Answer("A part of the list.", TaskPage)},
)  # fmt: skip
async def list_tasks(request: Request, *, tasks: TaskService) -> TaskPage:
    """``GET /tasks``: newest first, a page at a time."""
    query, data = parse_open_query(request.scope["query_string"], ListQuery, DATA)
    caller = caller_of(request)
    narrow(caller, query)
    if data:
        check_scope(caller, "read")  # an answer tells what stands in the data
        await tasks.asking.check(data, query.action)
    selection = select(query, data)
    page, following = await tasks.listing.page(selection, cursor_of(query.cursor), query.limit)
    page = [shown(caller, one) for one in page]
    return TaskPage(page, len(page), None if following is None else to_text(following))


@Operation(
    "Get a task, with its last attempts", words.TASKS, scope="observe", for_limited=True, path=words.BY_ID,
    query=LookQuery,
    answers={200: Answer("The task.", TaskDetails, links=words.by_id("$response.body#/id"))},
    problems={**words.NO_TASK, 503: "The database cannot be read now."},
)  # fmt: skip
@direct
def get_task(exchange: Exchange, *, tasks: TaskService) -> None:
    """``GET /tasks/{id}``."""
    look(exchange, tasks.waiters)


@Operation(
    "Cancel a task", words.TASKS, scope="submit", for_limited=True, path=words.BY_ID,
    description="One that runs is stopped.",
    answers={200: Answer("The task, cancelled.", TaskDetails, links=words.by_id("$response.body#/id"))},
    problems={**words.NO_TASK, **words.NOT_STORED, 409: "It has ended: only what has not can be cancelled."},
)  # fmt: skip
async def cancel_task(request: Request, *, tasks: TaskService) -> object:
    """``POST /tasks/{id}/cancel``."""
    return await _change(
        request, tasks, tasks.control.cancel, "It has ended: only what has not can be cancelled."
    )


@Operation(
    "Run a failed or cancelled task again", words.TASKS, scope="submit", for_limited=True, path=words.BY_ID,
    answers={200: Answer("The task, waiting again.", TaskDetails, links=words.by_id("$response.body#/id"))},
    problems={**words.NO_TASK, **words.NOT_STORED, 409: "Only a failed or cancelled task can be run again."},
)  # fmt: skip
async def retry_task(request: Request, *, tasks: TaskService) -> object:
    """``POST /tasks/{id}/retry``."""
    return await _change(
        request, tasks, tasks.control.retry, "Only a failed or cancelled task can be run again."
    )


@contextmanager
def answering_503() -> Iterator[None]:
    """Answer 503 where the database takes no change now, such as on a full disk."""
    try:
        yield
    except (DatabaseError, Overloaded) as error:
        raise BadRequest(f"It was not done, or not all of it: {error}.", status=503) from None


async def _change(
    request: Request,
    tasks: TaskService,
    change: Callable[[Sequence[bytes]], Awaitable[Sequence[bytes]]],
    conflict: str,
) -> object:
    parse_query(request.scope["query_string"], NoQuery)
    id_ = from_text(request.path_params["id"])
    caller = caller_of(request)
    await let_near(caller, tasks.reader, id_)
    with answering_503():
        changed = [] if id_ is None else await change([id_])
    task = None if id_ is None else await tasks.reader.get(id_)
    if task is None:
        raise await missing(tasks, id_)
    if not changed:
        raise BadRequest(f"The task is {task.status}. {conflict}", status=409)
    return shown(caller, task)


async def missing(tasks: TaskService, id_: bytes | None) -> BadRequest:
    """Return the answer where no task has an id: 410 if one had it, else 404."""
    return await no_task(tasks.retention.was_pruned, id_)


@Operation(
    "Is the process alive?", words.HEALTH, scope="public",
    answers={200: Answer("It is, and its loop turns.", Health)},
)  # fmt: skip
async def healthz(_: Request) -> Health:
    """``GET /healthz``: the process is alive and its loop turns."""
    return Health()


@Operation(
    "Can it accept tasks?", words.HEALTH, scope="public", answers={200: Answer("It can.", Health)},
    problems={503: "Something is missing, such as a disk that can be written: `detail` says what."},
)  # fmt: skip
async def readyz(_: Request, *, tasks: TaskService) -> Response | Health:
    """``GET /readyz``: 503 with what is missing where tasks cannot be accepted."""
    missing = await tasks.readiness()
    if not missing:
        return Health()
    body = problem(503, "; ".join(missing))
    return Response(body, 503, {"retry-after": "1"}, "application/problem+json")


def cursor_of(text: str | None) -> bytes | None:
    """Read a cursor; raise BadRequest where it is none."""
    cursor = None if text is None else from_text(text)
    if text is not None and cursor is None:
        raise BadRequest(
            "Take the cursor from the answer before, unchanged.", [FieldError("cursor", "not a cursor")]
        )
    return cursor
