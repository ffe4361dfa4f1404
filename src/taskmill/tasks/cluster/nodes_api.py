"""``GET /nodes``: the processes that share a database."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request

from taskmill.http import Answer, Operation, parse_query
from taskmill.sql import Database
from taskmill.tasks.cluster import statements
from taskmill.tasks.cluster.beat import Node, read_nodes
from taskmill.tasks.ids import to_text
from taskmill.tasks.model import Id, Time, timestamp
from taskmill.tasks.openapi import words
from taskmill.tasks.service import TaskService


class NoQuery(msgspec.Struct):
    """No parameters."""


class ShownNode(msgspec.Struct):
    """A node.

    ``running`` is how many attempts are under way there, ``consumers`` how many take tasks, and ``refused`` how many
    results came too late, when others had the task.
    """

    id: Id
    name: str
    version: str
    roles: list[str]
    started_at: Time
    heartbeat_at: Time
    leader: bool
    running: int
    consumers: int
    refused: int
    actions: list[str]


class NodeList(msgspec.Struct):
    """All nodes, the oldest first."""

    nodes: list[ShownNode]
    count: int


@Operation(
    "List the nodes",
    words.HEALTH,
    scope="observe",
    answers={200: Answer("Those that are alive, the oldest first.", NodeList)},
)
async def list_nodes(request: Request, *, tasks: TaskService) -> NodeList:
    """``GET /nodes``: those that are alive, or have been until some seconds ago."""
    parse_query(request.scope["query_string"], NoQuery)
    database = tasks.store.database
    if database.shared:
        found, leader = await _read(database)
    else:
        here = tasks.nodes.here()
        found, leader = [here], here.id
    shown = [_shown(one, one.id == leader) for one in found]
    return NodeList(shown, len(shown))


async def _read(database: Database) -> tuple[list[Node], bytes]:
    """Return the nodes, and which of them leads."""
    nodes = database.bind(statements.NODES, {})
    lease = database.bind(statements.LEASE, {})

    def call(connection: Any) -> tuple[list[Node], bytes]:
        found = read_nodes(connection.execute(*nodes).fetchall())
        held = connection.execute(*lease).fetchone()
        return found, bytes(held[0]) if held and held[2] > 0 else b""

    return await database.read(call)


def _shown(node: Node, leads: bool) -> ShownNode:
    return ShownNode(
        id=to_text(node.id),
        name=node.name,
        version=node.version,
        roles=node.roles,
        started_at=timestamp(node.started_at),
        heartbeat_at=timestamp(node.heartbeat_at),
        leader=leads,
        running=node.details.running,
        consumers=sum(node.details.consumers.values()),
        refused=node.details.refused,
        actions=node.details.actions,
    )
