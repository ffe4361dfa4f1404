"""The statements that find the tasks of a selection, newest first, at a cost that has a bound.

An index leads to the candidates: by what stands in their data, else by key, else by status and action, else by having
a tag at all, else all there are. What no index knows is looked up in their rows, so of these no more than ``SCAN`` are
looked at in one go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Select,
    Subquery,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    select,
    true,
    union_all,
)

from taskmill.tasks.lifecycle import Status
from taskmill.tasks.rows.portable import first_id, has_tag
from taskmill.tasks.rows.schema import task, task_index
from taskmill.tasks.rows.statements import code
from taskmill.tasks.view.filters import Selection

SCAN = 10_000  # rows: some ten milliseconds

# An id holds the time at which it was made, or, while the clock is set back, that at which this began.
CLOCK_SLACK = 60_000  # milliseconds by which that and `created_at` may differ

_LAST = 2**128 - 1
_PLAIN = re.compile(r"[ !#-\[\]-~]+")  # text that every writer of JSON writes as it is


class Shape(NamedTuple):
    """What a selection names: all that its statements depend on."""

    statuses: tuple[Status, ...]
    action: bool
    queue: bool
    key: bool
    tag: bool
    times: bool
    data: int = 0  # paths

    @property
    def exact(self) -> bool:
        """Whether each candidate is meant."""
        by_key = self.key and (self.action or self.statuses)
        by_data = self.data > 1 or (self.data and (self.key or self.action or self.statuses))
        return not (by_key or by_data or self.queue or self.tag or self.times)


def shape_of(selection: Selection) -> Shape:
    """Return the shape of a selection."""
    statuses, *names, after, before, data = selection
    action, queue, key, tag = (name is not None for name in names)
    times = after is not None or before is not None
    return Shape(tuple(statuses), action, queue, key, tag, times, len(data))


def values_of(selection: Selection, cursor: bytes | None) -> dict[str, Any]:
    """Return the parameters that a selection's statements share; the tasks are older than ``cursor``."""
    last = _LAST if cursor is None else int.from_bytes(cursor) - 1
    first = 0
    if selection.after is not None:
        first = max(0, selection.after - CLOCK_SLACK) << 80
    if selection.before is not None:
        last = min(last, max(0, selection.before + CLOCK_SLACK) << 80)
    if last < 0:  # nothing is older than the first of all ids
        first, last = 1, 0
    return {
        "first_": min(first, _LAST).to_bytes(16),
        "last_": last.to_bytes(16),
        "action_": selection.action,
        "queue_": selection.queue,
        "key_": selection.key,
        "tag_": selection.tag,
        "tag_like_": f'%"{tag}"%' if (tag := selection.tag) is not None and _PLAIN.fullmatch(tag) else "%",
        "after_": -(2**62) if selection.after is None else selection.after,
        "before_": 2**62 if selection.before is None else selection.before,
        **{f"path{number}_": path for number, (path, _) in enumerate(selection.data)},
        **{f"value{number}_": value for number, (_, value) in enumerate(selection.data)},
    }


@cache
def page(shape: Shape) -> Select[Any]:
    """Find whole tasks. Parameters: those of :func:`values_of`, scan, limit."""
    meant = _matching(shape).subquery()  # MySQL takes no LIMIT in what IN is asked of, but in what that reads
    return select(task).where(task.c.id.in_(select(meant.c.id))).order_by(task.c.id.desc())


@cache
def keys(shape: Shape) -> Select[Any]:
    """Find the ids of tasks. Parameters: those of :func:`values_of`, scan, limit."""
    return _matching(shape)


@cache
def count(shape: Shape) -> Select[Any]:
    """Tell how many candidates are meant, how many there were, and the last one's id. Parameters: as for keys."""
    found = _candidates(shape)
    meant = func.coalesce(
        func.sum(case((_meant(shape, found), literal_column("1")), else_=literal_column("0"))),
        literal_column("0"),
    )
    return select(meant, func.count(), first_id(found.c.id)).select_from(found)


