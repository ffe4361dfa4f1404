"""Pages that come with the program: a document and its files, under a policy that lets nothing else in."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from taskmill.http.operation import means
from taskmill.http.problem import BadRequest
from taskmill.http.query import parse_query

# Nothing from elsewhere, nothing inline, and nobody may put the page into a frame.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}
HOUR: Final = {"cache-control": "max-age=3600"}
TYPES: Final = {"js": "text/javascript", "css": "text/css"}


class NoQuery(msgspec.Struct):
    """No parameters."""


class PageFiles:
    """A folder with an `index.html`, and the ``names`` of the files beside it that may be asked for."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self._folder = folder
        self._names = names

    @property
    def path(self) -> dict[str, Any]:
        """The parameter of a file's path, for its operation."""
        return {"file": Annotated[str, means("Its name.", enum=list(self._names))]}

    def document(self, request: Request) -> Response:
        """Answer with the page itself."""
        parse_query(request.scope["query_string"], NoQuery)
        return Response((self._folder / "index.html").read_bytes(), headers=HEADERS, media_type="text/html")

    def file(self, request: Request) -> Response:
        """Answer with a file as it is kept, compressed, for those who take that; raise BadRequest for another (404)."""
        parse_query(request.scope["query_string"], NoQuery)
        name = request.path_params["file"]
        if name not in self._names:
            raise BadRequest("The page has no such file.", status=404)
        headers = {**HEADERS, **HOUR, "vary": "accept-encoding"}
        body, compressed = _read(self._folder, name)
        if compressed and "gzip" in request.headers.get("accept-encoding", ""):
            headers["content-encoding"] = "gzip"
        elif compressed:
            body = gzip.decompress(body)
        return Response(body, headers=headers, media_type=TYPES[name.rpartition(".")[2]])


@cache
def _read(folder: Path, name: str) -> tuple[bytes, bool]:
    """Return a file, and whether it is compressed."""
    compressed = folder / f"{name}.gz"
    return (compressed.read_bytes(), True) if compressed.exists() else ((folder / name).read_bytes(), False)
