"""The API of retention: ``POST /tasks/prune``."""

from __future__ import annotations

from datetime import datetime
from time import time
from typing import Annotated

import msgspec
from starlette.requests import Request

from taskmill.http import Answer, BadRequest, FieldError, Operation, means, parse_open_body, parse_query
from taskmill.tasks.api import NoQuery
from taskmill.tasks.lifecycle import ENDED, Status
from taskmill.tasks.openapi import words
from taskmill.tasks.retention.found import prune_found
from taskmill.tasks.service import TaskService
from taskmill.tasks.view.filters import DATA, Selection, index_of


class PruneRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Which ended tasks to prune: by the declared rules where no age is given."""

    before: Annotated[datetime, means("Ended before then.", format="date-time")] | None = None
    older_than: (
        Annotated[float, msgspec.Meta(ge=0, le=1e10), means("Seconds since their end; not beside `before`.")]
        | None
    ) = None
    status: Annotated[str, means("Only these.", enum=[status.word for status in ENDED])] | None = None


class PruneAnswer(msgspec.Struct):
    """How many were pruned; ``more`` says that there was no time for all: ask again."""

    count: int
    more: bool


@Operation(
    "Remove ended tasks", words.TASKS,
    description="By the declared rules, where no age is given.",
    body=Annotated[PruneRequest, msgspec.Meta(extra_json_schema=words.not_both("before", "older_than"))],
    body_optional=True,
    examples={"a week": {"older_than": 604800, "status": "completed"}},
    answers={200: Answer("How many were removed.", PruneAnswer)},
)  # fmt: skip
async def prune_tasks(request: Request, *, tasks: TaskService) -> PruneAnswer:
    """``POST /tasks/prune``."""
    parse_query(request.scope["query_string"], NoQuery)
    wanted, data = await parse_open_body(request, PruneRequest, DATA)
    await tasks.asking.check(data, None)
    states, before = _states(wanted.status), _before(wanted)
    if data:
        selections = {status: Selection((status,), data=index_of(data)) for status in states}
        pruned = await prune_found(tasks.retention.pruner, tasks.listing, selections, before)
    else:
        pruned = await tasks.retention.prune(states, before)
    return PruneAnswer(pruned.tasks, pruned.more)


def _before(wanted: PruneRequest) -> int | None:
    if wanted.before is not None and wanted.older_than is not None:
        raise _mend("older_than", "`before` is given as well: leave one out")
    if wanted.older_than is not None:
        return int((time() - wanted.older_than) * 1000)
    if wanted.before is None:
        return None
    if wanted.before.tzinfo is None:
        raise _mend("before", "no time zone: end it with `Z`")
    return int(wanted.before.timestamp() * 1000)


def _states(word: str | None) -> tuple[Status, ...]:
    if word is None:
        return ENDED
    states = tuple(status for status in ENDED if status.word == word)
    if not states:
        known = ", ".join(status.word for status in ENDED)
        raise _mend("status", f"only what has ended can be pruned: one of {known}")
    return states


def _mend(path: str, message: str) -> BadRequest:
    return BadRequest("Mend the fields that `errors` names.", [FieldError(path, message)])
