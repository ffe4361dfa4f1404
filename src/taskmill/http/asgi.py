"""The ASGI application of paths: what answers the requests that take no short way."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.applications import Starlette
from starlette.routing import Route as StarletteRoute

from taskmill.http.mistakes import HANDLERS
from taskmill.http.routing import MethodTable


def asgi(paths: Mapping[str, MethodTable]) -> Starlette:
    """Return an application of what answers each path."""
    app = Starlette(
        routes=[StarletteRoute(path, paths[path]) for path in sorted(paths, key=_parameters)],
        exception_handlers=HANDLERS,
    )
    app.router.redirect_slashes = False  # to wherever the Host header says
    return app


def _parameters(path: str) -> list[bool]:
    """Order paths so that `/tasks/cancel` is looked at before `/tasks/{id}`, which would take it, too."""
    return [part.startswith("{") for part in path.split("/")]
