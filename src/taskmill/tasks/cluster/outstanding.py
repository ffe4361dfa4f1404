"""What has been handed to an engine, and has not ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from taskmill.tasks.cluster.tempo import Tempo
from taskmill.tasks.message import TaskMessage

REST = 2.0  # seconds after which a message that nobody has claimed may be lost, doubled each time it is published
REST_MOST = 60.0


@dataclass(slots=True, eq=False)
class Entry:
    """One task. ``claimed`` says that a node has it; until then its message is on its way, or lost.

    ``here`` says that it is this node, which hears of the end by itself.
    """

    message: TaskMessage
    number: int  # of its last publication
    at: float  # when that was, in seconds of the loop's clock
    times: int = 1  # it has been published
    claimed: bool = False
    here: bool = False

    @property
    def overdue_at(self) -> float:
        """When it may be lost if it is not claimed by then."""
        return self.at + min(REST_MOST, REST * float(2 ** (self.times - 1)))


class Outstanding:
    """Keeps count of them, and of how many end. ``bytes`` is the size of the bodies that are kept in memory.

    ``freed`` is called once there is room for others.
    """

    def __init__(self, now: float) -> None:
        self.freed: Callable[[], None] = lambda: None
        self.entries: dict[bytes, Entry] = {}
        self.tempo = Tempo(now)
        self.unclaimed = 0
        self.bytes = 0
        self._numbers = 0
        self._newest_claimed = 0  # of the publications of which one has been claimed

    def add(self, message: TaskMessage, now: float, *, claimed: bool = False) -> Entry:
        """Take a task that is about to be published, or that a node has."""
        entry = self.entries[message.key] = Entry(message, self.next_number(), now, claimed=claimed)
        self.unclaimed += not claimed
        self.bytes += len(message.body)
        return entry

    def next_number(self) -> int:
        """Number a publication."""
        self._numbers += 1
        return self._numbers

    def claim(self, entry: Entry) -> None:
        """Note that a node has a task."""
        if not entry.claimed:
            entry.claimed = True
            self.unclaimed -= 1
            self._newest_claimed = max(self._newest_claimed, entry.number)

    def unclaim(self, entry: Entry) -> None:
        """Note that no node has a task any more."""
        entry.here = False
        if entry.claimed:
            entry.claimed = False
            self.unclaimed += 1

    def pop(self, key: bytes) -> TaskMessage | None:
        """Let go of a task; None where it is not here."""
        entry = self.entries.pop(key, None)
        if entry is None:
            return None
        self.unclaimed -= not entry.claimed
        self.bytes -= len(entry.message.body)
        self.tempo.passed(1)
        return entry.message

    def clear(self) -> None:
        """Let go of all."""
        self.entries.clear()
        self.unclaimed = self.bytes = 0

    def overdue(self, now: float) -> bool:
        """Whether a task has been unclaimed for long."""
        return any(not entry.claimed and entry.overdue_at <= now for entry in self.entries.values())

    def lost(self, now: float, *, nothing_waits: bool) -> Iterator[Entry]:
        """Give those whose message must be lost: nothing waits at the engine, or later ones have been claimed."""
        for entry in self.entries.values():
            overtaken = entry.number < self._newest_claimed
            if not entry.claimed and entry.overdue_at <= now and (nothing_waits or overtaken):
                yield entry
