"""The last events of all tasks, so that one who was away for a moment goes on where he was."""

from __future__ import annotations

import os
from collections import OrderedDict, deque
from collections.abc import Iterable
from itertools import islice
from typing import Final, NamedTuple

from taskmill.tasks.events.event import Event, Place, Seen, events_of

KEPT: Final = 10_000  # events,
BYTES: Final = 2**23  # of so many bytes in all
KNOWN: Final = 20_000  # tasks of which it is known how they were last


class Past(NamedTuple):
    """An event with its number; None where some went by that nobody has seen."""

    number: int
    event: Event | None


class History:
    """Events from a moment on. Their numbers mean nothing to any other history, so ids name it, too."""

    def __init__(self) -> None:
        self._name = os.urandom(6).hex()
        self._past: deque[Past] = deque()
        self.last = 0  # the number of the last event
        self._size = 0
        self._known: OrderedDict[bytes, Place] = OrderedDict()

    def place_of(self, key: bytes) -> Place | None:
        """Return up to where a task is known."""
        return self._known.get(key)

    def add(self, key: bytes, seen: Seen, since: int) -> list[Past]:
        """Take a task as it is now; return what is new of it. Where it is not known, notes are from ``since`` on."""
        place = self._known.pop(key, None) or Place(number=since)
        events = events_of(seen, place)
        self._known[key] = events[-1].place if events else place
        if len(self._known) > KNOWN:
            self._known.popitem(last=False)
        return [self._append(event) for event in events]

    def skip(self) -> Past:
        """Say that events went by that nobody has seen."""
        return self._append(None)

    def id_of(self, number: int) -> bytes:
        """Write a number as the id of an event."""
        return f"{self._name}-{number}".encode()

    def after(self, id_: bytes) -> Iterable[Past] | None:
        """Return what followed the event of an id; None where that is not known any more."""
        name, _, digits = id_.decode("latin-1").partition("-")
        if name != self._name or not digits.isdigit() or len(digits) > 18:
            return None
        missed = self.last - int(digits)
        if not 0 <= missed <= len(self._past):
            return None
        return islice(self._past, len(self._past) - missed, None)

    def _append(self, event: Event | None) -> Past:
        self.last += 1
        past = Past(self.last, event)
        self._past.append(past)
        self._size += 0 if event is None else len(event.data)
        while len(self._past) > KEPT or self._size > BYTES:
            gone = self._past.popleft().event
            self._size -= 0 if gone is None else len(gone.data)
        return past
