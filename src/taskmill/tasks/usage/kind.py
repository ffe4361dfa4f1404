"""``task.usage``: counts what each caller uses."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from msgspec import Meta

from taskmill.registry import Entry, EntryConfig, reference
from taskmill.supervisor import Context, SupervisorError
from taskmill.tasks.service import TaskService
from taskmill.tasks.usage.ledger import DAY, Ledger
from taskmill.units import Duration


class TaskUsageConfig(EntryConfig, kw_only=True, forbid_unknown_fields=True):
    """Counts the tasks of each caller by day, and how long they ran, where the router tells callers apart."""

    tasks: Annotated[str, reference("task.service", description="The task queue whose tasks are counted.")]
    keep: Annotated[Duration, Meta(description="For how long days are kept.")] = Duration(400 * 86_400)


class TaskUsage:
    """Keeps the ledger of a task queue."""

    kind: ClassVar[str] = "task.usage"
    Config: ClassVar[type[EntryConfig]] = TaskUsageConfig

    def __init__(self, entry: Entry[Any], context: Context) -> None:
        self._id = entry.id
        self._config: TaskUsageConfig = entry.config
        self._context = context
        self._tasks: TaskService | None = None
        self._ledger: Ledger | None = None

    async def start(self) -> None:
        """Begin to count. Raises SupervisorError where another entry counts the same tasks."""
        tasks = self._context.get(self._config.tasks, TaskService)
        if tasks.ledger is not None:
            raise SupervisorError(f"{self._config.tasks} is counted by another `task.usage` already")
        self._tasks = tasks
        self._ledger = tasks.ledger = Ledger(tasks.store.database, int(self._config.keep * 1000) // DAY)
        self._ledger.start()

    async def stop(self) -> None:
        """Count what has been noted, and no more."""
        ledger, self._ledger = self._ledger, None
        if ledger is not None and self._tasks is not None:
            await ledger.stop()
            self._tasks.ledger = None
