"""The HTTP functions of batches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import msgspec
from starlette.requests import Request

from taskmill.http import (
    Answer,
    BadRequest,
    FieldError,
    Link,
    Operation,
    caller_of,
    decode_body,
    means,
    parse_query,
)
from taskmill.tasks.api import Cursor, NoQuery, answering_503, cursor_of
from taskmill.tasks.batches.batches import ON_ITS_OWN, Closed, text_of
from taskmill.tasks.batches.model import Batch, BatchDetails, Member
from taskmill.tasks.bulk.api import MOST, all_or_none, read_all, whole
from taskmill.tasks.bulk.bulk import Bulk
from taskmill.tasks.ids import from_text, to_text
from taskmill.tasks.intake import once
from taskmill.tasks.intake.answers import idempotency_text
from taskmill.tasks.intake.submission import Submission
from taskmill.tasks.model import NULL, Id
from taskmill.tasks.openapi import words
from taskmill.tasks.rights.doors import let_callback
from taskmill.tasks.service import TaskService

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
BY_BATCH = {"id": Annotated[str, means("The batch's id.", format="uuid")]}
NO_BATCH = {404: "No batch has this id."}
CLOSED = "It takes no more tasks."


class NewTasks(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /batches/{id}/tasks``, as it is read."""

    tasks: list[msgspec.Raw] = []


class NewBatch(NewTasks, forbid_unknown_fields=True):
    """The body of ``POST /batches``, as it is read."""

    name: _Name | None = None
    on_complete: msgspec.Raw = NULL
    open: bool = False


_ONE = {"properties": {"start_by": {"type": "null"}}, **words.not_both("delay", "run_at")}
_LAST = {
    "properties": {
        "data": {"type": "object"},
        "after": {"maxItems": 0},
        **{name: {"type": "null"} for name in ON_ITS_OWN if name != "after"},
    }
}
_Tasks = Annotated[
    list[Annotated[Submission, msgspec.Meta(extra_json_schema=_ONE)]],
    msgspec.Meta(max_length=MOST),
    means("Each as `POST /tasks` takes it, but for `start_by`. A `name` tells it from others in the batch."),
]


class NewTasksBody(msgspec.Struct, forbid_unknown_fields=True):
    """The schema of one."""

    tasks: _Tasks = []


class NewBatchBody(NewTasksBody, forbid_unknown_fields=True):
    """The schema of the other."""

    name: _Name | None = None
    on_complete: (
        Annotated[
            Submission,
            msgspec.Meta(extra_json_schema=_LAST),
            means("Runs once all tasks have ended; finds what became of them in its data as `batch`."),
        ]
        | None
    ) = None
    open: Annotated[bool, means("It takes more tasks, until it is closed.")] = False


class AddedAnswer(msgspec.Struct):
    """The ids of the tasks, in the order in which they were given."""

    ids: list[Id]
    count: int


class BatchAnswer(msgspec.Struct):
    """A batch that is stored: its id, its tasks', and that of the one which runs at its end."""

    id: Id
    ids: list[Id]
    count: int
    on_complete: Id | None


class BatchList(msgspec.Struct):
    """The answer of ``GET /batches``."""

    batches: list[Batch]
    count: int
    next: Id | None


class MemberList(msgspec.Struct):
    """The answer of ``GET /batches/{id}/results``."""

    results: list[Member]
    count: int
    next: Id | None


