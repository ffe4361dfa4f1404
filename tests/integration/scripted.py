"""A server that answers as it is told, and keeps what it was asked."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any

CUT = b"cut"  # in place of an answer: the connection is closed
SILENCE = b"silence"  # no answer, until the client goes
THEN_CLOSE = b"then close"  # at the end of an answer: it is sent, and the connection closed


def answer(status: int, value: object, *headers: str) -> bytes:
    """Write an answer."""
    body = json.dumps(value).encode()
    return (
        "\r\n".join([f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers, "", ""]).encode()
        + body
    )


class Request:
    """What was asked, when, and on which connection."""

    def __init__(self, text: str, body: bytes, connection: int) -> None:
        self.line, _, rest = text.partition("\r\n")
        self.headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in rest.split("\r\n"))
        }
        self.body: Any = json.loads(body) if body else None
        self.connection = connection
        self.at = time.monotonic()


class Scripted:
    """Gives one answer of a list to each request, over as many connections as are made."""

    def __init__(self, answers: Iterable[bytes], context: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self._answers = list(answers)
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        scheme = "http" if context is None else "https"
        self.url = f"{scheme}://localhost:{self._listener.getsockname()[1]}"

    def __enter__(self) -> "Scripted":
        self._start(self._accept)
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            connection.close()
        for thread in self._threads:
            thread.join(10)

    def _start(self, target: Any, *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(20)
            self._open.append(connection)
            self._start(self._serve, connection, len(self._open))

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            with connection:
                while self._exchange(connection, number):
                    pass
        except OSError:
            pass  # the client has gone, or the test is over

    def _exchange(self, connection: socket.socket, number: int) -> bool:
        received = b""
        while b"\r\n\r\n" not in received:
            received += (more := connection.recv(2**16))
            if not more:
                return False
        head, _, body = received.partition(b"\r\n\r\n")
        text = head.decode()
        _, _, length = text.lower().partition("content-length: ")
        while len(body) < int(length.split("\r\n")[0] or 0):
            body += connection.recv(2**16)
        self.requests.append(Request(text, body, number))
        said = self._answers.pop(0)
        if said == SILENCE:
            connection.recv(1)
            return False
        if said == CUT:
            return False
        connection.sendall(said.removesuffix(THEN_CLOSE))
        return not said.endswith(THEN_CLOSE)
