"""Which tasks are meant, as ``GET /tasks`` filters them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TypedDict

import msgspec


class Filters(TypedDict, total=False):
    """A task must pass all that are given; times are texts in RFC 3339, or have a time zone.

    ``data`` is what stands where in the data, `data={"customer": 42}`: in places that the action has indexed.
    """

    status: str
    action: str
    queue: str
    key: str
    tag: str
    created_after: datetime | str
    created_before: datetime | str
    data: Mapping[str, object]


def plain(filters: Filters) -> dict[str, str]:
    """Return the filters as they are sent. Raises ValueError for a time without a zone."""
    given = _given(filters)
    data = given.pop("data", None) or {}
    assert isinstance(data, Mapping)  # noqa: S101 - as it is typed
    return {
        **{name: _text(name, value) for name, value in given.items()},
        **{f"data.{path}": _as_json(value) for path, value in data.items()},
    }


def _as_json(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value, order="sorted").decode()


def _given(filters: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in filters.items() if value is not None}


def _text(name: str, value: object) -> str:
    if not isinstance(value, datetime):
        return str(value)
    if value.tzinfo is None:
        raise ValueError(f"`{name}` has no time zone: write datetime.now(UTC), or datetime(…, tzinfo=UTC)")
    return value.isoformat()
