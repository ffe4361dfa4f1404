"""``GET /openapi.json`` of an application with a task queue."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

import taskmill
from taskmill.http import Answer, Operation, Schemas, Served, answer_openapi, document, types_of
from taskmill.tasks.actions.catalog import Catalog
from taskmill.tasks.callback.told import Told
from taskmill.tasks.openapi import actions, webhooks, words
from taskmill.tasks.service import TaskService

TITLE = "Taskmill"
DESCRIPTION = """A durable task queue: submit an action's name and its data, and get the result later.

- JSON in and out, UTF-8. Times are RFC 3339 in UTC with milliseconds, durations are numbers of seconds, ids are UUIDv7.
- Errors are problem details (RFC 9457) that say what to do; `errors` names each wrong field.
- Unknown fields and parameters are errors, as is a key that an object has twice, the character U+0000, and data that is
  nested more than 100 deep.
- A method that a path does not take is answered with 405, and `Allow` says which it takes; each `GET` is a `HEAD`, too.
"""
BODIES = ("Submission", "ScheduleBody")  # of an action and its data


@Operation(
    "The OpenAPI document",
    words.ABOUT,
    scope="observe",
    for_limited=True,
    answers={200: Answer("OpenAPI 3.1, with the data of each action by its name.", dict[str, Any])},
)
async def openapi(request: Request, *, tasks: TaskService) -> object:
    """``GET /openapi.json``."""
    called_back = tasks.callbacks is not None

    def make(served: list[Served]) -> dict[str, Any]:
        return describe(served, tasks.catalog, sorted(tasks.dispatchers), called_back=called_back)

    return answer_openapi(request, make)


def describe(
    served: list[Served], catalog: Catalog, queues: list[str], *, called_back: bool
) -> dict[str, Any]:
    """Return the document of a server's endpoints, the actions of a catalog and the names of queues.

    ``called_back`` is whether the application sends callbacks.
    """
    named = actions.named(catalog.offered())
    schemas = Schemas([*types_of(served), *(one.data_type for one in named), Told])
    for body in BODIES:
        properties = schemas.components.get(body, {}).get("properties", {})
        if "queue" in properties:
            properties["queue"]["enum"] = [*queues, None]
        if not called_back:
            properties.pop("callback", None)
    if not called_back:
        schemas.components.pop("Callback", None)
    actions.describe(schemas, named, BODIES)
    made = document(TITLE, taskmill.__version__, served, schemas, DESCRIPTION, words.TAGS)
    actions.keep_possible(made, catalog)
    if called_back:
        made["webhooks"] = webhooks.describe(schemas)
    return made
