"""The API of a task queue without a socket: the requests of a client, handed to the functions behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, MutableMapping
from functools import cache, partial
from typing import Any

import httptools

from taskmill import application
from taskmill.client.wire import Answer
from taskmill.http import HttpEndpoint
from taskmill.http.asgi import asgi
from taskmill.http.exchange import is_direct
from taskmill.http.routing import MethodTable, from_direct, from_function
from taskmill.process.function import PythonFunction
from taskmill.process.source import load_attribute
from taskmill.tasks.service import TaskService


class Api:
    """Answers requests with the endpoints of the built-in application, whatever those of the tested one are."""

    def __init__(self, service: TaskService) -> None:
        paths: dict[str, MethodTable] = {}
        for method, path, function in _endpoints():
            call = partial(function, tasks=service)
            handler = from_direct(call) if is_direct(call) else from_function(call)
            paths.setdefault(path, MethodTable(path)).handlers[method] = handler
        self._app = asgi(paths)
        self._app.state.served = []
        self._app.state.closing = asyncio.Event()

    async def answer(self, request: bytes) -> Answer:
        """Answer a whole request."""
        read = _Request(request)
        received = False

        async def receive() -> MutableMapping[str, Any]:
            nonlocal received
            if received:
                await asyncio.Event().wait()  # nobody goes away
            received = True
            return {"type": "http.request", "body": read.body, "more_body": False}

        status, headers, body = 500, {}, bytearray()

        async def send(message: MutableMapping[str, Any]) -> None:
            nonlocal status, headers
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = {name.decode(): value.decode("latin-1") for name, value in message["headers"]}
            else:
                body.extend(message.get("body", b""))

        await self._app(read.scope(), receive, send)
        return Answer(status, headers, bytes(body))


class _Request:
    """A request, read from its bytes."""

    def __init__(self, data: bytes) -> None:
        self.body = b""
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def scope(self) -> dict[str, Any]:
        """Return what ASGI knows of it."""
        url = httptools.parse_url(self._url)
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": self._parser.get_method().decode(),
            "scheme": "http",
            "path": url.path.decode(),
            "raw_path": url.path,
            "query_string": url.query or b"",
            "root_path": "",
            "headers": self._headers,
            "client": None,
            "server": None,
            "state": {},
        }


@cache
def _endpoints() -> list[tuple[str, str, Any]]:
    return list(_read_endpoints())


def _read_endpoints() -> Iterator[tuple[str, str, Any]]:
    """Give the method, path and function of each endpoint that needs the task queue and nothing else."""
    entries = application.read(application.BUILTIN).entries
    for entry in entries.values():
        if entry.kind != HttpEndpoint.kind:
            continue
        function = entries[entry.config.func]
        needs = {
            entries[reference.target].kind
            for reference in function.references
            if reference.field.startswith("needs")
        }
        if function.kind == PythonFunction.kind and needs == {TaskService.kind}:
            loaded = load_attribute(function.config.source, function.config.method, None)
            yield entry.config.method, entry.config.path, loaded