class PageQuery(msgspec.Struct):
    """Which part of a list."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    cursor: Cursor | None = None


_LINKS = tuple(
    Link(function, {"id": "$response.body#/id"})
    for function in ("get_batch", "add_to_batch", "close_batch", "cancel_batch", "get_batch_results")
)
_BATCH = {200: Answer("The batch.", BatchDetails, links=_LINKS)}
_REFUSED = {
    409: "A task with one of the unique keys is there already.",
    422: "The `Idempotency-Key` came with another body before.",
    503: "`max_backlog` tasks wait or run, or the disk refuses.",
}


@Operation(
    "Make a batch", words.BATCHES, scope="submit", headers={"Idempotency-Key": words.IDEMPOTENCY_KEY},
    description=f"Up to {MOST:,} tasks, all or none, and one that runs once they have ended, however they did.",
    body=NewBatchBody,
    examples={
        "two": {"name": "letters", "tasks": [{"action": "uppercase", "data": {"text": text}} for text in "ab"]},
        "open": {"open": True},
    },
    answers={202: Answer("All is stored, and flushed to disk.", BatchAnswer, links=_LINKS)}, problems=_REFUSED,
)  # fmt: skip
async def create_batch(request: Request, *, tasks: TaskService) -> tuple[int, BatchAnswer]:
    """``POST /batches``."""
    parse_query(request.scope["query_string"], NoQuery)
    header = request.headers.get("idempotency-key")
    body = await _body(request)
    key = None if header is None else once.idempotency_key(idempotency_text(header), body)
    new = decode_body(body, NewBatch)
    let_callback(caller_of(request), bytes(new.on_complete))
    last = None if new.on_complete == NULL else tasks.batches.last(new.on_complete, new.name)
    bulk = _bulk(request, tasks)
    wanted = read_all(bulk, new.tasks, None)
    with answering_503(), all_or_none(), _refusing():
        made = await tasks.batches.make(bulk, wanted, name=new.name, last=last, is_open=new.open, key=key)
    id_, ids, on_complete = text_of(made)
    return 202, BatchAnswer(id_, ids, len(ids), on_complete)


@Operation(
    "Add tasks to an open batch", words.BATCHES, scope="submit", path=BY_BATCH,
    description=f"Up to {MOST:,} at once, all or none.",
    body=NewTasksBody, examples={"one": {"tasks": [{"action": "uppercase", "data": {"text": "c"}}]}},
    answers={202: Answer("All are stored, and flushed to disk.", AddedAnswer)},
    problems={**NO_BATCH, **_REFUSED, 409: f"{CLOSED} Or a task with one of the unique keys is there already."},
)  # fmt: skip
async def add_to_batch(request: Request, *, tasks: TaskService) -> tuple[int, AddedAnswer]:
    """``POST /batches/{id}/tasks``."""
    parse_query(request.scope["query_string"], NoQuery)
    bulk = _bulk(request, tasks)
    wanted = read_all(bulk, decode_body(await _body(request), NewTasks).tasks, None)
    id_ = (await _batch(request, tasks))[0]
    try:
        with answering_503(), all_or_none():
            ids = await tasks.batches.add(bulk, id_, wanted)
    except Closed:
        raise BadRequest(f"{CLOSED} Make another one.", status=409) from None
    return 202, AddedAnswer([to_text(one) for one in ids], len(ids))


@Operation(
    "Close a batch", words.BATCHES, scope="submit", path=BY_BATCH, answers=_BATCH,
    description="It takes no more tasks, and ends once all have. To close it again does no harm.",
    problems={**NO_BATCH, **words.NOT_STORED},
)  # fmt: skip
async def close_batch(request: Request, *, tasks: TaskService) -> BatchDetails:
    """``POST /batches/{id}/close``."""
    parse_query(request.scope["query_string"], NoQuery)
    id_ = (await _batch(request, tasks))[0]
    with answering_503():
        await tasks.batches.close(id_)
    return (await _batch(request, tasks))[1]


@Operation(
    "Cancel a batch", words.BATCHES, scope="submit", path=BY_BATCH, answers=_BATCH,
    description="All its tasks that have not ended, and the one that would run at its end.",
    problems={**NO_BATCH, **words.NOT_STORED, 409: "It has ended."},
)  # fmt: skip
async def cancel_batch(request: Request, *, tasks: TaskService) -> BatchDetails:
    """``POST /batches/{id}/cancel``."""
    parse_query(request.scope["query_string"], NoQuery)
    id_ = (await _batch(request, tasks))[0]
    with answering_503():
        if not await tasks.batches.cancel(id_):
            raise BadRequest("The batch has ended: there is nothing left to cancel.", status=409)
    return (await _batch(request, tasks))[1]


@Operation(
    "Get a batch, with those of its tasks that failed", words.BATCHES, scope="observe", path=BY_BATCH,
    answers=_BATCH, problems=NO_BATCH,
)  # fmt: skip
async def get_batch(request: Request, *, tasks: TaskService) -> BatchDetails:
    """``GET /batches/{id}``."""
    parse_query(request.scope["query_string"], NoQuery)
    batch = (await _batch(request, tasks))[1]
    caller = caller_of(request)
    if caller is not None and "read" not in caller.scopes:
        for lost in batch.failed:
            lost.error = None
    return batch


@Operation(
    "List batches, newest first", words.BATCHES, scope="observe", query=PageQuery,
    answers={200: Answer("A part of the list.", BatchList)},
)  # fmt: skip
async def list_batches(request: Request, *, tasks: TaskService) -> BatchList:
    """``GET /batches``."""
    query = parse_query(request.scope["query_string"], PageQuery)
    found, following = await tasks.batches.page(cursor_of(query.cursor), query.limit)
    return BatchList(found, len(found), None if following is None else to_text(following))


@Operation(
    "Get what the tasks of a batch came to", words.BATCHES, scope="read", path=BY_BATCH, query=PageQuery,
    description="In the order in which they were given, a page at a time.",
    answers={200: Answer("A part of the list.", MemberList)}, problems=NO_BATCH,
)  # fmt: skip
async def get_batch_results(request: Request, *, tasks: TaskService) -> MemberList:
    """``GET /batches/{id}/results``."""
    query = parse_query(request.scope["query_string"], PageQuery)
    id_ = (await _batch(request, tasks))[0]
    found, following = await tasks.batches.results(id_, cursor_of(query.cursor), query.limit)
    if (redaction := tasks.reader.redaction) is not None:
        for one in found:
            one.result = redaction.result(one.result)
    return MemberList(found, len(found), None if following is None else to_text(following))


async def _body(request: Request) -> bytes:
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise BadRequest("Send JSON, with `Content-Type: application/json`.", status=415)
    return await whole(request)


def _bulk(request: Request, tasks: TaskService) -> Bulk:
    return tasks.bulk.of(caller_of(request), tasks.ledger).part_of(request.headers.raw)


async def _batch(request: Request, tasks: TaskService) -> tuple[bytes, BatchDetails]:
    """Return the batch that a path names; raise BadRequest (404) where there is none."""
    id_ = from_text(request.path_params["id"])
    batch = None if id_ is None else await tasks.batches.get(id_)
    if id_ is None or batch is None:
        raise BadRequest("No batch has this id. One is kept as long as any of its tasks.", status=404)
    return id_, batch


@contextmanager
def _refusing() -> Iterator[None]:
    """Answer where an idempotency key came with another body, or the last task is not to be stored."""
    try:
        yield
    except once.KeyReused:
        raise BadRequest(
            "This `Idempotency-Key` came with another body before: use a new key for a new batch.", status=422
        ) from None
    except once.NotUnique as error:
        message = f"task {to_text(error.id)} has its key already"
        raise BadRequest("None is stored.", [FieldError("on_complete", message)], 409) from None
