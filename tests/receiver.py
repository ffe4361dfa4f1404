"""A server that tasks are sent to: it keeps what came, and answers as it is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = tuple[int, dict[str, str], bytes]


@dataclass(frozen=True)
class Came:
    """A request. The names of ``headers`` are lower case."""

    path: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """``came`` is what came, in order; ``answers`` says what is answered to it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.came: list[Came] = []
        self.answers: Callable[[Came], Answer] = lambda _: (200, {}, b"")


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Start a receiver on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            came = Came(self.path, {name.lower(): text for name, text in self.headers.items()}, body)
            receiver.came.append(came)
            status, headers, answer = receiver.answers(came)
            self.send_response(status)
            for name, text in {"Content-Length": str(len(answer)), **headers}.items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    receiver = Receiver(f"http://127.0.0.1:{server.server_address[1]}")
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
