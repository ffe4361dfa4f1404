"""``task.action``: an action that the registry declares, and workers outside serve."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from taskmill.queue import Queue
from taskmill.registry import Entry, EntryConfig, Mistake, reference
from taskmill.supervisor import Context, SupervisorError
from taskmill.tasks.external.declared import DeclaredAction, SchemaFlaw
from taskmill.tasks.external.options import DeclaredActionConfig
from taskmill.tasks.service import TaskService

Name = Annotated[str, Meta(min_length=1, max_length=200)]


class TaskActionConfig(DeclaredActionConfig, kw_only=True, forbid_unknown_fields=True):
    """An action without a function: workers outside claim its tasks over HTTP. Its name is the action's."""

    tasks: Annotated[
        str, reference("task.service", attaches=True, description="The task queue that keeps its tasks.")
    ]
    queue: Annotated[
        str,
        reference(
            "queue.queue",
            description="Where its tasks wait for `POST /queues/{queue_name}/claim`; no consumer takes it.",
        ),
    ]


class TaskAction:
    """Hands its action to the task queue, which starts after."""

    kind: ClassVar[str] = "task.action"
    Config: ClassVar[type[EntryConfig]] = TaskActionConfig

    def __init__(self, entry: Entry[Any], context: Context) -> None:
        self._config: TaskActionConfig = entry.config
        self._context = context

    @classmethod
    def check(cls, entry: Entry[Any]) -> Iterator[Mistake]:
        """Find what is no JSON Schema, and options that are wrong or do not go together."""
        try:
            _action(entry.config, "")
        except SchemaFlaw as flaw:
            yield Mistake("schema", f"no JSON Schema: {flaw}")
        except SupervisorError:
            return  # said at the start: another machine may have what is missing here
        except (ValueError, TypeError) as error:
            yield Mistake("", str(error))

    async def start(self) -> None:
        """Declare the action."""
        queue = self._context.get(self._config.queue, Queue)
        service = self._context.get(self._config.tasks, TaskService)
        service.declared_actions.append(_action(self._config, queue.name))
        if queue not in service.declared_queues:
            service.declared_queues.append(queue)

    async def stop(self) -> None:
        """Nothing to let go of: the action stays as long as it is declared."""


def declared_of(entries: Iterable[Entry[Any]], tasks: str) -> list[DeclaredAction]:
    """Return the actions that entries declare for a task queue, as far as their data is concerned."""
    configs = [entry.config for entry in entries if isinstance(entry.config, DeclaredActionConfig)]
    return [_action(config, "") for config in configs if getattr(config, "tasks", None) == tasks]


def _action(config: DeclaredActionConfig, queue: str) -> DeclaredAction:
    return DeclaredAction(
        config.name, config.schema, config.result, config.description, **config.declared(queue)
    )
