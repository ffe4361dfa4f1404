"""The HTTP functions of workers outside: claim, and what is said of one task."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from starlette.requests import Request

from taskmill.http import Answer, BadRequest, Operation, caller_of, parse_body, parse_query
from taskmill.registry import nearest
from taskmill.tasks.actions.failure import Failure
from taskmill.tasks.api import NoQuery, answering_503, missing
from taskmill.tasks.control.holding_api import let_go
from taskmill.tasks.external import bodies
from taskmill.tasks.external.bodies import (
    Beaten,
    ClaimAnswer,
    ClaimBody,
    CompleteBody,
    FailBody,
    HeartbeatBody,
    ReleaseBody,
    Stored,
)
from taskmill.tasks.external.counter import Open
from taskmill.tasks.external.external import NotHere
from taskmill.tasks.external.leases import GIVEN_BACK, Leased, Named
from taskmill.tasks.ids import from_text
from taskmill.tasks.model import timestamp
from taskmill.tasks.openapi import words
from taskmill.tasks.rights.doors import let_near
from taskmill.tasks.rights.rights import check_scope, claimable
from taskmill.tasks.service import TaskService

OVER = "The lease is not its task's any more: it has run out, the task has ended, or another has it."
PROBLEMS = {**words.NO_TASK, **words.NOT_STORED, 409: OVER}


@Operation(
    "Claim tasks, for a worker in any language", words.WORKERS, scope="work", for_limited=True, path=words.BY_QUEUE,
    body=ClaimBody,
    description="Answers at once where tasks wait, else as soon as one comes within `wait` seconds. They are the "
    "worker's until their lease runs out; a heartbeat puts that off. A task whose lease runs out is given back, as an "
    "attempt that failed with `lease_expired`.",
    examples={"a few": {"worker": "node-1", "limit": 10, "wait": 20, "lease": 30}},
    answers={200: Answer("The tasks, the best first; none if none came.", ClaimAnswer)},
    problems={**words.NO_QUEUE, 503: "Nothing can be leased now, or only by the node that leads: `detail` says so."},
)  # fmt: skip
async def claim_tasks(request: Request, *, tasks: TaskService) -> ClaimAnswer:
    """``POST /queues/{name}/claim``."""
    parse_query(request.scope["query_string"], NoQuery)
    body = await parse_body(request, ClaimBody)
    queue = _queue(request, tasks)
    actions = claimable(caller_of(request), queue, body.actions)
    claim = Open(body.limit, None if actions is None else frozenset(actions))
    claiming = tasks.external.claim(queue, claim, wait=body.wait, worker=body.worker, seconds=body.lease)
    try:
        with answering_503():
            leased, is_gone = await _while_asked(request, claim, asyncio.ensure_future(claiming))
            if is_gone and leased:
                await tasks.external.give_back(leased)
    except NotHere as error:
        raise BadRequest(str(error), status=503) from None
    return ClaimAnswer([bodies.shown(one, queue) for one in leased])


@Operation(
    "Keep a task, and say how far it has come", words.WORKERS, scope="work", for_limited=True, path=words.BY_ID,
    body=HeartbeatBody,
    description="The lease, with all tasks that were claimed with it, holds on for as long as it was claimed for.",
    examples={"half-way": {"lease": "0" * 32, "progress": {"done": 50, "total": 100}, "log": ["page 50"]}},
    answers={200: Answer("Until when it holds.", Beaten)}, problems=PROBLEMS,
)  # fmt: skip
async def heartbeat_task(request: Request, *, tasks: TaskService) -> Beaten:
    """``POST /tasks/{id}/heartbeat``."""
    body, one = await _read(request, HeartbeatBody)
    said = bodies.said_in(body)
    with answering_503():
        until = None if one is None else (await tasks.external.leases.beat([one], {one: said}))[0]
    if one is None or until is None:
        raise await _refused(request, tasks)
    return Beaten(bodies.id_text(one), timestamp(until))


@Operation(
    "Complete a task", words.WORKERS, scope="work", for_limited=True, path=words.BY_ID, body=CompleteBody,
    description="The same again under the same lease is answered alike, and changes nothing: the first result stands.",
    examples={"a value": {"lease": "0" * 32, "result": {"width": 640}}},
    answers={200: Answer("It is completed.", Stored)}, problems=PROBLEMS,
)  # fmt: skip
async def complete_task(request: Request, *, tasks: TaskService) -> Stored:
    """``POST /tasks/{id}/complete``."""
    body, one = await _read(request, CompleteBody)
    result = bodies.result_of(body)
    with answering_503():
        done = one is not None and (await tasks.external.leases.complete({one: result}))[0]
    if one is None or not done:
        raise await _refused(request, tasks)
    return Stored(bodies.id_text(one), "completed")


@Operation(
    "Fail a task's attempt", words.WORKERS, scope="work", for_limited=True, path=words.BY_ID, body=FailBody,
    description="It runs again after its action's backoff, or `after` seconds, while attempts are left.",
    examples={"for good": {"lease": "0" * 32, "error": {"type": "NotAnImage", "message": "text"}, "retry": False}},
    answers={200: Answer("Where it is now: `scheduled` or `failed`.", Stored)}, problems=PROBLEMS,
)  # fmt: skip
async def fail_task(request: Request, *, tasks: TaskService) -> Stored:
    """``POST /tasks/{id}/fail``."""
    body, one = await _read(request, FailBody)
    return await _end(request, tasks, one, bodies.failure_of(body))


@Operation(
    "Give a task back, or let a held one run", words.WORKERS, scope="submit or work", for_limited=True,
    path=words.BY_ID, body=ReleaseBody, body_optional=True,
    description="With a `lease`, a worker gives its task back: it waits again, in its old place, and the attempt is "
    "not counted. Without one, a task that was stored with `hold` is let go of; to do so again does no harm.",
    answers={200: Answer("It waits, or has gone on already.", Stored)},
    problems={**PROBLEMS, 409: f"{OVER} Or it was held for too long, or dropped, and is cancelled: submit it again."},
)  # fmt: skip
async def release_task(request: Request, *, tasks: TaskService) -> Stored:
    """``POST /tasks/{id}/release``."""
    parse_query(request.scope["query_string"], NoQuery)
    body = await parse_body(request, ReleaseBody)
    caller = caller_of(request)
    check_scope(caller, "submit" if body.lease is None else "work")
    if body.lease is None:
        task = await let_go(caller, tasks, from_text(request.path_params["id"]))
        return Stored(task.id, task.status)
    return await _end(request, tasks, bodies.named(request.path_params["id"], body.lease), GIVEN_BACK)


async def _end(request: Request, tasks: TaskService, one: Named | None, failure: Failure) -> Stored:
    with answering_503():
        ended = None if one is None else (await tasks.external.leases.fail({one: failure}))[0]
    if one is None or ended is None:
        raise await _refused(request, tasks)
    return Stored(bodies.id_text(one), ended.over.status.word)


async def _read(request: Request, type_: type[bodies.L]) -> tuple[bodies.L, Named | None]:
    parse_query(request.scope["query_string"], NoQuery)
    body = await parse_body(request, type_)
    return body, bodies.named(request.path_params["id"], body.lease)


async def _refused(request: Request, tasks: TaskService) -> BadRequest:
    """Return why what a worker says of a task is not heard."""
    id_ = from_text(request.path_params["id"])
    await let_near(caller_of(request), tasks.reader, id_)
    task = None if id_ is None else await tasks.reader.get(id_)
    if task is None:
        return await missing(tasks, id_)
    return BadRequest(
        f"The task is {task.status}, and not under this lease: drop what you have of it.", status=409
    )


async def _while_asked(
    request: Request, claim: Open, claiming: asyncio.Future[Sequence[Leased]]
) -> tuple[Sequence[Leased], bool]:
    """Wait for a claim's tasks as long as its client does and the server goes on; tell whether the client has gone."""
    closing: asyncio.Event = request.app.state.closing
    gone = asyncio.ensure_future(_disconnected(request))
    closed = asyncio.ensure_future(closing.wait())
    try:
        await asyncio.wait((claiming, gone, closed), return_when=asyncio.FIRST_COMPLETED)
        claim.cut()
        return await claiming, gone.done()
    finally:
        for one in (claiming, gone, closed):
            one.cancel()
        with suppress(asyncio.CancelledError):
            await gone


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _queue(request: Request, tasks: TaskService) -> str:
    name: str = request.path_params["name"]
    if name not in tasks.dispatchers:
        near = nearest(name, tasks.dispatchers)
        known = f"Did you mean `{near}`?" if near else f"There are: {', '.join(sorted(tasks.dispatchers))}."
        raise BadRequest(f"No queue has this name. {known}", status=404)
    return name
