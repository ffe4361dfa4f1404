"""Streams of server-sent events, read as a client without a library would."""

from __future__ import annotations

import json
import time
from types import TracebackType
from typing import Any, NamedTuple

from wire import Wire


class Event(NamedTuple):
    """An event; ``data`` is decoded."""

    id: str
    name: str
    data: Any


class Stream:
    """An open stream. Every wait has an end."""

    def __init__(
        self, url: str, path: str, last: str | None = None, *, timeout: float = 20.0, head: bool = True
    ) -> None:
        self.wire = Wire(url, timeout)
        resume = "" if last is None else f"Last-Event-ID: {last}\r\n"
        self.wire.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n{resume}\r\n".encode())
        self.last = last
        self.comments = 0
        self.status = 0
        self.head = ""
        if head:
            self.read_head()

    def read_head(self) -> None:
        """Read the head of the answer."""
        self.head = self.wire.until(b"\r\n\r\n").decode().lower()
        self.status = int(self.head.split()[1])

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self.wire.socket.close()

    def next(self) -> Event:
        """Return the next event; raises ConnectionError where the stream has ended."""
        while True:
            name, data = "message", None
            for line in self.wire.until(b"\n\n").decode().split("\n"):
                field, _, value = line.partition(":")
                value = value.removeprefix(" ")
                if field == "id":
                    self.last = value
                elif field == "event":
                    name = value
                elif field == "data":
                    data = json.loads(value)
                elif not field and line:
                    self.comments += 1
            if data is not None:
                return Event(self.last or "", name, data)

    def until(self, name: str, seconds: float = 20.0, **fields: Any) -> list[Event]:
        """Read up to an event with these fields, and return it last, after all that came before it."""
        found = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found.append(self.next())
            if found[-1].name == name and fields.items() <= found[-1].data.items():
                return found
        raise AssertionError(f"no {name} {fields} within {seconds} s, only {found}")

    def rest(self) -> list[Event]:
        """Read to the end of the stream."""
        found = []
        try:
            while True:
                found.append(self.next())
        except ConnectionError:
            return found


def told(events: list[Event], name: str, field: str) -> list[Any]:
    """Return a field of all events of a name."""
    return [event.data[field] for event in events if event.name == name]
