"""What can be asked of a server: each function makes the request, and says how the answer is read.

Nothing is sent here. The two clients differ only in how they send.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Generic, NoReturn, TypeVar
from urllib.parse import quote, urlencode
from uuid import uuid4

import msgspec

from taskmill.client import model
from taskmill.client.errors import FieldError, NotTaskmill, ProblemError
from taskmill.client.retrying import retry_after
from taskmill.client.submission import Submission
from taskmill.client.wire import Answer

T = TypeVar("T")

STEP = 1_000  # tasks in one answer, or changed by one request
_NOTHING = b"{}"


class Call(msgspec.Struct, Generic[T], frozen=True):
    """A request, and what its answer becomes. ``safe`` says that sending it twice does no harm."""

    method: str
    target: str
    read: Callable[[Answer], T]
    body: bytes | None = None
    headers: Mapping[str, str] = {}
    safe: bool = True


def target(*path: str, **query: object) -> str:
    """Join the parts of a path, escaped, and a query without what is None or empty."""
    given = {name: value for name, value in query.items() if value not in (None, "")}
    return "".join(f"/{quote(part, safe='')}" for part in path) + (f"?{urlencode(given)}" if given else "")


def given(**fields: object) -> dict[str, object]:
    """Leave out the fields that are None."""
    return {name: value for name, value in fields.items() if value is not None}


def submit(submission: Submission[Any]) -> Call[tuple[model.Submitted, bool]]:
    """Submit a task; also returns whether it was a replay."""
    key = submission.idempotency_key or uuid4().hex
    return Call("POST", "/tasks", submitted, submission.body, {"Idempotency-Key": key})


def task(id_: str, wait: float = 0.0) -> Call[model.Task]:
    """Get one task, once it has ended or after ``wait`` seconds."""
    return Call("GET", target("tasks", id_, wait=round(wait, 3) or None), as_(model.Task))


def why(id_: str) -> Call[model.Why]:
    """Get what a task waits for."""
    return Call("GET", target("tasks", id_, "why"), as_(model.Why))


def page(filters: Mapping[str, object], cursor: str | None, limit: int) -> Call[model.Page]:
    """Get a page of the tasks that pass the filters."""
    return Call("GET", target("tasks", **filters, limit=limit, cursor=cursor), as_(model.Page))


def cancel(id_: str) -> Call[model.Task]:
    """Cancel one task."""
    return Call("POST", target("tasks", id_, "cancel"), as_(model.Task))


def retry(id_: str) -> Call[model.Task]:
    """Run one task again. Sent twice, it could run twice."""
    return Call("POST", target("tasks", id_, "retry"), as_(model.Task), safe=False)


def release(id_: str) -> Call[None]:
    """Let a held task run."""
    return Call("POST", target("tasks", id_, "release"), _check, _NOTHING)


def drop(id_: str) -> Call[model.Task]:
    """Drop a held task."""
    return Call("DELETE", target("tasks", id_), as_(model.Task))


def change_many(verb: str, fields: Mapping[str, object]) -> Call[model.Changed]:
    """Cancel, or run again, a part of those that pass the filters. Sent twice, the count would be wrong."""
    return Call("POST", target("tasks", verb), as_(model.Changed), msgspec.json.encode(fields), safe=False)


def prune(older_than: float | None, status: str | None) -> Call[model.Pruned]:
    """Remove tasks that ended long ago."""
    body = msgspec.json.encode(given(older_than=older_than, status=status))
    return Call("POST", "/tasks/prune", as_(model.Pruned), body, safe=False)


def actions() -> Call[list[model.ActionInfo]]:
    """Get every action."""
    return Call("GET", "/actions", lambda answer: as_(model.Actions)(answer).actions)


def queues() -> Call[list[model.Queue]]:
    """Get the state of every queue."""
    return Call("GET", "/queues", lambda answer: as_(model.Queues)(answer).queues)


def queue(name: str) -> Call[model.Queue]:
    """Get the state of one queue."""
    return Call("GET", target("queues", name), as_(model.Queue))


def pause(name: str, by: str | None) -> Call[model.Queue]:
    """Begin no more tasks of a queue."""
    return Call("POST", target("queues", name, "pause"), as_(model.Queue), msgspec.json.encode(given(by=by)))


def resume(name: str) -> Call[model.Queue]:
    """Begin tasks of a queue again."""
    return Call("POST", target("queues", name, "resume"), as_(model.Queue), _NOTHING)


def schedules(cursor: str | None, limit: int) -> Call[model.SchedulePage]:
    """Get a page of the schedules."""
    return Call("GET", target("schedules", cursor=cursor, limit=limit), as_(model.SchedulePage))


def schedule(name: str) -> Call[model.Schedule]:
    """Get one schedule."""
    return Call("GET", target("schedules", name), as_(model.Schedule))


def put_schedule(name: str, action: str, data: object, fields: Mapping[str, object]) -> Call[model.Schedule]:
    """Make a schedule, or replace it."""
    body = msgspec.json.encode({"action": action, **given(data=data), **given(**fields)})
    return Call("PUT", target("schedules", name), as_(model.Schedule), body)


def delete_schedule(name: str) -> Call[None]:
    """Remove a schedule."""
    return Call("DELETE", target("schedules", name), _check)


def change_schedule(name: str, verb: str) -> Call[model.Schedule]:
    """Pause or resume a schedule."""
    return Call("POST", target("schedules", name, verb), as_(model.Schedule))


def run_schedule(name: str) -> Call[tuple[model.Submitted, bool]]:
    """Submit a schedule's task now. Sent twice, it could be two."""
    return Call("POST", target("schedules", name, "run"), submitted, safe=False)


def anything(
    method: str, path: Sequence[str], query: Mapping[str, object], body: object, headers: Mapping[str, str]
) -> Call[Answer]:
    """Send any request, and take any answer."""
    data = None if body is None else msgspec.json.encode(body)
    return Call(method, target(*path, **query), lambda answer: answer, data, headers, safe=method == "GET")


def read(call: Call[T], answer: Answer, url: str, *, repeated: bool) -> T:
    """Read the answer of a call.

    Raises:
        ProblemError: it is a refusal; ``repeated`` is noted there.
        NotTaskmill: it is of another program.
    """
    try:
        return call.read(answer)
    except ProblemError as error:
        error.repeated = repeated
        raise
    except ValueError as error:  # of JSON, its types or its encoding
        raise NotTaskmill(url, f"status {answer.status}, and {error}") from None


@cache
def as_(type_: type[T]) -> Callable[[Answer], T]:
    """Return what reads an answer, or raises ProblemError where it is a refusal."""
    decode = msgspec.json.Decoder(type_).decode

    def of(answer: Answer) -> T:
        _check(answer)
        return decode(answer.body)

    return of


def submitted(answer: Answer) -> tuple[model.Submitted, bool]:
    """Read the answer to a submission; also return whether it was a replay."""
    return as_(model.Submitted)(answer), answer.headers.get("idempotency-replayed") == "true"


def _check(answer: Answer) -> None:
    if not 200 <= answer.status < 300:
        refuse(answer)


class _Problem(msgspec.Struct):
    detail: str = ""
    errors: list[FieldError] = []


def refuse(answer: Answer) -> NoReturn:
    """Raise the ProblemError that an answer is, whatever of a problem document it has."""
    try:
        problem = msgspec.json.decode(answer.body, type=_Problem)
    except ValueError:
        problem = _Problem()
    detail = problem.detail or f"the server answered with status {answer.status}"
    raise ProblemError(answer.status, detail, problem.errors, retry_after=retry_after(answer))
