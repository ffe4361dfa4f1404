"""Verdicts: what becomes of tasks that wait for others, as the rows of those say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from taskmill.sql import Database, Transaction
from taskmill.tasks.control.dead_letter import DeadLetters
from taskmill.tasks.follow import statements
from taskmill.tasks.ids import to_text
from taskmill.tasks.intake.placing import Placing
from taskmill.tasks.intake.turns import in_turn
from taskmill.tasks.lifecycle import ENDED, Status
from taskmill.tasks.message import Dispatchable
from taskmill.tasks.model import TaskError, timestamp
from taskmill.tasks.rows import sharing, steps
from taskmill.tasks.rows import statements as rows
from taskmill.tasks.rows.over import Over, over

FAILED_WITH = "dependency_failed"


class Verdict(NamedTuple):
    """What becomes of a task: it is ready, it fails with ``culprit``, or it waits no longer, whatever became of it."""

    follower: bytes
    ready: bool = False
    culprit: tuple[bytes, Status] | None = None


class Settled:
    """What verdicts came to: tasks that are queued now, and tasks that have failed."""

    def __init__(self) -> None:
        self.queued: list[Dispatchable] = []
        self.failed: list[Over] = []


async def judge(database: Database, followers: Sequence[bytes]) -> list[Verdict]:
    """Read what becomes of tasks; those that still wait are left out. There are 1 to `sharing.MOST` of them."""
    count, values = sharing.keys(followers)
    sql, arguments = database.bind(statements.states(count), values)
    found = await database.read(lambda connection: connection.execute(sql, arguments).fetchall())
    edges: dict[bytes, list[Any]] = {}
    for follower, *edge in found:
        edges.setdefault(bytes(follower), []).append(edge)
    verdicts = (_verdict(follower, some) for follower, some in edges.items())
    return [verdict for verdict in verdicts if verdict is not None]


def _verdict(follower: bytes, edges: Sequence[Any]) -> Verdict | None:
    """Judge a task by what it waits for; None where it waits.

    One that has been pruned meanwhile has ended, and well: or else the task would have failed with it long before.
    """
    status, run_at = edges[0][:2]
    if status != Status.SCHEDULED or run_at is not None:
        return Verdict(follower)
    for _, _, task_id, state, anyhow in edges:
        if state in (Status.FAILED, Status.CANCELLED) and not anyhow:
            return Verdict(follower, culprit=(bytes(task_id), Status(state)))
    if all(edge[3] is None or edge[3] in ENDED for edge in edges):
        return Verdict(follower, ready=True)
    return None


def carry_out(
    verdicts: Sequence[Verdict], placing: Placing, now: int, letters: DeadLetters | None
) -> Callable[[Transaction], Settled]:
    """Return what stores verdicts in a transaction; each step is guarded, so a verdict that comes twice is none."""

    def call(transaction: Transaction) -> Settled:
        settled = Settled()
        for verdict in verdicts:
            transaction.change(statements.DROP, follower_=verdict.follower)
            if verdict.ready:
                settled.queued += queue(transaction, verdict.follower, placing, now)
            elif verdict.culprit is not None and _fail(transaction, verdict.follower, verdict.culprit):
                settled.failed.append(over(transaction, verdict.follower))
                if letters is not None:
                    letters.expired(transaction, verdict.follower, now)
        return settled

    def _fail(transaction: Transaction, follower: bytes, culprit: tuple[bytes, Status]) -> bool:
        id_, status = culprit
        what = "failed" if status is Status.FAILED else "was cancelled"
        error = TaskError(FAILED_WITH, f"task {to_text(id_)}, which it follows, {what}", timestamp(now))
        text = msgspec.json.encode(error).decode()
        return bool(transaction.change(steps.FORSAKE, id_=follower, finished_at_=now, error_=text))

    return call


def queue(
    transaction: Transaction, key: bytes, placing: Placing, now: int, data: str | None = None
) -> list[Dispatchable]:
    """Queue a task that has waited for others, with other ``data`` if that is given; return its row, or nothing."""
    for row in transaction.fetch(rows.FOR_RETRY, id_=key):
        values: dict[str, Any] = {"id_": key, "rank_": placing.rank(now, row[7] or 0)}
        changed = (
            transaction.change(steps.READY, **values)
            if data is None
            else transaction.change(steps.READY_WITH, data_=data, **values)
        )
        if changed:
            ((fair_key,),) = transaction.fetch(rows.FAIR_KEY, id_=key)
            return [
                in_turn(transaction, placed, fair_key)
                for placed in transaction.fetch(rows.FOR_RETRY, id_=key)
            ]
    return []
