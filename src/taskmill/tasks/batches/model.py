"""A batch as the API shows it, and as the task is told of it that runs at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from taskmill.http import means
from taskmill.tasks.ids import to_text
from taskmill.tasks.lifecycle import Status
from taskmill.tasks.model import NULL, Id, Result, ShownError, StatusWord, Time, as_json, moment, timestamp

_decode_error = msgspec.json.Decoder(ShownError).decode


class Counts(msgspec.Struct):
    """How many members are in each state."""

    queued: int = 0
    scheduled: int = 0
    running: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def done(self) -> int:
        """How many have ended."""
        return self.completed + self.failed + self.cancelled


_decode_counts = msgspec.json.Decoder(Counts).decode


def counts_of(rows: Sequence[tuple[int, int]], total: int) -> Counts:
    """Count members by their states. Those that have been pruned meanwhile had completed, as a rule."""
    counts = Counts(**{Status(status).word: number for status, number in rows})
    pruned = total - sum(number for _, number in rows)
    counts.completed += max(0, pruned)
    return counts


class Progress(msgspec.Struct):
    """How many of the members have ended."""

    done: int
    total: int


class Batch(msgspec.Struct):
    """A batch as lists show it."""

    id: Id
    name: str | None
    status: Annotated[
        Literal["open", "running", "ended"],
        means(
            "`open`: it takes more tasks. `running`: it does not. `ended`: nor has any of them still to end."
        ),
    ]
    created_at: Time
    closed_at: Time | None
    cancelled_at: Time | None
    ended_at: Time | None
    progress: Progress
    counts: Annotated[Counts, means("Once it has ended: as they were then.")]
    on_complete: Annotated[Id, means("The task that runs once it has ended.")] | None


class Lost(msgspec.Struct):
    """A member that failed or was cancelled."""

    id: Id
    name: str | None
    action: str
    status: StatusWord
    error: ShownError | None


class BatchDetails(Batch):
    """A batch with those of its members that failed or were cancelled, the first hundred."""

    failed: list[Lost]
    more: Annotated[bool, means("There are more of those.")]


class Member(msgspec.Struct):
    """What a member came to."""

    id: Id
    name: str | None
    status: StatusWord
    result: Result
    error: ShownError | None


class Summary(msgspec.Struct):
    """What the last task of a batch finds in its data as ``batch``. ``results`` is null where they are too long."""

    id: str
    name: str | None
    total: int
    completed: int
    failed: int
    cancelled: int
    results: list[Member] | None


class Row(NamedTuple):
    """A row of the table of batches."""

    id: bytes
    name: str | None
    created_at: int
    total: int
    closed_at: int | None
    cancelled_at: int | None
    ended_at: int | None
    counts: str | None  # None until it has ended
    on_complete: bytes | None


def shown(row: Row, counted: Sequence[tuple[int, int]] | None) -> dict[str, Any]:
    """Return the fields of a batch's row; its members are ``counted`` where it has not ended."""
    counts = counts_of(counted or (), row.total) if row.counts is None else _decode_counts(row.counts)
    status = "open" if row.closed_at is None else "running" if row.ended_at is None else "ended"
    return {
        "id": to_text(row.id),
        "name": row.name,
        "status": status,
        "created_at": timestamp(row.created_at),
        "closed_at": moment(row.closed_at),
        "cancelled_at": moment(row.cancelled_at),
        "ended_at": moment(row.ended_at),
        "progress": Progress(counts.done, row.total),
        "counts": counts,
        "on_complete": None if row.on_complete is None else to_text(row.on_complete),
    }


def lost_of(rows: Sequence[Any]) -> list[Lost]:
    """Return members that failed or were cancelled."""
    return [
        Lost(to_text(id_), name, action, Status(status).word, _error(error))
        for id_, name, action, status, error in rows
    ]


def members_of(rows: Sequence[Any]) -> list[Member]:
    """Return what members came to."""
    return [
        Member(
            to_text(id_),
            name,
            Status(status).word,
            NULL if result is None else as_json(result),
            _error(error),
        )
        for id_, name, status, result, error in rows
    ]


def told(data: str, summary: Summary) -> str:
    """Return data with what became of a batch."""
    fields: Mapping[str, msgspec.Raw] = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    return msgspec.json.encode({**fields, "batch": summary}).decode()


def _error(text: str | None) -> ShownError | None:
    return None if text is None else _decode_error(text)
