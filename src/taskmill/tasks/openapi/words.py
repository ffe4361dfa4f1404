"""What the operations of several endpoints have in common: groups, parameters, answers, links."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from taskmill.http import Answer, Link, means
from taskmill.tasks.lifecycle import Status
from taskmill.tasks.model import Id, StatusWord, TaskDetails

TASKS, ACTIONS, QUEUES, SCHEDULES = "Tasks", "Actions", "Queues", "Schedules"
WORKERS, BATCHES = "Workers", "Batches"
HEALTH, ABOUT = "Health", "About"
TAGS = {
    TASKS: "Submit tasks, watch them, cancel them, run them again.",
    BATCHES: "Tasks that belong together, and one that runs once they have ended.",
    ACTIONS: "What can be submitted.",
    QUEUES: "How much waits, and for whom; pause and resume.",
    WORKERS: "For workers in any language: claim tasks, keep them, say how they ended.",
    SCHEDULES: "Tasks that are submitted by the clock.",
    HEALTH: "For load balancers and supervisors.",
    ABOUT: "This description.",
}

BY_ID = {"id": Annotated[str, means("The task's id.", format="uuid")]}
BY_QUEUE = {"name": Annotated[str, means("The `queue_name` of its entry.")]}
BY_SCHEDULE = {
    "name": Annotated[str, means("The schedule's name.", pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
}

NO_TASK = {404: "No task has this id.", 410: "The task ended and was pruned since."}
NO_QUEUE = {404: "No queue has this name."}
NO_SCHEDULE = {404: "No schedule has this name."}
NOT_STORED = {503: "The database takes no change now, such as on a full disk, or the server is too busy."}

IDEMPOTENCY_KEY = Annotated[
    str,
    Meta(pattern="^[!-~]([ -~]{0,253}[!-~])?$"),
    means("The same key and body within 24 hours are one task; the same key with another body is refused."),
]
PREFER = Annotated[
    str,
    means(
        "`wait=10` (RFC 7240): hold the answer for so many seconds, 60 at most, to have the task itself once it ends. "
        "What else stands there is left aside."
    ),
]
APPLIED = Annotated[
    str,
    means("For how long the answer was held at most; only where that was asked.", pattern="^wait=[0-9]+$"),
]
LOCATION = Annotated[str, means("The path of the task.", format="uri-reference")]
REPLAYED = Annotated[str, means("That the idempotency key was known: no task was stored.", enum=["true"])]


GIVEN = {"not": {"type": "null"}}


def not_both(one: str, other: str) -> dict[str, Any]:
    """Return the schema of an object of which at most one of two fields is given."""
    return {"not": {"required": [one, other], "properties": {one: GIVEN, other: GIVEN}}}


def either(one: str, other: str) -> dict[str, Any]:
    """Return the schema of an object of which one of two fields is given."""
    return {"oneOf": [{"required": [name], "properties": {name: GIVEN}} for name in (one, other)]}


def some_of(body: type[Struct], filters: Iterable[str], allowed: Iterable[Status]) -> Any:
    """Return a body type that must have one of its filters, and of whose tasks only those in some states are meant."""
    given = [{"required": [name], "properties": {name: GIVEN}} for name in filters]
    words = [*(status.word for status in allowed), None]
    return Annotated[
        body, Meta(extra_json_schema={"anyOf": given, "properties": {"status": {"enum": words}}})
    ]


class Submitted(Struct, omit_defaults=True):
    """A task that is stored. ``duplicate``: it was there already, with the same unique key."""

    id: Id
    status: StatusWord | UnsetType = UNSET
    duplicate: Annotated[bool, means("Only there where it is true.")] | UnsetType = UNSET


def by_id(id_: str) -> tuple[Link, ...]:
    """Link to what can be asked of a task whose id stands at an expression."""
    return (
        Link("get_task", {"id": id_}, "The task, and its result once it has ended."),
        Link("why_task", {"id": id_}, "What it waits for."),
        Link("cancel_task", {"id": id_}, "Cancel it."),
        Link("retry_task", {"id": id_}, "Run it again, once it has failed or been cancelled."),
    )


def by_schedule(name: str) -> tuple[Link, ...]:
    """Link to what can be asked of a schedule whose name stands at an expression."""
    return tuple(
        Link(function, {"name": name})
        for function in (
            "get_schedule", "run_schedule", "pause_schedule", "resume_schedule", "delete_schedule",
        )
    )  # fmt: skip


SUBMITTED = Answer(
    "The task is stored, and flushed to disk.",
    Submitted,
    headers={"Location": LOCATION, "Idempotency-Replayed": REPLAYED, "Preference-Applied": APPLIED},
    links=by_id("$response.body#/id"),
    example={"id": "01981a3e-77d0-7c4f-8f04-0a5c2f9f6a11", "status": "queued"},
)
ENDED = Answer(
    "The task has ended, within the time that `Prefer` had for it.",
    TaskDetails,
    headers=SUBMITTED.headers,
    links=by_id("$response.body#/id"),
)
