"""``task.action``: an action that the registry declares, and workers outside serve."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, field

from taskmill.queue import Queue
from taskmill.registry import Entry, EntryConfig, Mistake, reference
from taskmill.supervisor import Context, SupervisorError
from taskmill.tasks.actions.options import Declared, OverLimit
from taskmill.tasks.external.declared import DeclaredAction, SchemaFlaw
from taskmill.tasks.service import TaskService
from taskmill.units import Duration

Name = Annotated[str, Meta(min_length=1, max_length=200)]


class TaskActionConfig(EntryConfig, kw_only=True, forbid_unknown_fields=True):
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
    schema: Annotated[dict[str, Any], Meta(description="The JSON Schema of `data`; `{}` takes anything.")] = (
        field(default_factory=dict)
    )
    result: Annotated[
        dict[str, Any], Meta(description="The JSON Schema of what comes back; for readers, not checked.")
    ] = field(default_factory=dict)
    description: Annotated[str, Meta(description="What it does, for people.")] = ""
    max_attempts: Annotated[int, Meta(ge=1, le=1_000, description="How often a task may be started.")] = 3
    backoff: Annotated[
        list[Duration] | Literal["exponential"],
        Meta(description="The rests between attempts, the last one again and again."),
    ] = "exponential"
    timeout: Annotated[Duration | None, Meta(description="How long an attempt may take at most.")] = None
    expires_in: Annotated[
        Duration | None, Meta(description="A task fails with `expired` if it has not begun by then.")
    ] = None
    priority: Annotated[int, Meta(ge=0, le=9, description="Higher goes first.")] = 0
    rate_limit: Annotated[str | None, Meta(description="How often tasks start: `100/s`, `3/10s`.")] = None
    concurrency: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description="How many run at once, wherever.")
    ] = None
    concurrency_key: Annotated[
        str | None, Meta(description="The place in the data of what has a limit of its own: `data.customer`.")
    ] = None
    over_limit: Annotated[OverLimit, Meta(description="What becomes of a task over its limit.")] = "wait"
    fair_key: Annotated[
        str | None, Meta(description="The place in the data of who takes turns: `data.customer`.")
    ] = None


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


def _action(config: TaskActionConfig, queue: str) -> DeclaredAction:
    backoff = config.backoff if isinstance(config.backoff, str) else [float(rest) for rest in config.backoff]
    declared: Declared = {
        "queue": queue,
        "max_attempts": config.max_attempts,
        "backoff": backoff,
        "timeout": config.timeout,
        "expires_in": config.expires_in,
        "priority": config.priority,
        "rate_limit": config.rate_limit,
        "concurrency": config.concurrency,
        "concurrency_key": config.concurrency_key,
        "over_limit": config.over_limit,
        "fair_key": config.fair_key,
    }
    return DeclaredAction(config.name, config.schema, config.result, config.description, **declared)
