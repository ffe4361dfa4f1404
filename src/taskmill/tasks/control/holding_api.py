"""The HTTP functions of held tasks: ``DELETE /tasks/{id}``, and ``POST /tasks/{id}/release`` without a lease."""

from __future__ import annotations

from starlette.requests import Request

from taskmill.http import Answer, BadRequest, Caller, Operation, caller_of, parse_query
from taskmill.tasks.api import NoQuery, answering_503, missing
from taskmill.tasks.ids import from_text
from taskmill.tasks.lifecycle import Status
from taskmill.tasks.model import TaskDetails
from taskmill.tasks.openapi import words
from taskmill.tasks.rights.doors import let_near
from taskmill.tasks.rights.rights import shown
from taskmill.tasks.service import TaskService

NOT_HELD = "Only a held task can be dropped: cancel it (`POST /tasks/{id}/cancel`)."


@Operation(
    "Drop a held task", words.TASKS, scope="submit", for_limited=True, path=words.BY_ID,
    description="One that was stored with `hold` and not released. To drop it again does no harm.",
    answers={200: Answer("The task, cancelled.", TaskDetails, links=words.by_id("$response.body#/id"))},
    problems={**words.NO_TASK, **words.NOT_STORED, 409: NOT_HELD},
)  # fmt: skip
async def drop_task(request: Request, *, tasks: TaskService) -> object:
    """``DELETE /tasks/{id}``."""
    parse_query(request.scope["query_string"], NoQuery)
    id_ = from_text(request.path_params["id"])
    caller = caller_of(request)
    await let_near(caller, tasks.reader, id_)
    with answering_503():
        if id_ is not None:
            await tasks.holding.drop(id_)
    task = await _found(tasks, id_)
    if task.status != Status.CANCELLED.word:
        raise BadRequest(f"The task is {task.status}. {NOT_HELD}", status=409)
    return shown(caller, task)


async def let_go(caller: Caller | None, tasks: TaskService, id_: bytes | None) -> TaskDetails:
    """Let a held task run; one that has been let go of before is as it should be.

    Raises:
        BadRequest: 409 where it was cancelled, and will not run; 404 or 410 where there is none.
    """
    await let_near(caller, tasks.reader, id_)
    with answering_503():
        if id_ is not None:
            await tasks.holding.release(id_)
    task = await _found(tasks, id_)
    if task.status == Status.CANCELLED.word:
        why = "" if task.error is None else f" ({task.error.type})"
        raise BadRequest(f"The task was cancelled{why}: submit it again.", status=409)
    return task


async def _found(tasks: TaskService, id_: bytes | None) -> TaskDetails:
    task = None if id_ is None else await tasks.reader.get(id_)
    if task is None:
        raise await missing(tasks, id_)
    return task
