"""What `apply_async` takes, in the words of ``POST /tasks``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from taskmill.client import Submission, default_client

_SAME = ("queue", "priority")  # options of the same name and meaning
_IDLE = frozenset(
    ["serializer", "compression", "retry", "retry_policy", "ignore_result", "routing_key", "exchange"]
)  # of a message, and there is none


def submit(name: str, data: object, options: Mapping[str, Any]) -> str:
    """Submit a task with the options of `apply_async`; return its id.

    Raises:
        TypeError: an option is none that Taskmill has; the text says what takes its place, if anything.
        ClientError: the server is away, or refuses.
    """
    return default_client().submit(Submission(name, data, **_options(options))).id


def _options(options: Mapping[str, Any]) -> Any:
    said: dict[str, Any] = {}
    for name, value in options.items():
        if value is None or name in _IDLE:
            continue
        if name in _SAME:
            said[name] = value
        elif name == "countdown":
            said["delay"] = value
        elif name == "eta":
            said["run_at"] = value if value.tzinfo else value.replace(tzinfo=UTC)
        elif name == "expires":
            said["expires_in"] = _left(value)
        elif name == "task_id":
            said["idempotency_key"] = value
        else:
            raise TypeError(
                f"apply_async: Taskmill has no `{name}` (docs/how-to/celery.md tells what it has)"
            )
    return said


def _left(expires: datetime | float) -> float:
    """Return the seconds until something expires, which Celery may be told as a time."""
    if not isinstance(expires, datetime):
        return expires
    zone = expires if expires.tzinfo else expires.replace(tzinfo=UTC)
    return max(0.001, (zone - datetime.now(UTC)).total_seconds())
