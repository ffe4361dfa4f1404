"""What workers outside send, and what they are answered. Times in bodies are seconds."""

from __future__ import annotations

from time import time
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from taskmill.http import BadRequest, FieldError, means
from taskmill.tasks.actions.action import RESULT_LIMIT
from taskmill.tasks.actions.failure import TEXT_LIMIT, Failure
from taskmill.tasks.external.leases import MOST, Leased, Named
from taskmill.tasks.ids import from_text, to_text
from taskmill.tasks.intake.submission import check_depth
from taskmill.tasks.model import Id, StatusWord, Time, timestamp
from taskmill.tasks.notes import said
from taskmill.tasks.notes.said import LINE

Lease = Annotated[str, msgspec.Meta(max_length=100), means("The `lease` that the task came with.")]
L = TypeVar("L", bound="LeaseBody")
Short = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_NONE = msgspec.Raw(b"null")


class ClaimBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /queues/{name}/claim``."""

    worker: Annotated[Short, means("What the worker calls itself; errors name it.")]
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST), means("So many tasks at most.")] = 1
    wait: Annotated[float, msgspec.Meta(ge=0, le=60), means("For how long to wait for the first one.")] = 0.0
    lease: Annotated[
        float,
        msgspec.Meta(ge=0.1, le=86_400),
        means("For how long they are the worker's without a heartbeat."),
    ] = 30.0
    actions: (
        Annotated[list[Short], msgspec.Meta(min_length=1, max_length=100), means("Of these actions alone.")]
        | None
    ) = None


class ClaimedTask(msgspec.Struct, kw_only=True):
    """A task for a worker. It is the worker's until ``lease_expires_at``, by the clock of the database."""

    id: Id
    action: str
    data: Annotated[msgspec.Raw, means("As it was submitted.")]
    queue: str
    attempt: int
    max_attempts: int
    timeout: float | None
    lease: Annotated[str, means("To be named in all that is said of the task. One claim's tasks share it.")]
    lease_expires_at: Time
    traceparent: Annotated[str, means("The trace that it is part of, as W3C writes it.")] | UnsetType = UNSET
    tracestate: str | UnsetType = UNSET


class ClaimAnswer(msgspec.Struct):
    """The answer of ``POST /queues/{name}/claim``: none where nothing came within ``wait``."""

    tasks: list[ClaimedTask]


class WorkerError(msgspec.Struct, forbid_unknown_fields=True):
    """What went wrong."""

    type: Annotated[Short, means("Its kind, such as the name of an exception.")]
    message: Annotated[str, means("What happened, for people.")] = ""
    traceback: Annotated[str, means("Where, for those who may see it.")] = ""


_Amount = Annotated[float, msgspec.Meta(ge=-said.MOST, le=said.MOST)]


class SentProgress(msgspec.Struct, forbid_unknown_fields=True):
    """How far a task has come."""

    done: Annotated[_Amount, means("So much is done.")]
    total: Annotated[_Amount | None, means("Of so much, if that is known.")] = None
    message: Annotated[str, means("What it is at, for people.")] = ""


class LeaseBody(msgspec.Struct, forbid_unknown_fields=True):
    """What is said under a lease."""

    lease: Lease


class ReleaseBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /tasks/{id}/release``: without a lease it lets a held task go."""

    lease: Lease | None = None


class HeartbeatBody(LeaseBody, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST /tasks/{id}/heartbeat``."""

    progress: Annotated[SentProgress | None, means("How far it has come.")] = None
    log: Annotated[
        list[Annotated[str, msgspec.Meta(max_length=LINE)]],
        msgspec.Meta(max_length=100),
        means("Lines for the task's log."),
    ] = msgspec.field(default_factory=list)


class CompleteBody(LeaseBody, forbid_unknown_fields=True):
    """The body of ``POST /tasks/{id}/complete``."""

    result: Annotated[msgspec.Raw, means("An object as it is; anything else becomes `output`.")] = (
        msgspec.field(default_factory=lambda: _NONE)
    )


