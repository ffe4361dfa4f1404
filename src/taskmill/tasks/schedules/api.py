"""The functions behind ``/schedules``."""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from taskmill.http import JSON, Answer, BadRequest, FieldError, Operation, means, parse_body, parse_query
from taskmill.tasks.ids import to_text
from taskmill.tasks.intake.once import NotUnique
from taskmill.tasks.intake.submission import Name
from taskmill.tasks.openapi import words
from taskmill.tasks.schedules.model import (
    LONGEST,
    LONGEST_JITTER,
    SHORTEST,
    CatchUp,
    Definition,
    Overlap,
    ScheduleDetails,
    SchedulePage,
    ShownSchedule,
    data_flaw,
    detailed,
    flaws,
    shown,
)
from taskmill.tasks.schedules.store import MOST, Declared, TooMany
from taskmill.tasks.service import TaskService
from taskmill.units import parse_duration

_Text = Annotated[
    str, msgspec.Meta(max_length=40), means("`100ms`, `5s`, `1m`, `2h`, `7d`.", format="taskmill-duration")
]
Every = Annotated[float, means("Seconds.", minimum=SHORTEST / 1000, maximum=LONGEST / 1000)] | _Text
Jitter = Annotated[float, means("Seconds.", minimum=0, maximum=LONGEST_JITTER / 1000)] | _Text

_MEND = "Mend the fields that `errors` names."
_DECLARED = (
    "The registry declares this schedule: change it in `_index.yaml`. Here it can be run, paused and resumed."
)


class ScheduleBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of ``PUT /schedules/{name}``."""

    action: Name
    data: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"{}"))
    cron: (
        Annotated[str, msgspec.Meta(max_length=200), means("Five fields, or six.", format="cron")] | None
    ) = None
    every: Every | None = None
    timezone: Annotated[str, msgspec.Meta(max_length=100), means("Of the cron.", format="time-zone")] = "UTC"
    overlap: Annotated[Overlap, means("If its last task has not ended when it is due.")] = "skip"
    catch_up: Annotated[CatchUp, means("Of the times that were missed.")] = "one"
    jitter: Annotated[Jitter, means("Run it up to so much later, at random.")] = 0.0
    queue: Annotated[Name, means("Another queue than the action's own.")] | None = None
    priority: Annotated[int, msgspec.Meta(ge=0, le=9), means("Higher goes first.")] | None = None
    paused: Annotated[bool, means("Until it is resumed.")] = False


S = TypeVar("S", bound=ShownSchedule)


class ListQuery(msgspec.Struct):
    """The parameters of ``GET /schedules``."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    cursor: Annotated[str, means("`next` of the answer before.")] = ""


class NoQuery(msgspec.Struct):
    """No parameters."""


_LINKS = words.by_schedule("$request.path.name")
_SCHEDULE = {200: Answer("The schedule, with its last due times.", ScheduleDetails, links=_LINKS)}
_IS_DECLARED = {409: "The registry declares this schedule, so it is changed there."}


@Operation(
    "List schedules, in the order of their names", words.SCHEDULES, scope="read", query=ListQuery,
    answers={200: Answer("A part of the list.", SchedulePage)},
)  # fmt: skip
async def list_schedules(request: Request, *, tasks: TaskService) -> SchedulePage:
    """``GET /schedules``: in the order of their names, a page at a time."""
    query = parse_query(request.scope["query_string"], ListQuery)
    rows = await tasks.scheduler.store.page(query.cursor, query.limit)
    following = rows[-1].name if len(rows) == query.limit else None
    return SchedulePage([_hidden(tasks, shown(row)) for row in rows], len(rows), following)


@Operation(
    "Get a schedule", words.SCHEDULES, scope="read", path=words.BY_SCHEDULE, answers=_SCHEDULE,
    problems=words.NO_SCHEDULE,
)  # fmt: skip
async def get_schedule(request: Request, *, tasks: TaskService) -> ScheduleDetails:
    """``GET /schedules/{name}``."""
    return await _details(_name(request), tasks)


@Operation(
    "Make a schedule, or change it", words.SCHEDULES, path=words.BY_SCHEDULE,
    body=Annotated[ScheduleBody, msgspec.Meta(extra_json_schema=words.either("cron", "every"))],
    examples={
        "nightly": {"action": "sum", "data": {"numbers": [1, 2]}, "cron": "0 3 * * *", "timezone": "Europe/Berlin"},
        "each minute": {"action": "uppercase", "data": {"text": "tick"}, "every": "1m"},
    },
    answers={**_SCHEDULE, 201: Answer("It is new.", ScheduleDetails, links=_LINKS)},
    problems={409: "The registry declares this schedule, or there are as many as may be."},
)  # fmt: skip
async def put_schedule(request: Request, *, tasks: TaskService) -> tuple[int, ScheduleDetails]:
    """``PUT /schedules/{name}``: 201 if it is new, else 200."""
    name = _name(request)
    definition = _read(name, await parse_body(request, ScheduleBody))
    now = tasks.scheduler.clock()
    if found := list(flaws(definition, now)):
        raise BadRequest(
            _MEND,
            [
                FieldError(one.field, one.message + (f"; did you mean `{one.hint}`?" if one.hint else ""))
                for one in found
            ],
        )
    tasks.scheduler.tasks.check(definition)
    try:
        new = await tasks.scheduler.store.put(definition, now)
    except Declared:
        raise BadRequest(_DECLARED, status=409) from None
    except TooMany:
        raise BadRequest(
            f"There are {MOST:,} schedules, and no more may be: delete some.", status=409
        ) from None
    tasks.scheduler.changed()
    return 201 if new else 200, await _details(name, tasks)


