"""Connections on an event loop, kept open between requests."""

from __future__ import annotations

import asyncio
import ssl

from taskmill.client.wire import Answer, Origin, Reader, Unreachable

CHUNK = 2**16


class StreamPool:
    """Sends requests to one server over at most ``size`` connections, on one event loop."""

    def __init__(self, origin: Origin, size: int, context: ssl.SSLContext | None) -> None:
        self._origin = origin
        self._context = context
        self._slots = asyncio.Semaphore(size)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def send(self, data: bytes, timeout: float) -> Answer:  # noqa: ASYNC109
        """Send a request and return its answer; ``timeout`` is in seconds, and for all of it. Raises Unreachable."""
        sent = False
        try:
            async with asyncio.timeout(timeout), self._slots:
                incoming, outgoing = await self._take()
                reader = Reader()
                try:
                    sent = True
                    outgoing.write(data)
                    while (answer := reader.feed(await incoming.read(CHUNK))) is None:
                        pass
                finally:
                    if reader.reusable:
                        self._idle.append((incoming, outgoing))
                    else:
                        outgoing.close()
                return answer
        except OSError as error:
            raise Unreachable.of(error, sent=sent) from None

    async def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            _, outgoing = self._idle.pop()
            outgoing.close()
            await asyncio.wait([asyncio.ensure_future(outgoing.wait_closed())], timeout=1.0)

    async def _take(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            incoming, outgoing = self._idle.pop()
            if not (incoming.at_eof() or outgoing.is_closing()):
                return incoming, outgoing
            outgoing.close()
        host = self._origin.host
        return await asyncio.open_connection(host, self._origin.port, ssl=self._context)
