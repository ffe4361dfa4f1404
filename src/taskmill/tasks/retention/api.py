"""The API of retention: ``POST /tasks/prune``."""

from __future__ import annotations

from datetime import datetime
from time import time
from typing import Annotated

import msgspec
from starlette.requests import Request

from taskmill.http import BadRequest, FieldError, parse_body, parse_query
from taskmill.tasks.api import NoQuery
from taskmill.tasks.lifecycle import ENDED, Status
from taskmill.tasks.service import TaskService


class PruneRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Which ended tasks to prune: by the declared rules where no age is given."""

    before: datetime | None = None
    older_than: Annotated[float, msgspec.Meta(ge=0, le=1e10)] | None = None  # seconds
    status: str | None = None


class PruneAnswer(msgspec.Struct):
    """How many were pruned; ``more`` says that there was no time for all: ask again."""

    count: int
    more: bool


async def prune_tasks(request: Request, *, tasks: TaskService) -> PruneAnswer:
    """``POST /tasks/prune``."""
    parse_query(request.scope["query_string"], NoQuery)
    wanted = await parse_body(request, PruneRequest)
    pruned = await tasks.retention.prune(_states(wanted.status), _before(wanted))
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