class FailBody(LeaseBody, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST /tasks/{id}/fail``."""

    error: WorkerError
    retry: Annotated[bool, means("Whether it may run again, where attempts are left.")] = True
    after: (
        Annotated[float, msgspec.Meta(ge=0, le=366 * 86_400), means("Run it again so much later.")] | None
    ) = None


class OneHeartbeat(HeartbeatBody, kw_only=True, forbid_unknown_fields=True):
    """A task, its lease and how far it has come, among several."""

    id: Id


class OneLease(LeaseBody, kw_only=True, forbid_unknown_fields=True):
    """A task and its lease, among several."""

    id: Id


class OneResult(CompleteBody, kw_only=True, forbid_unknown_fields=True):
    """A task's result, among several."""

    id: Id


class OneFailure(FailBody, kw_only=True, forbid_unknown_fields=True):
    """A task's failure, among several."""

    id: Id


class ManyHeartbeats(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /tasks/heartbeat``."""

    tasks: Annotated[list[OneHeartbeat], msgspec.Meta(max_length=MOST)]


class ManyLeases(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /tasks/release``."""

    tasks: Annotated[list[OneLease], msgspec.Meta(max_length=MOST)]


class ManyResults(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /tasks/complete``."""

    tasks: Annotated[list[OneResult], msgspec.Meta(max_length=MOST)]


class ManyFailures(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /tasks/fail``."""

    tasks: Annotated[list[OneFailure], msgspec.Meta(max_length=MOST)]


class ManyDone(msgspec.Struct):
    """For how many tasks it was done, and which ones were not the lease's any more."""

    count: int
    refused: list[Id]


class Beaten(msgspec.Struct):
    """A lease that holds on."""

    id: Id
    lease_expires_at: Time


class Stored(msgspec.Struct):
    """A task that a worker is done with, and where it is in its life now."""

    id: Id
    status: StatusWord


def shown(one: Leased, queue: str) -> ClaimedTask:
    """Show a task of a queue that has been leased."""
    task = one.message
    parent, _, state = getattr(task, "trace", "").partition(" ")
    return ClaimedTask(
        id=task.id(),
        action=task.name,
        data=msgspec.Raw(one.data.encode()),
        queue=queue,
        attempt=task.attempt,
        max_attempts=task.max_attempts,
        timeout=task.timeout,
        lease=one.lease.hex(),
        lease_expires_at=timestamp(one.until),
        traceparent=parent or UNSET,
        tracestate=state or UNSET,
    )


def named(id_: str, lease: str) -> Named | None:
    """Read a task's id and a lease; None where they can be nobody's."""
    key = from_text(id_)
    try:
        token = bytes.fromhex(lease)
    except ValueError:
        return None
    return None if key is None or len(token) != 16 else Named(key, token)


def said_in(body: HeartbeatBody) -> said.Said | None:
    """Return what a heartbeat says of the attempt, None if nothing."""
    if body.progress is None and not body.log:
        return None
    one, sent = said.Said(), body.progress
    if sent is not None:
        one.progress = said.progress_of(_whole(sent.done), _whole(sent.total), sent.message)
    at = int(time() * 1000)
    for line in body.log:
        one.log(at, said.line_of(line))
    return one


def _whole(number: Any) -> Any:
    return int(number) if number is not None and number == int(number) else number


def result_of(body: CompleteBody, path: str = "") -> str:
    """Return a result as it is stored: JSON of an object.

    Raises:
        BadRequest: it is too long, nested too deeply or no UTF-8; the field is ``path`` and ``result``.
    """
    raw = bytes(body.result).strip()
    try:
        check_depth(raw)
        text = raw.decode()
        if len(raw) > RESULT_LIMIT:
            raise ValueError(f"{len(raw)} bytes; a result may have {RESULT_LIMIT}")  # noqa: TRY301
    except (RecursionError, ValueError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise BadRequest("Nothing is stored.", [FieldError(f"{path}result", reason)]) from None
    return text if text.startswith("{") else f'{{"output":{text}}}'


def failure_of(body: FailBody) -> Failure:
    """Return how an attempt failed."""
    error = body.error
    return Failure(
        _storable(error.type),
        _storable(error.message),
        _storable(error.traceback),
        final=not body.retry,
        after=body.after,
    )


def _storable(text: str) -> str:
    """Keep of a text what can be stored: valid and not too long."""
    return text.encode("utf-8", "replace").decode()[:TEXT_LIMIT]


def id_text(one: Named) -> str:
    """Return a task's id as text."""
    return to_text(one.key)
