"""``GET /usage``: what callers have used, by day."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated

import msgspec
from starlette.requests import Request

from taskmill.http import Answer, BadRequest, FieldError, Operation, caller_of, means, parse_query
from taskmill.tasks.openapi import words
from taskmill.tasks.service import TaskService
from taskmill.tasks.usage import statements

_EPOCH = date(1970, 1, 1)
Day = Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d{2}-\d{2}$"), means("A day in UTC.", format="date")]


class UsageQuery(msgspec.Struct):
    """The parameters of ``GET /usage``."""

    since: Annotated[Day, means("The first day; by default the thirtieth before today.")] | None = None
    until: Annotated[Day, means("The last day; today by default.")] | None = None
    caller: Annotated[str, msgspec.Meta(max_length=250), means("Of this caller alone.")] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000), means("At most so many.")] = 1000


class Used(msgspec.Struct):
    """What a caller has used of what it submitted on a day. ``seconds`` are of attempts."""

    day: Day
    caller: str
    submitted: int
    completed: int
    failed: int
    cancelled: int
    seconds: float


class Usage(msgspec.Struct):
    """The newest days first. ``more`` says that ``limit`` cut some off."""

    usage: list[Used]
    count: int
    more: bool


@Operation(
    "What callers have used", words.ABOUT, scope="observe", for_limited=True, query=UsageQuery,
    description="By caller and day of submission. Callers without the scope `admin` see their own.",
    answers={200: Answer("A caller's day each.", Usage)},
)  # fmt: skip
async def get_usage(request: Request, *, tasks: TaskService) -> Usage:
    """``GET /usage``."""
    query = parse_query(request.scope["query_string"], UsageQuery)
    today = datetime.now(UTC).date()
    last = _day("until", query.until, today)
    first = _day("since", query.since, last - timedelta(30))
    caller = caller_of(request)
    who = query.caller
    if caller is not None and "admin" not in caller.scopes:
        if who not in (None, caller.id):
            raise BadRequest(
                "Another's usage takes the scope `admin`.", [FieldError("caller", "not yours")], 403
            )
        who = caller.id
    values = {"from_": (first - _EPOCH).days, "to_": (last - _EPOCH).days, "limit_": query.limit + 1}
    if who is None:
        rows = await tasks.reader.read(statements.ALL, values)
    else:
        rows = await tasks.reader.read(statements.OF_ONE, {**values, "caller_": who})
    shown = [
        Used(str(_EPOCH + timedelta(row[0])), row[1], row[2], row[3], row[4], row[5], row[6] / 1000)
        for row in rows[: query.limit]
    ]
    return Usage(shown, len(shown), len(rows) > query.limit)


def _day(name: str, text: str | None, default: date) -> date:
    if text is None:
        return default
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadRequest("Write days as 2026-01-31.", [FieldError(name, "there is no such day")]) from None
