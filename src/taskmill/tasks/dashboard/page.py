"""The functions behind ``/dashboard``: the page, and the files that it is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from taskmill.http import Answer, Operation
from taskmill.http.page_files import PageFiles

ASSETS: Final = Path(__file__).parent / "assets"
FILES: Final = (
    "app.js", "api.js", "live.js", "parts.js", "overview.js", "charts.js", "list.js", "selection.js", "task.js",
    "batch.js", "failures.js", "actions.js", "form.js", "schedules.js", "nodes.js", "registry.js", "graph.js",
    "style.css", "preact.js", "uplot.js", "uplot.css",
)  # fmt: skip

_files = PageFiles(ASSETS, FILES)


@Operation(
    "What is going on, as a page", "About", scope="public",
    answers={200: Answer("The page. It asks for a key where the API wants one.", str, media_type="text/html")},
)  # fmt: skip
async def dashboard(request: Request) -> Response:
    """``GET /dashboard``: it asks the API beside it."""
    return _files.document(request)


@Operation(
    "A file of the dashboard", "About", scope="public", path=_files.path,
    answers={200: Answer("A script or a style sheet.", str, media_type="*/*")},
    problems={404: "The page has no such file."},
)  # fmt: skip
async def dashboard_file(request: Request) -> Response:
    """``GET /dashboard/{file}``."""
    return _files.file(request)
