"""What is done to many tasks at once over HTTP: ``POST /tasks/cancel`` and ``POST /tasks/retry``."""

from __future__ import annotations

from typing import Annotated

import msgspec
from starlette.requests import Request

from taskmill.http import Answer, Operation, means, parse_open_body, parse_query
from taskmill.tasks.api import Cursor, NoQuery, answering_503, cursor_of
from taskmill.tasks.control.canary import Canary
from taskmill.tasks.control.many import Done
from taskmill.tasks.ids import to_text
from taskmill.tasks.lifecycle import STEPS
from taskmill.tasks.openapi import words
from taskmill.tasks.service import TaskService
from taskmill.tasks.view.filters import DATA, FILTERS, Filters, select_for_change


class ManyBody(Filters, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST /tasks/cancel``: the filters, and how much of it to do."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000_000), means("At most so many.")] | None = None
    cursor: Cursor | None = None
    dry_run: Annotated[bool, means("Only count them.")] = False


class RetryBody(ManyBody, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST /tasks/retry``."""

    canary: Annotated[int, msgspec.Meta(ge=1, le=100), means("First so many, to see how they go.")] | None = (
        None
    )


class ManyAnswer(msgspec.Struct, omit_defaults=True):
    """How many tasks were changed, or would be. ``next`` is where to go on after ``limit`` of them."""

    count: int
    next: str | msgspec.UnsetType | None = msgspec.UNSET
    stopped: bool | msgspec.UnsetType = msgspec.UNSET
    canary: Canary | msgspec.UnsetType = msgspec.UNSET


@Operation(
    "Cancel all tasks that pass the filters", words.TASKS,
    body=words.some_of(ManyBody, FILTERS, STEPS["cancel"].sources),
    examples={"how many": {"action": "uppercase", "dry_run": True}, "by tag": {"tag": "demo"}},
    answers={200: Answer("How many were cancelled, or would be.", ManyAnswer)},
    problems=words.NOT_STORED,
)  # fmt: skip
async def cancel_tasks(request: Request, *, tasks: TaskService) -> ManyAnswer:
    """``POST /tasks/cancel``: all that pass the filters."""
    parse_query(request.scope["query_string"], NoQuery)
    body, data = await parse_open_body(request, ManyBody, DATA)
    await tasks.asking.check(data, body.action)
    selection = select_for_change(body, STEPS["cancel"].sources, "cancelled", data)
    cursor = cursor_of(body.cursor)
    if body.dry_run:
        return ManyAnswer(await tasks.listing.count(selection))
    with answering_503():
        return _answer(body, await tasks.many.cancel(selection, cursor, body.limit))


@Operation(
    "Run all tasks again that pass the filters", words.TASKS,
    body=words.some_of(RetryBody, FILTERS, STEPS["redrive"].sources),
    examples={"a few first": {"action": "uppercase", "status": "failed", "canary": 3}},
    answers={200: Answer("How many wait again, or would.", ManyAnswer)},
    problems=words.NOT_STORED,
)  # fmt: skip
async def retry_tasks(request: Request, *, tasks: TaskService) -> ManyAnswer:
    """``POST /tasks/retry``: all that pass the filters, a few of them first with ``canary``."""
    parse_query(request.scope["query_string"], NoQuery)
    body, data = await parse_open_body(request, RetryBody, DATA)
    await tasks.asking.check(data, body.action)
    selection = select_for_change(body, STEPS["redrive"].sources, "run again", data)
    cursor = cursor_of(body.cursor)
    if body.dry_run:
        return ManyAnswer(await tasks.listing.count(selection))
    with answering_503():
        done = await tasks.many.retry(selection, cursor, body.limit, body.canary)
    answer = _answer(body, done)
    if done.canary is not None:
        answer.canary, answer.stopped = done.canary, done.stopped
    return answer


def _answer(body: ManyBody, done: Done) -> ManyAnswer:
    if body.limit is None:
        return ManyAnswer(done.count)
    return ManyAnswer(done.count, None if done.following is None else to_text(done.following))
