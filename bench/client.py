"""A client of one keep-alive connection that costs little, so that what is timed is the server."""

import json
import socket
from typing import Any, Self


class Client:
    """Sends a request, waits for its answer; nothing more."""

    def __init__(self, port: int, timeout: float = 30.0) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def get(self, path: str) -> tuple[int, Any]:
        return self._exchange(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())

    def submit(self, action: str) -> tuple[int, Any]:
        body = b'{"action":"%s","data":{"text":"hello world"}}' % action.encode()
        head = b"POST /tasks HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        head += b"Content-Length: %d\r\n\r\n"
        return self._exchange(head % len(body) + body)

    def post(self, path: str, body: object) -> tuple[int, Any]:
        data = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {len(data)}"
        return self._exchange(f"{head}\r\n\r\n".encode() + data)

    def _exchange(self, request: bytes) -> tuple[int, Any]:
        self._socket.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._receive()
        head, _, body = answer.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
        length = int(fields[b"content-length"])
        while len(body) < length:
            body += self._receive()
        return int(head[9:12]), json.loads(body)

    def _receive(self) -> bytes:
        data = self._socket.recv(262_144)
        if not data:
            raise ConnectionError("the server closed the connection")
        return data
