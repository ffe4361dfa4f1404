"""``step()``: a part of a task that is not done again once it is done."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine
from time import time
from typing import Any, ParamSpec, TypeVar, overload

from taskmill.process.asking import ask
from taskmill.tasks.actions.context import CurrentTask, Inline, Together, under_way
from taskmill.tasks.message import TaskMessage
from taskmill.tasks.stepping.book import AttemptLost, Book, StepError, decoded, encoded
from taskmill.tasks.stepping.questions import keep, steps

P = ParamSpec("P")
T = TypeVar("T")


@overload
def step(
    name: str, function: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs
) -> Awaitable[T]: ...
@overload
def step(name: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
def step(name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call a function and keep what it returns; in a later attempt return what was kept, and call nothing.

    In an ``async def`` action the function is an ``async def``, too: `await step("charge", charge, order)`. What it
    returns is stored before this returns. Names tell a task's steps apart; a second one of a name is `name#2`, so
    where steps are taken again and again they must come in the same order each time.

    Raises:
        StepError: it cannot be taken here, or what it returned cannot be kept; the task has failed.
        AttemptLost: the task was cancelled, timed out or is run again elsewhere, and nothing was kept.
        LookupError: no task runs here.
        Exception: whatever the function raises. Nothing is kept then.
    """
    task = under_way("step()")
    is_async = inspect.iscoroutinefunction(function)
    if isinstance(task, Together):
        raise StepError("a batch action has no steps of its own: its tasks end one by one")
    if isinstance(task, CurrentTask):
        if is_async:
            raise StepError(f"step {name!r} is an `async def`, and its action a `def`: make both the same")
        return _take(name, function, args, kwargs, task)
    if Inline.task is task:
        raise StepError("an inline action cannot wait until a step is stored: leave `inline` out")
    if not is_async:
        raise StepError(f"step {name!r} is a `def`, and its action an `async def`: make both the same")
    return _take_on_loop(_book(task).name(name), function, args, kwargs, task)


class _Own:
    """What of a worker process runs now, and its book."""

    task: CurrentTask | None = None
    book = Book()


def _take(wanted: str, function: Callable[..., Any], args: Any, kwargs: Any, task: CurrentTask) -> Any:
    """Take a step in a worker process, whose parent keeps it."""
    if _Own.task is not task:
        _Own.task, _Own.book = task, Book()
    book = _Own.book
    name = book.name(wanted)
    if book.kept is None:
        book.fill(steps(ask))
    result: bytes | str | None = (book.kept or {}).get(name)
    if result is None:
        began = int(time() * 1000)
        result = encoded(name, function(*args, **kwargs))
        value = decoded(name, result, function)
        if not keep(ask, book.entry(name, result, began)):
            raise AttemptLost(name)
        return value
    return decoded(name, result, function)


async def _take_on_loop(
    name: str, function: Callable[..., Any], args: Any, kwargs: Any, task: TaskMessage
) -> Any:
    book, keeping = _book(task), task.registered.keeping
    if keeping is None:
        raise StepError("nobody keeps steps here")
    async with book.reading:
        if book.kept is None:
            book.fill(await keeping.steps(task.key))
    result: bytes | str | None = (book.kept or {}).get(name)
    if result is None:
        began = int(time() * 1000)
        result = encoded(name, await function(*args, **kwargs))
        value = decoded(name, result, function)
        if not await keeping.keep(task.key, task.attempt, book.entry(name, result, began)):
            raise AttemptLost(name)
        return value
    return decoded(name, result, function)


def _book(task: TaskMessage) -> Book:
    """Return the book of an attempt, begun at its first step: most tasks have none."""
    book: Book | None = getattr(task, "book", None)
    if book is None:
        book = task.book = Book()
    return book