@Operation(
    "Delete a schedule", words.SCHEDULES, path=words.BY_SCHEDULE,
    answers={204: Answer("It is gone. Tasks that it has submitted stay.")},
    problems={**words.NO_SCHEDULE, **_IS_DECLARED},
)  # fmt: skip
async def delete_schedule(request: Request, *, tasks: TaskService) -> Response:
    """``DELETE /schedules/{name}``: 204. Tasks that it has submitted stay."""
    try:
        deleted = await tasks.scheduler.store.delete(_name(request))
    except Declared:
        raise BadRequest(_DECLARED, status=409) from None
    if not deleted:
        raise _missing()
    return Response(status_code=204)


@Operation(
    "Submit a schedule's task now", words.SCHEDULES, path=words.BY_SCHEDULE,
    description="Also while it is paused, or its last task runs.",
    answers={202: words.SUBMITTED},
    problems={**words.NO_SCHEDULE, 409: "Its action takes no second task of its key, or there is no such action."},
)  # fmt: skip
async def run_schedule(request: Request, *, tasks: TaskService) -> Response:
    """``POST /schedules/{name}/run``: submit its task now, also while it is paused or its last task runs."""
    found = await tasks.scheduler.store.get(_name(request))
    if found is None:
        raise _missing()
    try:
        stored = await tasks.scheduler.run_now(found[0])
    except NotUnique as error:
        detail = f"Task {to_text(error.id)} has its key already, and its action takes no second."
        raise BadRequest(detail, status=409) from None
    if stored is None:
        raise BadRequest("The application lacks its action or queue: put the schedule anew.", status=409)
    id_ = to_text(stored.id)
    body: dict[str, str | bool] = {"id": id_}
    if stored.new is None:
        body["duplicate"] = True
    else:
        body["status"] = stored.new.status.word
    return Response(msgspec.json.encode(body), 202, {"location": f"/tasks/{id_}"}, JSON.decode())


@Operation(
    "Pause a schedule", words.SCHEDULES, path=words.BY_SCHEDULE, answers=_SCHEDULE, problems=words.NO_SCHEDULE,
)  # fmt: skip
async def pause_schedule(request: Request, *, tasks: TaskService) -> ScheduleDetails:
    """``POST /schedules/{name}/pause``: until it is resumed, also after a restart."""
    name = _name(request)
    if not await tasks.scheduler.store.pause(name, tasks.scheduler.clock()):
        raise _missing()
    return await _details(name, tasks)


@Operation(
    "Resume a schedule, from its next time on", words.SCHEDULES, path=words.BY_SCHEDULE, answers=_SCHEDULE,
    problems={**words.NO_SCHEDULE, 409: "The registry declares it paused."},
)  # fmt: skip
async def resume_schedule(request: Request, *, tasks: TaskService) -> ScheduleDetails:
    """``POST /schedules/{name}/resume``: from its next time on."""
    name = _name(request)
    try:
        found = await tasks.scheduler.store.resume(name, tasks.scheduler.clock())
    except Declared:
        raise BadRequest(
            "The registry declares it paused: change that in its `_index.yaml`.", status=409
        ) from None
    if not found:
        raise _missing()
    tasks.scheduler.changed()
    return await _details(name, tasks)


def _read(name: str, given: ScheduleBody) -> Definition:
    try:
        data = bytes(given.data).decode()
    except UnicodeDecodeError as error:
        raise BadRequest(_MEND, [FieldError("data", f"not valid UTF-8: {error}")]) from None
    if flaw := data_flaw(data):
        raise BadRequest(_MEND, [FieldError(flaw.field, flaw.message)])
    return Definition(
        name=name,
        cron=given.cron,
        every=None if given.every is None else _milliseconds("every", given.every),
        timezone=given.timezone,
        action=given.action,
        data=data,
        overlap=given.overlap,
        catch_up=given.catch_up,
        jitter=_milliseconds("jitter", given.jitter),
        queue=given.queue,
        priority=given.priority,
        paused=given.paused,
        declared=False,
    )


def _milliseconds(field: str, value: float | str) -> int:
    try:
        return round(parse_duration(value) * 1000)
    except ValueError as error:
        raise BadRequest(_MEND, [FieldError(field, str(error))]) from None


def _name(request: Request) -> str:
    parse_query(request.scope["query_string"], NoQuery)
    return str(request.path_params["name"])


async def _details(name: str, tasks: TaskService) -> ScheduleDetails:
    found = await tasks.scheduler.store.get(name)
    if found is None:
        raise _missing()
    return _hidden(tasks, detailed(*found))


def _hidden(tasks: TaskService, schedule: S) -> S:
    if (redaction := tasks.reader.redaction) is not None:
        schedule.data = redaction.data(schedule.data)
    return schedule


def _missing() -> BadRequest:
    return BadRequest("No schedule has this name.", status=404)
