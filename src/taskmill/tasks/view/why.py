"""``GET /tasks/{id}/why``: what a task waits for, and when it may start."""

from __future__ import annotations

from asyncio import get_running_loop
from collections.abc import Iterator
from time import time
from typing import Any, Literal

import msgspec
from sqlalchemy import Select, bindparam, func, literal_column, select
from starlette.requests import Request

from taskmill.http import Answer, BadRequest, Operation, parse_query
from taskmill.tasks.api import NoQuery
from taskmill.tasks.batches.statements import WAITED_FOR
from taskmill.tasks.dispatch.limiter import Limiter
from taskmill.tasks.follow.statements import LEFT
from taskmill.tasks.ids import from_text, to_text
from taskmill.tasks.lifecycle import Status
from taskmill.tasks.model import Id, StatusWord, Time, moment, timestamp
from taskmill.tasks.openapi import words
from taskmill.tasks.rows.schema import pause, task
from taskmill.tasks.sealing.database import missing_key
from taskmill.tasks.sealing.keys import HEAD
from taskmill.tasks.service import TaskService
from taskmill.tasks.view.line import Standing

BOUND = 10_000  # tasks ahead that are counted
SHOWN = 100  # other tasks that are named
FOLLOWED = 1_000  # tasks that it follows which are counted

# What a task waits for depends on this much of it, and on the pause of its queue. Parameter: id.
THIS: Select[Any] = (
    select(
        task.c.status, task.c.action, task.c.queue, task.c.rank, task.c.run_at, task.c.started_at,
        task.c.limit_key, task.c.held, pause.c.paused_at, pause.c.paused_by,
        func.substr(task.c.data, literal_column("1"), literal_column(str(HEAD))),  # as it is stored
    )
    .select_from(task.outerjoin(pause, pause.c.queue == task.c.queue))
    .where(task.c.id == bindparam("id_"))
)  # fmt: skip


class Paused(msgspec.Struct, tag_field="reason", tag="paused"):
    """Somebody has paused its queue."""

    queue: str
    by: str | None
    since: Time | None


class Limited(msgspec.Struct, tag_field="reason", tag="limit"):
    """Its action, or the key of it, is at a limit. ``next_at`` is when a rate lets the next one start."""

    limit: str
    key: str | None
    kind: Literal["concurrency", "rate"]
    running: list[Id]
    next_at: Time | None


class Scheduled(msgspec.Struct, tag_field="reason", tag="scheduled"):
    """Its time has not come."""

    run_at: Time | None


class Held(msgspec.Struct, tag_field="reason", tag="held"):
    """Its client has not released it yet. It is cancelled if that has not happened by ``until``."""

    until: Time | None


class Follows(msgspec.Struct, tag_field="reason", tag="after"):
    """Tasks that it follows have not ended: so many, or ``more`` than that. Some of them are named."""

    tasks: list[Id]
    count: int
    more: bool


class OfBatch(msgspec.Struct, tag_field="reason", tag="batch"):
    """It runs once this batch has ended."""

    batch: Id
    name: str | None


class NoAction(msgspec.Struct, tag_field="reason", tag="no_action"):
    """This application has no such action."""

    action: str


class KeyMissing(msgspec.Struct, tag_field="reason", tag="key_missing"):
    """Its data is encrypted with a key that this node does not have."""

    key: str


class NoQueue(msgspec.Struct, tag_field="reason", tag="no_queue"):
    """This application has no such queue."""

    queue: str


class NoConsumer(msgspec.Struct, tag_field="reason", tag="no_consumer"):
    """Nobody takes tasks of its queue."""

    queue: str


class Place(msgspec.Struct, tag_field="reason", tag="place"):
    """Others go first: so many, or ``more`` than that."""

    queue: str
    ahead: int
    more: bool


Reason = (
    Paused
    | Limited
    | Scheduled
    | Held
    | Follows
    | OfBatch
    | NoAction
    | KeyMissing
    | NoQueue
    | NoConsumer
    | Place
)


class Running(msgspec.Struct):
    """Since when a task has been running, and where: on the loop, or in a process of its own."""

    since: Time | None
    on: Literal["inline", "loop", "process"] | None


class Why(msgspec.Struct):
    """What a task waits for: nothing if it runs or has ended. ``estimated_start`` is null where nobody knows."""

    id: Id
    status: StatusWord
    waiting_for: list[Reason]
    running: Running | None
    estimated_start: Time | None


class _This(msgspec.Struct):
    status: int
    action: str
    queue: str
    rank: int | None
    run_at: int | None
    started_at: int | None
    limit_key: str | None
    held: int | None
    paused_at: int | None
    paused_by: str | None
    head: str  # of its data


