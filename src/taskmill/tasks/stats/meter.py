"""The meter: what has come of attempts, by queue and minute, for the last hour of this process.

It is told once a commit. Of large commits a part is measured and stands for the others, so that the cost for a task
is that of counting it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import time
from typing import Final

from taskmill.tasks.ids import time_in
from taskmill.tasks.lifecycle import Status
from taskmill.tasks.message import TaskMessage
from taskmill.tasks.rows.store import Outcome, Row
from taskmill.tasks.stats.histogram import Histogram

MINUTES: Final = 60
MEASURED: Final = 16  # of a commit's ends, about so many are measured
_MINUTE: Final = 60_000  # milliseconds
_OUTSIDE: Final[Mapping[Status, Outcome]] = {Status.COMPLETED: "completed", Status.FAILED: "failed"}


class Minute:
    """A minute of a queue. ``queued`` is how many waited as somebody looked, None where nobody has."""

    __slots__ = ("completed", "failed", "queued", "retried", "running", "waiting")

    def __init__(self) -> None:
        self.completed = self.failed = self.retried = 0
        self.queued: int | None = None
        self.waiting = Histogram()
        self.running = Histogram()

    def count(self, outcome: Outcome, number: int) -> None:
        """Count so many ends of attempts."""
        setattr(self, outcome, getattr(self, outcome) + number)


class Meter:
    """Counts ends of attempts.

    ``own`` is the queue of plain tasks, and ``ageing_off`` tells by how many milliseconds a priority goes before its
    time. ``clock`` returns milliseconds since 1970. ``minutes`` holds, by their number since 1970, those of the last
    hour in which something happened, each by queue.
    """

    def __init__(
        self,
        own: str,
        ageing_off: Callable[[int], int],
        clock: Callable[[], int] = lambda: int(time() * 1000),
    ) -> None:
        self._own = own
        self._ageing_off = ageing_off
        self._clock = clock
        self._newest = -1
        self.since = clock()
        self.minutes: dict[int, dict[str, Minute]] = {}

    def ended(self, outcome: Outcome, rows: Sequence[Row], messages: Sequence[TaskMessage]) -> None:
        """Hear of attempts whose end is stored: rows with `started_at` and, unless retried, `finished_at` (1, 2)."""
        now = self._now()
        placed = [message.place.queue for message in messages if message.place is not None]
        if len(placed) < len(messages):
            now[self._own].count(outcome, len(messages) - len(placed))
        if placed:
            for queue, number in Counter(placed).items():
                _of(now, queue).count(outcome, number)
        if outcome == "retried":
            return
        each = 1 + (len(rows) - 1) // MEASURED
        for row, message in zip(rows[::each], messages[::each], strict=True):
            place, started = message.place, row[1]
            if started:  # one that was never begun has no times
                minute = now[self._own if place is None else place.queue]
                minute.running.add(row[2] - started, each)
                minute.waiting.add(started - self._since(message, started), each)

    def ended_outside(self, ends: Iterable[tuple[str, Status]]) -> None:
        """Hear of ends, each by its queue, that workers outside have told: how long those took is not known here."""
        now = self._now()
        for (queue, status), number in Counter(ends).items():
            if status in _OUTSIDE:
                _of(now, queue).count(_OUTSIDE[status], number)

    def looked(self, queued: Mapping[str, int]) -> None:
        """Hear how many wait in each queue."""
        now = self._now()
        for queue, count in queued.items():
            _of(now, queue).queued = count

    def last(self) -> dict[int, dict[str, Minute]]:
        """Return the minutes of the last hour, the one that is under way included, oldest first."""
        self._now()
        return dict(sorted(self.minutes.items()))

    def _now(self) -> dict[str, Minute]:
        minute = self._clock() // _MINUTE
        if minute != self._newest:
            self._newest = minute
            self.minutes = {
                number: queues
                for number, queues in self.minutes.items()
                if minute - MINUTES < number <= minute  # a clock that was set back has its future forgotten
            }
            self.minutes.setdefault(minute, {self._own: Minute()})
        return self.minutes[minute]

    def _since(self, message: TaskMessage, started: int) -> int:
        """Return since when a task could have begun, as far as its message tells."""
        created = time_in(message.key)
        if message.place is None:
            return min(created, started)
        due = message.place.rank + self._ageing_off(message.place.priority)
        return due if created < due <= started else min(created, started)


def _of(minutes: dict[str, Minute], queue: str) -> Minute:
    found = minutes.get(queue)
    if found is None:
        found = minutes[queue] = Minute()
    return found
