"""Raw HTTP connections, for what no proper client sends."""

import json
import socket
import time
from types import TracebackType
from urllib.parse import urlsplit

from support import Answer


def post(body: bytes, *headers: str, target: str = "/tasks", close: bool = False) -> bytes:
    """Write a whole ``POST``."""
    lines = [f"POST {target} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
    if close:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode() + body


def task(text: str, action: str = "uppercase") -> bytes:
    """Write the body of a submission."""
    return json.dumps({"action": action, "data": {"text": text}}).encode()


class Wire:
    """One connection. Every wait has an end."""

    def __init__(self, url: str, timeout: float = 10.0, receive_buffer: int = 0) -> None:
        parts = urlsplit(url)
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect((parts.hostname, parts.port))
        self._buffer = b""

    def __enter__(self) -> "Wire":
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, data: bytes) -> "Wire":
        self.socket.sendall(data)
        return self

    def send_until_cut(self, data: bytes) -> bool:
        """Send as far as the server lets; tell whether all of it went."""
        try:
            self.socket.sendall(data)
        except OSError:
            return False
        return True

    def reply(self, head_only: bool = False) -> Answer:
        """Read one answer, interim ones included; raises ConnectionError where there is none."""
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = 0 if head_only else int(headers.get("content-length", 0))
        while len(self._buffer) < length:
            self._more()
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return Answer(int(first.split()[1]), headers, body)

    def until(self, end: bytes) -> bytes:
        """Read up to some bytes, and return all that came before and with them."""
        while end not in self._buffer:
            self._more()
        found, _, self._buffer = self._buffer.partition(end)
        return found + end

    def rest(self, timeout: float = 10.0) -> bytes:
        """Read to the end of the connection; raises TimeoutError where the server keeps it open."""
        deadline = time.monotonic() + timeout
        gathered = [self._buffer]
        self._buffer = b""
        while True:
            self.socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                data = self.socket.recv(2**16)
            except ConnectionResetError:
                data = b""
            if not data:
                return b"".join(gathered)
            gathered.append(data)

    def _more(self) -> None:
        data = self.socket.recv(2**16)
        if not data:
            raise ConnectionError("the server closed the connection")
        self._buffer += data
