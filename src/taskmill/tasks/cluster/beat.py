"""One heartbeat: what a node writes and reads every two seconds, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from taskmill.sql import Transaction
from taskmill.tasks.cluster import statements

TERM: Final = 6.0  # seconds for which the lead is held from a beat on
DEAD: Final = 8.0  # seconds without a beat after which a node is declared dead


class Details(msgspec.Struct):
    """What a node tells of itself: its consumers by queue, attempts under way, late results that were refused."""

    actions: list[str] = []
    consumers: dict[str, int] = {}
    running: int = 0
    refused: int = 0


class Node(NamedTuple):
    """A node as its row tells; times are milliseconds since 1970 by the database's clock."""

    id: bytes
    name: str
    version: str
    roles: list[str]
    started_at: int
    heartbeat_at: int
    details: Details
    age: int = 0  # milliseconds since its last beat


class Lease(NamedTuple):
    """Who leads, and for how many seconds still; none are left where nobody does."""

    holder: bytes
    fence: int
    left: float


NOBODY: Final = Lease(b"", 0, 0.0)


@dataclass(slots=True)
class Beat:
    """What a beat came to. Where the row was gone, nothing else was done."""

    known: bool
    nodes: Sequence[Node] = ()
    lease: Lease = NOBODY
    buried: list[Node] = field(default_factory=list)  # declared dead by this beat


_details = msgspec.json.Decoder(Details)
_roles = msgspec.json.Decoder(list[str])


def write(value: object) -> str:
    """Return a value as it stands in a node's row: JSON."""
    return msgspec.json.encode(value).decode()


def read_nodes(rows: Sequence[tuple[bytes, str, str, str, int, int, str, int]]) -> list[Node]:
    """Read the rows of :data:`taskmill.tasks.cluster.statements.NODES`."""
    return [
        Node(bytes(id_), name, version, _roles.decode(roles), began, beaten, _details.decode(details), age)
        for id_, name, version, roles, began, beaten, details, age in rows
    ]


def register(
    transaction: Transaction, id_: bytes, name: str, version: str, roles: Sequence[str], details: Details
) -> None:
    """Write a node's row, and the lease's if it is the first node of all."""
    values = {"name_": name, "version_": version, "roles_": write(roles), "details_": write(details)}
    transaction.change(statements.REGISTER, id_=id_, **values)
    if not transaction.fetch(statements.LEASE):
        transaction.change(statements.FIRST_LEASE, holder_=id_)


def beat(
    transaction: Transaction, id_: bytes, details: Details, *, fence: int | None, seek: bool, judge: bool
) -> Beat:
    """Say that a node lives, and see who else does.

    ``fence`` is that of the lead if it is held and to be kept; ``seek`` is to take it where nobody has it, and
    ``judge`` to declare those dead that have been silent for too long, if it is held after that.
    """
    if not transaction.change(statements.BEAT, id_=id_, details_=write(details)):
        return Beat(known=False)
    term = int(TERM * 1000)
    kept = fence is not None and transaction.change(statements.RENEW, holder_=id_, fence_=fence, term_=term)
    if seek and not kept:
        kept = transaction.change(statements.TAKE, holder_=id_, term_=term)
    nodes = read_nodes(transaction.fetch(statements.NODES))
    buried = []
    if judge and kept:
        silence = int(DEAD * 1000)
        for one in nodes:
            if one.age > silence and transaction.change(statements.BURY, id_=one.id, silence_=silence):
                buried.append(one)
    ((holder, number, left),) = transaction.fetch(statements.LEASE)
    alive = [one for one in nodes if one not in buried]
    return Beat(True, alive, Lease(bytes(holder), number, max(0.0, left / 1000)), buried)


def release(transaction: Transaction, id_: bytes, fence: int) -> None:
    """Give the lead back, if it is held with ``fence``."""
    transaction.change(statements.RELEASE, holder_=id_, fence_=fence)


def leave(transaction: Transaction, id_: bytes, fence: int | None) -> None:
    """Remove a node's row, and give the lead back if it is held with ``fence``."""
    if fence is not None:
        release(transaction, id_, fence)
    transaction.change(statements.LEAVE, id_=id_)
