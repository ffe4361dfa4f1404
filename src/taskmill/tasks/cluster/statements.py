"""The statements on nodes and on the lease of the lead. Times are the database's own."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    Delete,
    Insert,
    Select,
    Update,
    bindparam,
    delete,
    insert,
    literal_column,
    select,
    update,
)

from taskmill.tasks.cluster.clock import database_now
from taskmill.tasks.rows.schema import lease, node

LEAD: Final = (
    "dispatch"  # the lease's name: who holds it dispatches, and does all else that one node alone does
)

# Parameters: id, name, version, roles, details.
REGISTER: Insert = insert(node).values(
    id=bindparam("id_"),
    name=bindparam("name_"),
    version=bindparam("version_"),
    roles=bindparam("roles_"),
    started_at=database_now(),
    heartbeat_at=database_now(),
    details=bindparam("details_"),
)

# Parameters: details, id.
BEAT: Update = (
    update(node)
    .values(heartbeat_at=database_now(), details=bindparam("details_"))
    .where(node.c.id == bindparam("id_"))
)

# Parameter: id.
LEAVE: Delete = delete(node).where(node.c.id == bindparam("id_"))

# All nodes, the oldest first, with the milliseconds since their last beat.
NODES: Select[Any] = select(
    node.c.id,
    node.c.name,
    node.c.version,
    node.c.roles,
    node.c.started_at,
    node.c.heartbeat_at,
    node.c.details,
    (database_now() - node.c.heartbeat_at).label("age"),
).order_by(node.c.started_at, node.c.id)

# Declare a node dead that has not beaten for a time. Parameters: id, milliseconds.
BURY: Delete = delete(node).where(
    node.c.id == bindparam("id_"), node.c.heartbeat_at < database_now() - bindparam("silence_")
)

# Who leads, with which fence, and for how many milliseconds still.
LEASE: Select[Any] = select(
    lease.c.holder, lease.c.fence, (lease.c.expires_at - database_now()).label("left")
).where(lease.c.name == LEAD)

FIRST_LEASE: Insert = insert(lease).values(
    name=LEAD, holder=bindparam("holder_"), fence=literal_column("0"), expires_at=literal_column("0")
)

# Take the lead where nobody has it. Parameters: holder, milliseconds.
TAKE: Update = (
    update(lease)
    .values(
        holder=bindparam("holder_"),
        fence=lease.c.fence + literal_column("1"),
        expires_at=database_now() + bindparam("term_"),
    )
    .where(lease.c.name == LEAD, lease.c.expires_at < database_now())
)

_held = (lease.c.name == LEAD, lease.c.holder == bindparam("holder_"), lease.c.fence == bindparam("fence_"))

# Parameters: milliseconds, holder, fence.
RENEW: Update = update(lease).values(expires_at=database_now() + bindparam("term_")).where(*_held)

# Parameters: holder, fence.
RELEASE: Update = update(lease).values(expires_at=literal_column("0")).where(*_held)

# One row where the lead is still held with a fence, and kept so until the transaction ends. Parameters: holder, fence.
FENCED: Select[Any] = (
    select(lease.c.fence).where(*_held, lease.c.expires_at > database_now()).with_for_update(read=True)
)
