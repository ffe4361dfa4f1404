"""The functions behind ``/docs``: the page, and the files that it is made of."""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path
from typing import Annotated, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from taskmill.http.operation import Answer, Operation, means
from taskmill.http.problem import BadRequest
from taskmill.http.query import parse_query

ASSETS: Final = Path(__file__).parent / "assets"

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
FILES: Final = ("docs.js", "docs.css", "swagger-ui-bundle.js", "swagger-ui.css")


class NoQuery(msgspec.Struct):
    """No parameters."""


@Operation(
    "The API as a page", "About", scope="public",
    answers={200: Answer("This document, to read and to try.", str, media_type="text/html")},
)  # fmt: skip
async def docs(request: Request) -> Response:
    """``GET /docs``: it asks for ``openapi.json`` beside it."""
    parse_query(request.scope["query_string"], NoQuery)
    return Response((ASSETS / "index.html").read_bytes(), headers=HEADERS, media_type="text/html")


@Operation(
    "A file of the page", "About", scope="public",
    path={"file": Annotated[str, means("Its name.", enum=list(FILES))]},
    answers={200: Answer("A script or a style sheet.", str, media_type="*/*")},
    problems={404: "The page has no such file."},
)  # fmt: skip
async def docs_file(request: Request) -> Response:
    """``GET /docs/{file}``: as it is kept, compressed, for those who take that."""
    parse_query(request.scope["query_string"], NoQuery)
    name = request.path_params["file"]
    if name not in FILES:
        raise BadRequest("The page has no such file.", status=404)
    headers = {**HEADERS, **HOUR, "vary": "accept-encoding"}
    body, compressed = _read(name)
    if compressed and "gzip" in request.headers.get("accept-encoding", ""):
        headers["content-encoding"] = "gzip"
    elif compressed:
        body = gzip.decompress(body)
    return Response(body, headers=headers, media_type=TYPES[name.rpartition(".")[2]])


@cache
def _read(name: str) -> tuple[bytes, bool]:
    """Return a file, and whether it is compressed."""
    compressed = ASSETS / f"{name}.gz"
    return (compressed.read_bytes(), True) if compressed.exists() else ((ASSETS / name).read_bytes(), False)
