"""The meter: what has come of tasks and attempts. It is the one place where ends are counted.

By queue and minute it keeps the last hour, for ``GET /stats``; by queue and action all since the start, for
``GET /metrics``. Every end counts, and each attempt is measured. So that this costs a task no more than a fraction of
a microsecond, the ends of a commit are only laid beside each other; hundreds of them are counted at once.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from operator import attrgetter, itemgetter, rshift, sub
from sys import byteorder
from time import time
from typing import Final

from taskmill.metrics import Histogram as Buckets
from taskmill.tasks.ids import time_in
from taskmill.tasks.lifecycle import Status
from taskmill.tasks.message import Place, TaskMessage
from taskmill.tasks.rows.over import Over
from taskmill.tasks.rows.store import Outcome, Row
from taskmill.tasks.stats.histogram import Histogram

MINUTES: Final = 60
LAID_UP: Final = 512  # ends that wait to be counted
CAME_TO: Final = ("completed", "failed", "cancelled", "retried")  # what ends are counted by
_MINUTE: Final = 60_000  # milliseconds

_name = attrgetter("name")
_key = attrgetter("key")
_place = attrgetter("place")
_started = itemgetter(1)
_finished = itemgetter(2)

Kind = tuple[str, str]  # queue, action


class Minute:
    """A minute of a queue. ``queued`` is how many waited as somebody looked, None where nobody has."""

    __slots__ = ("completed", "failed", "queued", "retried", "running", "waiting")

    def __init__(self) -> None:
        self.completed = self.failed = self.retried = 0
        self.queued: int | None = None
        self.waiting = Histogram()
        self.running = Histogram()

    def count(self, came_to: str, number: int) -> None:
        """Count so many ends; those of cancelled tasks are not kept by minute."""
        if came_to != "cancelled":
            setattr(self, came_to, getattr(self, came_to) + number)


class Times:
    """How long tasks waited, from when they could have begun, and ran."""

    __slots__ = ("running", "waiting")

    def __init__(self) -> None:
        self.waiting = Buckets()
        self.running = Buckets()


class Meter:
    """Counts ends.

    ``own`` is the queue of plain tasks, and ``ageing_off`` tells by how many milliseconds a priority goes before its
    time. ``label`` returns what the tasks of an action's name are counted as, of which there must be few. ``clock``
    returns milliseconds since 1970.
    """

    def __init__(
        self,
        own: str,
        ageing_off: Callable[[int], int],
        label: Callable[[str], str],
        clock: Callable[[], int] = lambda: int(time() * 1000),
    ) -> None:
        self._own = own
        self._ageing_off = ageing_off
        self._label = label
        self._clock = clock
        self._newest = -1
        self.since = clock()
        self._minutes: dict[int, dict[str, Minute]] = {}
        self._ends: Counter[tuple[str, str, str]] = Counter()
        self._times: dict[Kind, Times] = {}
        self._names: list[
            str
        ] = []  # of plain tasks that have completed, and are not counted yet; with these:
        self._keys: list[bytes] = []
        self._began: list[int] = []
        self._finished: list[int] = []

    def ended(self, outcome: Outcome, rows: Sequence[Row], messages: Sequence[TaskMessage]) -> None:
        """Hear of attempts whose end is stored: rows with `started_at` and, unless retried, `finished_at` (1, 2)."""
        now = self._now()
        if outcome == "completed" and not any(map(_place, messages)):
            self._names.extend(map(_name, messages))
            self._keys.extend(map(_key, messages))
            self._began.extend(map(_started, rows))
            self._finished.extend(map(_finished, rows))
            if len(self._names) >= LAID_UP:
                self._count()
            return
        for row, message in zip(rows, messages, strict=True):
            place, started = message.place, row[1]
            queue = self._own if place is None else place.queue
            action, minute = self._label(message.name), _of(now, queue)
            self._ends[queue, action, outcome] += 1
            minute.count(outcome, 1)
            if outcome != "retried" and started:  # one that was never begun has no times
                waited = started - self._since(message.key, place, started)
                self._measure((queue, action), minute, {waited: 1}, {row[2] - started: 1})

    def over(self, ends: Iterable[Over]) -> None:
        """Hear of other ends that are stored: how long those waited and ran is not known here."""
        now = self._now()
        for _, queue, action, status in ends:
            came_to = "retried" if status is Status.SCHEDULED else status.word
            self._ends[queue, self._label(action), came_to] += 1
            _of(now, queue).count(came_to, 1)

    def looked(self, queued: Mapping[str, int]) -> None:
        """Hear how many wait in each queue."""
        now = self._now()
        for queue, count in queued.items():
            _of(now, queue).queued = count

    def last(self) -> dict[int, dict[str, Minute]]:
        """Return the minutes of the last hour, by their number since 1970 and by queue, oldest first.

        The one that is under way is among them, and of the others those in which something happened.
        """
        self._now()
        self._count()
        return dict(sorted(self._minutes.items()))

    def ends(self) -> Mapping[tuple[str, str, str], int]:
        """Return how many ended since the start, by queue, action, and what they came to: a status, or ``retried``."""
        self._count()
        return self._ends

    def times(self) -> Mapping[Kind, Times]:
        """Return how long those waited and ran that attempts here have ended, by queue and action."""
        self._count()
        return self._times

    def _now(self) -> dict[str, Minute]:
        minute = self._clock() // _MINUTE
        if minute != self._newest:
            self._count()  # in the minute that they ended in
            self._newest = minute
            self._minutes = {
                number: queues
                for number, queues in self._minutes.items()
                if minute - MINUTES < number <= minute  # a clock that was set back has its future forgotten
            }
            self._minutes.setdefault(minute, {self._own: Minute()})
        return self._minutes[minute]

    def _count(self) -> None:
        """Count what was laid up. Most of it is alike to the millisecond, and of few actions."""
        names, keys, began, finished = self._names, self._keys, self._began, self._finished
        if not names:
            return
        self._names, self._keys, self._began, self._finished = [], [], [], []
        stamps = array("Q", b"".join(keys))
        if byteorder == "little":
            stamps.byteswap()
        waited = list(map(sub, began, map(rshift, stamps[::2], repeat(16))))  # since the time in its id
        ran = list(map(sub, finished, began))
        minute = _of(self._minutes[self._newest], self._own)
        minute.count("completed", len(names))
        if names.count(names[0]) == len(names):
            self._count_action(names[0], minute, waited, ran)
            return
        parted: dict[str, tuple[list[int], list[int]]] = {name: ([], []) for name in set(names)}
        for name, one_waited, one_ran in zip(names, waited, ran, strict=True):
            own = parted[name]
            own[0].append(one_waited)
            own[1].append(one_ran)
        for name, times in parted.items():
            self._count_action(name, minute, *times)

    def _count_action(self, name: str, minute: Minute, waited: list[int], ran: list[int]) -> None:
        kind = self._own, self._label(name)
        self._ends[*kind, "completed"] += len(waited)
        self._measure(kind, minute, Counter(waited), Counter(ran))

    def _measure(self, kind: Kind, minute: Minute, waited: Mapping[int, int], ran: Mapping[int, int]) -> None:
        """Count durations, milliseconds of which each was seen so many times."""
        times = self._times.get(kind)
        if times is None:
            times = self._times[kind] = Times()
        for milliseconds, number in waited.items():
            minute.waiting.add(milliseconds, number)
            times.waiting.observe(milliseconds / 1000, number)
        for milliseconds, number in ran.items():
            minute.running.add(milliseconds, number)
            times.running.observe(milliseconds / 1000, number)

    def since_of(self, message: TaskMessage) -> int:
        """Return since when the attempt that is under way could have begun: milliseconds since 1970."""
        return self._since(message.key, message.place, message.started_at)

    def _since(self, key: bytes, place: Place | None, started: int) -> int:
        """Return since when a task could have begun, as far as its message tells."""
        created = time_in(key)
        if place is None:
            return created
        due = place.rank + self._ageing_off(place.priority)
        return due if created < due <= started else created


def _of(minutes: dict[str, Minute], queue: str) -> Minute:
    found = minutes.get(queue)
    if found is None:
        found = minutes[queue] = Minute()
    return found
