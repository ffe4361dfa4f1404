"""``action.submit(…)``: an action's own call, checked by its signature, as a task of a server."""

from __future__ import annotations

import asyncio
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

if TYPE_CHECKING:
    from taskmill.client import AsyncHandle, Handle, Submission, SubmitOptions

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Submittable(ABC, Generic[P, R]):
    """What can be submitted with the arguments ``P``, to run and to return ``R`` in the end.

    What the caller's side needs is imported by the first call, so that a worker never pays for it.
    """

    @abstractmethod
    def _submission(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Submission[Any]:
        """Make a submission of a call."""

    @overload
    def submission(
        self: Submittable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Submission[T]: ...
    @overload
    def submission(self, /, *args: P.args, **kwargs: P.kwargs) -> Submission[R]: ...
    def submission(self, /, *args: P.args, **kwargs: P.kwargs) -> Submission[Any]:
        """Make a submission of a call, for the `submit` and `submit_many` of a client."""
        return self._submission(args, kwargs)

    @overload
    def submit(
        self: Submittable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Handle[T]: ...
    @overload
    def submit(self, /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]: ...
    def submit(self, /, *args: P.args, **kwargs: P.kwargs) -> Handle[Any]:
        """Submit a call of it to the server that `taskmill.client.configure`, or TASKMILL_URL, names.

        Raises:
            ClientError: the server is away, or refuses.
            TypeError: the arguments are not those of the function, or nothing that JSON can say.
            RuntimeError: it was called on an event loop, where it would hold up all else.
        """
        from taskmill.client import default_client  # noqa: PLC0415 - for the caller's side only

        if _on_a_loop():
            raise RuntimeError("submit() would hold up this event loop: write `await ….submit_async(…)`")
        return default_client().submit(self._submission(args, kwargs))

    @overload
    async def submit_async(
        self: Submittable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncHandle[T]: ...
    @overload
    async def submit_async(self, /, *args: P.args, **kwargs: P.kwargs) -> AsyncHandle[R]: ...
    async def submit_async(self, /, *args: P.args, **kwargs: P.kwargs) -> AsyncHandle[Any]:
        """Do what :meth:`submit` does, without holding up the event loop."""
        from taskmill.client import default_async_client  # noqa: PLC0415 - for the caller's side only

        return await (await default_async_client()).submit(self._submission(args, kwargs))


class WithOptions(Submittable[P, R]):
    """An action with options for its tasks, which stand apart from its own arguments."""

    def __init__(
        self,
        make: Callable[[tuple[Any, ...], dict[str, Any], SubmitOptions], Submission[Any]],
        options: SubmitOptions,
    ) -> None:
        self._make = make
        self._options = options

    def _submission(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Submission[Any]:
        return self._make(args, kwargs, self._options)


def submission_of(name: str, data: object, result_type: Any, options: SubmitOptions) -> Submission[Any]:
    """Make the submission of a task of an action: its data, and what it returns."""
    from taskmill.client import Submission  # noqa: PLC0415 - for the caller's side only

    return Submission(name, data, result_type=result_type, **options)


def arguments(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call by name; raise TypeError where the function does not take them."""
    return dict(_signature(function).bind(*args, **kwargs).arguments)


@cache
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function)


def _on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
