"""Watching: a stream of events that goes on by itself where its connection breaks, or its server starts anew."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import TypedDict, Unpack

import msgspec

from taskmill.client.calls import refuse, target
from taskmill.client.errors import NotTaskmill, ServerAway
from taskmill.client.events import Event, EventReader, StatusEvent
from taskmill.client.retrying import Patience
from taskmill.client.settings import Settings
from taskmill.client.sockets import CHUNK, Connection
from taskmill.client.wire import Answer, Origin, Reader, Unreachable, write

SILENCE = 45.0  # seconds without a byte after which a stream is taken for dead: three heartbeats


class EventFilters(TypedDict, total=False):
    """Which tasks are watched, where that is not one alone."""

    status: str
    action: str
    queue: str
    tag: str
    batch: str


class _Streamed(Reader):
    """An answer whose body is taken as it comes."""

    @property
    def status(self) -> int:
        """The answer's status; 0 before its head is whole."""
        return self._status

    def take(self) -> bytes:
        """Return what has come of the body."""
        body = bytes(self._body)
        self._body.clear()
        return body


class Watch:
    """What is known of a stream between its connections; nothing is sent here. ``over`` once nothing more comes."""

    def __init__(
        self, origin: Origin, settings: Settings, id_: str | None, filters: EventFilters, last: str
    ) -> None:
        self.origin = origin
        self.settings = settings
        self.context = settings.context(origin)
        self.over = False
        self._headers = {**settings.headers(), "Accept": "text/event-stream"}
        self._target = target("events", **filters) if id_ is None else target("tasks", id_, "events")
        self._id = id_
        self._events = EventReader(last)
        self._reader = _Streamed()
        self._patience: Patience | None = None

    def request(self) -> bytes:
        """Begin anew; return what is to be sent."""
        self._reader = _Streamed()
        self._events = EventReader(self._events.last)
        headers: Mapping[str, str] = self._headers
        if self._events.last:
            headers = {**headers, "Last-Event-ID": self._events.last}
        return write(self.origin, "GET", self._target, headers, None)

    def feed(self, data: bytes) -> list[Event]:
        """Take what came over the connection, nothing at its end; return the events in it.

        Raises:
            Unreachable: the connection has ended though the stream has not.
            ProblemError: the server refuses.
        """
        answer = self._reader.feed(data)
        if self._reader.status != 200:
            if answer is not None:
                self._judge(answer)
            return []
        try:
            events = self._events.feed(self._reader.take())
        except msgspec.MsgspecError as error:
            raise NotTaskmill(self.origin.url, str(error)) from None
        if events:
            self._patience = None
        last = events[-1] if events else None
        self.over = self._id is not None and isinstance(last, StatusEvent) and last.ended
        if answer is not None and not self.over:
            raise Unreachable("the stream has ended", sent=True)
        return events

    def rest(self, failure: Unreachable) -> float:
        """Return for how many seconds to rest before the next connection; raise ServerAway where none is made."""
        if self._patience is None:
            self._patience = Patience(self.settings.retry_for, safe=True)
        rest = self._patience.after_failure(failure)
        if rest is None:
            raise ServerAway(self.origin.url, str(failure), maybe_done=False)
        return rest

    def _judge(self, answer: Answer) -> None:
        if answer.status == 204:
            self.over = True
        elif answer.status in (429, 502, 503, 504):
            raise Unreachable(f"status {answer.status}", sent=True)
        else:
            refuse(answer)


def stream(watch: Watch) -> Iterator[Event]:
    """Give events as they come."""
    while not watch.over:
        connection = None
        try:
            try:
                deadline = time.monotonic() + watch.settings.timeout
                connection = Connection(watch.origin, watch.context, deadline)
                connection.socket.sendall(watch.request())
                connection.socket.settimeout(SILENCE)
                while not watch.over:
                    yield from watch.feed(connection.socket.recv(CHUNK))
            except OSError as error:
                raise Unreachable.of(error, sent=True) from None
        except Unreachable as failure:
            time.sleep(watch.rest(failure))
        finally:
            if connection is not None:
                connection.socket.close()


async def stream_async(watch: Watch) -> AsyncGenerator[Event]:
    """Give events as they come."""
    while not watch.over:
        outgoing = None
        try:
            try:
                async with asyncio.timeout(watch.settings.timeout):
                    incoming, outgoing = await asyncio.open_connection(
                        watch.origin.host, watch.origin.port, ssl=watch.context
                    )
                outgoing.write(watch.request())
                while not watch.over:
                    async with asyncio.timeout(SILENCE):
                        data = await incoming.read(CHUNK)
                    for event in watch.feed(data):
                        yield event
            except OSError as error:
                raise Unreachable.of(error, sent=True) from None
        except Unreachable as failure:
            await asyncio.sleep(watch.rest(failure))
        finally:
            if outgoing is not None:
                outgoing.close()


def watch_of(
    origin: Origin, settings: Settings, id_: str | None, last: str, **filters: Unpack[EventFilters]
) -> Watch:
    """Begin to watch one task, or all that pass the filters; raise ValueError for filters of one task."""
    if id_ is not None and filters:
        raise ValueError("a stream is of one task, or of all that pass filters: not both")
    return Watch(origin, settings, id_, filters, last)
