"""The HTTP functions of queues: their state, pause and resume."""

from __future__ import annotations

from typing import Annotated

import msgspec
from starlette.requests import Request

from taskmill.http import Answer, BadRequest, Link, Operation, means, parse_body, parse_query
from taskmill.registry import nearest
from taskmill.tasks.api import NoQuery, answering_503
from taskmill.tasks.openapi import words
from taskmill.tasks.service import TaskService
from taskmill.tasks.view.queues import QueueState


class QueueList(msgspec.Struct):
    """The answer of ``GET /queues``."""

    queues: list[QueueState]
    count: int


class PauseBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /queues/{name}/pause``."""

    by: Annotated[str, msgspec.Meta(min_length=1, max_length=200), means("Who pauses it.")] = "a client"


class NoBody(msgspec.Struct, forbid_unknown_fields=True):
    """No fields."""


_LINKS = tuple(
    Link(function, {"name": "$request.path.name"})
    for function in ("get_queue", "pause_queue", "resume_queue")
)
_STATE = {200: Answer("The queue's state.", QueueState, links=_LINKS)}


@Operation(
    "List the queues", words.QUEUES, scope="observe", answers={200: Answer("The state of each.", QueueList)}
)
async def list_queues(request: Request, *, tasks: TaskService) -> QueueList:
    """``GET /queues``."""
    parse_query(request.scope["query_string"], NoQuery)
    states = await tasks.overview.states()
    return QueueList(states, len(states))


@Operation(
    "Get a queue", words.QUEUES, scope="observe", path=words.BY_QUEUE, answers=_STATE, problems=words.NO_QUEUE
)  # fmt: skip
async def get_queue(request: Request, *, tasks: TaskService) -> QueueState:
    """``GET /queues/{name}``."""
    parse_query(request.scope["query_string"], NoQuery)
    return await _state(tasks, _name(request, tasks))


@Operation(
    "Pause a queue", words.QUEUES, path=words.BY_QUEUE,
    description="No task of it begins any more; those that run go on to their end.",
    body=PauseBody, body_optional=True, examples={"by": {"by": "Ada"}},
    answers=_STATE, problems={**words.NO_QUEUE, **words.NOT_STORED},
)  # fmt: skip
async def pause_queue(request: Request, *, tasks: TaskService) -> QueueState:
    """``POST /queues/{name}/pause``: no task of it begins any more; those that run go on to their end."""
    parse_query(request.scope["query_string"], NoQuery)
    body = await parse_body(request, PauseBody)
    name = _name(request, tasks)
    with answering_503():
        await tasks.control.pause(name, body.by)
    return await _state(tasks, name)


@Operation(
    "Resume a queue", words.QUEUES, path=words.BY_QUEUE, body=NoBody, body_optional=True,
    answers=_STATE, problems={**words.NO_QUEUE, **words.NOT_STORED},
)  # fmt: skip
async def resume_queue(request: Request, *, tasks: TaskService) -> QueueState:
    """``POST /queues/{name}/resume``."""
    parse_query(request.scope["query_string"], NoQuery)
    await parse_body(request, NoBody)
    name = _name(request, tasks)
    with answering_503():
        await tasks.control.resume(name)
    return await _state(tasks, name)


async def _state(tasks: TaskService, name: str) -> QueueState:
    return next(state for state in await tasks.overview.states() if state.name == name)


def _name(request: Request, tasks: TaskService) -> str:
    name: str = request.path_params["name"]
    if name not in tasks.dispatchers:
        near = nearest(name, tasks.dispatchers)
        known = f"Did you mean `{near}`?" if near else f"There are: {', '.join(sorted(tasks.dispatchers))}."
        raise BadRequest(f"No queue has this name. {known}", status=404)
    return name
