"""``AsyncResult``: a submitted task, looked at from outside."""

from __future__ import annotations

from typing import Any

from taskmill.client import Task, TaskEnded, default_client

_STATES = {
    "queued": "PENDING", "scheduled": "PENDING", "running": "STARTED",
    "completed": "SUCCESS", "failed": "FAILURE", "cancelled": "REVOKED",
}  # fmt: skip


class AsyncResult:
    """The result of a task, by its id. Each look asks the server."""

    def __init__(self, id: str) -> None:  # noqa: A002 - as Celery has it
        self.id = self.task_id = id

    def __repr__(self) -> str:
        return f"<AsyncResult: {self.id}>"

    @property
    def state(self) -> str:
        """PENDING, STARTED, RETRY, SUCCESS, FAILURE or REVOKED."""
        task = self._task()
        return "RETRY" if task.status == "scheduled" and task.attempt else _STATES[task.status]

    status = state

    @property
    def result(self) -> Any:
        """What the task returned; what went wrong, as an exception, where it failed; None until then."""
        try:
            return self._value() if self.ready() else None
        except TaskEnded as error:
            return error

    def get(self, timeout: float | None = None, propagate: bool = True, **_: Any) -> Any:
        """Return what the task returns, once it has, within ``timeout`` seconds.

        Raises:
            TaskFailed, TaskCancelled: it ended so, and ``propagate`` is true; else that is returned.
            NotEnded: it takes longer.
        """
        self._client_wait(timeout)
        try:
            return self._value()
        except TaskEnded as error:
            if propagate:
                raise
            return error

    def ready(self) -> bool:
        """Whether the task has ended."""
        return self.state in ("SUCCESS", "FAILURE", "REVOKED")

    def successful(self) -> bool:
        """Whether the task has completed."""
        return self.state == "SUCCESS"

    def failed(self) -> bool:
        """Whether the task has failed."""
        return self.state == "FAILURE"

    def revoke(self, **_: Any) -> None:
        """Cancel the task, also one that runs."""
        default_client().cancel(self.id)

    def forget(self) -> None:
        """Do nothing: how long a task is kept is for its retention to say."""

    def _task(self) -> Task:
        return default_client().get(self.id)

    def _client_wait(self, timeout: float | None) -> None:
        default_client().wait(self.id, timeout)

    def _value(self) -> Any:
        return default_client().result(self.id)
