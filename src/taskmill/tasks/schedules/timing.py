"""When a schedule is due: cron in a time zone, or multiples of an interval. All times are milliseconds since 1970."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from hashlib import blake2b
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

SECOND = timedelta(seconds=1)
NICKNAMES: Final[Mapping[str, str]] = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


class Timing(Protocol):
    """Knows when a schedule is due."""

    def after(self, at: int) -> int:
        """Return the first due time after ``at``."""


class Every:
    """Due at each multiple of ``interval`` (milliseconds) counted from ``anchor``."""

    def __init__(self, interval: int, anchor: int) -> None:
        self.interval = interval
        self.anchor = anchor

    def after(self, at: int) -> int:
        """Return the first multiple after ``at``."""
        return self.anchor + ((at - self.anchor) // self.interval + 1) * self.interval


class Cron:
    """Due where a cron expression matches the clocks of a time zone: five fields, or six with seconds first.

    Where the clocks change it follows Debian's cron. An expression whose minute and hour are both given is due
    once a day and time: what falls into the hour left out is due at its end, and in the hour that comes twice
    only the first time counts. One whose minute or hour begins with `*` goes by elapsed time: it is due
    whenever the clocks show a time that matches, so twice in the hour that comes twice.

    Raises:
        ValueError: it is no cron expression, or one that never matches.
    """

    def __init__(self, expression: str, zone: ZoneInfo) -> None:
        self._expression = NICKNAMES.get(expression, expression)
        self._zone = zone
        fields = self._expression.split()
        self._fixed = not any(field.startswith("*") for field in fields[-5:-3])
        try:
            next(CronSim(self._expression, datetime(2000, 1, 1)))
        except CronSimError as error:
            raise ValueError(
                f"{error}; write `minute hour day-of-month month day-of-week`, such as `30 6 * * MON-FRI`"
            ) from None
        except StopIteration:
            raise ValueError("no day ever matches it") from None

    def after(self, at: int) -> int:
        """Return the first match after ``at``."""
        moment = datetime.fromtimestamp(at // 1000, UTC)
        found = self._once_a_day(moment) if self._fixed else self._elapsed(moment)
        return int(found.timestamp()) * 1000

    def _once_a_day(self, after: datetime) -> datetime:
        for wall in CronSim(self._expression, after.astimezone(self._zone).replace(tzinfo=None)):
            found = self._first_at(wall)
            if found > after:  # else it is one of an hour that comes twice, and was due the first time
                return found
        raise ValueError("no day ever matches it")

    def _elapsed(self, after: datetime) -> datetime:
        """Look between one change of the clocks and the next, as if there were none."""
        while True:
            start = after + SECOND
            offset = _offset(start, self._zone)
            found = next(CronSim(self._expression, after.astimezone(timezone(offset)))).astimezone(UTC)
            change = self._change_between(start, found, offset)
            if change is None:
                return found
            after = change - SECOND

    def _first_at(self, wall: datetime) -> datetime:
        """Return when the clocks first show a time, or, where they leave it out, when they go on."""
        while True:
            found = wall.replace(tzinfo=self._zone, fold=0).astimezone(UTC)
            if found.astimezone(self._zone).replace(tzinfo=None) == wall:
                return found
            wall = wall.replace(second=0) + timedelta(minutes=1)

    def _change_between(self, start: datetime, end: datetime, offset: timedelta) -> datetime | None:
        """Return the first second up to ``end`` at which the clocks are no longer at ``offset``."""
        while start < end:
            day = min(start + timedelta(days=1), end)
            if _offset(day, self._zone) != offset:
                return self._bisect(start, day, offset)
            start = day
        return None

    def _bisect(self, same: datetime, other: datetime, offset: timedelta) -> datetime:
        while other - same > SECOND:
            middle = same + (other - same) // SECOND // 2 * SECOND
            if _offset(middle, self._zone) == offset:
                same = middle
            else:
                other = middle
        return other


def _offset(at: datetime, zone: ZoneInfo) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta()


def last_due(timing: Timing, known: int, until: int) -> int:
    """Return the last due time up to ``until``, given a ``known`` one that is no later: by halving, not counting."""
    last, high = known, until
    while high - last > 1:  # due times are a second apart at least
        middle = (last + high) // 2
        due = timing.after(middle)
        if due <= until:
            last = due
        else:
            high = middle
    return last


def spread(name: str, due: int, jitter: int) -> int:
    """Return the time in ``due`` to ``due + jitter`` at which a schedule runs, the same on every node."""
    if not jitter:
        return due
    digest = blake2b(f"{due} {name}".encode(), digest_size=8).digest()
    return due + int.from_bytes(digest) % (jitter + 1)