def _matching(shape: Shape) -> Select[Any]:
    found = _candidates(shape)
    return (
        select(found.c.id).where(_meant(shape, found)).order_by(found.c.id.desc()).limit(bindparam("limit_"))
    )


def _candidates(shape: Shape) -> Subquery:
    """Find what may be meant, by an index. Each part is in the index's order, so they are merged as they are read."""
    if shape.data:
        return _by_data(shape).order_by(task_index.c.task_id.desc()).limit(bindparam("scan_")).subquery()
    parts = [_part(shape, condition) for condition in _entries(shape)]
    if len(parts) == 1:
        return parts[0].order_by(task.c.id.desc()).limit(bindparam("scan_")).subquery()
    merged = union_all(*parts)
    return merged.order_by(merged.selected_columns.id.desc()).limit(bindparam("scan_")).subquery()


def _by_data(shape: Shape) -> Select[Any]:
    """Find what has the first of the values in its data."""
    id_ = task_index.c.task_id.label("id")
    others = [task.c[name] for name in _looked_at(shape)]
    found = select(id_, *others).where(
        *_stands(0), task_index.c.task_id.between(bindparam("first_"), bindparam("last_"))
    )
    return found if shape.exact else found.join_from(task_index, task, task.c.id == task_index.c.task_id)


def _stands(number: int) -> tuple[ColumnElement[bool], ...]:
    return task_index.c.path == bindparam(f"path{number}_"), task_index.c.value == bindparam(
        f"value{number}_"
    )


def _entries(shape: Shape) -> Iterator[ColumnElement[bool]]:
    if shape.key:
        yield and_(task.c.key == bindparam("key_"), task.c.key.is_not(None))
        return
    if shape.statuses or shape.action:
        for status in shape.statuses or tuple(Status):
            entry = task.c.status == code(status)
            yield and_(entry, task.c.action == bindparam("action_")) if shape.action else entry
        return
    yield task.c.tags.is_not(None) if shape.tag else true()


def _part(shape: Shape, condition: ColumnElement[bool]) -> Select[Any]:
    columns = [task.c.id, *(task.c[name] for name in _looked_at(shape))]
    # As a BETWEEN, since of two comparisons the planner thinks so highly that it takes another index for them.
    return select(*columns).where(condition, task.c.id.between(bindparam("first_"), bindparam("last_")))


def _looked_at(shape: Shape) -> Iterator[str]:
    """Name the columns that :func:`_meant` looks at; an index may have them all."""
    led = shape.key or shape.data
    if shape.data and shape.key:
        yield "key"
    if led and shape.action:
        yield "action"
    if led and shape.statuses:
        yield "status"
    if shape.queue:
        yield "queue"
    if shape.tag:
        yield "tags"
    if shape.times:
        yield "created_at"


def _meant(shape: Shape, found: Subquery) -> ColumnElement[bool]:
    """Say what no index has said of a candidate."""
    tests: list[ColumnElement[bool]] = []
    tests += [
        exists().where(*_stands(number), task_index.c.task_id == found.c.id)
        for number in range(1, shape.data)
    ]
    if shape.data and shape.key:
        tests.append(found.c.key == bindparam("key_"))
    if (shape.key or shape.data) and shape.action:
        tests.append(found.c.action == bindparam("action_"))
    if (shape.key or shape.data) and shape.statuses:
        tests.append(found.c.status.in_([code(status) for status in shape.statuses]))
    if shape.queue:
        tests.append(found.c.queue == bindparam("queue_"))
    if shape.tag:
        # To look for its text costs a fifth of reading a list as JSON.
        tests.append(found.c.tags.like(bindparam("tag_like_")))
        tests.append(has_tag(found.c.tags, bindparam("tag_")))
    if shape.times:
        tests += [found.c.created_at >= bindparam("after_"), found.c.created_at < bindparam("before_")]
    return and_(true(), *tests)
