"""HTTP/1.1 as bytes: a request is written, an answer is read. No socket here: both clients use this.

httptools, which the server has anyway, reads answers: a request costs a fraction of what it costs by the
libraries for everything, and the base installation stays as small as it was. What those have beyond it, such as
proxies and redirects, a client of one server in one's own network can do without.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

import httptools
import msgspec

from taskmill.client.errors import AddressError
from taskmill.client.tracing import propagated


class Origin(NamedTuple):
    """Where a server is: what its URL says. ``path`` is put before that of each request."""

    host: str
    port: int
    secure: bool
    authority: str
    path: str

    @classmethod
    def of(cls, url: str) -> Origin:
        """Read a URL; without a scheme it is `http`. Raises AddressError."""
        parts = urlsplit(url if "://" in url else f"http://{url}")
        try:
            port = parts.port
        except ValueError:
            raise AddressError(url) from None
        plain = parts.netloc.isascii() and not any(map(str.isspace, url)) and "@" not in parts.netloc
        if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or not plain:
            raise AddressError(url)
        secure = parts.scheme == "https"
        return cls(
            parts.hostname, port or (443 if secure else 80), secure, parts.netloc, parts.path.rstrip("/")
        )

    @property
    def url(self) -> str:
        """The URL, without a slash at its end."""
        return f"{'https' if self.secure else 'http'}://{self.authority}{self.path}"


class Answer(NamedTuple):
    """What a server answered. Names of ``headers`` are lowercase."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Decode the body; None where there is none. Raises ValueError."""
        return msgspec.json.decode(self.body) if self.body else None


class Sender(Protocol):
    """Sends requests to one server, from any thread."""

    def send(self, data: bytes, timeout: float) -> Answer:
        """Send a request and return its answer; ``timeout`` is in seconds, and for all of it. Raises Unreachable."""

    def close(self) -> None:
        """Close what is kept for further requests."""


class AsyncSender(Protocol):
    """Sends requests to one server, on an event loop."""

    async def send(self, data: bytes, timeout: float) -> Answer:  # noqa: ASYNC109
        """Send a request and return its answer; ``timeout`` is in seconds, and for all of it. Raises Unreachable."""

    async def close(self) -> None:
        """Close what is kept for further requests."""


class Unreachable(Exception):
    """A request came to nothing; ``sent`` where it may have reached the server."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent

    @classmethod
    def of(cls, error: BaseException, *, sent: bool) -> Unreachable:
        """Say why in a few words."""
        if isinstance(error, TimeoutError):
            return cls("no answer in time" if sent else "no connection in time", sent=sent)
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        if isinstance(error, ConnectionError) and error.errno:  # asyncio puts the address into its text
            reason = os.strerror(error.errno)
        return cls(str(reason), sent=sent)


def write(origin: Origin, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
    """Write a request, with the caller's place in a trace. Raises ValueError for a header that would be two."""
    lines = [f"{method} {origin.path}{target} HTTP/1.1", f"Host: {origin.authority}"]
    for name, value in {**propagated(), **headers}.items():
        if not (name + value).isprintable() or not (name + value).isascii():
            raise ValueError(f"the header {name} can only hold printable ASCII")
        lines.append(f"{name}: {value}")
    if body is not None and "Content-Type" not in headers:
        lines.append("Content-Type: application/json")
    if body is not None or method != "GET":
        lines.append(f"Content-Length: {len(body or b'')}")
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


class Reader:
    """Reads one answer as its bytes come."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._status = 0
        self._complete = False
        self.reusable = False  # whether the connection can have another request

    def feed(self, data: bytes) -> Answer | None:
        """Take some bytes, none of them at the end of the connection; return the answer once it is whole.

        Raises:
            Unreachable: the connection ended too early, or what came is no HTTP.
        """
        if not data:
            return self._finish()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            raise Unreachable("what answers speaks no HTTP", sent=True) from None
        return self._answer() if self._complete else None

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Note that the head is whole."""
        self._status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """The answer is whole; an interim one is forgotten, and the next one read."""
        if self._status < 200:
            self._headers, self._status = {}, 0
        else:
            self._complete = True
            self.reusable = self._parser.should_keep_alive()

    def _finish(self) -> Answer:
        """Take the end of the connection for the end of the body where nothing else says where that is."""
        bounded = {"content-length", "transfer-encoding"} & self._headers.keys()
        if not self._status or bounded:
            raise Unreachable("the server closed the connection", sent=True)
        return self._answer()

    def _answer(self) -> Answer:
        return Answer(self._status, self._headers, bytes(self._body))