@Operation(
    "What does a task wait for?", words.TASKS, scope="observe", path=words.BY_ID,
    answers={200: Answer("Why it does not run yet; nothing if it runs or has ended.", Why)},
    problems={404: words.NO_TASK[404]},
)  # fmt: skip
async def why_task(request: Request, *, tasks: TaskService) -> Why:
    """``GET /tasks/{id}/why``."""
    parse_query(request.scope["query_string"], NoQuery)
    id_ = from_text(request.path_params["id"])
    found = None if id_ is None else await explain(tasks, id_)
    if found is None:
        raise BadRequest("No task has this id.", status=404)
    return found


async def explain(tasks: TaskService, id_: bytes) -> Why | None:
    """Return what a task waits for, or None where there is no such task."""
    database = tasks.store.database
    query = database.bind(THIS, {"id_": id_})
    row = await database.read(lambda connection: connection.execute(*query).fetchone())
    if row is None:
        return None
    this = _This(*row)
    status = Status(this.status)
    if status == Status.RUNNING:
        lost: list[Reason] = [NoAction(this.action)] if tasks.catalog.find(this.action) is None else []
        return Why(to_text(id_), status.word, lost, Running(moment(this.started_at), _on(tasks, this)), None)
    if status not in (Status.QUEUED, Status.SCHEDULED):
        return Why(to_text(id_), status.word, [], None, None)
    reasons: list[Reason] = list(_obstacles(tasks, this))
    if status == Status.SCHEDULED and this.run_at is None:
        batches = await tasks.reader.read(WAITED_FOR, {"id_": id_})
        waits = OfBatch(to_text(batches[0][0]), batches[0][1]) if batches else await _follows(tasks, id_)
        reasons.insert(0, waits)
        return Why(to_text(id_), status.word, reasons, None, None)
    if status == Status.SCHEDULED:
        at = moment(this.run_at)
        reasons.insert(0, Scheduled(at) if this.held is None else Held(at))
        clear = len(reasons) == 1 and this.held is None
        return Why(to_text(id_), status.word, reasons, None, at if clear else None)
    standing = None
    if this.queue in tasks.dispatchers:
        standing = await tasks.line.stand(this.queue, id_, this.rank, this.limit_key, BOUND)
        reasons.append(Place(this.queue, standing.ahead, standing.more))
    return Why(to_text(id_), status.word, reasons, None, _start(tasks, this, standing))


async def _follows(tasks: TaskService, id_: bytes) -> Follows:
    rows = await tasks.reader.read(LEFT, {"id_": id_, "limit_": FOLLOWED + 1})
    left = [to_text(bytes(row[0])) for row in rows[:FOLLOWED]]
    return Follows(left[:SHOWN], len(left), len(rows) > FOLLOWED)


def _obstacles(tasks: TaskService, this: _This) -> Iterator[Reason]:
    """Find what keeps a task from starting, other than the tasks before it."""
    if tasks.catalog.find(this.action) is None:
        yield NoAction(this.action)
    if (key := missing_key(tasks.store.database, this.head)) is not None:
        yield KeyMissing(key)
    dispatcher = tasks.dispatchers.get(this.queue)
    if dispatcher is None:
        yield NoQueue(this.queue)
    else:
        if dispatcher.paused:
            yield Paused(this.queue, this.paused_by, moment(this.paused_at))
        if not dispatcher.consumers:
            yield NoConsumer(this.queue)
    limiter = None if this.limit_key is None else tasks.limits.get(this.limit_key)
    if limiter is not None:
        yield from _limits(limiter, get_running_loop().time())


def _limits(limiter: Limiter, now: float) -> Iterator[Limited]:
    action, _, key = limiter.key.partition("\x1f")
    running = [to_text(message.key) for message in limiter.running][:SHOWN]
    if limiter.concurrency is not None and len(limiter.running) >= limiter.concurrency:
        yield Limited(action, key or None, "concurrency", running, None)
    limiter.free(now)  # forgets starts that no longer count
    at = limiter.next_start(now)
    if at is not None and at > now:
        yield Limited(action, key or None, "rate", running, timestamp(int((time() + at - now) * 1000)))


def _start(tasks: TaskService, this: _This, standing: Standing | None) -> str | None:
    if standing is None or standing.seconds is None or tasks.catalog.find(this.action) is None:
        return None
    return timestamp(int((time() + standing.seconds) * 1000))


def _on(tasks: TaskService, this: _This) -> Literal["inline", "loop", "process"] | None:
    registered = tasks.catalog.find(this.action)
    if registered is None:
        return None
    if registered.action.inline:
        return "inline"
    return "loop" if registered.action.is_async else "process"
