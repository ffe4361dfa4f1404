"""``task.schedule``: a schedule that the registry declares."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta, field

from taskmill.registry import Entry, EntryConfig, Mistake, reference
from taskmill.supervisor import Context
from taskmill.tasks.schedules.model import CatchUp, Definition, Overlap, data_flaw, flaws
from taskmill.tasks.schedules.scheduler import wall_clock
from taskmill.tasks.service import TaskService
from taskmill.units import Duration


class TaskScheduleConfig(EntryConfig, kw_only=True, forbid_unknown_fields=True):
    """Submits a task again and again. Its name is the schedule's, also in ``/schedules/{name}``."""

    tasks: Annotated[
        str, reference("task.service", attaches=True, description="The task queue that runs the tasks.")
    ]
    cron: Annotated[
        Annotated[str, Meta(max_length=200)] | None,
        Meta(
            description="`minute hour day-of-month month day-of-week`, or with seconds before them; or `@daily`.",
        ),
    ] = None
    every: Annotated[
        Duration | None, Meta(description="In place of `cron`: the time between two runs, at least `1s`.")
    ] = None
    timezone: Annotated[str, Meta(description="Whose clocks `cron` goes by, such as `Europe/Berlin`.")] = (
        "UTC"
    )
    action: Annotated[str, Meta(min_length=1, max_length=200, description="The action of the tasks.")]
    data: Annotated[dict[str, Any], Meta(description="Their data.")] = field(default_factory=dict)
    overlap: Annotated[
        Overlap, Meta(description="Whether a task is submitted while the last one has not ended.")
    ] = "skip"
    catch_up: Annotated[
        CatchUp, Meta(description="Of the runs that were missed, such as while down: which are made up for.")
    ] = "one"
    jitter: Annotated[
        Duration, Meta(description="Each run is put off by a time of its own, so long at most.")
    ] = Duration(0)
    queue: Annotated[
        Annotated[str, Meta(min_length=1, max_length=200)] | None,
        Meta(description="The name of their queue, if not the action's."),
    ] = None
    priority: Annotated[
        Annotated[int, Meta(ge=0, le=9)] | None, Meta(description="Their priority, if not the action's.")
    ] = None
    paused: Annotated[bool, Meta(description="Do not run it for now.")] = False


class TaskSchedule:
    """Hands its definition to the task queue, which starts after."""

    kind: ClassVar[str] = "task.schedule"
    Config: ClassVar[type[EntryConfig]] = TaskScheduleConfig

    def __init__(self, entry: Entry[Any], context: Context) -> None:
        self._config: TaskScheduleConfig = entry.config
        self._context = context

    @classmethod
    def check(cls, entry: Entry[Any]) -> Iterator[Mistake]:
        """Find a bad cron expression, an unknown time zone, and what does not go together."""
        for flaw in flaws(_definition(entry.config), wall_clock()):
            yield Mistake(*flaw)
        if too_long := data_flaw(_definition(entry.config).data):
            yield Mistake(*too_long)

    async def start(self) -> None:
        """Declare the schedule."""
        service = self._context.get(self._config.tasks, TaskService)
        service.declared_schedules.append(_definition(self._config))

    async def stop(self) -> None:
        """Nothing to let go of: the schedule stays as long as it is declared."""


def _definition(config: TaskScheduleConfig) -> Definition:
    return Definition(
        name=config.name,
        cron=config.cron,
        every=None if config.every is None else round(config.every * 1000),
        timezone=config.timezone,
        action=config.action,
        data=msgspec.json.encode(config.data).decode(),
        overlap=config.overlap,
        catch_up=config.catch_up,
        jitter=round(config.jitter * 1000),
        queue=config.queue,
        priority=config.priority,
        paused=config.paused,
        declared=True,
    )
