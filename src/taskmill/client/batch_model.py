"""What a server says of batches, as objects."""

from __future__ import annotations

from typing import Any

import msgspec

from taskmill.client.model import TaskError


class BatchMade(msgspec.Struct, kw_only=True):
    """The answer to a batch, or to more tasks for one; see :class:`taskmill.client.BatchHandle`."""

    id: str = ""
    ids: list[str]
    count: int
    on_complete: str | None = None


class BatchProgress(msgspec.Struct, kw_only=True):
    """How many tasks of a batch have ended."""

    done: int
    total: int


class BatchCounts(msgspec.Struct, kw_only=True):
    """How many tasks of a batch are in each state."""

    queued: int
    scheduled: int
    running: int
    completed: int
    failed: int
    cancelled: int


class Lost(msgspec.Struct, kw_only=True):
    """A task of a batch that failed or was cancelled."""

    id: str
    name: str | None
    action: str
    status: str
    error: TaskError | None = None


class Batch(msgspec.Struct, kw_only=True):
    """A batch. ``status`` is `open`, `running` or `ended`; ``failed`` and ``more`` are there where it was got alone."""

    id: str
    name: str | None
    status: str
    created_at: str
    closed_at: str | None
    cancelled_at: str | None
    ended_at: str | None
    progress: BatchProgress
    counts: BatchCounts
    on_complete: str | None
    failed: list[Lost] = []
    more: bool = False


class BatchPage(msgspec.Struct, kw_only=True):
    """A part of the list of batches; ``next`` is the cursor of the part after it."""

    batches: list[Batch]
    next: str | None


class Member(msgspec.Struct, kw_only=True):
    """What a task of a batch came to."""

    id: str
    name: str | None
    status: str
    result: Any
    error: TaskError | None


class MemberPage(msgspec.Struct, kw_only=True):
    """A part of those; ``next`` is the cursor of the part after it."""

    results: list[Member]
    next: str | None
