"""One suite for both clients: the asynchronous one behind the methods of the other."""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, cast

from taskmill.client import AsyncBatchHandle, AsyncClient, AsyncHandle, Client

KINDS = ["blocking", "async"]


class _Outside:
    """Calls the methods of something on an event loop from outside of it."""

    def __init__(self, inside: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._inside = inside
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inside, name)
        return self._called(found) if callable(found) else found

    def _called(self, method: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            value = method(*arguments, **options)
            if isinstance(value, AsyncIterator):
                return self._each(value)
            return self._outside(self._run(value))

        return call

    def _each(self, values: AsyncIterator[Any]) -> Iterator[Any]:
        end = object()
        while (value := self._run(anext(values, end))) is not end:
            yield value

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        async def awaited() -> Any:
            return await coroutine

        return asyncio.run_coroutine_threadsafe(awaited(), self._loop).result(60)

    def _outside(self, value: Any) -> Any:
        if isinstance(value, AsyncHandle | AsyncBatchHandle):
            return _Outside(value, self._loop)
        if isinstance(value, list):
            return [self._outside(one) for one in value]
        return value


@contextmanager
def client(kind: str, url: str, **setup: Any) -> Iterator[Client]:
    """A client of either kind."""
    if kind == "blocking":
        with Client(url, **setup) as blocking:
            yield blocking
        return
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    outside = cast(Client, _Outside(AsyncClient(url, **setup), loop))
    try:
        yield outside
        outside.close()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
