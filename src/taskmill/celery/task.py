"""A task as Celery has it, which is an action."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, NoReturn

from taskmill.celery.result import AsyncResult
from taskmill.celery.submitting import submit
from taskmill.tasks.actions.action import Action
from taskmill.tasks.actions.context import current_task
from taskmill.tasks.actions.options import Declared
from taskmill.tasks.actions.retrying import Backoff, Retry
from taskmill.tasks.actions.submitting import arguments

Errors = tuple[type[BaseException], ...]

FOR_EVER = 2**30  # retries, where Celery is told None


class MaxRetriesExceededError(Exception):
    """A task asked to be run again once too often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """The options of a task that mean something here. Times are in seconds, as in Celery."""

    bind: bool = False
    max_retries: int | None = 3
    default_retry_delay: float = 180
    autoretry_for: Errors = ()
    dont_autoretry_for: Errors = ()
    retry_kwargs: Mapping[str, Any] | None = None
    retry_backoff: bool | float = False
    retry_backoff_max: float = 600
    retry_jitter: bool = True
    rate_limit: str | int | None = None
    time_limit: float | None = None
    soft_time_limit: float | None = None
    expires: float | None = None
    queue: str = ""
    priority: int = 0

    def declared(self) -> Declared:
        """Return what an action declares instead. What fails is run again only where the task asks for it."""
        retries = (self.retry_kwargs or {}).get("max_retries", self.max_retries)
        declared: Declared = {
            "max_attempts": 1 + (FOR_EVER if retries is None else retries),
            "no_retry_on": BaseException,
            "queue": self.queue,
            "priority": self.priority,
            "timeout": self.time_limit or self.soft_time_limit,
            "expires_in": self.expires,
        }
        if self.rate_limit is not None:
            rate = str(self.rate_limit)
            declared["rate_limit"] = rate if "/" in rate else f"{rate}/s"
        return declared

    def rest(self, retries: int) -> float:
        """Return the seconds before the next run of a task that failed with what `autoretry_for` names."""
        if not self.retry_backoff:
            return float((self.retry_kwargs or {}).get("countdown", self.default_retry_delay))
        if self.retry_jitter:
            return Backoff(base=float(self.retry_backoff), cap=self.retry_backoff_max).rest(retries + 1)
        return min(self.retry_backoff_max, float(self.retry_backoff) * 2.0**retries)


@dataclass(frozen=True, slots=True)
class Request:
    """The run under way: ``id`` is that of its task, None in a plain call; ``retries`` counts from 0."""

    id: str | None
    retries: int


class Task(Action[Any, Any]):
    """A function with `delay`, `apply_async` and, while it runs, `request` and `retry`."""

    def __init__(self, function: Callable[..., Any], name: str, options: TaskOptions) -> None:
        self.asked = options
        super().__init__(self._careful(function), name, **options.declared())

    def delay(self, *args: Any, **kwargs: Any) -> AsyncResult:
        """Submit a call of it."""
        return self.apply_async(args, kwargs)

    def apply_async(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> AsyncResult:
        """Submit a call of it with `countdown`, `eta`, `expires`, `queue` or `priority`."""
        data = arguments(self.function, tuple(args or ()), dict(kwargs or {}))
        return AsyncResult(submit(self.name, data, options))

    @property
    def request(self) -> Request:
        """The run under way."""
        try:
            task = current_task()
        except LookupError:
            return Request(None, 0)
        return Request(task.id, task.attempt - 1)

    def retry(
        self, exc: BaseException | None = None, countdown: float | None = None, eta: datetime | None = None,
        max_retries: int | None = None, **_: Any,
    ) -> NoReturn:  # fmt: skip
        """Have the task run again, after ``countdown`` seconds or at ``eta``, with the same arguments.

        Raises:
            Retry: always, but where a task has no retry left: then ``exc``, or MaxRetriesExceededError.
        """
        request = self.request
        most = self.asked.max_retries if max_retries is None else max_retries
        if request.id is None or (most is not None and request.retries >= most):
            raise exc or MaxRetriesExceededError(f"{self.name} was to be run again after {most} retries")
        if eta is not None:
            zone = eta if eta.tzinfo else eta.replace(tzinfo=UTC)
            countdown = max(0.0, (zone - datetime.now(UTC)).total_seconds())
        raise Retry(str(exc or ""), after=self.asked.default_retry_delay if countdown is None else countdown)

    def _careful(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Give the function its task, where it is bound, and have what `autoretry_for` names run again."""
        first = (self,) if self.asked.bind else ()
        untouched: Errors = (Retry, *self.asked.dont_autoretry_for)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*first, *args, **kwargs)
            except untouched:
                raise
            except self.asked.autoretry_for as error:
                most = (self.asked.retry_kwargs or {}).get("max_retries")
                self.retry(exc=error, countdown=self.asked.rest(self.request.retries), max_retries=most)

        parameters = list(inspect.signature(function).parameters.values())
        call.__signature__ = inspect.Signature(parameters[len(first) :])  # type: ignore[attr-defined]
        return call


def shared_task(function: Callable[..., Any] | None = None, /, *, name: str = "", **options: Any) -> Any:
    """Make a function a task: `@shared_task` or `@shared_task(bind=True, max_retries=5)`.

    Options of Celery that have no meaning here are left aside: a task is always acknowledged late, and its result kept.
    """
    known = {field.name for field in fields(TaskOptions)}
    read = TaskOptions(**{option: value for option, value in options.items() if option in known})

    def make(function: Callable[..., Any]) -> Task:
        return Task(function, name or f"{function.__module__}.{function.__name__}", read)

    return make if function is None else make(function)
