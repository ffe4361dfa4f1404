"""``task.outbox``: a table in the user's own database that is drained into tasks."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from msgspec import Meta, field

from taskmill.registry import Entry, EntryConfig, reference
from taskmill.sql import Database
from taskmill.supervisor import Context
from taskmill.tasks.outbox.drain import Drain
from taskmill.tasks.outbox.table import Outbox
from taskmill.tasks.service import TaskService
from taskmill.units import Duration

Identifier = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=63)]


class TaskOutboxConfig(EntryConfig, kw_only=True, forbid_unknown_fields=True):
    """Makes a task of each row of a table, in the order of its key, once each, and removes the row.

    So an application that knows nothing of Taskmill submits by an INSERT in its own transaction. A row that cannot be a
    task stays, with the reason in its `error` column.
    """

    tasks: Annotated[str, reference("task.service", description="The task queue that gets the tasks.")]
    database: Annotated[str, reference("db.sql.*", description="Where the table is.")]
    table: Annotated[Identifier, Meta(description="The table.")]
    key: Annotated[Identifier, Meta(description="Its primary key, which grows with time.")] = "id"
    error: Annotated[Identifier, Meta(description="A text column, NULL until a row has been refused.")] = (
        "error"
    )
    token: Annotated[
        Identifier,
        Meta(
            description="A text column of ours, NULL at first; needed where the tasks are in another database."
        ),
    ] = "token"  # noqa: S105 - the name of a column
    columns: Annotated[
        dict[Identifier, Identifier],
        Meta(
            description="Where each field of a submission stands: `action`, `data` as JSON, and any other of "
            "`POST /tasks`, such as `{action: kind, data: payload, queue: queue}`."
        ),
    ] = field(default_factory=lambda: {"action": "action", "data": "data"})
    batch: Annotated[int, Meta(ge=1, le=1000, description="Rows in one transaction.")] = 100
    poll: Annotated[Duration, Meta(description="The rest after a look that found no rows.")] = Duration(1)


class TaskOutbox:
    """Drains the table as long as it runs. Several nodes may: a row becomes one task all the same."""

    kind: ClassVar[str] = "task.outbox"
    Config: ClassVar[type[EntryConfig]] = TaskOutboxConfig

    def __init__(self, entry: Entry[Any], context: Context) -> None:
        self._config: TaskOutboxConfig = entry.config
        self._context = context
        self._id = entry.id
        self._drain: Drain | None = None

    async def start(self) -> None:
        """Begin to drain. A table that is not there yet is waited for."""
        config = self._config
        database = self._context.get(config.database, Database)  # type: ignore[type-abstract]
        service = self._context.get(config.tasks, TaskService)
        outbox = Outbox(config.table, config.key, config.error, config.token, config.columns)
        self._drain = Drain(self._id, database, outbox, service.intake, config.batch, config.poll)
        self._drain.start()

    async def stop(self) -> None:
        """Drain no more."""
        if self._drain is not None:
            await self._drain.stop()
