"""The client that an action's own ``submit`` uses."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Unpack
from weakref import WeakKeyDictionary

from taskmill.client.aio import AsyncClient
from taskmill.client.blocking import Client
from taskmill.client.settings import Settings, Setup


class _Default:
    """One client for all threads, and one for each event loop, made when they are first needed."""

    def __init__(self) -> None:
        self.url = ""
        self.setup: Setup = {}
        self._lock = threading.Lock()
        self._client: Client | None = None
        self.stand_ins: tuple[Client, AsyncClient | None] | None = None
        self._on_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[AsyncClient, object]]
        self._on_loops = WeakKeyDictionary()

    def configure(self, url: str, setup: Setup) -> None:
        Settings(url=url, **setup).origin()  # to raise here what is wrong
        with self._lock:
            self.url, self.setup = url, setup
            client, self._client = self._client, None
            self._on_loops.clear()
        if client is not None:
            client.close()

    def client(self) -> Client:
        if self.stand_ins is not None:
            return self.stand_ins[0]
        with self._lock:
            if self._client is None:
                self._client = Client(self.url, **self.setup)
            return self._client

    async def on_this_loop(self) -> AsyncClient:
        if self.stand_ins is not None and self.stand_ins[1] is not None:
            return self.stand_ins[1]
        loop = asyncio.get_running_loop()
        known = self._on_loops.get(loop)
        if known is not None:
            return known[0]
        client = AsyncClient(self.url, **self.setup)
        life = _until_the_loop_ends(client)
        self._on_loops[loop] = client, life
        return await anext(life)


async def _until_the_loop_ends(client: AsyncClient) -> AsyncGenerator[AsyncClient, None]:
    """Close a client whose loop ends: a loop closes the generators that have begun on it, first of all."""
    try:
        yield client
    finally:
        await client.close()


_default = _Default()


@contextmanager
def standing_in(client: Client, on_loops: AsyncClient | None = None) -> Iterator[None]:
    """Have an action's own ``submit`` ask other clients for a while, as tests want it."""
    before, _default.stand_ins = _default.stand_ins, (client, on_loops)
    try:
        yield
    finally:
        _default.stand_ins = before


def configure(url: str = "", **setup: Unpack[Setup]) -> None:
    """Say which server an action's own ``submit`` asks, and how; without it, TASKMILL_URL says which.

    Raises:
        AddressError: the URL is no address of a server.
        ValueError: a number is out of bounds.
    """
    _default.configure(url, setup)


def default_client() -> Client:
    """Return the client that :func:`configure` configures, for any thread."""
    return _default.client()


async def default_async_client() -> AsyncClient:
    """Return the client that :func:`configure` configures, for the running event loop, with which it ends."""
    return await _default.on_this_loop()
