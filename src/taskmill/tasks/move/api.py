"""The HTTP functions of a move: begin it, look how far it is, break it off."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from taskmill.http import Answer, BadRequest, Operation, means, parse_body, parse_query
from taskmill.sql import DatabaseError
from taskmill.tasks.api import NoQuery
from taskmill.tasks.move.ends import Refused
from taskmill.tasks.move.kind import TaskMove
from taskmill.tasks.move.move import Progress
from taskmill.tasks.move.target import WrongTarget
from taskmill.tasks.openapi import words


class MoveBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /move``."""

    to: Annotated[
        str,
        msgspec.Meta(min_length=1, max_length=2000),
        means("`postgresql://…`, `sqlite:FILE`, or `${env:NAME}` for what the server's environment says."),
    ]
    patience: Annotated[
        float,
        msgspec.Meta(ge=0, le=3600),
        means("Seconds to wait for tasks that run; what still runs then is run again."),
    ] = 20.0


_PROGRESS = Answer("How far it is.", Progress)


@Operation(
    "Move all tasks to another database", words.HEALTH, body=MoveBody,
    description="While they are served. What a move before this one to the same database has copied is used.",
    examples={"to PostgreSQL": {"to": "${env:DATABASE_URL}"}},
    answers={202: _PROGRESS},
    problems={403: "Asked from another machine.", 409: "The tasks cannot move there, or not now."},
)  # fmt: skip
async def begin_move(request: Request, *, move: TaskMove) -> Response:
    """``POST /move``."""
    _from_here(request)
    parse_query(request.scope["query_string"], NoQuery)
    body = await parse_body(request, MoveBody)
    try:
        progress = await move.begin(body.to, body.patience)
    except WrongTarget as error:
        raise BadRequest(f"{error}.") from None
    except (Refused, DatabaseError) as error:
        raise BadRequest(f"{error}.", status=409) from None
    return Response(msgspec.json.encode(progress), 202, media_type="application/json")


@Operation("How far is the move?", words.HEALTH, scope="observe", answers={200: _PROGRESS})
async def get_move(request: Request, *, move: TaskMove) -> Progress:
    """``GET /move``: how far it is, or how the last one ended."""
    parse_query(request.scope["query_string"], NoQuery)
    return move.progress()


@Operation(
    "Break a move off", words.HEALTH, description="The tasks stay where they are.",
    answers={200: _PROGRESS}, problems={403: "Asked from another machine.", 409: "There is none, or it is too late."},
)  # fmt: skip
async def break_move_off(request: Request, *, move: TaskMove) -> Progress:
    """``DELETE /move``."""
    _from_here(request)
    parse_query(request.scope["query_string"], NoQuery)
    try:
        return await move.break_off()
    except Refused as error:
        raise BadRequest(f"{error}.", status=409) from None


def _from_here(request: Request) -> None:
    """Refuse what comes from another machine: whoever may move the tasks has all of them."""
    host = request.client.host if request.client else ""
    if not ip_address(host or "0.0.0.0").is_loopback:  # noqa: S104 - nothing is bound to it
        raise BadRequest("Ask on the machine that the server runs on, by a loopback address.", status=403)
