"""Which tasks are meant, as ``GET /tasks`` filters them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TypedDict


class Filters(TypedDict, total=False):
    """A task must pass all that are given; times are texts in RFC 3339, or have a time zone."""

    status: str
    action: str
    queue: str
    key: str
    tag: str
    created_after: datetime | str
    created_before: datetime | str


def plain(filters: Filters) -> dict[str, str]:
    """Return the filters as they are sent. Raises ValueError for a time without a zone."""
    return {name: _text(name, value) for name, value in _given(filters).items()}


def _given(filters: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in filters.items() if value is not None}


def _text(name: str, value: object) -> str:
    if not isinstance(value, datetime):
        return str(value)
    if value.tzinfo is None:
        raise ValueError(f"`{name}` has no time zone: write datetime.now(UTC), or datetime(…, tzinfo=UTC)")
    return value.isoformat()
