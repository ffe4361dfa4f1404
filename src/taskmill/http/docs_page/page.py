"""The functions behind ``/docs``: the page, and the files that it is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from taskmill.http.operation import Answer, Operation
from taskmill.http.page_files import PageFiles

ASSETS: Final = Path(__file__).parent / "assets"
FILES: Final = ("docs.js", "docs.css", "swagger-ui-bundle.js", "swagger-ui.css")

_files = PageFiles(ASSETS, FILES)


@Operation(
    "The API as a page", "About", scope="public",
    answers={200: Answer("This document, to read and to try.", str, media_type="text/html")},
)  # fmt: skip
async def docs(request: Request) -> Response:
    """``GET /docs``: it asks for ``openapi.json`` beside it."""
    return _files.document(request)


@Operation(
    "A file of the page", "About", scope="public", path=_files.path,
    answers={200: Answer("A script or a style sheet.", str, media_type="*/*")},
    problems={404: "The page has no such file."},
)  # fmt: skip
async def docs_file(request: Request) -> Response:
    """``GET /docs/{file}``."""
    return _files.file(request)
