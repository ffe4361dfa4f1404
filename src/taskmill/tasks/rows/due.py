"""What becomes of scheduled tasks whose time has come: they are queued, or, where they are held, ended."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from taskmill.sql import Transaction
from taskmill.tasks.intake.turns import in_turn
from taskmill.tasks.lifecycle import Status
from taskmill.tasks.message import Dispatchable
from taskmill.tasks.model import TaskError, timestamp
from taskmill.tasks.rows import statements, steps
from taskmill.tasks.rows.over import Over


class Due(NamedTuple):
    """The rows of tasks that are queued now, and those that have ended unreleased."""

    queued: list[Dispatchable]
    lapsed: list[Over]


def queue_due(transaction: Transaction, now: int, limit: int) -> Due:
    """Take the first tasks whose time has come, so many at most; ``now`` is in milliseconds since 1970."""
    due = Due([], [])
    fair = dict(transaction.fetch(statements.DUE_IN_TURN, now_=now, limit_=limit))
    for *columns, held in transaction.fetch(statements.DUE, now_=now, limit_=limit):
        row: Dispatchable = tuple(columns)
        if held is not None:
            if end_held(transaction, row[0], now, "hold_ended", "nobody released it in time"):
                due.lapsed.append(Over(row[0], row[5], row[1], Status.CANCELLED))
            continue
        placed = in_turn(transaction, row, fair.get(row[0]))
        if transaction.change(steps.DUE, id_=row[0]):
            due.queued.append(placed)
    return due


def end_held(transaction: Transaction, key: bytes, now: int, kind: str, why: str) -> bool:
    """Cancel a task with an error of a kind, if it is held; tell whether it was."""
    error = msgspec.json.encode(TaskError(kind, why, timestamp(now))).decode()
    return bool(transaction.change(steps.LAPSE, id_=key, finished_at_=now, error_=error))
