"""Fair shares: tasks of different keys take turns, however many each of them has sent.

The tasks of a key are ranked one after the other, each a rank behind the last, and those of all keys of a
priority from the same rank on. So the ranks are rounds, and in each round every key that waits has one turn. It
is start-time fair queueing (Goyal, Vin and Cheng, 1996) with the rows as its memory, so it holds over restarts.

A key that comes new begins a round after the first that waits, and not in it: or else two keys that never have
more than one task waiting could keep the first round alive for ever, and the others from the second.
"""

from __future__ import annotations

from typing import Any, Protocol

from sqlalchemy import ClauseElement

from taskmill.tasks.message import Dispatchable
from taskmill.tasks.rows import statements


class Rows(Protocol):
    """A transaction."""

    def fetch(self, statement: ClauseElement, **values: Any) -> list[Any]:
        """Run a query, and return its rows as tuples."""

    def change(self, statement: ClauseElement, **values: Any) -> int:
        """Run an insert, update or delete; return how many rows it changed."""


def fair_rank(rows: Rows, queue: str, fair_key: str, priority: int, *, alone: int) -> int:
    """Return the rank of a key's next task; ``alone`` is its rank where no key waits in that priority."""
    ((first,),) = rows.fetch(statements.FIRST_RANK, queue_=queue, priority_=priority)
    ((last,),) = rows.fetch(statements.LAST_RANK, queue_=queue, fair_key_=fair_key, priority_=priority)
    return next_rank(first, last, alone)


def next_rank(first: int | None, last: int | None, alone: int) -> int:
    """Return the rank after the ``last`` of a key, or, where it has none, of the round after the ``first``."""
    if first is None:
        return alone
    return (first if last is None else last) + 1


def in_turn(transaction: Rows, row: Dispatchable, fair_key: str | None) -> Dispatchable:
    """Place a scheduled task that is about to be queued after those of its key; return its row as it is now."""
    if fair_key is None:
        return row
    id_, action, data, attempt, max_attempts, queue, at, priority, *_ = row
    rank = fair_rank(transaction, queue, fair_key, priority or 0, alone=at or 0)
    transaction.change(statements.PLACE, id_=id_, rank_=rank)
    return (id_, action, data, attempt, max_attempts, queue, rank, *row[7:])
