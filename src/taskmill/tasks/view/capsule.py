"""``GET /tasks/{id}/capsule``: all that it takes to run a task again at a desk."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from sqlalchemy import Select, bindparam, select
from starlette.requests import Request

from taskmill import __version__
from taskmill.http import Answer, Operation, caller_of, means, parse_query
from taskmill.tasks.api import missing
from taskmill.tasks.ids import from_text
from taskmill.tasks.model import TaskDetails
from taskmill.tasks.openapi import words
from taskmill.tasks.rights.doors import let_near
from taskmill.tasks.rights.rights import check_scope
from taskmill.tasks.rows.schema import action_schema, task
from taskmill.tasks.service import TaskService

# The schema that a task's data has passed. Parameter: id.
SCHEMA: Select[Any] = (
    select(action_schema.c.hash, action_schema.c.data)
    .join_from(task, action_schema, action_schema.c.number == task.c.version)
    .where(task.c.id == bindparam("id_"))
)


class CapsuleQuery(msgspec.Struct):
    """The parameters of ``GET /tasks/{id}/capsule``."""

    secrets: Annotated[bool, means("With the fields that `redact` hides; takes the scope `admin`.")] = False


class PassedSchema(msgspec.Struct):
    """The JSON Schema that the data passed when it was submitted."""

    hash: str
    schema: Annotated[msgspec.Raw, means("A JSON Schema.", type="object")]


class Capsule(msgspec.Struct):
    """A task with its data, attempts and errors, and what it was submitted to."""

    capsule: Annotated[int, means("The version of this format: 1.")]
    taskmill: Annotated[str, means("The version of the server.")]
    task: TaskDetails
    data_schema: Annotated[
        PassedSchema | None, means("Null where the task was stored before schemas were kept.")
    ]


@Operation(
    "Take a task along", words.TASKS, scope="read", for_limited=True, path=words.BY_ID,
    query=CapsuleQuery,
    description="All that `taskmill replay` takes to run it again at a desk, under a debugger.",
    answers={200: Answer("The capsule.", Capsule)}, problems=words.NO_TASK,
)  # fmt: skip
async def get_capsule(request: Request, *, tasks: TaskService) -> Capsule:
    """``GET /tasks/{id}/capsule``."""
    query = parse_query(request.scope["query_string"], CapsuleQuery)
    if query.secrets:
        check_scope(caller_of(request), "admin")
    id_ = from_text(request.path_params["id"])
    await let_near(caller_of(request), tasks.reader, id_)
    found = None if id_ is None else await tasks.reader.get(id_, secrets=query.secrets)
    if found is None:
        raise await missing(tasks, id_)
    rows = await tasks.reader.read(SCHEMA, {"id_": id_})
    passed = PassedSchema(rows[0][0], msgspec.Raw(rows[0][1].encode())) if rows else None
    return Capsule(1, __version__, found, passed)
