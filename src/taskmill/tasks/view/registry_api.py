"""``GET /registry``: what the application is made of, and how it is."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from starlette.requests import Request

from taskmill.http import Answer, Operation, means, parse_query
from taskmill.supervisor import State
from taskmill.tasks.api import NoQuery
from taskmill.tasks.openapi import words
from taskmill.tasks.service import TaskService


class ShownEntry(msgspec.Struct):
    """An entry. Of its fields only those that name others are shown, as arrows: some hold what is nobody's business."""

    id: str
    kind: str
    state: Annotated[
        Literal["waiting", "starting", "running", "failed", "stopping", "stopped"],
        means("`waiting` where it has not begun: nothing that has started needs it.", enum=list(State)),
    ]


class Arrow(msgspec.Struct):
    """An entry that names another by a field. One that ``attaches`` plugs itself into the other, and starts first."""

    source: str
    target: str
    field: str
    attaches: bool


class Picture(msgspec.Struct):
    """All entries of this process, in the order of the registry, and the arrows between them."""

    entries: list[ShownEntry]
    arrows: list[Arrow]


@Operation(
    "The registry and its state", words.ABOUT, scope="observe",
    answers={200: Answer("Entries, and which name which.", Picture)},
)  # fmt: skip
async def get_registry(request: Request, *, tasks: TaskService) -> Picture:
    """``GET /registry``."""
    parse_query(request.scope["query_string"], NoQuery)
    entries, states = tasks.context.entries, tasks.context.states
    return Picture(
        [ShownEntry(entry.id, entry.kind, State(states[entry.id]).value) for entry in entries.values()],
        [
            Arrow(entry.id, reference.target, reference.field, reference.attaches)
            for entry in entries.values()
            for reference in entry.references
        ],
    )
