"""What a server answers, as typed structs. Fields that a newer server adds are ignored."""

from __future__ import annotations

from typing import Any

import msgspec

ENDED = ("completed", "failed", "cancelled")


class TaskError(msgspec.Struct, kw_only=True):
    """Why an attempt failed. ``at`` is a time, ``traceback`` is empty where lists leave it out."""

    type: str
    message: str
    at: str
    traceback: str = ""


class Attempt(msgspec.Struct, kw_only=True):
    """One attempt that has ended; ``error`` is None where it went well."""

    attempt: int
    started_at: str | None
    ended_at: str
    error: TaskError | None


class StepTaken(msgspec.Struct, kw_only=True):
    """A step of a task whose result is kept. Times are RFC 3339."""

    name: str
    started_at: str
    ended_at: str


class Task(msgspec.Struct, kw_only=True):
    """A task as the server has it. Times are RFC 3339 in UTC, ``timeout`` is in seconds.

    ``result`` is as it is stored: a mapping as the action returned it, anything else as ``{"output": …}``.
    ``attempts`` and ``steps`` are there for a task that was asked for alone, and empty in lists.
    """

    id: str
    action: str
    data: Any
    status: str
    result: Any
    error: TaskError | None
    queue: str
    priority: int
    key: str | None
    fair_key: str | None
    tags: list[str]
    attempt: int
    max_attempts: int
    timeout: float | None
    created_at: str
    run_at: str | None
    expires_at: str | None
    started_at: str | None
    finished_at: str | None
    held_until: str | None = None
    attempts: list[Attempt] = []
    steps: list[StepTaken] = []
    after: list[str] = []
    batch: str | None = None
    name: str | None = None

    @property
    def ended(self) -> bool:
        """Whether it is completed, failed or cancelled."""
        return self.status in ENDED


class Page(msgspec.Struct, kw_only=True):
    """A part of the list of tasks; ``next`` is the cursor of the part after it."""

    tasks: list[Task]
    count: int
    next: str | None


class Submitted(msgspec.Struct, kw_only=True):
    """The answer to a submission; see :class:`taskmill.client.Handle`."""

    id: str
    status: str = ""
    duplicate: bool = False
    replayed: bool = False


class CanaryOutcome(msgspec.Struct, kw_only=True):
    """How the first tasks went that were run again."""

    completed: int
    failed: int
    waiting: int
    error: TaskError | None = None


class Changed(msgspec.Struct, kw_only=True):
    """How many tasks were changed, or would be. ``stopped`` is true where the ``canary`` kept the others back."""

    count: int
    next: str | None = None
    stopped: bool = False
    canary: CanaryOutcome | None = None


class Pruned(msgspec.Struct, kw_only=True):
    """How many tasks were pruned; ``more`` where there was no time for all."""

    count: int
    more: bool = False


class Running(msgspec.Struct, kw_only=True):
    """Since when a task has been running, and on what: `inline`, `loop` or `process`."""

    since: str | None
    on: str | None


class Why(msgspec.Struct, kw_only=True):
    """What a task waits for: each reason has its name in ``reason``, and fields of its own."""

    id: str
    status: str
    waiting_for: list[dict[str, Any]]
    running: Running | None
    estimated_start: str | None


class ActionOptions(msgspec.Struct, kw_only=True):
    """What an action declares of its tasks; durations are in seconds.

    ``runs`` is `inline`, `loop`, `process` or `outside`.
    """

    runs: str
    queue: str | None
    priority: int
    max_attempts: int
    timeout: float | None
    expires_in: float | None


class ActionInfo(msgspec.Struct, kw_only=True):
    """An action that a server has. ``data`` and ``result`` are JSON Schemas."""

    name: str
    description: str
    data: dict[str, Any]
    result: dict[str, Any]
    options: ActionOptions


class Actions(msgspec.Struct, kw_only=True):
    """Every action, in the order of their names."""

    actions: list[ActionInfo]


class Depth(msgspec.Struct, kw_only=True):
    """How many tasks of a queue are in each state that is not an end."""

    queued: int
    scheduled: int
    running: int


class Paused(msgspec.Struct, kw_only=True):
    """When a queue was paused, and by whom."""

    at: str
    by: str


class Queue(msgspec.Struct, kw_only=True):
    """A queue. ``oldest`` is for how many seconds the first of those queued waits."""

    name: str
    depth: Depth
    oldest: float | None
    running: int
    consumers: int
    paused: Paused | None


class Queues(msgspec.Struct, kw_only=True):
    """Every queue, in the order of their names."""

    queues: list[Queue]


class Fire(msgspec.Struct, kw_only=True):
    """A due time of a schedule that has been: `run`, or why it was not."""

    due_at: str
    at: str
    outcome: str
    task_id: str | None


class Schedule(msgspec.Struct, kw_only=True):
    """A schedule. ``every`` and ``jitter`` are in seconds; ``recent`` is empty in lists."""

    name: str
    cron: str | None
    every: float | None
    timezone: str
    action: str
    data: Any
    overlap: str
    catch_up: str
    jitter: float
    queue: str | None
    priority: int | None
    paused: bool
    declared: bool
    created_at: str
    updated_at: str
    next_run_at: str | None
    last_run_at: str | None
    last_task_id: str | None
    recent: list[Fire] = []


class SchedulePage(msgspec.Struct, kw_only=True):
    """A part of the list of schedules; ``next`` is the cursor of the part after it."""

    schedules: list[Schedule]
    next: str | None
