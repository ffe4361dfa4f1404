"""What an entry of the kind ``task.service`` declares."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from taskmill.registry import EntryConfig, reference
from taskmill.tasks.retention.retention import Keep
from taskmill.units import Duration, Size


class Encrypt(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How what tasks hold is encrypted where it is stored."""

    keys: Annotated[
        str,
        Meta(
            description="`ID:BASE64`, several with commas between, best as `${env:TASKMILL_KEYS}`. The first encrypts, "
            "all decrypt."
        ),
    ]

    def __repr__(self) -> str:
        return "Encrypt(keys=…)"  # they are secrets


class TaskServiceConfig(EntryConfig, kw_only=True, forbid_unknown_fields=True):
    """The task queue: stores tasks in a database, dispatches them through queues, runs their actions."""

    database: Annotated[str, reference("db.sql.*", description="Where tasks are stored.")]
    queue: Annotated[str, reference("queue.queue", description="What dispatches them.")]
    queues: Annotated[
        list[Annotated[str, reference("queue.queue")]],
        Meta(description="More queues, for tasks and actions that name one."),
    ] = field(default_factory=list)
    host: Annotated[str, reference("process.host", description="Where actions that are a plain `def` run.")]
    actions: Annotated[
        list[str], Meta(description="Sources of actions: `file://actions.py`, or a module `package.module`.")
    ] = field(default_factory=list)
    only: Annotated[
        Literal["http", "workers"] | None,
        Meta(
            description="What this process does of it, where several share the database: `http` takes tasks in, "
            "`workers` runs them. `null`: both. `taskmill run --only` sets it."
        ),
    ] = None
    ageing: Annotated[
        Duration,
        Meta(description="After waiting so long, a task is as urgent as a new one of the next priority."),
    ] = Duration(600)
    max_backlog: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Tasks that may wait or run; beyond them submissions get 503. `null`: no bound."),
    ] = 10_000_000
    keep: Annotated[Keep, Meta(description="For how long ended tasks are kept.")] = Keep()
    max_size: Annotated[
        Size, Meta(description="Beyond it the oldest ended tasks go, whatever their age; 0 for no bound.")
    ] = Size(10 * 2**30)
    tombstones: Annotated[
        Duration, Meta(description="For how long the id of a pruned task answers 410; then it is unknown.")
    ] = Duration(30 * 86_400)
    redact: Annotated[
        list[str],
        Meta(
            description="Fields of data and results that are not shown: `data.card.number`, `result.token`, or "
            "`*.password`, at any depth."
        ),
    ] = field(default_factory=list)
    encrypt: Annotated[
        Encrypt | None, Meta(description="With what the tasks are encrypted where they are stored.")
    ] = None
