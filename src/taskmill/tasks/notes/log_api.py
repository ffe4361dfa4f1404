"""``GET /tasks/{id}/log``: what a task has said while it ran."""

from __future__ import annotations

from typing import Annotated

import msgspec
from starlette.requests import Request

from taskmill.http import Answer, Operation, caller_of, means, parse_query
from taskmill.tasks.api import NoQuery, missing
from taskmill.tasks.ids import from_text
from taskmill.tasks.model import Time, timestamp
from taskmill.tasks.notes import log, statements
from taskmill.tasks.notes.said import BYTES, LINES
from taskmill.tasks.openapi import words
from taskmill.tasks.rights.doors import let_near
from taskmill.tasks.service import TaskService


class ShownLine(msgspec.Struct):
    """A line of a task's log."""

    at: Time
    attempt: int
    message: Annotated[str, means("As it was said: it may hold control characters.")]


class Log(msgspec.Struct):
    """The last lines of a task's log, the oldest first."""

    lines: list[ShownLine]
    dropped: Annotated[int, means("So many lines were not kept, nearly always older ones.")]


@Operation(
    "Get a task's log", words.TASKS, scope="read", for_limited=True, path=words.BY_ID,
    description=f"Its last {LINES:,} lines, of {BYTES // 1024} KiB of text at most.",
    answers={200: Answer("Its lines; none if it has said nothing.", Log)}, problems=words.NO_TASK,
)  # fmt: skip
async def get_log(request: Request, *, tasks: TaskService) -> Log:
    """``GET /tasks/{id}/log``."""
    parse_query(request.scope["query_string"], NoQuery)
    id_ = from_text(request.path_params["id"])
    await let_near(caller_of(request), tasks.reader, id_)
    if id_ is None or not await tasks.reader.read(statements.EXISTS, {"id_": id_}):
        raise await missing(tasks, id_)
    lines = log.lines(await tasks.reader.read(statements.SINCE, {"id_": id_, "number_": 0}))
    shown = [ShownLine(timestamp(line.at), line.attempt, line.text) for line in lines]
    return Log(shown, sum(line.dropped for line in lines))
