"""How long a body may be is the server's to say, or the endpoint's."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support import Server
from wire import Wire, post

INDEX = """
namespace: app
entries:
  - {name: gateway, kind: http.service, addr: "127.0.0.1:0", limits: {body: 1KiB}, timeouts: {request: 2s}}
  - {name: router, kind: http.router, meta: {server: gateway}}
  - {name: length, kind: function.python, source: "file://functions.py", method: length}
  - {name: count, kind: function.python, source: "file://functions.py", method: count}
  - {name: usual, kind: http.endpoint, meta: {router: router}, method: POST, path: /usual, func: length}
  - {name: long, kind: http.endpoint, meta: {router: router}, method: POST, path: /long, func: length, max_body: 8KiB}
  - {name: any, kind: http.endpoint, meta: {router: router}, method: POST, path: /any, func: count, max_body: 0}
"""

FUNCTIONS = """
from starlette.requests import Request

async def length(request: Request) -> int:
    return len(await request.body())

async def count(request: Request) -> int:
    return sum([len(chunk) async for chunk in request.stream()])
"""

KIB = 1024
PIECE = b"x" * (64 * KIB)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory: Path = tmp_path_factory.mktemp("limits")
    (directory / "_index.yaml").write_text(INDEX)
    (directory / "functions.py").write_text(FUNCTIONS)
    running = Server(["--data", str(directory / "data"), str(directory)], directory)
    yield running.wait_ready()
    running.close()


@pytest.mark.parametrize(("path", "size", "status"), [
    ("/usual", KIB, 200), ("/usual", KIB + 1, 413), ("/usual?a=1", KIB + 1, 413),
    ("/long", 8 * KIB, 200), ("/long?a=1", 8 * KIB, 200), ("/long", 8 * KIB + 1, 413),
    ("/any", 256 * KIB, 200),
])  # fmt: skip
def test_a_body_may_be_as_long_as_its_endpoint_says(
    server: Server, path: str, size: int, status: int
) -> None:
    answer = server.request("POST", path, b"x" * size)
    assert answer.status == status
    if status == 200:
        assert answer.json() == size
    else:
        assert b"8KiB" in answer.body if path == "/long" else b"1KiB" in answer.body


def test_chunks_are_counted_together(server: Server) -> None:
    head = b"POST /long HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with Wire(server.url) as wire:
        wire.send(
            head
            + b"1000\r\n"
            + b"x" * 4096
            + b"\r\n"
            + b"1000\r\n"
            + b"x" * 4096
            + b"\r\n"
            + b"1\r\nx\r\n0\r\n\r\n"
        )
        assert wire.reply().status == 413


def test_an_endless_body_may_take_its_time_and_must_not_stand_still(server: Server) -> None:
    pieces = 40
    with Wire(server.url) as wire:
        wire.send(b"POST /any HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (pieces * len(PIECE)))
        for _ in range(pieces):
            wire.send(PIECE)
        assert wire.reply().json() == pieces * len(PIECE)
    with Wire(server.url) as wire:
        wire.send(b"POST /any HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nxxx")
        assert wire.reply().status == 408
    with Wire(server.url) as wire:
        wire.send(post(b"x" * 10, target="/usual"))
        assert wire.reply().json() == 10
