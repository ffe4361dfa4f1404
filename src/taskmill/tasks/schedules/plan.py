"""Which of a schedule's due times are run when one or more of them have come."""

from __future__ import annotations

from typing import NamedTuple

from taskmill.tasks.schedules.model import Schedule
from taskmill.tasks.schedules.timing import Timing, last_due, spread

AT_ONCE = 100  # runs of one schedule in one transaction
GRACE = 60_000  # milliseconds after which a run that nobody has looked for counts as missed
JUMP = 3 * 3_600_000  # milliseconds: a greater gap between two looks is no change of the clock by hand


class Plan(NamedTuple):
    """The due times that are run now, the oldest first, and the one that comes after."""

    due: list[int]
    next_due: int


def plan(schedule: Schedule, timing: Timing, now: int, looked: int | None) -> Plan:
    """Decide on a schedule whose next run has come. ``looked`` is when this was last looked for, if ever.

    All that has come since a look of a moment ago is run. What has come during a longer time, in which the
    process was down, stood still, or had its clock set forward, was missed: ``catch_up`` says whether the last
    of it is run, all of it, or none. None spares what has come within the last minute, and the last one where
    the clock was set forward by hand.
    """
    if schedule.next_due is None:
        raise ValueError(f"schedule {schedule.name} has no next run")

    def run_at(due: int) -> int:
        return spread(schedule.name, due, schedule.jitter)

    if schedule.catch_up == "all" or (looked is not None and now - looked <= GRACE):
        due: list[int] = []
        following = schedule.next_due
        while run_at(following) <= now and len(due) < AT_ONCE:
            due.append(following)
            following = timing.after(following)
        return Plan(due, following)
    last = last_due(timing, schedule.next_due, now)
    while last > schedule.next_due and run_at(last) > now:
        last = last_due(timing, schedule.next_due, last - 1)
    on_time = now - run_at(last) <= GRACE or (looked is not None and now - looked <= JUMP)
    wanted = schedule.catch_up == "one" or on_time
    return Plan([last] if wanted else [], timing.after(last))
