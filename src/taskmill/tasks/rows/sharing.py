"""The statements of a database that several nodes share: who has which task in hand, and what is free.

A task's ``node`` is NULL until one claims it, and again once nobody has it. Statements on many tasks at once are
made for some numbers of them alone, since each is prepared; the last id fills up what is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import LargeBinary, Select, Update, bindparam, exists, literal_column, null, select, update

from taskmill.tasks.lifecycle import Status
from taskmill.tasks.rows.schema import lease, node, task
from taskmill.tasks.rows.statements import DISPATCHABLE, EXPIRED, LIMITED, RANKED, code

SIZES: Final = (1, 8, 64, 500)
MOST: Final = SIZES[-1]  # tasks in one statement

_queued = task.c.status == code(Status.QUEUED)
_free = task.c.node.is_(None)

# What waits and nobody has; parameters as those of the statements that these are made of.
RANKED_FREE: Select[Any] = RANKED.where(_free)
LIMITED_FREE: Select[Any] = LIMITED.where(_free)
EXPIRED_FREE: Select[Any] = EXPIRED.where(_free)

# Free queued tasks of a queue after an id, in order of their ids, up to a rank. Parameters: id, queue, rank, limit.
FRESH: Select[Any] = (
    select(*DISPATCHABLE)
    .where(
        task.c.id > bindparam("id_"),
        _queued,
        _free,
        task.c.queue == bindparam("queue_"),
        task.c.rank <= bindparam("rank_"),
    )
    .order_by(task.c.id)
    .limit(bindparam("limit_"))
)

# Tasks that some node has, after an id. Parameters: id, limit.
IN_HAND: Select[Any] = (
    select(*DISPATCHABLE)
    .where(
        task.c.id > bindparam("id_"),
        task.c.node.is_not(None),
        task.c.status.in_([code(Status.QUEUED), code(Status.RUNNING)]),
    )
    .order_by(task.c.id)
    .limit(bindparam("limit_"))
)

# A claimed task that has not begun, or only just, is anybody's again. Parameters: id, node.
FREE: Update = (
    update(task)
    .values(node=null())
    .where(
        task.c.id == bindparam("id_"),
        task.c.node == bindparam("node_"),
        _queued,
    )
)

# Have a node take a queued task that nobody else has, if it is one still and the leader that named the task leads.
# Parameters: node, id, node, node, and the leader's fence.
CLAIM: Update = (
    update(task)
    .values(node=bindparam("node_"))
    .where(
        task.c.id == bindparam("id_"),
        _queued,
        _free | (task.c.node == bindparam("node_")),
        exists().where(node.c.id == bindparam("node_")),
        exists().where(lease.c.name == literal_column("'dispatch'"), lease.c.fence == bindparam("fence_")),
    )
)


def keys(ids: Sequence[bytes]) -> tuple[int, dict[str, bytes]]:
    """Return for how many ids a statement is to be made, and its parameters. There are 1 to MOST ids."""
    count = next(size for size in SIZES if size >= len(ids))
    padded = [*ids, *([ids[-1]] * (count - len(ids)))]
    return count, {f"key{number}_": id_ for number, id_ in enumerate(padded)}


def _among(count: int) -> Any:
    return task.c.id.in_([bindparam(f"key{number}_", LargeBinary) for number in range(count)])


@cache
def states(count: int) -> Select[Any]:
    """Where tasks are in their lives, and who has them. Parameters: keys."""
    return select(task.c.id, task.c.status, task.c.node, task.c.attempt, task.c.started_at).where(
        _among(count)
    )


@cache
def claimed(count: int) -> Select[Any]:
    """Return those of some tasks that a node has claimed and not begun. Parameters: keys, node."""
    return select(*DISPATCHABLE).where(_among(count), _queued, task.c.node == bindparam("node_"))


@cache
def give_back(count: int) -> Update:
    """Have a node let go of tasks that it has claimed and not begun. Parameters: keys, node."""
    return update(task).values(node=null()).where(_among(count), _queued, task.c.node == bindparam("node_"))
