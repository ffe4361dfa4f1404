"""What happens to tasks, as a server streams it: typed events, read from bytes as they come."""

from __future__ import annotations

from typing import Any

import msgspec

from taskmill.client.model import ENDED, TaskError


class StatusEvent(msgspec.Struct, kw_only=True):
    """A task is new, or its ``status`` or ``attempt`` has changed. Times are RFC 3339, ``timeout`` is in seconds.

    ``event_id`` is what a stream goes on after.
    """

    event_id: str = ""
    id: str
    action: str
    status: str
    error: TaskError | None
    queue: str
    priority: int
    key: str | None
    tags: list[str]
    attempt: int
    max_attempts: int
    timeout: float | None
    created_at: str
    run_at: str | None
    expires_at: str | None
    started_at: str | None
    finished_at: str | None
    batch: str | None = None
    name: str | None = None

    @property
    def ended(self) -> bool:
        """Whether the task has ended."""
        return self.status in ENDED


class ProgressEvent(msgspec.Struct, kw_only=True):
    """How far a task has come: ``done`` of ``total``, where that is known. ``message`` says what it is at."""

    event_id: str = ""
    id: str
    done: float
    total: float | None
    message: str


class LogEvent(msgspec.Struct, kw_only=True):
    """A line of a task's log; ``dropped`` is how many before it were not kept."""

    event_id: str = ""
    id: str
    at: str
    attempt: int
    message: str
    dropped: int = 0


class ResetEvent(msgspec.Struct, kw_only=True):
    """Some events of the stream of all tasks are missing here: load anew what you keep of them."""

    event_id: str = ""
    reason: str


Event = StatusEvent | ProgressEvent | LogEvent | ResetEvent

_TYPES: dict[str, type[StatusEvent | ProgressEvent | LogEvent | ResetEvent]] = {
    "status": StatusEvent,
    "progress": ProgressEvent,
    "log": LogEvent,
    "reset": ResetEvent,
}


class EventReader:
    """Reads events from the bytes of a stream. ``last`` is the id of the last one, "" before the first."""

    def __init__(self, last: str = "") -> None:
        self.last = last
        self._buffer = b""

    def feed(self, data: bytes) -> list[Event]:
        """Take some bytes; return the events that are whole now. Those of a kind that is not known are left out."""
        *blocks, self._buffer = (self._buffer + data).split(b"\n\n")
        return [event for block in blocks if (event := self._read(block)) is not None]

    def _read(self, block: bytes) -> Event | None:
        fields: dict[str, str] = {}
        for line in block.decode("utf-8", "replace").split("\n"):
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        self.last = fields.get("id", self.last)
        type_ = _TYPES.get(fields.get("event", ""))
        if type_ is None or "data" not in fields:
            return None
        event: Any = msgspec.json.decode(fields["data"], type=type_)
        event.event_id = self.last
        return event  # type: ignore[no-any-return]
