"""Sends a body to a URL, within limits: of addresses, of redirects, of the answer's size, of time."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import httpcore

from taskmill.tasks.push.addresses import Network
from taskmill.tasks.push.network import Forbidden, GuardedNetwork
from taskmill.units import Size

CONNECTIONS = 100
IDLE = 30.0  # seconds for which a connection is kept
CONNECT = 10.0  # seconds to resolve and connect
REDIRECTS = 3
_MOVED = (307, 308)  # the redirects that keep method and body; others are answers

Header = tuple[str, str]


class Unsent(Exception):
    """Nothing came back; the text says why. ``final``: it would be the same at the next try."""

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


@dataclass(frozen=True, slots=True)
class Received:
    """An answer. The names of ``headers`` are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Sender:
    """Keeps connections to where it sends. ``most`` is how many bytes of an answer are read."""

    def __init__(self, allowed: Sequence[Network], most: Size) -> None:
        self._most = most
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=CONNECTIONS,
            keepalive_expiry=IDLE,
            network_backend=GuardedNetwork(allowed),
        )

    async def post(self, url: str, headers: Sequence[Header], body: bytes, patience: float) -> Received:
        """Send a body; return the answer, whatever its status. ``patience`` is in seconds, redirects included.

        Raises:
            Unsent: there was none.
        """
        try:
            async with asyncio.timeout(patience):
                return await self._follow(url, headers, body, patience)
        except TimeoutError:
            raise Unsent(f"{url} did not answer within {patience:g} s") from None
        except Forbidden as error:
            raise Unsent(str(error), final=True) from error
        except httpcore.UnsupportedProtocol:
            raise Unsent(f"{url} is no http:// or https:// URL", final=True) from None
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError) as error:
            raise Unsent(f"{url} cannot be reached: {error or type(error).__name__}") from None

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.aclose()

    async def _follow(self, url: str, headers: Sequence[Header], body: bytes, patience: float) -> Received:
        for _ in range(1 + REDIRECTS):
            answer = await self._send(url, headers, body, patience)
            target = answer.headers.get("location")
            if answer.status not in _MOVED or target is None:
                return answer
            new = urljoin(url, target)
            if urlsplit(url).scheme == "https" != urlsplit(new).scheme:
                raise Unsent(f"{url} sends on to where nothing is encrypted: {new}", final=True)
            url = new
        raise Unsent(f"{url} is behind more than {REDIRECTS} redirects", final=True)

    async def _send(self, url: str, headers: Sequence[Header], body: bytes, patience: float) -> Received:
        limits = {"connect": CONNECT, "read": patience, "write": patience, "pool": patience}
        async with self._pool.stream(
            "POST", url, headers=[("host", urlsplit(url).netloc.rpartition("@")[2]), *headers],
            content=body, extensions={"timeout": limits},
        ) as answer:  # fmt: skip
            parts, size = [], 0
            async for part in answer.aiter_stream():
                parts.append(part)
                size += len(part)
                if size > self._most:
                    raise Unsent(f"{url} answered more than {self._most}", final=True)
            names = {name.decode("latin-1").lower(): text.decode("latin-1") for name, text in answer.headers}
            return Received(answer.status, names, b"".join(parts))
