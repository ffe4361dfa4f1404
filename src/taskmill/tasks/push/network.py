"""Connections to addresses that may be sent to, and to no others, whatever a name says and however often it changes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Sequence
from typing import Any

import httpcore
from httpcore import AsyncNetworkBackend, AsyncNetworkStream

from taskmill.tasks.push.addresses import Network, permitted


class Forbidden(Exception):
    """An address must not be sent to; the text says which, and what allows it."""


class GuardedNetwork(AsyncNetworkBackend):
    """Resolves a name once and connects to an address of that answer, so that a second answer cannot differ.

    A name that has any address outside of what is allowed is refused as a whole.
    """

    def __init__(self, allowed: Sequence[Network]) -> None:
        self._allowed = allowed
        self._sockets = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the names are httpcore's
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> AsyncNetworkStream:
        """Connect to a host by an address that is allowed.

        Raises:
            Forbidden: it has one that is not.
            httpcore.ConnectError, httpcore.ConnectTimeout: it cannot be reached.
        """
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._resolve(host, port)
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"{host} was not resolved in time") from None
        error: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                return await self._sockets.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failed:
                error = failed
        raise error

    async def _resolve(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} has no address: {error}") from None
        addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
        for address in addresses:
            if not permitted(address, self._allowed):
                raise Forbidden(
                    f"{host} is {address}, which is not on the public internet: "
                    "`allow` of the entry names networks that may be sent to all the same"
                )
        return addresses

    async def connect_unix_socket(self, path: str, *_: Any, **__: Any) -> AsyncNetworkStream:
        """Refuse: nothing is sent to sockets of this machine."""
        raise Forbidden(f"{path} is a socket of this machine")

    async def sleep(self, seconds: float) -> None:
        """Wait, between tries of the pool."""
        await asyncio.sleep(seconds)
