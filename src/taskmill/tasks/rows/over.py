"""Ends that are not an attempt's on this node: of what was cancelled, has expired, or was with a worker outside."""

from __future__ import annotations

from typing import NamedTuple

from taskmill.sql import Transaction
from taskmill.tasks.lifecycle import Status
from taskmill.tasks.rows import statements


class Over(NamedTuple):
    """A task whose end, or the end of whose attempt where ``status`` is SCHEDULED, is stored."""

    key: bytes
    queue: str
    action: str
    status: Status


def over(transaction: Transaction, key: bytes) -> Over:
    """Return what there is to say of a task that has just ended in a transaction."""
    ((status, _, queue, action),) = transaction.fetch(statements.STATE, id_=key)
    return Over(key, queue, action, Status(status))
