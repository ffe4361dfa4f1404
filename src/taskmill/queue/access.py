"""``queue.publish`` and ``queue.message``: queues for functions that want them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Generator, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import msgspec

from taskmill.queue.errors import QueueError
from taskmill.queue.message import NO_HEADERS, Message
from taskmill.registry import nearest

if TYPE_CHECKING:
    from taskmill.queue.queue import Queue

_queues: dict[str, tuple[Queue, asyncio.AbstractEventLoop]] = {}
current_message: ContextVar[Message] = ContextVar("taskmill_message")


def register(id_: str, queue: Queue) -> None:
    """Make a started queue known to :func:`publish`."""
    _queues[id_] = (queue, asyncio.get_running_loop())


def forget(id_: str, queue: Queue) -> None:
    """Take back :func:`register`."""
    if id_ in _queues and _queues[id_][0] is queue:
        del _queues[id_]


class Publication:
    """A message on its way. Awaiting it (in an ``async def``) waits until the queue has taken it."""

    def __init__(self, id: str, taken: asyncio.Task[None] | None) -> None:  # noqa: A002
        self.id = id
        self._taken = taken

    def __await__(self) -> Generator[Any, None, Publication]:
        """Wait; raise QueueFull where a full queue refuses."""
        if self._taken is not None:
            yield from asyncio.shield(self._taken).__await__()
        return self


def publish(queue_id: str, data: object, headers: Mapping[str, str] | None = None) -> Publication:
    """Publish a message to the queue entry ``queue_id``.

    In a ``def`` it returns once the queue has taken the message; in an ``async def`` await what it returns.
    ``data`` is anything that JSON can say.

    Raises:
        QueueError: no such queue has started.
        QueueFull: it is full and declared to refuse.
        TypeError: JSON cannot say ``data``.
    """
    found = _queues.get(queue_id)
    if found is None:
        near = nearest(queue_id, _queues)
        raise QueueError(f"no queue `{queue_id}` has started" + (f"; did you mean `{near}`?" if near else ""))
    queue, loop = found
    message = Message(str(uuid.uuid4()), msgspec.json.encode(data).decode(), dict(headers or NO_HEADERS))
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run_coroutine_threadsafe(queue.channel.publish([message]), loop).result()
        return Publication(message.id(), None)
    return Publication(message.id(), running.create_task(_published(queue, message)))


def message() -> Message:
    """Return the message that the calling consumer function was given.

    Raises:
        QueueError: the caller is not a consumer function.
    """
    try:
        return current_message.get()
    except LookupError:
        raise QueueError("queue.message() is for functions that a queue.consumer calls") from None


async def _published(queue: Queue, message: Message) -> None:
    await queue.channel.publish([message])
