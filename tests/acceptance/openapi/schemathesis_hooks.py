"""What Schemathesis needs to know of the API beyond its document.

The document is written in JSON Schema, which has no word for a rule between two fields, nor for what a cron is.
"""

from __future__ import annotations

import json
from typing import Any
from zoneinfo import available_timezones

import schemathesis
from hypothesis import strategies as st

CRONS = ["* * * * *", "0 3 * * MON-FRI", "*/5 0-6 1,15 * *", "30 4 L * *"]

schemathesis.openapi.format("cron", st.sampled_from(CRONS))
schemathesis.openapi.format("time-zone", st.sampled_from(sorted(available_timezones())))
schemathesis.openapi.format("taskmill-duration", st.sampled_from(["1s", "90s", "1.5m", "2h", "7d"]))


@schemathesis.hook
def filter_body(context: schemathesis.HookContext, body: Any) -> bool:
    """Keep what the API takes as a whole where each field by itself is right."""
    try:
        json.dumps(body, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:  # two halves of a character count as two here, and are one once they are read
        return False
    if not isinstance(body, dict):
        return True
    if isinstance(body.get("canary"), int) and not body.get("dry_run"):
        return False  # it would be waited for for a minute, as often as its queue is paused
    if body.get("on_complete") is not None:
        return False  # few actions take what a batch tells its last task
    several = body.get("tasks")
    return all(map(_is_possible, [body, *(several if isinstance(several, list) else [])]))


def _is_possible(body: Any) -> bool:
    if not isinstance(body, dict):
        return True
    action, jitter = body.get("action"), body.get("jitter")
    if isinstance(action, str) and not action.isprintable():  # as this Python's Unicode has it
        return False
    if body.get("start_by") and (body.get("delay") or body.get("run_at")):
        return False  # it would have to be later than they are
    if body.get("hold") is not None and (body.get("key") is not None or body.get("start_by") is not None):
        return False  # others cannot count on a task that may be dropped
    if body.get("after"):
        return False  # it would have to be there
    return not jitter or jitter == "1s"  # it must be shorter than the time between two runs


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    """Wait for a thousandth of the time: some tasks do not end while the test runs."""
    body = case.body
    if isinstance(body, dict) and "worker" in body and isinstance(body.get("wait"), int | float):
        case.body = {**body, "wait": body["wait"] / 1000}
    wait = (case.query or {}).get("wait")
    try:
        seconds = float(wait) if isinstance(wait, int | float | str) else 0.0
    except ValueError:
        return
    if 0 < seconds <= 60:
        case.query = {**(case.query or {}), "wait": seconds / 1000}


@schemathesis.hook
def map_body(context: schemathesis.HookContext, body: Any) -> Any:
    """Write 1.0 as 1, as JSON writers do: to JSON Schema both are an integer, and the API takes the second only."""
    return _as_written(body)


def _as_written(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_as_written(inner) for inner in value]
    if isinstance(value, dict):
        return {name: _as_written(inner) for name, inner in value.items()}
    return value
