"""The API of bulk: ``POST /tasks/bulk``, as one JSON document or as a stream of lines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from taskmill.http import Answer, BadRequest, FieldError, Operation, caller_of, means, parse_query
from taskmill.tasks.api import NoQuery
from taskmill.tasks.bulk.batch import Wanted
from taskmill.tasks.bulk.bulk import Bulk, Unwanted, keyed, why
from taskmill.tasks.bulk.stream import Stream
from taskmill.tasks.ids import to_text
from taskmill.tasks.intake.answers import idempotency_text
from taskmill.tasks.intake.once import NotUnique
from taskmill.tasks.intake.submission import Submission
from taskmill.tasks.model import Id
from taskmill.tasks.openapi import words
from taskmill.tasks.service import TaskService

MOST = 10_000  # tasks of a document
LONGEST = 16 * 2**20  # bytes of it
NDJSON = "application/x-ndjson"


class Document(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /tasks/bulk`` as JSON."""

    tasks: list[msgspec.Raw]


_ONE = {"properties": {"start_by": {"type": "null"}}, **words.not_both("delay", "run_at")}


class BulkBody(msgspec.Struct, forbid_unknown_fields=True):
    """Its schema."""

    tasks: Annotated[
        list[Annotated[Submission, msgspec.Meta(extra_json_schema=_ONE)]],
        msgspec.Meta(max_length=MOST),
        means("Each as `POST /tasks` takes it, but for `start_by`."),
    ]


class BulkAnswer(msgspec.Struct):
    """The ids of the tasks, in the order in which they were given."""

    ids: list[Id]
    count: int


@Operation(
    "Submit many tasks", words.TASKS, scope="submit", for_limited=True,
    description=f"As JSON: up to {MOST:,}, all or none. As `{NDJSON}`: any number of lines, each a body of "
    '`POST /tasks`, answered with a line `{"id"}` or `{"line", "error"}` each as they are stored; '
    '`Prefer: return=minimal` leaves out those that went well, and ends with `{"count", "errors"}`. '
    "With an `Idempotency-Key`, the same again answers the same ids, so a stream that broke off can be sent again "
    "from its beginning.",
    headers={"Idempotency-Key": words.IDEMPOTENCY_KEY},
    body=BulkBody,
    other_bodies={NDJSON: Annotated[str, means("A line for each task.")]},
    examples={"two": {"tasks": [{"action": "uppercase", "data": {"text": text}} for text in ("a", "b")]}},
    answers={
        200: Answer("To lines: a line for each.", str, media_type=NDJSON),
        202: Answer("All are stored, and flushed to disk.", BulkAnswer),
    },
    problems={
        409: "A task with one of the unique keys waits or runs, and its action takes no second.",
        422: "The `Idempotency-Key` came with another body before.",
        503: "`max_backlog` tasks wait or run, or the disk refuses.",
    },
)  # fmt: skip
async def submit_tasks(request: Request, *, tasks: TaskService) -> Response | tuple[int, BulkAnswer]:
    """``POST /tasks/bulk``."""
    parse_query(request.scope["query_string"], NoQuery)
    bulk = tasks.bulk.of(caller_of(request), tasks.ledger).part_of(request.headers.raw)
    header = request.headers.get("idempotency-key")
    key = None if header is None else idempotency_text(header)
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type == NDJSON:
        brief = "return=minimal" in request.headers.get("prefer", "")
        return _Duplex(Stream(bulk, key, brief).answers(request.stream()), media_type=NDJSON)
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise BadRequest(f"Send JSON or `{NDJSON}`, with its `Content-Type`.", status=415)
    ids = await _store(bulk, await whole(request), key)
    return 202, BulkAnswer([to_text(id_) for id_ in ids], len(ids))


class _Duplex(StreamingResponse):
    """An answer that goes on while its request is read: nothing else may wait for what the client sends."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's
        with suppress(ClientDisconnect):
            await self.stream_response(send)


async def whole(request: Request) -> bytes:
    """Read a body; raise BadRequest (413) where it is too long."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST:
            raise BadRequest(f"Send {LONGEST >> 20} MiB at most, or stream lines as `{NDJSON}`.", status=413)
    return bytes(body)


async def _store(bulk: Bulk, body: bytes, key: str | None) -> list[bytes]:
    try:
        document = msgspec.json.decode(body, type=Document)
    except msgspec.MsgspecError as error:
        raise BadRequest(f'Send `{{"tasks": […]}}`: {error}.') from None
    except (UnicodeDecodeError, RecursionError):
        raise BadRequest('Send `{"tasks": […]}` as JSON in UTF-8, not nested too deeply.') from None
    wanted = read_all(bulk, document.tasks, key)
    with all_or_none():
        return await bulk.store(wanted)


@contextmanager
def all_or_none() -> Iterator[None]:
    """Answer, where one of many tasks is not to be stored, which and why."""
    try:
        yield
    except Unwanted as error:
        if isinstance(error.why, BadRequest):
            errors = [FieldError(f"tasks[{error.place}].{one.path}", one.message) for one in error.why.errors]
            raise BadRequest("None is stored. Mend the fields that `errors` names.", errors) from None
        status = 409 if isinstance(error.why, NotUnique) else 422
        raise BadRequest(
            "None is stored.", [FieldError(f"tasks[{error.place}]", why(error.why))], status
        ) from None


def read_all(bulk: Bulk, bodies: list[msgspec.Raw], key: str | None) -> list[Wanted]:
    """Read bodies of tasks, with an idempotency key each where one is given for all of them.

    Raises:
        BadRequest: some are no tasks, there are too many, or no more tasks may wait.
    """
    if len(bodies) > MOST:
        message = f"{len(bodies):,} tasks; {MOST:,} at most"
        raise BadRequest(f"Send fewer, or stream lines as `{NDJSON}`.", [FieldError("tasks", message)])
    wanted, errors = [], []
    for place, raw in enumerate(bodies):
        body = bytes(raw)
        try:
            one = bulk.read(body)
        except BadRequest as error:
            found = error.errors or [FieldError("", error.detail)]
            errors += [FieldError(f"tasks[{place}].{one.path}".rstrip("."), one.message) for one in found]
        else:
            wanted.append(one if key is None else keyed(one, f"{key}:{place}", body))
    if errors:
        raise BadRequest("None is stored. Mend the fields that `errors` names.", errors[:100])
    if bulk.full:
        raise BadRequest("As many tasks wait or run as may; try again later.", status=503)
    return wanted
