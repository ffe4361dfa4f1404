"""What is answered where a handler raises."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from taskmill.http.problem import MEDIA_TYPE, BadRequest, problem

logger = logging.getLogger(__name__)


async def http_error(_: Request, error: Exception) -> Response:
    """Answer an error that Starlette or a handler has named by its status."""
    assert isinstance(error, HTTPException)  # noqa: S101 - Starlette hands its handlers nothing else
    detail = {404: "Nothing is served at this path.", 405: "This path does not take that method."}.get(
        error.status_code, error.detail
    )
    return Response(
        problem(error.status_code, detail), error.status_code, dict(error.headers or {}), MEDIA_TYPE.decode()
    )


async def bad_request(_: Request, error: Exception) -> Response:
    """Answer what the sender can mend."""
    assert isinstance(error, BadRequest)  # noqa: S101 - Starlette hands its handlers nothing else
    body = problem(error.status, error.detail, error.errors)
    headers = {"retry-after": "1"} if error.status in (429, 503) else {}
    return Response(body, error.status, headers, media_type=MEDIA_TYPE.decode())


async def gone(_: Request, __: Exception) -> Response:
    """Answer nobody: the client has gone, which is no error of the server's."""
    return Response()


async def server_error(request: Request, error: Exception) -> Response:
    """Answer a mistake of the server's own, and log it. Nothing of it is shown."""
    path = request.url.path.encode("unicode_escape").decode()
    name: bytes | None = request.scope.get("taskmill.request_id")
    which = "" if name is None else f" (request {name.decode()})"
    logger.error("%s %s failed%s", request.method, path, which, exc_info=error)
    body = problem(500, "The server failed to answer; its log says why.")
    return Response(body, 500, media_type=MEDIA_TYPE.decode())


HANDLERS = {HTTPException: http_error, BadRequest: bad_request, ClientDisconnect: gone, 500: server_error}


def answered(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Return a handler that answers where the given one raises."""

    async def answering(request: Request) -> Response:
        try:
            return await handler(request)
        except HTTPException as error:
            return await http_error(request, error)
        except BadRequest as error:
            return await bad_request(request, error)
        except ClientDisconnect as error:
            return await gone(request, error)
        except Exception as error:
            return await server_error(request, error)

    return answering
