"""The HTTP functions of events: ``GET /tasks/{id}/events`` and ``GET /events``."""

from __future__ import annotations

from typing import Annotated

import msgspec

from taskmill.http import Answer, BadRequest, Exchange, FieldError, Operation, means, parse_query, streaming
from taskmill.tasks.events.event import Place, place_in
from taskmill.tasks.events.watcher import Wanted
from taskmill.tasks.ids import from_text, to_text
from taskmill.tasks.openapi import words
from taskmill.tasks.rights.rights import narrow
from taskmill.tasks.service import TaskService
from taskmill.tasks.view.filters import MEND, Filters, select
from taskmill.tasks.view.missing import UNKNOWN

LAST = {"Last-Event-ID": Annotated[str, means("The `id` of the last event that was seen: go on after it.")]}
STREAM = Answer("Server-sent events.", str, media_type="text/event-stream")


class NoFilters(msgspec.Struct):
    """The parameters of ``GET /tasks/{id}/events``."""


class EventFilters(msgspec.Struct, kw_only=True):
    """The parameters of ``GET /events``: a task must pass all that are given."""

    status: Annotated[str | None, means("Where it is after the event.")] = None
    action: Annotated[str | None, means("Exactly so.")] = None
    queue: Annotated[str | None, means("Exactly so.")] = None
    tag: Annotated[str | None, means("One of its tags.")] = None
    batch: Annotated[str | None, means("The id of the batch that it is a member of.")] = None


@Operation(
    "Watch a task", words.TASKS, scope="observe", for_limited=True, path=words.BY_ID, query=NoFilters, headers=LAST,
    description="Events `status`, `progress` and `log` until it has ended; at first how it is now, and its log so far.",
    answers={200: STREAM, 204: Answer("It has ended, and all has been seen.")}, problems=words.NO_TASK,
)  # fmt: skip
@streaming
def watch_task(exchange: Exchange, *, tasks: TaskService) -> None:
    """``GET /tasks/{id}/events``."""
    key = from_text(exchange.path_params["id"])
    try:
        parse_query(exchange.query, NoFilters)
        last = exchange.header(b"last-event-id")
        place = Place() if last is None else place_in(last) or Place()
    except BadRequest as error:
        exchange.refuse(error.status, error.detail, error.errors)
        return
    if key is None:
        exchange.refuse(404, UNKNOWN)
    else:
        tasks.streams.watch(exchange, key, place)


@Operation(
    "Watch all tasks", words.TASKS, scope="observe", for_limited=True, query=EventFilters, headers=LAST,
    description="Events `status`, `progress` and `log` of all tasks that pass the filters, from now on. An event "
    "`reset` says that some were left out: load anew what you show.",
    answers={200: STREAM},
)  # fmt: skip
@streaming
def watch_tasks(exchange: Exchange, *, tasks: TaskService) -> None:
    """``GET /events``."""
    try:
        query = parse_query(exchange.query, EventFilters)
        filters = Filters(status=query.status, action=query.action, queue=query.queue, tag=query.tag)
        narrow(exchange.caller, filters)
        wanted = Wanted(select(filters), None if query.batch is None else _batch(query.batch))
    except BadRequest as error:
        exchange.refuse(error.status, error.detail, error.errors)
        return
    tasks.streams.watch_all(exchange, wanted, exchange.header(b"last-event-id"))


def _batch(text: str) -> str:
    key = from_text(text)
    if key is None:
        raise BadRequest(MEND, [FieldError("batch", "not an id")])
    return to_text(key)
