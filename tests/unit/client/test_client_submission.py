"""What a submission becomes as a body, and what cannot become one."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from taskmill.client import Submission


def body(*arguments: Any, **options: Any) -> Any:
    return json.loads(Submission(*arguments, **options).body)


@dataclass
class Point:
    x: int
    when: datetime


def test_only_what_is_given_is_sent() -> None:
    assert body("a") == {"action": "a"}
    assert body("a", {}) == {"action": "a", "data": {}}
    assert body("a", [1], priority=0, key=None) == {"action": "a", "data": [1], "priority": 0}
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert body("a", Point(1, at))["data"] == {"x": 1, "when": "2026-01-02T03:04:05Z"}


@pytest.mark.parametrize("name", ["delay", "timeout", "expires_in", "start_by"])
def test_durations_are_seconds(name: str) -> None:
    for duration, seconds in ((1.5, 1.5), (3, 3), ("100ms", 0.1), ("2h", 7200), (timedelta(minutes=2), 120)):
        assert body("a", **{name: duration})[name] == pytest.approx(seconds)
    for wrong in ("soon", "", -1, True):
        with pytest.raises(ValueError, match=f"`{name}`: .* is not a duration"):
            Submission("a", **{name: wrong})  # type: ignore[arg-type]


def test_times_have_a_zone() -> None:
    east = timezone(timedelta(hours=2))
    assert body("a", run_at=datetime(2026, 1, 2, 3, tzinfo=east))["run_at"] == "2026-01-02T03:00:00+02:00"
    assert body("a", run_at="2026-01-02T03:04:05Z")["run_at"] == "2026-01-02T03:04:05Z"
    with pytest.raises(ValueError, match="`run_at` has no time zone"):
        Submission("a", run_at=datetime(2026, 1, 2))


def test_tags_are_several() -> None:
    assert body("a", tags=(one for one in "xy"))["tags"] == ["x", "y"]
    with pytest.raises(TypeError, match=r"write tags=\['x'\]"):
        Submission("a", tags="x")


def test_what_json_cannot_say_is_refused_here() -> None:
    with pytest.raises(TypeError):
        Submission("a", {"x": object()})
    with pytest.raises(TypeError, match="no option of a task is called `prio`; there are queue, priority"):
        Submission("a", prio=3)  # type: ignore[call-overload]


def test_a_key_is_no_part_of_the_body() -> None:
    submission = Submission("a", idempotency_key="k")
    assert (submission.idempotency_key, submission.body) == ("k", b'{"action":"a"}')
