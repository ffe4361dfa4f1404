"""A schedule: as it is defined, as it is stored, and as the API shows it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from itertools import pairwise
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo, available_timezones

import msgspec

from taskmill.registry import nearest
from taskmill.tasks.ids import to_text
from taskmill.tasks.model import Id, Time, moment, timestamp
from taskmill.tasks.schedules.timing import Cron, Every, Timing

Overlap = Literal["skip", "allow"]
CatchUp = Literal["none", "one", "all"]

SHORTEST, LONGEST = 1_000, 10 * 366 * 86_400_000  # milliseconds between two runs
LONGEST_JITTER = 86_400_000
DATA_LIMIT = 2**16  # bytes
GAPS = 10  # runs that must leave room for the jitter

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Paused(IntEnum):
    """Whether a schedule runs, and if not, who has paused it; the numbers are stored."""

    NO = 0
    DECLARED = 1  # by its entry in the registry
    ASKED = 2  # through the API: that lasts over restarts


class Definition(msgspec.Struct, kw_only=True, frozen=True):
    """What a schedule is to do. ``every`` and ``jitter`` are milliseconds, ``data`` is JSON."""

    name: str
    cron: str | None
    every: int | None
    timezone: str
    action: str
    data: str
    overlap: Overlap
    catch_up: CatchUp
    jitter: int
    queue: str | None
    priority: int | None
    paused: bool
    declared: bool


class Schedule(msgspec.Struct):
    """A row of :data:`taskmill.tasks.schedules.schema.schedule`."""

    name: str
    declared: int
    cron: str | None
    every: int | None
    timezone: str
    anchor: int
    action: str
    data: str
    overlap: str
    catch_up: str
    jitter: int
    queue: str | None
    priority: int | None
    paused: int
    revision: int
    created_at: int
    updated_at: int
    next_due: int | None
    next_run_at: int | None
    last_run_at: int | None
    last_task_id: bytes | None
    forgotten: int

    def timing(self) -> Timing:
        """Return when it is due; raise ValueError where that can no longer be told, such as without its zone."""
        return timing(self.cron, self.every, self.timezone, self.anchor)


class ShownFire(msgspec.Struct):
    """A due time that has been, as the API shows it: `run`, or why it was not."""

    due_at: Time
    at: Time
    outcome: str
    task_id: Id | None


class ShownSchedule(msgspec.Struct, kw_only=True):
    """A schedule, as ``GET /schedules`` lists it. Durations are seconds."""

    name: str
    cron: str | None
    every: float | None
    timezone: str
    action: str
    data: msgspec.Raw
    overlap: str
    catch_up: str
    jitter: float
    queue: str | None
    priority: int | None
    paused: bool
    declared: bool
    created_at: Time
    updated_at: Time
    next_run_at: Time | None
    last_run_at: Time | None
    last_task_id: Id | None


class ScheduleDetails(ShownSchedule, kw_only=True):
    """A schedule, as ``GET /schedules/{name}`` shows it: with its last due times, the newest first."""

    recent: list[ShownFire]


class SchedulePage(msgspec.Struct):
    """A part of the list of schedules; ``next`` is the cursor of the part after it."""

    schedules: list[ShownSchedule]
    count: int
    next: str | None


class Flaw(NamedTuple):
    """What is wrong with a field of a definition."""

    field: str
    message: str
    hint: str | None = None


def timing(cron: str | None, every: int | None, zone: str, anchor: int) -> Timing:
    """Return when a schedule is due; raise ValueError where its cron is none."""
    if cron is not None:
        return Cron(cron, ZoneInfo(zone))
    return Every(every or SHORTEST, anchor)


def flaws(definition: Definition, now: int) -> Iterator[Flaw]:
    """Find what is wrong with a definition, apart from its action and data."""
    if not _NAME.fullmatch(definition.name):
        yield Flaw("name", "use up to 100 letters, digits, `.`, `_` and `-`")
    if (definition.cron is None) == (definition.every is None):
        yield Flaw("every" if definition.cron else "cron", "give either `cron` or `every`")
        return
    if definition.timezone not in available_timezones():
        near = nearest(definition.timezone, available_timezones())
        yield Flaw("timezone", "unknown time zone; write one such as `Europe/Berlin`", near)
        return
    if definition.every is not None and not SHORTEST <= definition.every <= LONGEST:
        yield Flaw("every", "it must be at least 1 second, and at most 10 years")
        return
    try:
        due = timing(definition.cron, definition.every, definition.timezone, now).after
        gap = _shortest_gap(due, now)
    except (ValueError, OverflowError) as error:
        yield Flaw("cron", str(error))
        return
    if definition.jitter > min(gap, LONGEST_JITTER):
        yield Flaw("jitter", f"it must be at most the {gap // 1000} s between two runs, and a day")


def data_flaw(data: str) -> Flaw | None:
    """Tell whether the data is too long to be copied into every task."""
    if len(data.encode()) <= DATA_LIMIT:
        return None
    return Flaw(
        "data", f"it may have {DATA_LIMIT // 1024} KiB: name what is longer, such as by a key or a path"
    )


def shown(row: Schedule) -> ShownSchedule:
    """Return a schedule as a list shows it."""
    return ShownSchedule(**_fields(row))


def detailed(row: Schedule, fires: Sequence[Sequence[Any]]) -> ScheduleDetails:
    """Return a schedule with its last due times: rows of due, at, outcome, task id."""
    recent = [
        ShownFire(timestamp(due), timestamp(at), outcome, None if id_ is None else to_text(id_))
        for due, at, outcome, id_ in fires
    ]
    return ScheduleDetails(**_fields(row), recent=recent)


def _fields(row: Schedule) -> dict[str, Any]:
    return {
        "name": row.name,
        "cron": row.cron,
        "every": None if row.every is None else row.every / 1000,
        "timezone": row.timezone,
        "action": row.action,
        "data": msgspec.Raw(row.data.encode()),
        "overlap": row.overlap,
        "catch_up": row.catch_up,
        "jitter": row.jitter / 1000,
        "queue": row.queue,
        "priority": row.priority,
        "paused": row.paused != Paused.NO,
        "declared": bool(row.declared),
        "created_at": timestamp(row.created_at),
        "updated_at": timestamp(row.updated_at),
        "next_run_at": moment(row.next_run_at),
        "last_run_at": moment(row.last_run_at),
        "last_task_id": None if row.last_task_id is None else to_text(row.last_task_id),
    }


def _shortest_gap(after: Callable[[int], int], now: int) -> int:
    times = [now := after(now) for _ in range(GAPS)]
    return min(later - earlier for earlier, later in pairwise(times))
