"""When schedules are due: cron in time zones, both changes of the clocks, intervals, jitter."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from taskmill.tasks.schedules.timing import Cron, Every, Timing, last_due, spread

HOUR, DAY = 3_600_000, 86_400_000

# An hour, half an hour, at midnight, at 2:45, in winter, two hours, none, and a day left out.
CHANGES = {
    "Europe/Berlin": [datetime(2026, 3, 29), datetime(2026, 10, 25)],
    "America/New_York": [datetime(2026, 3, 8), datetime(2026, 11, 1)],
    "Australia/Lord_Howe": [datetime(2026, 4, 5), datetime(2026, 10, 4)],
    "Africa/Cairo": [datetime(2026, 4, 24), datetime(2026, 10, 30)],
    "America/Havana": [datetime(2026, 3, 8), datetime(2026, 11, 1)],
    "Pacific/Chatham": [datetime(2026, 4, 5), datetime(2026, 9, 27)],
    "Africa/Casablanca": [datetime(2026, 2, 15), datetime(2026, 3, 22)],
    "Antarctica/Troll": [datetime(2026, 3, 29), datetime(2026, 10, 25)],
    "Asia/Kolkata": [datetime(2026, 3, 29)],
    "Pacific/Apia": [datetime(2011, 12, 30)],
}
changes = st.sampled_from([(zone, day) for zone, days in CHANGES.items() for day in days])


def at(text: str, zone: str = "UTC") -> int:
    """Read a time on the clocks of a zone; with a `+` the second of an hour that comes twice."""
    wall = datetime.fromisoformat(text.rstrip("+")).replace(tzinfo=ZoneInfo(zone), fold=text.endswith("+"))
    return int(wall.timestamp()) * 1000


def walls(timing: Timing, zone: str, start: str, count: int) -> list[str]:
    """Return the next due times as the clocks of a zone show them, with their offset from UTC in hours."""
    shown, now = [], at(start, zone)
    for _ in range(count):
        now = timing.after(now)
        wall = datetime.fromtimestamp(now / 1000, ZoneInfo(zone))
        offset = wall.utcoffset()
        assert offset is not None
        shown.append(f"{wall:%d %H:%M:%S} +{offset / timedelta(hours=1):g}")
    return shown


def cron(expression: str, zone: str = "UTC") -> Cron:
    return Cron(expression, ZoneInfo(zone))


@pytest.mark.parametrize(
    ("expression", "start", "due"),
    [
        # The hour from 2 to 3 is left out: what is due in it is due at its end, once.
        ("30 2 * * *", "2026-03-28T12:00", ["29 03:00:00 +2", "30 02:30:00 +2"]),
        ("15,45 2 * * *", "2026-03-28T12:00", ["29 03:00:00 +2", "30 02:15:00 +2"]),
        ("20 30 2 * * *", "2026-03-28T12:00", ["29 03:00:00 +2", "30 02:30:20 +2"]),
        ("0 3 * * *", "2026-03-28T12:00", ["29 03:00:00 +2", "30 03:00:00 +2"]),
        ("*/30 * * * *", "2026-03-29T01:00", ["29 01:30:00 +1", "29 03:00:00 +2", "29 03:30:00 +2"]),
        ("@hourly", "2026-03-29T00:30", ["29 01:00:00 +1", "29 03:00:00 +2", "29 04:00:00 +2"]),
        # The hour from 2 to 3 comes twice: what is due once a day is due the first time.
        ("30 2 * * *", "2026-10-24T12:00", ["25 02:30:00 +2", "26 02:30:00 +1"]),
        ("30 2 * * *", "2026-10-25T02:10+", ["26 02:30:00 +1"]),
        ("20 30 2 * * *", "2026-10-24T12:00", ["25 02:30:20 +2", "26 02:30:20 +1"]),
        ("*/30 * * * *", "2026-10-25T02:00", ["25 02:30:00 +2", "25 02:00:00 +1", "25 02:30:00 +1"]),
        ("@hourly", "2026-10-25T01:30", ["25 02:00:00 +2", "25 02:00:00 +1", "25 03:00:00 +1"]),
        ("@daily", "2026-10-24T12:00", ["25 00:00:00 +2", "26 00:00:00 +1"]),
    ],
)
def test_F24_both_changes_of_the_clocks(expression: str, start: str, due: list[str]) -> None:
    zone = "Europe/Berlin"
    assert walls(cron(expression, zone), zone, start, len(due)) == due


def test_a_day_that_a_zone_left_out() -> None:
    """Samoa went from the 29th to the 31st: what was due on the 30th is due at the end of the gap."""
    zone = "Pacific/Apia"
    due = ["29 09:00:00 +-10", "31 00:00:00 +14", "31 09:00:00 +14"]
    assert walls(cron("0 9 * * *", zone), zone, "2011-12-29T00:00", 3) == due


@settings(max_examples=60, deadline=None)
@given(
    changes,
    st.sampled_from(["*", "*/5", "7", "0,30", "10-20/5"]),
    st.sampled_from(["*", "*/2", "*/3"]),
    st.integers(-HOUR * 5, HOUR * 5),
)
def test_F24_by_elapsed_time_each_match_is_due_and_nothing_else(
    change: tuple[str, datetime], minute: str, hour: str, offset: int
) -> None:
    """Compare with a look at the clocks at each minute, around a change of them."""
    zone, day = change
    start = (at(day.isoformat(), zone) + offset) // 60_000 * 60_000
    expression = f"{minute} {hour} * * *"
    matches = CronSim(expression, datetime(2026, 1, 1))
    expected = []
    for now in range(start + 60_000, start + 10 * HOUR, 60_000):
        wall = datetime.fromtimestamp(now / 1000, ZoneInfo(zone))
        if wall.minute in matches.minutes and wall.hour in matches.hours:
            expected.append(now)
    timing, due, found = cron(expression, zone), start, []
    while (due := timing.after(due)) < start + 10 * HOUR:
        found.append(due)
    assert found == expected


@settings(max_examples=60, deadline=None)
@given(changes, st.integers(0, 59), st.integers(0, 23), st.integers(0, 30))
def test_F24_a_time_of_the_day_is_due_once_each_day(
    change: tuple[str, datetime], minute: int, hour: int, after: int
) -> None:
    zone, day = change
    start = at((day - timedelta(days=3)).isoformat(), zone) + after * 60_000
    timing, days, due = cron(f"{minute} {hour} * * *", zone), [], start
    while (due := timing.after(due)) < start + 6 * DAY:
        days.append(datetime.fromtimestamp(due / 1000, ZoneInfo(zone)).date())
    # In Cairo a day begins at 1:00, so what is due at 0:30 then is due on the same day.
    left_out = datetime(2011, 12, 30).date()
    dates = [day for day in days if day != left_out]
    if zone != "Pacific/Apia":
        assert len(set(dates)) == len(dates) == (dates[-1] - dates[0]).days + 1
    assert dates == sorted(dates)


@given(
    st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns"]),
    st.sampled_from(
        ["* * * * *", "*/7 3-5 * * *", "0 9 * * MON-FRI", "0 0 L * *", "0 12 * * 5#2", "*/20 * * * * *"]
    ),
    st.integers(at("2024-01-01T00:00"), at("2028-01-01T00:00")),
    st.integers(0, 40 * DAY),
)
@settings(max_examples=60, deadline=None)
def test_the_last_due_time_is_found_without_counting(
    zone: str, expression: str, start: int, ahead: int
) -> None:
    timing = cron(expression, zone)
    known = timing.after(start)
    until = known + ahead
    last = last_due(timing, known, until)
    assert last <= until < timing.after(last)
    assert last == known or timing.after(last - 1) == last


def test_six_fields_begin_with_seconds() -> None:
    assert walls(cron("*/20 * * * * *"), "UTC", "2026-01-01T00:00", 3) == [
        "01 00:00:20 +0",
        "01 00:00:40 +0",
        "01 00:01:00 +0",
    ]


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("* * * *", "Wrong number of fields; write `minute hour day-of-month month day-of-week`"),
        ("60 * * * *", "Bad minute; write"),
        ("0 0 31 2 *", "Bad day-of-month; write"),
        ("* * */20 * 1L", "no day ever matches it"),
        ("@reboot", "Wrong number of fields; write"),
        ("", "Wrong number of fields; write"),
    ],
)
def test_a_bad_expression_says_what_is_wrong(expression: str, said: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(said)):
        cron(expression)


@given(st.integers(1000, DAY), st.integers(0, 2 * 10**12), st.integers(0, 2 * 10**12))
def test_an_interval_is_due_at_each_of_its_multiples(interval: int, anchor: int, now: int) -> None:
    due = Every(interval, anchor).after(now)
    assert now < due <= now + interval
    assert (due - anchor) % interval == 0


def test_jitter_is_spread_out_and_the_same_everywhere() -> None:
    times = [spread("report", due, 1000) for due in range(0, 60_000 * 1000, 60_000)]
    offsets = [time - due for time, due in zip(times, range(0, 60_000 * 1000, 60_000), strict=True)]
    assert min(offsets) >= 0
    assert max(offsets) <= 1000
    assert all(sum(low <= offset < low + 250 for offset in offsets) > 150 for low in (0, 250, 500, 750))
    assert times[:3] == [spread("report", due, 1000) for due in (0, 60_000, 120_000)]
    assert times[:9] != [spread("other", due, 1000) for due in range(0, 9 * 60_000, 60_000)]
    assert spread("report", 77, 0) == 77


def test_a_year_of_a_rare_schedule_in_order() -> None:
    timing, start = cron("0 9 29 2 *", "Europe/Berlin"), at("2026-01-01T00:00")
    due = list(takewhile(lambda now: now < at("2060-01-01T00:00"), _times(timing, start)))
    years = [datetime.fromtimestamp(now / 1000, UTC).year for now in due]
    assert years == list(range(2028, 2060, 4))
    assert all(earlier < later for earlier, later in pairwise(due))


def _times(timing: Timing, now: int) -> Iterator[int]:
    while True:
        now = timing.after(now)
        yield now
