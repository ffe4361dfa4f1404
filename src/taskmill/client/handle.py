"""What ``submit`` returns: the task's id, and a way to its result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from taskmill.client.aio import AsyncClient
    from taskmill.client.blocking import Client
    from taskmill.client.model import Submitted, Task

T = TypeVar("T")


class _Submitted:
    """A submitted task.

    ``id`` is its id, ``status`` what it had when it was answered. ``duplicate`` is true where a task with the same
    key was there already, ``replayed`` where this very submission had been heard before.
    """

    def __init__(self, answer: tuple[Submitted, bool]) -> None:
        submitted, self.replayed = answer
        self.id = submitted.id
        self.status = submitted.status
        self.duplicate = submitted.duplicate

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.status}>"


class Handle(_Submitted, Generic[T]):
    """A task that a :class:`Client` submitted. ``T`` is what its action returns."""

    def __init__(self, client: Client, answer: tuple[Submitted, bool], result_type: Any = Any) -> None:
        super().__init__(answer)
        self._client = client
        self._result_type = result_type

    def get(self) -> Task:
        """Return the task as it is now; raise ProblemError where it is gone."""
        return self._client.get(self.id)

    def wait(self, timeout: float | None = None) -> Task:
        """Return the task once it has ended; raise NotEnded after ``timeout`` seconds."""
        return self._client.wait(self.id, timeout)

    def result(self, timeout: float | None = None) -> T:
        """Return what the action returned, once it has; raise TaskFailed, TaskCancelled or NotEnded."""
        result: T = self._client.result(self.id, timeout, type=self._result_type)
        return result

    def cancel(self) -> Task:
        """Cancel the task; raise ProblemError (409) where it has ended."""
        return self._client.cancel(self.id)

    def release(self) -> None:
        """Let the task run, which was submitted with ``hold``; raise ProblemError (409) where it has been cancelled."""
        self._client.release(self.id)

    def drop(self) -> Task:
        """Take the task back, which was submitted with ``hold``; raise ProblemError (409) where it was released."""
        return self._client.drop(self.id)


class AsyncHandle(_Submitted, Generic[T]):
    """A task that an :class:`AsyncClient` submitted. ``T`` is what its action returns."""

    def __init__(self, client: AsyncClient, answer: tuple[Submitted, bool], result_type: Any = Any) -> None:
        super().__init__(answer)
        self._client = client
        self._result_type = result_type

    async def get(self) -> Task:
        """Return the task as it is now; raise ProblemError where it is gone."""
        return await self._client.get(self.id)

    async def wait(self, timeout: float | None = None) -> Task:  # noqa: ASYNC109
        """Return the task once it has ended; raise NotEnded after ``timeout`` seconds."""
        return await self._client.wait(self.id, timeout)

    async def result(self, timeout: float | None = None) -> T:  # noqa: ASYNC109
        """Return what the action returned, once it has; raise TaskFailed, TaskCancelled or NotEnded."""
        result: T = await self._client.result(self.id, timeout, type=self._result_type)
        return result

    async def cancel(self) -> Task:
        """Cancel the task; raise ProblemError (409) where it has ended."""
        return await self._client.cancel(self.id)

    async def release(self) -> None:
        """Let the task run, which was submitted with ``hold``; raise ProblemError (409) where it has been cancelled."""
        await self._client.release(self.id)

    async def drop(self) -> Task:
        """Take the task back, which was submitted with ``hold``; raise ProblemError (409) where it was released."""
        return await self._client.drop(self.id)
