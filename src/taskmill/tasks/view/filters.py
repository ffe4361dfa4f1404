"""Which tasks are meant: the filters of ``GET /tasks``, and of what is done to many tasks at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, NamedTuple

import msgspec

from taskmill.http import BadRequest, FieldError, means
from taskmill.registry import nearest
from taskmill.tasks.finding.values import text_of
from taskmill.tasks.lifecycle import STATUS_WORDS, Status
from taskmill.tasks.model import StatusWord

_NAME = msgspec.Meta(min_length=1, max_length=500)
_Moment = Annotated[datetime, msgspec.Meta(tz=True)]

MEND = "Mend the fields that `errors` names."


class Filters(msgspec.Struct, kw_only=True):
    """The filters as they are sent; times are RFC 3339. A task must pass all that are given."""

    status: StatusWord | None = None
    action: Annotated[str, _NAME, means("Exactly so.")] | None = None
    queue: Annotated[str, _NAME, means("Exactly so.")] | None = None
    key: Annotated[str, _NAME, means("Exactly so.")] | None = None
    tag: Annotated[str, _NAME, means("One of its tags.")] | None = None
    created_after: Annotated[str, means("Created then or later.", format="date-time")] | None = None
    created_before: Annotated[str, means("Created before then.", format="date-time")] | None = None


FILTERS = Filters.__struct_fields__

NONE: Mapping[str, object] = {}
DATA = "data."  # what the names of filters by data begin with


class Selection(NamedTuple):
    """Filters that have been read: no status means any, times are milliseconds since 1970.

    A task created at ``after`` is meant, one created at ``before`` is not.
    """

    statuses: tuple[Status, ...] = ()
    action: str | None = None
    queue: str | None = None
    key: str | None = None
    tag: str | None = None
    after: int | None = None
    before: int | None = None
    data: tuple[tuple[str, str], ...] = ()  # paths, and what stands there as the index has it


def select(filters: Filters, data: Mapping[str, object] = NONE) -> Selection:
    """Read filters, with those by data; raise BadRequest where a value means nothing."""
    status = None if filters.status is None else _status(filters.status)
    return Selection(
        () if status is None else (status,),
        filters.action,
        filters.queue,
        filters.key,
        filters.tag,
        _milliseconds("created_after", filters.created_after),
        _milliseconds("created_before", filters.created_before),
        index_of(data),
    )


def index_of(data: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """Return filters by data as the index has them."""
    return tuple((path, text_of(value)) for path, value in data.items())


def select_for_change(
    filters: Filters, allowed: Sequence[Status], verb: str, data: Mapping[str, object] = NONE
) -> Selection:
    """Read filters of tasks that are to be changed: only those in some states can be.

    Raises:
        BadRequest: no filter is given, or its status is none of the allowed.
    """
    if not data and all(getattr(filters, name) is None for name in FILTERS):
        names = ", ".join(f"`{name}`" for name in FILTERS)
        raise BadRequest(f"Say which tasks are meant, by at least one of {names}.")
    selection = select(filters, data)
    if not selection.statuses:
        return selection._replace(statuses=tuple(allowed))
    if selection.statuses[0] not in allowed:
        words = ", ".join(status.word for status in allowed)
        raise BadRequest(MEND, [FieldError("status", f"only these can be {verb}: {words}")])
    return selection


def _status(word: str) -> Status:
    status = STATUS_WORDS.get(word)
    if status is None:
        near = nearest(word, STATUS_WORDS)
        hint = f"did you mean `{near}`?" if near else f"one of {', '.join(STATUS_WORDS)}"
        raise BadRequest(MEND, [FieldError("status", f"unknown status; {hint}")])
    return status


def _milliseconds(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return round(msgspec.convert(text, _Moment).timestamp() * 1000)
    except (msgspec.ValidationError, OverflowError):
        message = "no time: write RFC 3339 with a zone, such as 2026-01-02T03:04:05.678Z"
        raise BadRequest(MEND, [FieldError(name, message)]) from None
