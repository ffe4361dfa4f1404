"""``Celery``: the object that a program makes once, and hangs its tasks on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from taskmill.celery.result import AsyncResult as Result
from taskmill.celery.submitting import submit
from taskmill.celery.task import shared_task
from taskmill.client import configure


class Celery:
    """What is left of an app: a name, its tasks' decorator, and where they are submitted to.

    ``broker`` may be the URL of a Taskmill server; that of any other broker is left aside, as TASKMILL_URL or
    :func:`taskmill.client.configure` names the server then. ``conf`` keeps whatever is put there, and nothing reads it:
    queues, limits and schedules stand in the registry, or with each task.
    """

    task = staticmethod(shared_task)
    AsyncResult = Result

    def __init__(self, main: str = "", *, broker: str = "", **_: Any) -> None:
        self.main = main
        self.conf: dict[str, Any] = {}
        if broker.startswith(("http://", "https://")):
            configure(broker)

    def send_task(
        self, name: str, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Result:
        """Submit a task by its name, with arguments by name; raise TypeError for those by position."""
        if args:
            raise TypeError(f"the parameters of {name} are not known here: send its arguments as `kwargs`")
        return Result(submit(name, dict(kwargs or {}), options))

    def autodiscover_tasks(self, *_: Any, **__: Any) -> None:
        """Do nothing: the `actions` of the registry's `task.service` name the modules that have tasks."""
