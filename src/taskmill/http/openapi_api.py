"""``GET /openapi.json`` of any application."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from taskmill.http.exchange import JSON
from taskmill.http.openapi import document, types_of
from taskmill.http.openapi_schemas import Schemas
from taskmill.http.operation import Answer, Operation, Served
from taskmill.http.query import parse_query


class _NoQuery(msgspec.Struct):
    """No parameters."""


@Operation(
    "The OpenAPI document", "About", scope="observe", for_limited=True,
    answers={200: Answer("OpenAPI 3.1.", dict[str, Any])},
)  # fmt: skip
async def openapi(request: Request) -> Response:
    """``GET /openapi.json``: the endpoints of the server that is asked."""
    return answer_openapi(request, describe_server)


def answer_openapi(request: Request, describe: Callable[[list[Served]], dict[str, Any]]) -> Response:
    """Answer with the document that ``describe`` makes of the server's endpoints, the first time it is asked for."""
    parse_query(request.scope["query_string"], _NoQuery)
    state = request.app.state
    if not hasattr(state, "openapi"):
        state.openapi = msgspec.json.encode(describe(state.served))
    return Response(state.openapi, media_type=JSON.decode())


def describe_server(served: list[Served]) -> dict[str, Any]:
    """Return the document of a server's endpoints."""
    return document("API", version("taskmill"), served, Schemas(types_of(served)))
