"""Submissions that must look before they are stored: idempotency keys, unique keys, fair shares.

Each is one call within a commit of the writer, so of fifty that race, one looks first; and where several nodes
have a writer each, one of those that come with the same key goes first, too.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

from taskmill.sql import Transaction
from taskmill.tasks.actions.options import Unique
from taskmill.tasks.finding import statements as finding
from taskmill.tasks.follow import edges
from taskmill.tasks.ids import least_id
from taskmill.tasks.intake.placing import NewTask
from taskmill.tasks.intake.turns import fair_rank
from taskmill.tasks.lifecycle import ENDED, WAITING, Status
from taskmill.tasks.rows import statements, steps
from taskmill.units import parse_duration

CLOCK_SLACK = 60_000  # milliseconds by which the time in an id may be before `created_at`
REMEMBERED = 24 * 3_600_000  # milliseconds for which an idempotency key is known
_UNFINISHED = tuple(status for status in Status if status not in ENDED)


class KeyReused(Exception):
    """An idempotency key came again with another body."""


class NotUnique(Exception):
    """There is a task with this key already, and its action refuses a second; ``id`` is the first's."""

    def __init__(self, id_: bytes) -> None:
        super().__init__()
        self.id = id_


class IdempotencyKey(NamedTuple):
    """A client's key, and a digest of the body that came with it."""

    key: str
    body: bytes


def idempotency_key(key: str, body: bytes) -> IdempotencyKey:
    """Make a key of its header and the request's body."""
    return IdempotencyKey(key, hashlib.blake2b(body, digest_size=16).digest())


class Submitted(NamedTuple):
    """What a submission came to: a new task, unless it is a ``duplicate`` of one, or ``replayed``."""

    id: bytes
    status: Status
    duplicate: bool = False
    replayed: bool = False
    rank: int | None = None  # of a new one


def submit(
    transaction: Transaction,
    new: NewTask,
    *,
    idempotency: IdempotencyKey | None,
) -> Submitted:
    """Store a task unless it is there already.

    Raises:
        KeyReused: the idempotency key was used with another body.
        NotUnique: the action refuses a second task with this key.
        BadRequest: there is no task that it is to follow.
    """
    if idempotency is not None:
        transaction.serialize(f"idempotency {idempotency.key}")
        since = new.created_at - REMEMBERED
        for body, task_id in transaction.fetch(statements.USED_KEY, key_=idempotency.key, since_=since):
            if body != idempotency.body:
                raise KeyReused
            states = transaction.fetch(statements.STATUS, id_=task_id)
            status = Status(states[0][0]) if states else Status.COMPLETED  # the task was pruned since
            return Submitted(task_id, status, replayed=True)
        transaction.change(statements.DROP_KEY, key_=idempotency.key)  # one that has been forgotten
    submitted = _duplicate(transaction, new) or store(transaction, new)
    if idempotency is not None:
        transaction.change(
            statements.USE_KEY,
            key_=idempotency.key,
            body_=idempotency.body,
            task_id_=submitted.id,
            created_at_=new.created_at,
        )
    return submitted


def _duplicate(transaction: Transaction, new: NewTask) -> Submitted | None:
    """Find the task that this one would be a second of, and do what the action declares."""
    if new.place.key is None:
        return None
    unique: Unique = new.message.registered.action.options.unique
    values: dict[str, Any] = {"action_": new.message.name, "key_": new.place.key}
    if unique.within is not None:
        since = new.created_at - int(parse_duration(unique.within) * 1000)
        values |= {"since_": since, "first_": least_id(since - CLOCK_SLACK)}
    transaction.serialize(f"key {new.message.name} {new.place.key}")
    states = WAITING if unique.over == "waiting" else _UNFINISHED
    for id_, status in transaction.fetch(statements.same(states, within=unique.within is not None), **values):
        if unique.twice == "refuse":
            raise NotUnique(id_)
        if unique.twice == "replace":
            row = {"data_": new.message.body, "run_at_": new.run_at, "rank_": new.run_at and new.place.rank}
            if not transaction.change(steps.REPLACE, id_=id_, **row):
                return None  # it runs already: this is the next one
            if new.message.registered.action.options.index:
                transaction.change(finding.REMOVE, task_id_=id_)
                _index(transaction, new, id_)
        return Submitted(id_, Status(status), duplicate=True)
    return None


def store(transaction: Transaction, new: NewTask) -> Submitted:
    """Store a task, whatever is there; raise BadRequest where there is none that it is to follow."""
    rank = new.place.rank
    if new.fair_key is not None and new.status is Status.QUEUED:
        rank = fair_rank(transaction, new.place.queue, new.fair_key, new.place.priority, alone=rank)
    row = dict(zip((f"{name}_" for name in statements.FULL), new.row(rank), strict=True))
    transaction.change(statements.ADD_FULL, **row)
    _index(transaction, new, new.message.key)
    if new.after:
        edges.add(transaction, new)
    if new.callback is not None:
        store(transaction, new.callback)
    return Submitted(new.message.key, new.status, rank=rank)


def _index(transaction: Transaction, new: NewTask, id_: bytes) -> None:
    """Have a task found by what stands in its data."""
    for path, value in new.index:
        transaction.change(finding.ADD, path_=path, value_=value, task_id_=id_)
